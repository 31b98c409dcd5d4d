from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hostile_samples import HOSTILE, write_hostile_runs
from page_reader import ReadPage
from report_samples import PROTOCOL, write_run, write_status, write_sweep

from nasgan.cli.main import main
from nasgan.errors import ConfigError
from nasgan.leaderboard.build import build_leaderboard
from nasgan.leaderboard.finding import find_records
from nasgan.leaderboard.rows import Task
from nasgan.report.chapters import collect
from nasgan.report.figures import proxy_figures
from nasgan.report.live import find_jobs, render_jobs
from nasgan.report.page import JOBS_PLACE, build_report, render_page
from nasgan.runs.record import RECORD_FILE, RunRecord

SECTIONS = [
    "overview", "leaderboard", "seeds", "time", "size", "samples", "architectures", "options",
    "practice", "runs",
]  # fmt: skip


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sweep")
    write_sweep(root)
    for seed in range(3):
        write_run(root / f"train{seed}", "train:autogan_a", "autogan", seed)
    write_run(root / "failed", "rl", "autogan", 9, status="failed", grid_pixels=0)
    return root


@pytest.fixture(scope="module")
def html(sweep: Path) -> str:
    return build_report([sweep]).html


@pytest.fixture(scope="module")
def page(html: str) -> ReadPage:
    return ReadPage(html)


def test_the_page_is_well_formed_and_has_every_section(page: ReadPage) -> None:
    assert page.unclosed == []
    assert {found["id"] for found in page.all("section")} == {f"c1-{name}" for name in SECTIONS}
    linked = {found["href"] for found in page.all("a") if (found["href"] or "").startswith("#c1")}
    assert linked == {f"#c1-{name}" for name in SECTIONS}
    ids = [found["id"] for _, found in page.elements if "id" in found]
    assert len(ids) == len(set(ids)), "ids are unique"


def test_nothing_is_loaded_from_anywhere(page: ReadPage, html: str) -> None:
    loading = ("src", "href", "srcset", "data", "poster", "action", "xlink:href")
    targets = [found[key] or "" for _, found in page.elements for key in loading if key in found]
    assert targets
    assert all(target.startswith(("#", "data:")) for target in targets)
    assert not re.findall(r"url\(|@import|https?://", html)


def test_the_policy_allows_this_script_and_no_other(page: ReadPage) -> None:
    (policy,) = page.all("meta", http_equiv="Content-Security-Policy")
    (script,) = page.texts["script"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = dict(rule.split(" ", 1) for rule in (policy["content"] or "").split("; "))
    assert rules["script-src"] == f"'sha256-{digest}'"
    assert rules["default-src"] == "'none'"
    assert "connect-src" not in rules, "a page that is no live one talks to nobody"


def test_every_picture_has_words(page: ReadPage) -> None:
    pictures = [found for found in page.all("svg") if found.get("aria-hidden") != "true"]
    assert len(pictures) > 50
    assert all(found["role"] == "img" and len(found["aria-label"] or "") > 10 for found in pictures)
    images = page.all("img")
    assert len(images) == 21
    assert all("seed" in (found["alt"] or "") for found in images)


def test_what_scrolls_can_be_reached_with_the_keyboard(page: ReadPage) -> None:
    for found in page.all("div", class_="scroll"):
        assert found["tabindex"] == "0"
        assert found["aria-label"]
    radios = page.all("input", type="radio")
    labels = {found["for"] for found in page.all("label") if "for" in found}
    assert {found["id"] for found in radios} == labels


def test_the_table_is_the_leaderboard(sweep: Path, page: ReadPage, html: str) -> None:
    board = build_leaderboard(find_records([sweep])[0])
    body = html.partition('id="c1-board"')[2].partition("</table>")[0]
    rows = ReadPage(body.partition("<tbody>")[2].partition("<tfoot>")[0])
    headings = rows.all("tr", class_="heading")
    assert len(rows.all("tr")) - len(headings) == len(board.rows) == 9
    titles = [line.removeprefix("### ") for line in board.to_markdown().splitlines()]
    assert len(headings) == len({Task.of(row) for row in board.rows}) == 3
    assert [text.replace("_", "\\_") in titles for text in rows.texts["span"]] == [True] * 3
    means = [float(v) for v in re.findall(r'data-v="([\d.]+)">[\d.]+ ±[^<]*<small>', body)]
    for row in board.rows:
        assert any(mean == pytest.approx(row["fid_mean"]) for mean in means)
    assert "real test images" in body
    assert "IS 8.55" in page.text, "the paper's number beside ours"
    (link,) = page.all("a", download="leaderboard.csv")
    csv = base64.b64decode((link["href"] or "").split(",")[1]).decode()
    assert csv == board.to_csv()


def test_equal_records_give_equal_pages(sweep: Path, html: str) -> None:
    assert build_report([sweep]).html == html


def test_the_page_does_not_tell_where_it_ran(sweep: Path, html: str) -> None:
    assert "/somewhere/private" not in html
    assert str(sweep) not in html


def test_the_failed_run_is_shown_with_its_reason(page: ReadPage) -> None:
    assert "NaN loss" in page.text
    assert "1 failed" in page.text


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> ReadPage:
    root = tmp_path_factory.mktemp("hostile")
    write_hostile_runs(root)
    collection = collect([root])
    page = render_page(collection, digest="d")
    return ReadPage(page.replace(JOBS_PLACE, render_jobs(find_jobs([root]))))


def test_no_text_of_a_record_becomes_markup(hostile_page: ReadPage) -> None:
    assert hostile_page.unclosed == []
    assert len(hostile_page.all("script")) == 1
    assert HOSTILE not in hostile_page.texts["script"][0]
    assert all((found["src"] or "").startswith("data:") for found in hostile_page.all("img"))
    handlers = [key for _, found in hostile_page.elements for key in found if key.startswith("on")]
    assert handlers == []
    known = {found[0] for found in hostile_page.elements}
    assert "title" in known
    assert hostile_page.texts["title"][0] == "nasgan report (live)"


def test_every_text_of_a_record_is_shown_as_it_is(hostile_page: ReadPage) -> None:
    assert "{{7*7}}" in hostile_page.text
    for tag in ("th", "td", "text", "figcaption", "pre", "summary", "li", "p", "dd", "small"):
        held = " ".join(hostile_page.texts[tag])
        if tag == "pre":
            held = held.replace("\\", "")
        assert HOSTILE in held, f"no hostile text in {tag}: it was not tested there"
    labels = " ".join(found.get("aria-label") or "" for found in hostile_page.all("svg"))
    assert HOSTILE in labels


def test_halves_of_characters_do_no_harm(tmp_path: Path) -> None:
    lone = "half \udcff"
    write_run(tmp_path / "a", strategy=lone, tuning_budget=lone, run_id=lone)
    write_status(tmp_path / lone, "running", message=lone)
    report = build_report([tmp_path])
    report.write(tmp_path / "report.html")
    assert "half ?" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "half ?" in render_jobs(find_jobs([tmp_path]))


def test_protocols_are_not_mixed_but_have_a_part_each(tmp_path: Path) -> None:
    write_sweep(tmp_path / "a", methods=["random"], spaces=["autogan"], grid_pixels=0)
    other = "cifar10-train-5k-inceptionv3-v1"
    write_run(tmp_path / "b", "rl", "autogan", 0, protocol=other, metrics={"fid": 1.0})
    page = ReadPage(build_report([tmp_path]).html)
    assert page.unclosed == []
    assert [found["id"] for found in page.all("div", class_="chapter")] == ["c1", "c2"]
    assert [t for t in page.texts["h2"] if "train" in t] == [PROTOCOL, other]
    only = ReadPage(build_report([tmp_path], protocol=other).html)
    assert PROTOCOL not in only.text
    with pytest.raises(ConfigError, match="unknown protocol"):
        build_report([tmp_path], protocol="digits-train-2k-digits-v1")


def test_another_metric_can_rank(sweep: Path) -> None:
    page = ReadPage(build_report([sweep], rank_by="is").html)
    assert any("ranked by IS" in text for text in page.texts["caption"])
    assert ": best IS by adversarial, 8.6" in page.text, "more is better"
    with pytest.raises(ConfigError, match="unknown metric"):
        build_report([sweep], rank_by="nonsense")


def test_an_empty_folder_is_refused_with_what_was_found(tmp_path: Path) -> None:
    write_status(tmp_path / "seed0", "running")
    with pytest.raises(ConfigError, match="no finished runs") as caught:
        build_report([tmp_path])
    assert "its last status is 'running'" in str(caught.value)
    with pytest.raises(ConfigError, match="no such results folder"):
        build_report([tmp_path / "nowhere"])


def test_records_alone_are_enough(tmp_path: Path) -> None:
    write_sweep(tmp_path, methods=["rl"], grid_pixels=0, with_histories=False, seeds=1)
    page = ReadPage(build_report([tmp_path]).html)
    ids = {found["id"] for found in page.all("section")}
    assert {"c1-leaderboard", "c1-architectures", "c1-practice"} <= ids
    assert not {"c1-time", "c1-samples", "c1-options"} & ids
    assert "no row is ranked, as a rank takes 3 seeds" in page.text


def test_a_folder_of_failures_makes_a_page(tmp_path: Path) -> None:
    write_run(tmp_path / "a", status="failed", average_random=None, bound=None, grid_pixels=0)
    page = ReadPage(build_report([tmp_path]).html)
    assert page.unclosed == []
    assert "NaN loss" in page.text


def test_records_of_before_load(tmp_path: Path) -> None:
    record = write_run(tmp_path / "a")
    data = record.to_json()
    for newer in ("graphs", "decisions"):
        del data[newer]
    (tmp_path / "a" / RECORD_FILE).write_text(json.dumps(data), encoding="utf-8")
    assert RunRecord.read(tmp_path / "a" / RECORD_FILE).graphs == ()
    assert "cell3" in build_report([tmp_path]).html


def test_a_proxy_correlation_is_drawn_where_there_is_one(tmp_path: Path) -> None:
    write_sweep(tmp_path, methods=["random"], spaces=["autogan"], seeds=1, grid_pixels=0)
    points = [{"architecture": f"a{k}", "search": 10.0 + k, "final": 20.0 - k} for k in range(5)]
    for seed, spearman in enumerate((-1.0, -0.5)):
        proxy = {
            "metric": "fid",
            "fidelity": "shared",
            "generator_steps": 100,
            "n": 5,
            "spearman": spearman,
            "kendall": None,
            "points": points,
        }
        write_run(tmp_path / f"rl{seed}", "rl", seed=seed, proxy_correlation=proxy)
    (chapter,) = collect([tmp_path]).chapters
    (figure,) = proxy_figures(chapter)
    assert figure.title == "rl · autogan"
    assert figure.note == (
        "Spearman −0.750, Kendall unknown; mean over 2 seeds of 5 architectures each"
    )
    assert figure.picture.count("<title>") == 10
    assert "FID in the search, with shared weights" in figure.picture
    page = ReadPage(build_report([tmp_path]).html)
    assert "c1-proxy" in {found["id"] for found in page.all("section")}


def test_conditional_runs_are_a_task_of_their_own_and_say_how_their_images_lie(
    tmp_path: Path,
) -> None:
    write_sweep(tmp_path, methods=["rl"], spaces=["autogan"], grid_pixels=0)
    settings = {"image_size": 32, "num_classes": 10}
    for seed in range(3):
        run_id = f"conditional {seed}"
        write_run(tmp_path / run_id, "rl", seed=seed, run_id=run_id, space_settings=settings)
    page = ReadPage(build_report([tmp_path]).html)
    spaces = {value for value in page.texts["option"] if "autogan" in value}
    assert {"autogan", "autogan, conditional"} <= spaces
    pictures = [found["alt"] or "" for found in page.all("img")]
    assert len(pictures) == 3
    assert all("one column for each of 10 classes" in text for text in pictures)
    assert "one column for each of 10 classes" in page.texts["small"]


def test_the_papers_numbers_and_the_average_ranks_stand_below_the_ranks(sweep: Path) -> None:
    html = build_report([sweep]).html
    foot = html.partition("<tfoot>")[2].partition("</tfoot>")[0]
    assert "published: AutoGAN, top 1" in foot
    assert "Over all tasks" in html
    assert "Wilcoxon" in html


def test_a_run_takes_its_share_of_the_20_mb_of_a_hundred(tmp_path: Path) -> None:
    made = write_sweep(tmp_path, methods=["adversarial"], seeds=6, grid_pixels=640)
    report = build_report([tmp_path])
    assert report.num_runs == made == 12
    # Style, script and headings are there once: see benchmarks/report.py for the whole.
    assert len(report.html.encode("utf-8")) < 12 * 20e6 / 100 + 100_000


def test_the_verb_takes_several_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seed in (("here", 0), ("there", 1)):
        write_run(tmp_path / name / "run", seed=seed, grid_pixels=0)
    out = tmp_path / "report.html"
    runs = ",".join(str(tmp_path / name) for name in ("here", "there"))
    assert main(["report", f"runs={runs}", f"out={out}"]) == 0
    assert "2 runs" in capsys.readouterr().out
    assert out.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_making_a_report_imports_no_torch(tmp_path: Path) -> None:
    write_run(tmp_path / "a")
    program = (
        "import sys; import nasgan.report.live; from nasgan.report.page import build_report; "
        f"build_report([{str(tmp_path)!r}]); "
        "assert not {'torch', 'scipy', 'sklearn'} & set(sys.modules), 'imported'"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
