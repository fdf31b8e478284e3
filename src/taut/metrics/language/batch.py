"""Which rows of a batch of logits are scored, and which of them belong to one sequence."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from taut.errors import InputError
from taut.metrics.language.arrays import Array, Library, is_tensor, library_of, same_shape

__all__ = ["IGNORE", "Batch", "table"]

IGNORE = -100  # the label of what is not scored, in PyTorch and in transformers


def table(values: Array, name: str) -> Array:
    """`values` as a tensor or array (..., vocabulary), as they lie. Raises InputError if there is no vocabulary."""
    found = values if is_tensor(values) else np.asarray(values)
    if not found.ndim or not found.shape[-1]:
        raise InputError(
            f"{name} have shape {tuple(found.shape)}: the last axis must be the vocabulary, with a score for each token"
        )
    return found


@dataclass(frozen=True)
class Batch:
    """The scored tokens of a batch.

    shape: of all tokens, the logits' without the vocabulary. where: flat positions of the scored ones, (n,); None if all are.
    labels: theirs, (n,); None where they are not asked for. length: tokens of one sequence, scored or not. The first axis counts
    sequences; in a batch of one axis each token is an example of its own, unless labels are shifted along it.
    """

    kit: Library
    shape: tuple[int, ...]
    vocabulary: int
    where: Array | None
    count: int
    labels: Array
    length: int

    @staticmethod
    def of(logits: Array, *others: Array) -> Batch:
        """All tokens of (..., vocabulary) logits. others: what else is given; one tensor makes PyTorch do the work."""
        shape = tuple(logits.shape[:-1])
        library, count = library_of(logits, *others), math.prod(shape)
        return Batch(library, shape, logits.shape[-1], None, count, None, math.prod(shape[1:]))

    @staticmethod
    def labelled(logits: Array, labels: Array, ignore: int, shift: bool, *others: Array) -> Batch:
        """The tokens of (..., vocabulary) logits whose label (...) is not `ignore`; those after them with `shift`."""
        every = Batch.of(logits, labels, *others)
        found = every.kit.integers(labels, "labels")
        same_shape("labels", found.shape, every.shape, "the logits")
        flat = every._ahead(found, ignore) if shift else found.reshape(-1)
        scored = flat != ignore
        every._check(flat, scored, ignore)
        return every._at(scored, shift, flat)

    @staticmethod
    def masked(logits: Array, scored: Array | None, ignore: int, shift: bool, *others: Array) -> Batch:
        """As `labelled`, where labels only say what is scored; or a boolean mask may say it, or nothing (all are).

        Raises InputError for a mask of the integers 0 and 1, which read as labels would let padding count.
        """
        if scored is None:
            return Batch.of(logits, *others)
        every = Batch.of(logits, scored, *others)
        mask = every.kit.adopt(scored)
        if str(mask.dtype).rpartition(".")[2] != "bool":
            every._refuse_counting_mask(mask, ignore)
            return Batch.labelled(logits, scored, ignore, shift, *others)
        same_shape("the mask", mask.shape, every.shape, "the logits")
        return every._at(every._ahead(mask, False) if shift else mask.reshape(-1), shift)

    def _refuse_counting_mask(self, given: Array, ignore: int) -> None:
        """In a vocabulary of two, 0 and 1 are what labels are made of; in a larger one, hardly."""
        if self.vocabulary <= 2 or ignore in (0, 1):
            return
        zeros, ones = given == 0, given == 1
        if bool((zeros | ones).all()) and bool(zeros.any()) and bool(ones.any()):
            raise InputError(
                "labels are only 0 and 1, in a vocabulary of "
                f"{self.vocabulary}. A mask? Give booleans: mask.bool(), or mask.astype(bool). Labels? Only what is not {ignore} "
                f"counts: give labels != {ignore}"
            )

    def _ahead(self, labels: Array, ignore: int) -> Array:
        """Flat labels, each moved to the row before its own, which predicts it."""
        if not self.shape:
            raise InputError(
                "one row of logits has no row after it whose label it predicts: leave out shift=True"
            )
        moved = self.kit.xp.empty_like(labels)
        moved[..., :-1], moved[..., -1:] = labels[..., 1:], ignore
        return moved.reshape(-1)

    def _at(self, scored: Array, shift: bool, labels: Array | None = None) -> Batch:
        (where,) = self.kit.xp.where(scored)
        length = self.count if shift and len(self.shape) == 1 else self.length
        if len(where) == self.count:
            return replace(self, labels=labels, length=length)
        kept = None if labels is None else labels[where]
        return replace(self, where=where, count=len(where), labels=kept, length=length)

    def _check(self, labels: Array, scored: Array, ignore: int) -> None:
        """Before a wrong label ends up outside of the vocabulary: on a GPU that would end the process."""
        wrong = scored & ((labels < 0) | (labels >= self.vocabulary))
        if bool(wrong.any()):
            at = int(wrong.nonzero()[0][0] if not is_tensor(wrong) else wrong.nonzero()[0, 0])
            raise InputError(
                f"label {int(labels[at])}, that of row {at} of the logits, is no token: they run from 0 to {self.vocabulary - 1}"
                f", and {ignore} marks what is not scored (ignore = ...)"
            )

    def values(self, of: Callable[[slice], Array]) -> Array:
        """A number for each scored token, (n,) float64. of: the numbers of a part of them, so that memory stays small."""
        found, step = self.blank(), self.kit.at_a_time(self.vocabulary)
        for begin in range(0, self.count, step):
            part = slice(begin, min(begin + step, self.count))
            found[part] = of(part)
        return found

    def blank(self) -> Array:
        """(n,) float64. Filled in part by part: small results kept one by one would leave holes between the large arrays that come and go."""
        return self.kit.zeros(self.count)

    def rows(self, values: Array, part: slice) -> Array:
        """Those rows of (..., k) values that belong to the scored tokens of a part."""
        return self.kit.rows(values, self.where, part)

    def moments(self, values: Array) -> list[float]:
        """Sums over sequences, of the totals and lengths of each: what a mean and its standard error need.

        total, tokens, sequences, total², total*tokens, tokens², tokens that are not finite. One transfer from a device.
        """
        xp = self.kit.xp
        total, size = self._by_sequence(values), self._by_sequence(xp.ones_like(values))
        sums = (total, size, size > 0, total * total, total * size, size * size, ~xp.isfinite(values))
        return list(xp.stack([xp.sum(each, dtype=values.dtype) for each in sums]).tolist())

    def _by_sequence(self, values: Array) -> Array:
        """Sums (sequences,) of (n,) values. Spread out and summed along the axis: always in the same order, on a GPU as well."""
        if self.length <= 1:
            return values
        spread = self.kit.spread(values, self.where, math.prod(self.shape))
        return spread.reshape(-1, self.length).sum(-1)
