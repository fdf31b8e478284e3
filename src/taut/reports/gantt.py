"""A course as a Gantt chart: what each GPU, or each slot of a worker, did when. For pages and files; `terminal` has the same for terminals.

A simulated and an actual course are drawn alike, so that the two can be held against each other. Kinds are told apart by colour
and by pattern; the colours are those of Okabe and Ito ("Color Universal Design", 2008), which colour-blind readers can tell apart.
"""

from __future__ import annotations

import itertools
import textwrap
import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from xml.sax.saxutils import escape as escaped

from taut.queue.timeline import Bar, Kind, Timeline
from taut.reports.lanes import KINDS, NAMES, Axis, described, raster, reach
from taut.reports.texts import plain
from taut.reports.ticks import span_text, ticks

__all__ = ["svg"]

_FILLS: dict[Kind, str] = {
    "other": "#b9bcc2",
    "overhead": "#f0c419",
    "useful": "#009e73",
    "pruned": "#56b4e9",
    "failed": "#d55e00",
    "idle": "none",
}
# What is drawn over a fill, in a square of 6: stripes for trials that were pruned, a grid for failures, hatching for idle time.
_PATTERNS: dict[Kind, str] = {
    "pruned": '<path d="M-1 7L7 -1M-4 4L4 -4M2 10L10 2" stroke="#0b3d5c" stroke-width="1.1"/>',
    "failed": '<path d="M0 0L6 6M6 0L0 6" stroke="#4a1500" stroke-width="1"/>',
    "idle": '<path d="M-1 -1L7 7M2 -4L10 4M-4 2L4 10" class="hatch"/>',
}
_LIGHT = {
    ".paper": "fill:#ffffff",
    ".ink": "fill:#24272c",
    ".soft": "fill:#5a6069",
    ".grid": "stroke:#e3e5e8",
    ".frame": "stroke:#9aa0a8",
    ".row": "fill:#f5f6f8",
    ".hatch": "stroke:#8a9099",
    ".submitted": "stroke:#c8102e",
    ".band": "fill:#0072b2",
    ".other": "fill:#b9bcc2",
}
_DARK = {
    ".paper": "fill:#16181d",
    ".ink": "fill:#e8eaed",
    ".soft": "fill:#a9b0ba",
    ".grid": "stroke:#2c3038",
    ".frame": "stroke:#6b727d",
    ".row": "fill:#1c1f25",
    ".hatch": "stroke:#8a9099",
    ".submitted": "stroke:#ff6b81",
    ".band": "fill:#56b4e9",
    ".other": "fill:#60656e",
}

_FONTS = "system-ui, DejaVu Sans, Liberation Sans, Noto Sans, Arial, Helvetica, sans-serif"
_WIDTH, _RIGHT, _TOP = 860, 22, 14
_LETTER = 6.6  # width of a letter of 12 px, on average
_FINEST = 2000  # bars that are drawn one by one, each with its own tip; more are drawn by the kind that fills a column most
_COLUMN = 0.5  # width of such a column, in pixels


def svg(
    timeline: Timeline,
    *,
    title: str = "",
    caption: str = "",
    finish: tuple[float, float] | None = None,
    dark: bool = True,
) -> str:
    """The chart as one self-contained SVG, which follows the reader's choice of a light or a dark page.

    title: above the chart. caption: below it; long ones are wrapped. finish: between which seconds a predicted course ends in 80 %
    of the cases, drawn as a band. dark: whether a dark page is provided for; without, the chart is always on white.
    """
    lanes = timeline.lanes
    low, high = reach(timeline, finish)
    left = 20 + min(1.06 * _LETTER * max((len(name) for name in lanes), default=0), 150.0)
    axis = Axis(low, high, left, _WIDTH - _RIGHT)
    height = _lane_height(len(lanes))
    mark = f"g{zlib.crc32(repr((title, caption, timeline, finish)).encode()):08x}"
    kinds = [kind for kind in KINDS if any(bar.kind == kind for bar in timeline.bars)]

    y = float(_TOP)
    parts: list[str] = []
    for line in textwrap.wrap(title, 100):
        y += 16
        parts.append(
            f'<text x="14" y="{y:g}" class="ink" font-size="15" font-weight="600">{_escape(line)}</text>'
        )
        y += 4
    key, y = _key(kinds, bool(timeline.submitted), finish is not None, mark, y + 6)
    parts += [*key, *_rows(lanes, axis, y, height)]
    bottom = y + max(len(lanes), 1) * height
    places, labels = ticks(low, high, 9)
    parts += [
        f'<path d="M{axis.at(place):.1f} {y:g}V{bottom + 5:g}" class="grid"/>'
        f'<text x="{axis.at(place):.1f}" y="{bottom + 18:g}" text-anchor="middle" class="soft">{label}</text>'
        for place, label in zip(places, labels, strict=True)
    ]
    if finish is not None:
        a, b = axis.at(finish[0]), axis.at(finish[1])
        parts.append(
            f'<rect x="{a:.1f}" y="{y:g}" width="{max(b - a, 1.0):.1f}" height="{bottom - y:g}" class="band" fill-opacity="0.16">'
            f"<title>finished between {span_text(finish[0])} and {span_text(finish[1])} in 80 % of the cases</title></rect>"
        )
    draw = _marks if len(timeline.bars) <= _FINEST else _dense
    parts += draw(timeline, axis, y, height, mark)
    parts += [
        f'<path d="M{x:g} {y - 5:g}V{bottom:g}" class="submitted" stroke-width="1.4" stroke-dasharray="5 4"><title>submitted</title></path>'
        for x in sorted({round(axis.at(second), 1) for second in timeline.submitted})
    ]
    parts.append(f'<path d="M{left:g} {bottom:g}H{axis.right:g}" class="frame"/>')
    y = bottom + 38
    if timeline.zero is not None:
        begun = datetime.fromtimestamp(timeline.zero, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
        parts.append(
            f'<text x="{axis.right:g}" y="{y:g}" text-anchor="end" class="soft">time since {begun} UTC</text>'
        )
        y += 16
    for line in [part for row in caption.splitlines() for part in textwrap.wrap(row, 118)]:
        parts.append(f'<text x="14" y="{y:g}" class="ink">{_escape(line)}</text>')
        y += 16
    return _document(parts, y, kinds, mark, title, described(timeline), dark)


def _lane_height(count: int) -> float:
    """Of many lanes each is lower, as long as it can be seen."""
    return min(24.0, max(560.0 / max(count, 1), 1.0))


def _key(kinds: Sequence[Kind], submitted: bool, band: bool, mark: str, y: float) -> tuple[list[str], float]:
    """The key to colours and patterns, and where it ends."""
    samples = [(_rect(0, -10, 20, 12, kind, mark), NAMES[kind]) for kind in kinds]
    if submitted:
        dashed = '<path d="M10 -12v16" class="submitted" stroke-width="1.4" stroke-dasharray="5 4"/>'
        samples.append((dashed, "submitted"))
    if band:
        samples.append(
            ('<rect y="-10" width="20" height="12" class="band" fill-opacity="0.16"/>', "finish, 80 %")
        )
    parts, x = [], 14.0
    y += 14 if samples else 0
    for sample, name in samples:
        width = 26 + _LETTER * len(name) + 16
        if x + width > _WIDTH:
            x, y = 14.0, y + 20
        parts.append(
            f'<g transform="translate({x:.0f} {y:g})">{sample}<text x="26" class="ink">{_escape(name)}</text></g>'
        )
        x += width
    return parts, y + 14


def _rows(lanes: Sequence[str], axis: Axis, y: float, height: float) -> Iterable[str]:
    """The lanes' names and stripes; of low lanes only some are named."""
    every = max(1, int(-(-13 // height)))
    for i, name in enumerate(lanes):
        top = y + i * height
        if i % 2 == 0 and height >= 4:
            yield f'<rect x="{axis.left:g}" y="{top:g}" width="{axis.right - axis.left:g}" height="{height:g}" class="row"/>'
        if i % every == 0:
            most = int(150 / _LETTER)
            short = name if len(name) <= most else f"{name[: most - 1]}…"
            yield (
                f'<text x="{axis.left - 6:g}" y="{top + height / 2 + 4:g}" text-anchor="end" class="ink">'
                f"{_escape(short)}<title>{_escape(name)}</title></text>"
            )


def _dense(timeline: Timeline, axis: Axis, y: float, height: float, mark: str) -> Iterable[str]:
    """Runs of columns in which the same kind fills most."""
    gap = _gap(height)
    for lane, row in enumerate(raster(timeline, axis, int((axis.right - axis.left) / _COLUMN))):
        at = 0
        for kind, cells in itertools.groupby(row):
            count = sum(1 for _ in cells)
            if kind >= 0:
                place = axis.left + at * _COLUMN, y + lane * height + gap, count * _COLUMN
                yield _rect(*place, height - 2 * gap, KINDS[kind], mark)
            at += count


def _gap(height: float) -> float:
    """What is left free above and below the bars of a lane."""
    return 0.14 * height if height >= 8 else 0.0


def _marks(timeline: Timeline, axis: Axis, y: float, height: float, mark: str) -> Iterable[str]:
    """Each bar, with a tip, and with the number of its trial where there is room."""
    gap = _gap(height)
    for bar in timeline.bars:
        if bar.end <= axis.low or bar.begin >= axis.high:
            continue
        x, width = axis.at(bar.begin), axis.at(bar.end) - axis.at(bar.begin)
        apart = 0.7 if width > 4 else 0.0  # so that trials that follow each other are seen as several
        top = y + bar.lane * height + gap
        shape = _rect(x, top, max(width - apart, 0.4), height - 2 * gap, bar.kind, mark, _tip(bar, timeline))
        label = "" if bar.trial is None else str(bar.trial)
        if label and width > _LETTER * len(label) + 8 and height >= 14:
            place = f'x="{x + width / 2:.1f}" y="{top + height / 2 - gap + 4:.1f}"'
            shape += f'<text {place} text-anchor="middle" font-size="11" class="number {bar.kind}-number">{label}</text>'
        yield shape


def _tip(bar: Bar, timeline: Timeline) -> str:
    whose = [] if bar.trial is None else [f"trial {bar.trial}"]
    whose += [] if bar.job is None else [f"job {bar.job}"]
    when = f"{span_text(bar.begin)} to {span_text(bar.end)} ({span_text(bar.end - bar.begin)})"
    return f"{', '.join([*whose, NAMES[bar.kind]])}: {when}, {timeline.lanes[bar.lane]}"


def _rect(x: float, y: float, width: float, height: float, kind: Kind, mark: str, tip: str = "") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    title = f"<title>{_escape(tip)}</title>" if tip else ""
    if kind in _PATTERNS:
        return f'<rect {place} fill="url(#{mark}-{kind})">{title}</rect>'
    return f'<rect {place} class="{kind}">{title}</rect>'


def _document(
    parts: Iterable[str], height: float, kinds: Iterable[Kind], mark: str, title: str, told: str, dark: bool
) -> str:
    rules = [f".{mark} .{kind}{{fill:{_FILLS[kind]}}}" for kind in ("overhead", "useful")]
    rules += [f".{mark} {name}{{{rule}}}" for name, rule in _LIGHT.items()]
    rules.append(f".{mark} .number{{fill:#000;paint-order:stroke}}")
    rules.append(
        f".{mark} .pruned-number{{stroke:#56b4e9;stroke-width:3}}.{mark} .failed-number{{stroke:#d55e00;stroke-width:3}}"
    )
    if dark:
        night = "".join(f".{mark} {name}{{{rule}}}" for name, rule in _DARK.items())
        rules.append(f"@media (prefers-color-scheme:dark){{{night}}}")
    patterns = [
        f'<pattern id="{mark}-{kind}" width="6" height="6" patternUnits="userSpaceOnUse">'
        f'<rect width="6" height="6" fill="{_FILLS[kind]}"/>{_PATTERNS[kind]}</pattern>'
        for kind in kinds
        if kind in _PATTERNS
    ]
    label = _escape(title or "Gantt chart")
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{mark}" width="{_WIDTH}" height="{height:g}" '
        f'viewBox="0 0 {_WIDTH} {height:g}" role="img" aria-label="{label}" font-family="{_FONTS}" font-size="12">'
    )
    return "\n".join(
        [
            head,
            f"<desc>{_escape(told)}</desc>",
            f"<style>{''.join(rules)}</style>",
            f"<defs>{''.join(patterns)}</defs>" if patterns else "",
            f'<rect width="{_WIDTH}" height="{height:g}" class="paper"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _escape(text: str) -> str:
    """Text for XML, which has no control characters."""
    return escaped("".join(letter for letter in plain(text) if letter >= " "), {'"': "&quot;"})
