"""A picture as PNG, for slides and for programs that take no SVG."""

from __future__ import annotations

import importlib
from typing import Any

from taut.errors import InputError, StudyError

__all__ = ["png"]

_WORDS = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><text y="15" font-family="{}">taut</text></svg>'


def png(svg: str, *, zoom: float = 2.0) -> bytes:
    """What an SVG of `gantt.svg(..., dark=False)` looks like, as PNG. zoom: pixels for each of its units.

    Raises `InputError` where resvg is not installed, `StudyError` where the machine has no font to write with.
    """
    try:
        resvg: Any = importlib.import_module("resvg_py")
    except ModuleNotFoundError:
        raise InputError(
            "PNG needs resvg-py, which is not installed: pip install 'taut[png]', or take SVG instead"
        ) from None
    families = svg.partition('font-family="')[2].partition('"')[0]
    words = _WORDS.format(families)
    if resvg.svg_to_bytes(svg_string=words) == resvg.svg_to_bytes(svg_string=words.replace("taut", "")):
        raise StudyError(
            f"no font to write a PNG with: none of {families} is installed here; install one (dejavu-fonts), or take SVG instead"
        )
    picture: bytes = resvg.svg_to_bytes(svg_string=svg, zoom=zoom)
    return picture
