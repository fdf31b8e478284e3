"""What all the metrics are: the mean of a number that each scored token has, kept as sums that add up over batches and ranks."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from taut.errors import InputError
from taut.metrics.language.arrays import Array
from taut.metrics.language.batch import IGNORE, Batch

__all__ = ["TokenMean"]

Self = TypeVar("Self", bound="TokenMean")

_MOMENTS = ("total", "tokens", "sequences", "_total_total", "_total_tokens", "_tokens_tokens", "nonfinite")


@dataclass(kw_only=True)
class TokenMean(ABC):
    """A mean over scored tokens, each counting alike, whichever batch it came in.

    ignore: the label of tokens that are not scored. shift: labels are the tokens themselves, as the Hugging Face libraries have them,
    and row t of the logits predicts label t + 1; without it row t has label t.

    total, tokens, sequences: what has been summed over how many. nonfinite: how many of the tokens had NaN or an infinity; they are
    *not* left out of the mean, which is then NaN or infinite, too.
    """

    ignore: int = IGNORE
    shift: bool = False
    total: float = field(default=0.0, init=False)
    tokens: float = field(default=0.0, init=False)
    sequences: float = field(default=0.0, init=False)
    nonfinite: float = field(default=0.0, init=False)
    _total_total: float = field(default=0.0, init=False, repr=False)
    _total_tokens: float = field(default=0.0, init=False, repr=False)
    _tokens_tokens: float = field(default=0.0, init=False, repr=False)

    @property
    def mean(self) -> float:
        """Raises InputError if no token has been scored: that is neither 0 nor NaN."""
        if not self.tokens:
            raise InputError(
                f"{type(self).__name__} has scored no token: update() was not called, its batches were empty, or every label was "
                f"{self.ignore}, which marks what is not scored. Look at the labels"
            )
        return self.total / self.tokens

    @property
    def stderr(self) -> float:
        """Standard error of the mean, from how sequences differ; NaN with fewer than two.

        The tokens of a sequence are not independent of each other, so sequences are what is counted: a ratio of two means, by
        linearisation (Cochran, Sampling Techniques, 1977, eq. 6.13; for language models Miller, arXiv:2411.00640, section 2.2).
        """
        mean, count = self.mean, self.sequences
        if count < 2:
            return math.nan
        squares = self._total_total - 2.0 * mean * self._total_tokens + mean * mean * self._tokens_tokens
        if not math.isfinite(squares):
            return math.nan
        return math.sqrt(max(squares, 0.0) * count / (count - 1.0)) / self.tokens

    @property
    def state(self) -> NDArray[np.float64]:
        """All sums, as one vector. Those of several ranks are simply added, and assigned to `state` on each:

        state = torch.tensor(metric.state, device=device)
        torch.distributed.all_reduce(state)
        metric.state = state.tolist()
        """
        return np.array([getattr(self, name) for name in self._sums()], dtype=np.float64)

    @state.setter
    def state(self, sums: Sequence[float] | NDArray[np.float64]) -> None:
        names = self._sums()
        if len(sums) != len(names):
            raise InputError(
                f"{type(self).__name__} has {len(names)} sums, not {len(sums)}: give it the state of its like"
            )
        for name, value in zip(names, sums, strict=True):
            setattr(self, name, float(value))

    def merge(self: Self, other: Self) -> Self:
        """Takes in what `other` has seen, and returns itself. Raises InputError if the two do not measure the same."""
        if type(self) is not type(other) or self._options() != other._options():
            raise InputError(
                f"{other} does not measure the same as {self}; only metrics of one kind with the same options can be merged"
            )
        self.state = self.state + other.state
        return self

    @abstractmethod
    def result(self) -> dict[str, float]:
        """Names and numbers, as `trial.tell(**metric.result())` wants them."""

    def _sums(self) -> list[str]:
        return [each.name for each in fields(self) if not each.init]

    def _options(self) -> dict[str, object]:
        return {each.name: getattr(self, each.name) for each in fields(self) if each.init}

    def _add(self, batch: Batch, values: Array) -> None:
        for name, value in zip(_MOMENTS, batch.moments(values), strict=True):
            setattr(self, name, getattr(self, name) + value)

    def _told(self, name: str) -> dict[str, float]:
        return {
            name: self.mean,
            f"{name}_stderr": self.stderr,
            "tokens": self.tokens,
            "nonfinite": self.nonfinite,
        }
