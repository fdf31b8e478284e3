"""The Gantt chart: what it shows of a course, and that it stays small, valid and readable."""

from __future__ import annotations

import re
import struct
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taut.queue.timeline import Bar, Timeline
from taut.reports.chart import Chart
from taut.reports.gantt import svg
from taut.reports.lanes import fewer
from taut.reports.terminal import text
from taut.reports.ticks import span_text, ticks

NAME = "{http://www.w3.org/2000/svg}"
COURSE = Timeline(
    ("gpu 0", "gpu 1"),
    (
        Bar(0, -50.0, 600.0, "other", job="7"),
        Bar(0, 600.0, 660.0, "overhead", job="8"),
        Bar(0, 660.0, 3000.0, "useful", 0, "8"),
        Bar(0, 3000.0, 3600.0, "idle", None, "8"),
        Bar(1, 0.0, 60.0, "overhead", job="9"),
        Bar(1, 60.0, 1200.0, "pruned", 1, "9"),
        Bar(1, 1200.0, 1800.0, "failed", 2, "9"),
        Bar(1, 1800.0, 9000.0, "other", job="10"),
    ),
    (0.0, 0.0, 300.0),
)


def drawn(timeline: Timeline, **more: object) -> ElementTree.Element:
    return ElementTree.fromstring(svg(timeline, **more))  # type: ignore[arg-type]


def tips(root: ElementTree.Element) -> list[str]:
    return [title.text or "" for rect in root.iter(f"{NAME}rect") for title in rect.findall(f"{NAME}title")]


def test_every_bar_says_whose_it_is_and_how_long() -> None:
    said = tips(drawn(COURSE))
    assert len(said) == len(COURSE.bars)
    assert "trial 0, job 8, useful work: 11 min to 50 min (39 min), gpu 0" in said
    assert "job 7, other people's jobs: -50 s to 10 min (10.8 min), gpu 0" in said


def test_bars_lie_where_they_were() -> None:
    """The axis ends with our own bars; other people's job of 9000 s is cut there."""
    places = {}
    for rect in drawn(COURSE).iter(f"{NAME}rect"):
        if (title := rect.find(f"{NAME}title")) is not None:
            places[(title.text or "").partition(":")[0]] = (
                float(rect.attrib["x"]),
                float(rect.attrib["width"]),
            )
    left = places["job 9, overhead"][0]
    scale = (places["job 8, idle"][0] - left) / 3000.0
    assert places["trial 1, job 9, pruned"] == pytest.approx((left + 60 * scale, 1140 * scale), abs=1.0)
    assert sum(places["job 10, other people's jobs"]) == pytest.approx(left + 3600 * scale, abs=1.0)


def test_kinds_are_told_apart_without_colour() -> None:
    """Pruned, failed and idle bars have a pattern each, and no two patterns are alike."""
    root = drawn(COURSE)
    patterns = {
        each.attrib["id"].rpartition("-")[2]: ElementTree.tostring(each)
        for each in root.iter(f"{NAME}pattern")
    }
    assert set(patterns) == {"pruned", "failed", "idle"}
    assert len({body.partition(b">")[2] for body in patterns.values()}) == 3
    used = {
        rect.attrib["fill"].rpartition("-")[2].rstrip(")")
        for rect in root.iter(f"{NAME}rect")
        if "url(" in rect.attrib.get("fill", "")
    }
    assert used == set(patterns)


def test_the_key_names_what_is_there_and_nothing_else() -> None:
    words = [each.text for each in drawn(COURSE).iter(f"{NAME}text")]
    for name in ("other people's jobs", "overhead", "useful work", "pruned", "failed", "idle", "submitted"):
        assert name in words
    few = [each.text for each in drawn(Timeline(("a",), (Bar(0, 0.0, 1.0, "useful"),))).iter(f"{NAME}text")]
    assert "useful work" in few and "pruned" not in few and "submitted" not in few


def test_submissions_are_dashed_lines_each_place_once() -> None:
    lines = [p for p in drawn(COURSE).iter(f"{NAME}path") if p.attrib.get("class") == "submitted" and len(p)]
    assert len(lines) == 2 and all("stroke-dasharray" in line.attrib for line in lines)


def test_a_predicted_finish_is_a_band() -> None:
    (said,) = [tip for tip in tips(drawn(COURSE, finish=(3600.0, 7200.0))) if "80 %" in tip]
    assert said == "finished between 60 min and 2 h in 80 % of the cases"


def test_names_are_text_and_not_markup() -> None:
    nasty = '<script>alert("1")</script>&\x00'
    root = drawn(Timeline((nasty,), (Bar(0, 0.0, 9.0, "useful", 1, nasty),)), title=nasty, caption=nasty)
    assert not list(root.iter(f"{NAME}script"))
    assert root.attrib["aria-label"] == nasty[:-1] + "␀"


def test_charts_on_one_page_do_not_share_styles() -> None:
    one, two = svg(COURSE, title="predicted"), svg(COURSE, title="actual")
    marks = [re.findall(r'<svg[^>]* class="(\w+)"', chart)[0] for chart in (one, two)]
    assert marks[0] != marks[1]
    for mark, chart in zip(marks, (one, two), strict=True):
        style = (
            chart.partition("<style>")[2]
            .partition("</style>")[0]
            .replace("@media (prefers-color-scheme:dark){", "")
        )
        assert all(rule.strip().startswith(f".{mark} ") for rule in style.split("}") if rule.strip())
    assert svg(COURSE) == svg(COURSE)


def test_many_bars_stay_small_and_many_lanes_low() -> None:
    bars = tuple(Bar(i % 300, float(i), i + 40.0, "useful" if i % 3 else "pruned", i) for i in range(60_000))
    chart = svg(Timeline(tuple(f"lane {i}" for i in range(300)), bars))
    assert len(chart) < 12_000_000
    root = ElementTree.fromstring(chart)
    assert float(root.attrib["height"]) < 800
    one = svg(
        Timeline(
            ("a",),
            tuple(Bar(0, float(i), i + 1.0, "useful" if i % 2 else "failed", i) for i in range(20_000)),
        )
    )
    assert len(one) < 200_000


def test_nothing_has_happened_yet() -> None:
    assert drawn(Timeline((), ())).attrib["role"] == "img"
    assert text(Timeline((), ()))


def test_the_chart_on_a_terminal() -> None:
    lines = text(COURSE, 67).splitlines()
    assert lines[0] == "gpu 0 " + "░" * 10 + "▒" + "█" * 39 + "·" * 10
    assert lines[1] == "gpu 1 " + "▒" + "▚" * 19 + "x" * 10 + "░" * 30
    assert lines[2].startswith("      ╎────╎─")
    assert lines[3].split() == ["0", "15", "min", "30", "min", "45", "min", "60", "min"]
    assert lines[4].split("  ")[-1] == "╎ submitted"


@given(st.integers(20, 200), st.integers(1, 30))
def test_a_terminal_chart_keeps_to_its_width(width: int, count: int) -> None:
    bars = tuple(Bar(i % 4, 10.0 * i, 10.0 * i + 35.0, "useful", i) for i in range(count))
    lines = text(Timeline(("a", "b", "c", "d" * 40), bars, (3.0,)), width).splitlines()
    assert max(map(len, lines[:-1])) <= max(width, 30)


def test_of_many_lanes_neighbours_share_a_row_and_time_is_kept() -> None:
    names = tuple(f"job {i + 1}" for i in range(100))
    bars = tuple(Bar(i, 10.0 * i, 1000.0, "useful", i) for i in range(100))
    lines = text(Timeline(names, bars), 80, lanes=10).splitlines()
    assert (
        len(lines) == 13 and lines[0].startswith("  job 1 … 10 ██") and lines[9].startswith("job 91 … 100 ")
    )
    assert lines[9].count("█") == lines[9][13:].count("█") < lines[0].count("█")
    assert fewer(Timeline(("n1 1", "n2 1"), ()), 1).lanes == ("n1 1 … n2 1",)
    assert len(fewer(Timeline(names, bars), 33).lanes) <= 33


def test_the_end_that_is_expected_is_a_heavy_line() -> None:
    lines = text(COURSE, 67, finish=(1800.0, 3600.0)).splitlines()
    assert lines[2][6:].count("━") + lines[2].count("┯") == 31 and lines[4].endswith("━ finish, 80 %")


def test_a_name_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in text(Timeline(("\x1b[31mred",), (Bar(0, 0.0, 1.0, "useful"),)))


@given(st.floats(-1e5, 1e5), st.floats(1e-2, 1e8), st.integers(2, 12))
def test_ticks_are_few_and_lie_inside(low: float, span: float, most: int) -> None:
    places, labels = ticks(low, low + span, most)
    assert len(places) == len(labels) <= most + 1
    assert len(set(labels)) == len(labels)
    slack = 1e-6 * (abs(low) + span)
    assert all(low - slack <= place <= low + span + slack for place in places)


def test_ticks_have_one_unit_that_suits() -> None:
    assert ticks(0.0, 14400.0, 9)[1] == ["0", "0.5 h", "1 h", "1.5 h", "2 h", "2.5 h", "3 h", "3.5 h", "4 h"]
    assert ticks(0.0, 400.0, 5)[1] == ["0", "2 min", "4 min", "6 min"]
    assert ticks(0.0, 10 * 86400.0, 6)[1] == ["0", "2 d", "4 d", "6 d", "8 d", "10 d"]
    assert [span_text(each) for each in (5.0, 150.0, 9000.0, 300_000.0)] == [
        "5 s",
        "2.5 min",
        "2.5 h",
        "3.47 d",
    ]


def test_png_has_pixels_of_every_kind() -> None:
    pytest.importorskip("resvg_py")
    made = Chart(COURSE, title="plan").png(zoom=1.0)
    assert made[:8] == b"\x89PNG\r\n\x1a\n"
    width, _ = struct.unpack(">II", made[16:24])
    assert width == 860


def test_a_chart_shows_itself() -> None:
    chart = Chart(COURSE, title="plan")
    assert chart._repr_svg_().startswith("<svg")
    assert "useful work" in str(chart)
    assert "prefers-color-scheme" in chart.svg() and "prefers-color-scheme" not in chart.svg(dark=False)
