"""Line charts as SVG, as plain as the pages on samplers need them: panels above each other over one axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

__all__ = ["Panel", "picture"]

Floats = NDArray[np.float64]

WIDTH, LEFT, RIGHT = 720, 68, 16
_GAP = 40  # between panels, for the key of the lower one
_LETTER = 6.7  # width of a letter, on average


class Panel:
    """A rectangle with an axis of its own from `low` to `high`; x goes from 0 to 1.

    What is drawn later lies on top. A `name` puts a mark into the key above the panel.
    """

    def __init__(self, label: str, low: float, high: float, height: float) -> None:
        self.label, self.low, self.high, self.height = label, low, high, height
        self._marks: list[str] = []
        self._key: list[tuple[str, str, float]] = []  # a sample, its name, the sample's width

    def line(
        self, x: Floats, y: Floats, colour: str, name: str = "", dashes: str = "", width: float = 2.0
    ) -> None:
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(_across(x), self._up(y), strict=True))
        style = (
            f'fill="none" stroke="{colour}" stroke-width="{width:g}" stroke-dasharray="{dashes or "none"}"'
        )
        self._marks.append(f'<polyline points="{points}" {style}/>')
        self._named(name, f'<path d="M0 -4h22" {style}/>', 22)

    def band(self, x: Floats, low: Floats, high: Floats, colour: str, name: str = "") -> None:
        there = [f"{a:.1f},{b:.1f}" for a, b in zip(_across(x), self._up(high), strict=True)]
        back = [f"{a:.1f},{b:.1f}" for a, b in zip(_across(x), self._up(low), strict=True)]
        style = f'fill="{colour}" fill-opacity="0.15"'
        self._marks.append(f'<polygon points="{" ".join(there + back[::-1])}" {style}/>')
        self._named(name, f'<rect y="-10" width="22" height="12" {style}/>', 22)

    def dots(self, x: Floats, y: Floats, colour: str, name: str = "", hollow: bool = False) -> None:
        style = f'r="4.5" fill="{"#ffffff" if hollow else colour}" stroke="{colour}" stroke-width="2"'
        self._marks += [
            f'<circle cx="{a:.1f}" cy="{b:.1f}" {style}/>'
            for a, b in zip(_across(x), self._up(y), strict=True)
        ]
        self._named(name, f'<circle cx="6" cy="-4" {style}/>', 12)

    def stems(self, x: Floats, colour: str, name: str = "", share: float = 1.0, dashes: str = "") -> None:
        """Upright lines from the bottom, over a `share` of the height."""
        style = f'stroke="{colour}" stroke-width="1.6" stroke-dasharray="{dashes or "none"}"'
        top = self.height * (1.0 - share)
        self._marks += [
            f'<line x1="{a:.1f}" x2="{a:.1f}" y1="{self.height:g}" y2="{top:.1f}" {style}/>'
            for a in _across(x)
        ]
        self._named(name, f'<path d="M6 2v-13" {style}/>', 12)

    def svg(self, top: float, number: int) -> str:
        """The panel as the `number`-th of a picture, its upper edge at `top`."""
        inside = f'x="{LEFT}" width="{WIDTH - LEFT - RIGHT}" height="{self.height:g}"'
        parts = [
            f'<g transform="translate(0 {top:g})">',
            f'<clipPath id="inside{number}"><rect {inside}/></clipPath>',
            f'<text transform="translate(18 {self.height / 2:g}) rotate(-90)" text-anchor="middle">{escape(self.label)}</text>',
        ]
        for value in _ticks(self.low, self.high, self.height / 40.0):
            y = float(self._up(np.array([value]))[0])
            parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ececec"/>')
            parts.append(f'<text x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{_number(value)}</text>')
        parts += [f'<g clip-path="url(#inside{number})">', *self._marks, "</g>"]
        parts.append(f'<rect {inside} fill="none" stroke="#b5b5b5"/>')
        x = LEFT + 2.0
        for sample, name, width in self._key:
            parts.append(
                f'<g transform="translate({x:.0f} -9)">{sample}<text x="{width + 5:g}">{escape(name)}</text></g>'
            )
            x += width + 5 + _LETTER * len(name) + 18
        return "\n".join([*parts, "</g>"])

    def _up(self, value: Floats) -> Floats:
        span = self.high - self.low
        inside = np.clip(value, self.low - span, self.high + span)  # minus infinity is no coordinate
        return np.asarray((self.high - inside) / span * self.height)

    def _named(self, name: str, sample: str, width: float) -> None:
        if name:
            self._key.append((sample, name, width))


def picture(title: str, panels: Sequence[Panel], axis: str, places: Mapping[str, float]) -> str:
    """Panels above each other. axis: what x is; places: where on it, from 0 to 1, to write what."""
    parts, top = [], 10.0
    for number, panel in enumerate(panels):
        top += _GAP - 12
        parts.append(panel.svg(top, number))
        top += panel.height
        for text, x in places.items():
            at = float(_across(np.array([x]))[0])
            parts.append(f'<path d="M{at:.1f} {top:g}v5" stroke="#b5b5b5"/>')
            if number == len(panels) - 1:
                parts.append(
                    f'<text x="{at:.1f}" y="{top + 19:g}" text-anchor="middle">{escape(text)}</text>'
                )
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle:g}" y="{top + 38:g}" text-anchor="middle">{escape(axis)}</text>')
    size = f'width="{WIDTH}" height="{top + 48:g}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {WIDTH} {top + 48:g}" font-family="sans-serif" font-size="13" fill="#2b2b2b">'
    return "\n".join(
        [head, f"<title>{escape(title)}</title>", f'<rect {size} fill="#ffffff"/>', *parts, "</svg>\n"]
    )


def _across(x: Floats) -> Floats:
    return LEFT + np.asarray(x) * (WIDTH - LEFT - RIGHT)


def _ticks(low: float, high: float, most: float) -> list[float]:
    """Round numbers between the ends, with at most so many steps."""
    rough = (high - low) / most
    unit = 10.0 ** np.floor(np.log10(rough))
    step = unit * next(nice for nice in (1.0, 2.0, 5.0, 10.0) if nice * unit >= rough)
    return [float(step * i) for i in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]


def _number(value: float) -> str:
    return f"{value:.6g}".replace("-", "\N{MINUS SIGN}")
