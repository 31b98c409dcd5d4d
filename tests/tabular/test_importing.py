"""`nasgan table import`: spreadsheets of others, by a mapping that the user writes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile

import numpy as np
import pandas as pd
import pytest
import yaml

from nasgan.cli.main import main
from nasgan.report.page import build_table_report
from nasgan.tabular.table import Table, load_table

GENERATORS = "Gen,Operation,Norm,Params\ng1,conv,batch,100\ng2,deconv,none,200\n"
RUNS = "Gen,FID ,IS,Hours,Error\ng1,20.5,8.0,3,\ng2,31.25,7.0,4,\ng1,22.5,7.5,3,\ng2,,,1,NaN loss\n"
MAPPING: dict[str, Any] = {
    "name": "bench",
    "search_space": "theirs",
    "protocol": "cifar10-train-50k-inceptionv3-v1",
    "files": ["generators.csv", "runs.csv"],
    "join": "Gen",
    "decisions": {"operation": "Operation", "norm": "Norm"},
    "metrics": {"fid": "FID", "is": "IS"},
    "steps": 50000,
    "seconds": "Hours",
    "parameters": "Params",
    "failure": "Error",
    "licence": "as its authors say",
}


def write(folder: Path, **changes: Any) -> Path:
    (folder / "generators.csv").write_text(GENERATORS, encoding="utf-8")
    (folder / "runs.csv").write_text(RUNS, encoding="utf-8")
    mapping = {k: v for k, v in {**MAPPING, **changes}.items() if v is not None}
    (folder / "columns.yaml").write_text(yaml.safe_dump(mapping), encoding="utf-8")
    return folder / "columns.yaml"


def imported(source: Path) -> Table:
    out = source.with_name("table.npz")
    assert main(["table", "import", str(source), f"out={out}"]) == 0
    return load_table(out)


def test_two_spreadsheets_are_one_table(tmp_path):
    table = imported(write(tmp_path))
    assert (table.name, table.space, len(table)) == ("bench", "theirs", 4)
    assert table.manifest["licence"] == "as its authors say"
    first = table.architecture({"operation": "conv", "norm": "batch"})
    assert [table.query(first, seed=k).metrics["fid"] for k in (0, 1)] == [20.5, 22.5]
    assert table.query(first, seed=0).seconds == 3
    assert table.parameters[:, 0].tolist().count(100) == 2
    second = table.architecture({"operation": "deconv", "norm": "none"})
    assert table.query(second, seed=1).failure == "NaN loss"
    assert np.isnan(table.scores[table.seeds == 1]).any()


def test_what_is_in_it_can_be_said_and_drawn(tmp_path, capsys):
    source = write(tmp_path)
    imported(source)
    assert main(["table", "info", str(tmp_path / "table.npz")]) == 0
    assert "4, of 2 architectures" in capsys.readouterr().out
    assert "bench" in build_table_report([tmp_path / "table.npz"]).html


def test_one_spreadsheet_needs_no_join_and_a_row_without_scores_broke_down(tmp_path):
    (tmp_path / "all.csv").write_text("A,F,S\nx,1.5,10\ny,,10\n", encoding="utf-8")
    source = write(
        tmp_path, files=["all.csv"], join=None, decisions={"a": "A"}, metrics={"fid": "F"},
        steps="S", seconds=None, parameters=None, failure=None,
    )  # fmt: skip
    table = imported(source)
    assert table.steps == (10,)
    assert sorted(table.failures) == ["", "no score"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": {"fid": "FIDs"}}, "no column 'FIDs' (metrics.fid of the mapping). Did you"),
        ({"decisions": {"norm": "Nrm"}}, "'Params'"),
        ({"metrics": {"fd": "FID"}}, "'fd'"),
        ({"join": "Id"}, "generators.csv: there is no column 'Id' (join of the mapping)"),
        ({"join": None}, "or two with the column that both have as join"),
        ({"files": ["nowhere.csv"], "join": None}, "nowhere.csv: cannot be read as a spreadsheet"),
        ({"files": ["a.ods"], "join": None}, "a.ods: a spreadsheet is a .csv or .xlsx file"),
        ({"metrics": {"fid": "Gen"}}, "row 2, column 'Gen': 'g1' is no number"),
        ({"decisions": {"e": "Error"}}, "row 2, column 'Error': e has no option"),
        ({"protocol": "mine"}, "mine"),
        ({"steps": 0}, "steps"),
        ({"steps": 2**31}, "columns.yaml: steps must be at most 2147483647, got 2147483648"),
        ({"decisions": None}, "the mapping lacks decisions"),
        ({"sedes": 3}, "the mapping has the unknown sedes"),
    ],
)
def test_what_does_not_fit_is_told_with_what_there_is(tmp_path, capsys, changes, message):
    source = write(tmp_path, **changes)
    assert main(["table", "import", str(source), f"out={tmp_path / 't.npz'}"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "t.npz").exists()


@pytest.mark.parametrize("text", ["- a\n", "a: [", "a: &a [*a]"])
def test_a_mapping_that_is_none_is_told(tmp_path, capsys, text):
    (tmp_path / "columns.yaml").write_text(text, encoding="utf-8")
    words = ["table", "import", str(tmp_path / "columns.yaml"), f"out={tmp_path / 't.npz'}"]
    assert main(words) == 2
    assert "columns.yaml" in capsys.readouterr().err


def test_xlsx_without_its_reader_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    source = write(tmp_path, files=["a.xlsx"], join=None)
    (tmp_path / "a.xlsx").write_bytes(b"PK\x03\x04")
    assert main(["table", "import", str(source), f"out={tmp_path / 't.npz'}"]) == 2
    assert "pip install openpyxl" in capsys.readouterr().err


def refused(source: Path, capsys: pytest.CaptureFixture[str]) -> str:
    out = source.with_name("t.npz")
    assert main(["table", "import", str(source), f"out={out}"]) == 2
    assert not out.exists()
    return capsys.readouterr().err


def test_spreadsheets_in_which_rows_would_multiply_are_refused(tmp_path, capsys):
    source = write(tmp_path)
    (tmp_path / "generators.csv").write_text(f"{GENERATORS}g1,deconv,batch,300\n")
    message = refused(source, capsys)
    assert "both have 'Gen' more than once ('g1'; 'g1', 'g2')" in message


def test_rows_without_a_partner_are_told(tmp_path, capsys):
    source = write(tmp_path)
    (tmp_path / "generators.csv").write_text(f"{GENERATORS}g3,conv,none,1\ng4,conv,none,1\n")
    (tmp_path / "runs.csv").write_text(f"{RUNS} g1 ,24.5,7,1,\ng9,1,1,1,\n")
    assert len(imported(source)) == 5
    out = capsys.readouterr().out
    assert "generators.csv: no row of the other spreadsheet has 'Gen' 'g3', 'g4': such rows" in out
    assert "runs.csv: no row of the other spreadsheet has 'Gen' 'g9'" in out
    (tmp_path / "runs.csv").write_text(f"{RUNS},1,1,1,\n")
    assert "runs.csv: row 6, column 'Gen': nothing to join by" in refused(source, capsys)


def test_columns_that_both_have_and_nobody_reads_do_not_matter(tmp_path):
    source = write(tmp_path)
    whole = imported(source)
    for name, text in (("generators", GENERATORS), ("runs", RUNS)):
        head, *lines = text.splitlines()
        # By the names that a join gives to columns of both.
        more = "Note,Note_x,Note_y" if name == "generators" else "Note"
        made = [f"{head},{more}", *(f"{line}{',other' * (more.count(',') + 1)}" for line in lines)]
        (tmp_path / f"{name}.csv").write_text("\n".join(made), encoding="utf-8")
    both = imported(source)
    assert both.checksum == whole.checksum


@pytest.mark.parametrize("more", ["FID", "FID,FID_x,FID_y"])
def test_a_column_that_is_read_and_that_both_have_is_refused(tmp_path, capsys, more):
    source = write(tmp_path)
    lines = GENERATORS.splitlines()
    made = [f"{lines[0]},{more}", *(f"{line}{',1' * len(more.split(','))}" for line in lines[1:])]
    (tmp_path / "generators.csv").write_text("\n".join(made), encoding="utf-8")
    message = refused(source, capsys)
    assert "generators.csv and runs.csv: both have a column 'FID' (metrics.fid of the" in message


@pytest.mark.parametrize(
    ("generators", "runs", "message"),
    [
        ("g3,conv,none,1", "g3,low,1,1,", "runs.csv: row 6, column 'FID': 'low' is no number"),
        ("g3,conv,none,no", "g3,1,1,1,", "generators.csv: row 5, column 'Params': 'no' is no"),
        ("g3,,none,1", "g3,1,1,1,", "generators.csv: row 5, column 'Operation': operation has no"),
        ("g3,conv,none,1.5", "g3,1,1,1,", "generators.csv: row 5, column 'Params': must be a w"),
        ("g3,conv,none,1", "g3,1,1,-1,", "runs.csv: row 6, column 'Hours': must be from 0"),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_a_cell_of_joined_spreadsheets_is_told_by_its_own_file_and_row(
    tmp_path, capsys, generators, runs, message, turned
):
    files = ["generators.csv", "runs.csv"]
    source = write(tmp_path, files=files[::-1] if turned else files)
    # One that has no partner goes before it: rows of the joined ones are not those of the files.
    (tmp_path / "generators.csv").write_text(f"{GENERATORS}g0,conv,none,1\n{generators}\n")
    (tmp_path / "runs.csv").write_text(f"{RUNS}{runs}\n")
    assert message in refused(source, capsys)


def test_one_spreadsheet_is_not_joined_with_itself(tmp_path, capsys):
    source = write(tmp_path, files=["runs.csv", "runs.csv"])
    assert "runs.csv: two different spreadsheets are joined, not one" in refused(source, capsys)


def one_file(folder: Path, text: str, **changes: Any) -> Path:
    (folder / "all.csv").write_text(text, encoding="utf-8")
    settings = {"files": ["all.csv"], "join": None, "decisions": {"a": "A"}, "failure": None}
    columns = {"metrics": {"fid": "F"}, "steps": "S", "seconds": "T", "parameters": "P"}
    return write(folder, **{**settings, **columns, **changes})


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("1,,3,4", "column 'S': must be a whole number of at least 1, got ''"),
        ("1,-5,3,4", "column 'S': must be from 1 to 2.14748e+09, got '-5'"),
        ("1,0,3,4", "column 'S': must be from 1"),
        ("1,100.7,3,4", "column 'S': must be a whole number of at least 1, got '100.7'"),
        ("1,nan,3,4", "column 'S': must be a whole number"),
        ("1,1e30,3,4", "column 'S': must be from 1 to"),
        ("1,2,-3,4", "column 'T': must be from 0 to"),
        ("1,2,1e300,4", "column 'T': must be from 0 to"),
        ("1,2,3,1e30", "column 'P': must be from 0 to"),
        ("1,2,3,4.5", "column 'P': must be a whole number"),
    ],
)
def test_numbers_that_a_table_cannot_hold_are_refused(tmp_path, capsys, cells, message):
    source = one_file(tmp_path, f"A,F,S,T,P\nx,1,2,3,4\ny,{cells}\n")
    assert f"row 3, {message}" in refused(source, capsys)


def test_cells_that_may_be_empty_may_be(tmp_path):
    table = imported(one_file(tmp_path, "\ufeffA,F,S,T,P,\nx,1,20,,,\ny,2,20\n"))
    assert (table.steps, table.parameters[:, 0].tolist()) == ((20,), [0, 0])


@pytest.mark.parametrize("head", ["A,F,S,T,P,F", "A,F,S,T,P, F "])
def test_columns_headed_alike_are_refused(tmp_path, capsys, head):
    source = one_file(tmp_path, f"{head}\nx,1,2,3,4,5\n")
    assert "all.csv: several columns are headed 'F'" in refused(source, capsys)


def test_a_table_without_any_score_is_refused(tmp_path, capsys):
    source = one_file(tmp_path, "A,F,S,T,P\nx,,2,3,4\ny,nan,2,3,4\n")
    assert "columns.yaml: no row has a score in F" in refused(source, capsys)


@pytest.mark.parametrize("fault", [KeyError("workbook.xml"), ParseError("syntax"), BadZipFile("x")])
def test_a_damaged_xlsx_is_told(tmp_path, capsys, monkeypatch, fault):
    def read(*_: object, **__: object) -> Callable[[], object]:
        raise fault

    monkeypatch.setattr(pd, "read_excel", read)
    source = write(tmp_path, files=["a.xlsx"], join=None)
    assert "a.xlsx: cannot be read as a spreadsheet: " in refused(source, capsys)
