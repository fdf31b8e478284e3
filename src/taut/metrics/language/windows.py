"""Long texts, a window at a time, so that every token is scored once and with as much context as can be paid for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from taut.errors import InputError

__all__ = ["Window", "sliding_windows"]


class Window(NamedTuple):
    """The model reads tokens[begin:end]; those from `first` on have not been scored before."""

    begin: int
    end: int
    first: int


def sliding_windows(length: int, window: int, stride: int) -> Iterator[Window]:
    """Windows over `length` tokens that score each token once, but for the very first, which nothing comes before.

    window: tokens that the model reads at a time, at least 2. stride: how many of them are new in the next one, from 1 (most context, slowest)
    to window - 1 (least: each token is predicted from one token or more). All windows have the same size, unless the text is
    shorter; the last one reaches back as far as it can. So a token that is not in the first window has window - stride tokens before it, or more.

    stride = window is refused: the first token of a window would have nothing before it in the window, and be lost.
    """
    if window < 2 or not 1 <= stride < window:
        raise InputError(
            f"window = {window}, stride = {stride}: a window has at least 2 tokens, and stride is from 1 to window - 1, "
            "so that each token has one before it in its window"
        )
    first = 1
    while first < length:
        end = min(window if first == 1 else first + stride, length)
        yield Window(max(end - window, 0), end, first)
        first = end
