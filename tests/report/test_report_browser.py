"""The page in a real browser; skipped where there is none."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from hostile_samples import HOSTILE, write_hostile_runs
from report_samples import write_run, write_status, write_sweep

from nasgan.report import live
from nasgan.report.live import LivePage, LiveServer
from nasgan.report.page import build_report

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason=f"needs Chromium, as one of {', '.join(NAMES)}"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        except sync_api.Error as error:
            pytest.skip(f"{CHROMIUM} does not start: {str(error).splitlines()[0]}")
        yield started
        started.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    write_sweep(root, seeds=3)
    write_run(root / "failed", "rl", "autogan", 9, status="failed", grid_pixels=0)
    path = root / "report.html"
    build_report([root]).write(path)
    return path


def until(holds: Callable[[], bool]) -> None:
    """Wait for what a page does in its own time; asked from here, as it runs no foreign script."""
    end = monotonic() + 30
    while not holds():
        assert monotonic() < end, "it did not come about within 30 s"
        sleep(0.05)


class Visit:
    """A page that was opened, and what it did that it should not."""

    def __init__(self, browser: Any, url: str, **settings: Any) -> None:
        self.page = browser.new_page(**settings)
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(url)

    def column(self, name: str, table: str = "c1-board") -> list[str]:
        """The texts of a column of the rows that are seen, without small print."""
        found: list[str] = self.page.evaluate(
            """([table, name]) => {
                const element = document.getElementById(table);
                const headers = Array.from(element.tHead.rows[0].cells);
                const k = headers.findIndex((header) => header.textContent.trim() === name);
                return Array.from(element.querySelectorAll("tbody tr:not(.heading)"))
                    .filter((row) => !row.hidden)
                    .map((row) => row.cells[k].firstChild?.textContent.trim() ?? "");
            }""",
            [table, name],
        )
        return found

    def headings(self, table: str = "c1-board") -> list[str]:
        """The headings that are seen, each if it is the first row of its part."""
        found: list[str] = self.page.evaluate(
            """(table) => Array.from(document.getElementById(table).tBodies, (body) => body.rows[0])
                .filter((row) => row.classList.contains("heading") && !row.hidden)
                .map((row) => row.textContent.trim())""",
            table,
        )
        return found


@pytest.fixture
def visit(browser: Any, file: Path) -> Iterator[Visit]:
    opened = Visit(browser, file.as_uri(), viewport={"width": 1280, "height": 900})
    yield opened
    assert opened.messages == []
    opened.page.close()


def test_it_opens_without_errors_and_asks_for_nothing(visit: Visit, file: Path) -> None:
    loaded = [url for url in visit.requests if not url.startswith("data:")]
    assert loaded == [file.as_uri()]
    assert visit.page.title() == "nasgan report"
    natural = visit.page.evaluate(
        "Array.from(document.images, (image) => image.complete && image.naturalWidth > 0)"
    )
    assert len(natural) == 18
    assert all(natural)


def test_hostile_texts_are_shown_and_do_nothing(browser: Any, tmp_path: Path) -> None:
    write_hostile_runs(tmp_path)
    path = tmp_path / "report.html"
    build_report([tmp_path]).write(path)
    opened = Visit(browser, "about:blank", viewport={"width": 1280, "height": 900})
    opened.page.on("dialog", lambda dialog: opened.messages.append(dialog.message))
    opened.page.goto(path.as_uri())
    opened.page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    opened.page.locator("#c1-board thead button").first.click()
    opened.page.locator("#c1-size .chart .mark").first.hover()
    assert HOSTILE in opened.page.locator("#c1-board").inner_text()
    assert opened.messages == []
    assert [url for url in opened.requests if url[:5] not in ("data:", "about")] == [path.as_uri()]
    opened.page.close()


def test_a_click_on_a_header_sorts_and_another_turns_it_round(visit: Visit) -> None:
    header = visit.page.locator("#c1-board thead button", has_text="FID")
    spaces = visit.column("Search space")
    assert spaces == ["adversarial_nas"] * 4 + ["autogan"] * 4
    headings = [text for text in visit.headings() if text]
    assert [text.split(" ")[0] for text in headings] == ["adversarial_nas", "autogan"]
    header.click()
    means = [float(text.split()[0]) for text in visit.column("FID ↓")]
    assert means == sorted(means[:4]) + sorted(means[4:]) != sorted(means)
    assert visit.page.locator("#c1-board th[aria-sort=ascending]").count() == 1
    header.click()
    turned = [float(text.split()[0]) for text in visit.column("FID ↓")]
    assert turned == means[3::-1] + means[:3:-1]
    visit.page.locator("#c1-board thead button", has_text="Method").click()
    methods = visit.column("Method")
    assert methods == 2 * sorted(methods[:4])
    assert visit.column("Search space") == spaces, "rows stay in their task"
    assert visit.headings() == headings
    foot = visit.page.locator("#c1-board tfoot th[scope=row]").first.inner_text()
    assert foot.split("\n") == ["real test images", "10,000 images"]


def test_numbers_are_sorted_as_numbers_and_empty_cells_stay_last(visit: Visit) -> None:
    header = visit.page.locator("#c1-board thead button", has_text="Parameters G")
    for _ in range(2):
        header.click()
        column = visit.column("Parameters G")
        for part in (column[:4], column[4:]):
            assert part[-1] == "", "the average random architecture has none"
            values = [float(text.rstrip("M")) for text in part[:-1]]
            assert values in (sorted(values), sorted(values, reverse=True))


def test_sorting_works_with_the_keyboard(visit: Visit) -> None:
    visit.page.locator("#c1-board thead button", has_text="Seeds").focus()
    visit.page.keyboard.press("Enter")
    assert visit.page.locator("#c1-board th[aria-sort]").inner_text().strip().startswith("Seeds")


def test_filters_combine_and_say_how_many_are_left(visit: Visit) -> None:
    filters = visit.page.locator('.filters[data-for="c1-board"]')
    assert filters.locator("[data-count]").inner_text() == "8 rows"
    filters.get_by_label("Search space").select_option("autogan")
    assert set(visit.column("Search space")) == {"autogan"}
    (heading,) = visit.headings()
    assert heading.startswith("autogan · cifar10 · search 30000 generator steps")
    filters.get_by_label("Find").fill("30000 GENERATOR")
    assert len(visit.column("Method")) == 4, "what stands in the heading is found"
    filters.get_by_label("Find").fill("RANDOM arch")
    assert visit.column("Method") == ["average random architecture"]
    assert filters.locator("[data-count]").inner_text() == "1 of 8 rows"
    filters.get_by_label("Find").fill("")
    filters.get_by_label("Search space").select_option("")
    assert len(visit.column("Method")) == 8
    runs = visit.page.locator('.filters[data-for="c1-run-table"]')
    runs.get_by_label("Status").select_option("failed")
    assert visit.column("Seed", "c1-run-table") == ["9"]


def test_tabs_change_with_the_arrow_keys(visit: Visit) -> None:
    panels = visit.page.locator("#c1-seeds .panel")
    assert [panels.nth(k).is_visible() for k in range(2)] == [True, False]
    visit.page.locator("#c1-seeds input").first.focus()
    visit.page.keyboard.press("ArrowRight")
    assert [panels.nth(k).is_visible() for k in range(2)] == [False, True]


def test_a_point_tells_what_it_is(visit: Visit) -> None:
    point = visit.page.locator("#c1-size .chart .mark").first
    tip = visit.page.locator("#tip")

    def is_told() -> bool:
        # Scrolling to the point may go on after the pointer got there, and takes the tip away.
        visit.page.mouse.move(5, 5)
        point.hover()
        return bool(tip.is_visible())

    until(is_told)
    assert "seed" in tip.inner_text()
    box = tip.bounding_box()
    assert box is not None
    assert 0 <= box["x"] <= box["x"] + box["width"] <= 1280


@pytest.mark.parametrize("width", [320, 390, 768])
def test_a_phone_needs_no_scrolling_sideways(browser: Any, file: Path, width: int) -> None:
    opened = Visit(browser, file.as_uri(), viewport={"width": width, "height": 844})
    for details in (False, True):
        opened.page.evaluate(
            "(open) => document.querySelectorAll('details').forEach((d) => { d.open = open; })",
            details,
        )
        assert opened.page.evaluate("document.documentElement.scrollWidth") == width
    smallest = opened.page.evaluate(
        """Math.min(...Array.from(document.querySelectorAll(".panel.figures .chart .tick"))
            .map((tick) => tick.getBoundingClientRect().height).filter((h) => h > 0))"""
    )
    assert smallest >= (8 if width == 320 else 9.5), "numbers along the axes can be read"
    opened.page.close()


def test_no_word_of_the_leaderboard_is_broken_on_a_phone(browser: Any, file: Path) -> None:
    opened = Visit(browser, file.as_uri(), viewport={"width": 390, "height": 844})
    broken = opened.page.evaluate(
        """() => Array.from(document.querySelectorAll("#c1-board :is(th, td)")).flatMap((cell) => {
            const walker = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
            const found = [];
            while (walker.nextNode()) {
                for (const word of walker.currentNode.data.matchAll(/\\w+/g)) {
                    const range = document.createRange();
                    range.setStart(walker.currentNode, word.index);
                    range.setEnd(walker.currentNode, word.index + word[0].length);
                    if (range.getClientRects().length > 1) found.push(word[0]);
                }
            }
            return found;
        })"""
    )
    assert broken == []
    opened.page.close()


def _contrast(first: list[float], second: list[float]) -> float:
    """The ratio of WCAG 2.1 of two colours, 0 to 255."""

    def luminance(colour: list[float]) -> float:
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
            for c in (value / 255 for value in colour[:3])
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_and_lines_stand_out_in_light_and_dark(browser: Any, file: Path, scheme: str) -> None:
    opened = Visit(browser, file.as_uri(), color_scheme=scheme)
    colours = opened.page.evaluate(
        """() => {
            const probe = document.body.appendChild(document.createElement("i"));
            const names = ["page", "card", "ink", "soft", "accent", "good", "half", "bad",
                ...Array.from({length: 8}, (_, k) => `c${k}`), "cn"];
            return Object.fromEntries(names.map((name) => {
                probe.style.color = `var(--${name})`;
                return [name, getComputedStyle(probe).color.match(/[\\d.]+/g).map(Number)];
            }));
        }"""
    )
    is_dark = sum(colours["page"][:3]) < 3 * 128
    assert is_dark == (scheme == "dark")
    for ground in ("page", "card"):
        for name in ("ink", "soft", "accent", "good", "half", "bad"):
            assert _contrast(colours[name], colours[ground]) >= 4.5, f"{name} on {ground}"
        for name in (*(f"c{k}" for k in range(8)), "cn"):
            assert _contrast(colours[name], colours[ground]) >= 3.0, f"{name} on {ground}"
    opened.page.close()


def test_without_script_all_is_there(browser: Any, file: Path) -> None:
    opened = Visit(browser, file.as_uri(), java_script_enabled=False)
    assert opened.page.locator("#c1-board tbody tr:not(.heading)").count() == 8
    assert not opened.page.locator(".filters").first.is_visible(), "no controls that do nothing"
    opened.page.locator("#c1-seeds label").nth(1).click()
    assert opened.page.locator("#c1-seeds .panel").nth(1).is_visible()
    opened.page.close()


def test_a_live_page_loads_itself_anew_and_keeps_the_readers_place(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_LOOK_EVERY_SECONDS", 0.1)
    write_sweep(tmp_path, methods=["random"], seeds=3)
    server = LiveServer(LivePage([tmp_path]), port=0)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        opened = Visit(browser, server.url, viewport={"width": 800, "height": 700})
        page = opened.page
        page.get_by_label("Find").first.fill("autogan")
        page.locator("h1").click()
        page.evaluate("""scrollTo({top: scrollY + 40 + document.getElementById("c1-time")
            .getBoundingClientRect().top, behavior: "instant"})""")
        write_run(tmp_path / "new", "rl", "autogan", 3)
        until(lambda: page.locator(".tiles dd").first.inner_text() == "7")
        write_status(tmp_path / "next", "running", message="<i>step 3</i>")
        until(lambda: "<i>step 3</i>" in page.locator("#jobs").inner_text())
        top = page.evaluate("document.getElementById('c1-time').getBoundingClientRect().top")
        assert abs(top + 40) < 5
        assert page.get_by_label("Find").first.input_value() == "autogan"
        assert set(opened.column("Search space")) == {"autogan"}
        assert {url.removeprefix(server.url) for url in opened.requests if url[:5] != "data:"} == {
            "",
            "digest",
            "jobs",
        }
        assert opened.messages == []
    finally:
        server.close()
        thread.join(timeout=10)
    until(lambda: page.locator(".live").inner_text() == "server gone")
    page.close()
