"""The page in a real browser: it draws, searches and sorts, asks nobody for anything, and nothing of a user's becomes markup."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from courses import definition, ended, fold, opened, random_study, started
from tab import Tab, find, tab

import taut
from taut.events import Finished
from taut.reports.facts import Facts, Pick
from taut.reports.page import MARK, page
from taut.snapshot import Snapshot

pytest.importorskip("plotly")
NASTY = '</script><script>document.title="broken"</script><img src=x onerror=alert(1)>'
SUMMARY = (("goal", f"minimize loss {NASTY}"), ("trials", "61"))
browser_needed = pytest.mark.skipif(
    find() is None, reason="no Chromium is installed: apt-get install chromium"
)


def nasty() -> Snapshot:
    """Sixty trials whose every text is markup, and a failure that says so, too."""
    space = taut.Space(x=taut.uniform(0, 1), kind=taut.choice([NASTY, "plain"]))
    events = [opened(0, node=NASTY)]
    for n in range(60):
        events += [
            started(n, n, x={"x": n / 60, "kind": [NASTY, "plain"][n % 2]}),
            ended(n, n + 1, loss=float(n % 7)),
        ]
    error = f"Traceback\nValueError: {NASTY}"
    events += [started(60, 60, x={"x": 0.5, "kind": NASTY})]
    events += [Finished(n=60, a=0, state="failed", y={}, t=1_700_000_061.0, error=error)]
    return fold(events, of=definition(space, name=NASTY), space=space)


def written(snapshot: Snapshot, path: Path, refresh: int | None = None) -> Path:
    picks = (Pick("best", 0, f"the lowest {NASTY}"),) if snapshot.size else ()
    facts = Facts(now=1_700_000_100.0, summary=SUMMARY, picks=picks, refresh=refresh)
    path.write_text(page(snapshot, None, facts), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(nasty(), tmp_path_factory.mktemp("page") / "report.html")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Tab]:
    if find() is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    with tab() as opened_tab:
        yield opened_tab


class Elements(HTMLParser):
    """The elements of a page, as a browser would find them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts[-1] += data


def test_only_our_own_scripts_are_there_and_the_policy_names_them(file: Path) -> None:
    text = file.read_text()
    assert MARK in text[:200]
    elements = Elements(text)
    scripts = [attrs for tag, attrs in elements.found if tag == "script"]
    assert [attrs.get("id") for attrs in scripts] == ["figures", "table", "plotly", None]
    assert "img" not in {tag for tag, _ in elements.found}
    policy = next(
        attrs["content"]
        for _, attrs in elements.found
        if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None and "default-src 'none'" in policy and "unsafe-inline' '" not in policy
    own = base64.b64encode(hashlib.sha256(elements.scripts[-1].encode()).digest()).decode()
    assert f"'sha256-{own}'" in policy


def test_nothing_is_loaded_from_anywhere(file: Path) -> None:
    for tag, attrs in Elements(file.read_text()).found:
        assert not {"src", "srcset", "action", "ping"} & attrs.keys(), tag
        assert (attrs.get("href") or "#").startswith("#")


def test_headings_and_labels_are_in_order(file: Path) -> None:
    found = Elements(file.read_text()).found
    levels = [int(tag[1]) for tag, _ in found if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    ids = {attrs["id"] for _, attrs in found if "id" in attrs}
    for tag, attrs in found:
        if tag == "section":
            assert attrs["aria-labelledby"] in ids
        if attrs.get("role") in ("img", "region", "group"):
            assert attrs.get("aria-label"), tag
        if (href := attrs.get("href")) is not None:
            assert href[1:] in ids


def test_numbers_in_the_page_are_those_of_the_study(file: Path) -> None:
    data = re.search(r'<script type="application/json" id="table">(.*?)</script>', file.read_text())
    assert data is not None
    columns = {column["name"]: column for column in json.loads(data[1])["columns"]}
    assert columns["trial"]["cells"] == list(range(61))
    assert columns["kind"]["texts"] == [NASTY, "plain"]


def test_a_page_that_follows_a_study_loads_itself_again(tmp_path: Path) -> None:
    snapshot = fold([opened(0)])
    assert (
        '<meta http-equiv="refresh" content="7">' in written(snapshot, tmp_path / "a", refresh=7).read_text()
    )
    assert 'http-equiv="refresh"' not in written(snapshot, tmp_path / "b").read_text()


@browser_needed
def test_every_figure_is_drawn_and_nobody_is_asked(file: Path, chromium: Tab) -> None:
    chromium.open(file, height=9000)
    chromium.wait("[...document.querySelectorAll('.plot')].every((plot) => plot.dataset.drawn)", 60)
    assert chromium.evaluate("document.querySelectorAll('.plot .main-svg').length") >= 4
    assert chromium.complaints() == []
    assert [one for one in chromium.requests() if not one.startswith("data:")] == [file.absolute().as_uri()]
    assert chromium.evaluate("document.title").startswith("</script><script>")
    assert chromium.evaluate("document.querySelectorAll('main img, main [onerror]').length") == 0
    labels = chromium.evaluate("[...document.querySelectorAll('.plot text')].map((each) => each.textContent)")
    assert any(text.startswith("</script><script>docum") for text in labels)


@browser_needed
@pytest.mark.parametrize("width", [375, 1280])
def test_nothing_sticks_out_or_moves(file: Path, chromium: Tab, width: int) -> None:
    chromium.open(file, width, 800)
    watch = "new PerformanceObserver((list) => { for (const e of list.getEntries()) window.moved = (window.moved ?? 0) + e.value; })"
    chromium.evaluate(f"void {watch}.observe({{type: 'layout-shift', buffered: true}})")
    for i in range(chromium.evaluate("document.querySelectorAll('.plot').length")):
        chromium.evaluate(f"document.querySelectorAll('.plot')[{i}].scrollIntoView()")
        chromium.wait(f"document.querySelectorAll('.plot')[{i}].dataset.drawn")
    assert chromium.evaluate("document.documentElement.scrollWidth") <= width
    assert chromium.evaluate("window.moved ?? 0") < 0.02


@browser_needed
def test_the_table_is_searched_and_sorted_by_keyboard_or_mouse(file: Path, chromium: Tab) -> None:
    chromium.open(file)
    rows = "[...document.querySelectorAll('#trials tbody tr:not(.pad)')].map((row) => [...row.cells].map((cell) => cell.textContent))"
    search = "(text) => { const box = document.getElementById('search'); box.value = text; box.dispatchEvent(new Event('input')); }"

    def find_rows(text: str) -> list[list[str]]:
        chromium.evaluate(f"({search})({json.dumps(text)})")
        chromium.evaluate("new Promise((done) => setTimeout(done, 30))")
        found: list[list[str]] = chromium.evaluate(rows)
        return found

    assert [row[0] for row in find_rows("failed")] == ["60"]
    assert chromium.evaluate("document.getElementById('counted').textContent") == "1 of 61 trials"
    assert {row[2] for row in find_rows("loss<2 kind=plain")} == {"0", "1"}
    assert [row[0] for row in find_rows("loss>=6 x<0.3")] == ["6", "13"]
    assert find_rows("no such words") == []
    find_rows("")
    heading = "[...document.querySelectorAll('#trials th button')].find((each) => each.title === 'loss')"
    chromium.evaluate(f"{heading}.focus()")
    for order, value in (("ascending", "0"), ("descending", "6")):
        for kind in ("keyDown", "keyUp"):
            chromium.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key="Enter",
                code="Enter",
                windowsVirtualKeyCode=13,
                text="\r",
            )
        assert chromium.evaluate(f"{heading}.parentElement.getAttribute('aria-sort')") == order
        assert chromium.evaluate(rows)[0][2] == value
    chromium.evaluate("document.getElementById('trials').scrollTop = 1e6")
    chromium.wait(f"{rows}.at(-1)[1] === 'failed'")  # what has no value comes last


@browser_needed
def test_buttons_change_what_the_history_is_drawn_along(file: Path, chromium: Tab) -> None:
    chromium.open(file, height=1300)
    chromium.wait("!document.querySelector('[data-for=history0]').disabled", 60)
    chromium.evaluate("document.querySelectorAll('[data-for=history0]')[1].click()")
    axis = "document.querySelector('[data-figure=history0]').layout.xaxis.title.text"
    chromium.wait(f"{axis} === 'hours since the first trial began'")
    assert (
        chromium.evaluate("document.querySelectorAll('[data-for=history0]')[1].getAttribute('aria-pressed')")
        == "true"
    )


@browser_needed
def test_at_night_the_page_is_dark_and_so_are_its_figures(file: Path, chromium: Tab) -> None:
    chromium.open(file, height=1300, dark=True)
    chromium.wait("document.querySelector('.plot').dataset.drawn", 60)
    assert chromium.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 29)"
    assert chromium.evaluate("document.querySelector('.plot').layout.paper_bgcolor") == "#16181d"
    light = [{"name": "prefers-color-scheme", "value": "light"}]
    chromium.call("Emulation.setEmulatedMedia", features=light)
    chromium.wait("document.querySelector('.plot').layout.paper_bgcolor === '#ffffff'")


@browser_needed
@pytest.mark.parametrize("count", [0, 1])
def test_a_study_with_hardly_a_trial_has_a_page(tmp_path: Path, chromium: Tab, count: int) -> None:
    snapshot = random_study(count).snapshot if count else fold()
    path = tmp_path / "few.html"
    path.write_text(page(snapshot, None, Facts(now=1.8e9, summary=SUMMARY)))
    chromium.open(path, height=4000)
    chromium.evaluate("new Promise((done) => setTimeout(done, 300))")
    assert chromium.complaints() == []
    assert chromium.evaluate("document.getElementById('counted').textContent") == f"{count} trials"
