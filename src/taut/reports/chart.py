"""A Gantt chart as a value: it shows itself in a notebook, on a terminal, and goes into files."""

from __future__ import annotations

from typing import NamedTuple

from taut.queue.timeline import Timeline
from taut.reports.gantt import svg
from taut.reports.png import png
from taut.reports.terminal import text

__all__ = ["Chart"]


class Chart(NamedTuple):
    """timeline: what is drawn. title, caption: above and below it. finish: between which seconds a predicted course ends in 80 % of the cases."""

    timeline: Timeline
    title: str = ""
    caption: str = ""
    finish: tuple[float, float] | None = None

    def svg(self, dark: bool = True) -> str:
        """A self-contained SVG. dark: whether it follows a dark page."""
        return svg(self.timeline, title=self.title, caption=self.caption, finish=self.finish, dark=dark)

    def png(self, zoom: float = 2.0) -> bytes:
        """The same as PNG; needs resvg-py (``pip install 'taut[png]'``)."""
        return png(self.svg(dark=False), zoom=zoom)

    def text(self, width: int = 100, lanes: int = 40) -> str:
        """For a terminal of `width` columns; of more than `lanes` lanes neighbours share a row."""
        return text(self.timeline, width, lanes, self.finish)

    def __str__(self) -> str:
        return self.text()

    def _repr_svg_(self) -> str:
        return self.svg()
