"""A teacher of whom only the likeliest tokens were kept."""

from __future__ import annotations

import math
from dataclasses import dataclass

from taut.errors import InputError
from taut.metrics.language.arrays import Array, same_shape
from taut.metrics.language.batch import Batch, table

__all__ = ["Truncated"]

_ROUNDING = 0.01  # by how much stored probabilities may sum to more than 1: bfloat16 has three digits


@dataclass(frozen=True)
class Truncated:
    """The k likeliest tokens of a teacher, as an inference server gives them or a file holds them.

    ids: (..., k), distinct, -1 where there are fewer. log_probs: (..., k), from the softmax over the *whole* vocabulary. tail: (...), the mass of
    all other tokens; 1 less the sum of the probabilities if left out. temperature: at which the softmax was taken.

    A `Divergence` with tail = "bucket" compares all other tokens as one, in teacher and student: a lower bound of the true divergence that rises
    to it with k (the data processing inequality). tail = "renormalise" lets the k be all there is of the teacher: usually far too large, and
    not what the student would be trained towards with the whole teacher. Without either the sum of the k terms is no bound of anything.
    """

    ids: Array
    log_probs: Array
    tail: Array | None = None
    temperature: float = 1.0

    def check(self, student: Array, temperature: float, tail: str, kind: str) -> None:
        """Raises InputError if it cannot be compared with a student's logits in this way."""
        ids, log_probs = table(self.ids, "ids"), table(self.log_probs, "log_probs")
        same_shape("log_probs", log_probs.shape, ids.shape, "ids")
        same_shape("ids without their last axis", ids.shape[:-1], student.shape[:-1], "the student's logits")
        if self.tail is not None:
            same_shape("tail", table(self.tail, "tail").shape, ids.shape[:-1], "ids without their last axis")
        if temperature != self.temperature:
            raise InputError(
                f"the teacher was stored at temperature {self.temperature}, and is to be compared at {temperature}: without the whole "
                "vocabulary it cannot be brought to another one. Store it at that, and say Truncated(..., temperature=...)"
            )
        if tail == "renormalise" and kind == "reverse":
            raise InputError(
                'a renormalised teacher gives nothing to tokens that the student thinks possible: KL(student||teacher) is infinite. Use tail = "bucket"'
            )

    def beside(self, log_q: Array, batch: Batch, part: slice, tail: str) -> tuple[Array, Array, Array]:
        """Teacher and student over k tokens and the bucket, (n, k + 1) log-probabilities each; the teacher's mass (n,) on the k.

        Overwrites log_q (n, vocabulary), the student's log-probabilities.
        """
        library, xp = batch.kit, batch.kit.xp
        ids = library.integers(batch.rows(self.ids, part), "ids")
        log_p = library.alike(batch.rows(self.log_probs, part), log_q)
        absent = ids < 0
        log_p = xp.where(absent, -math.inf, log_p)
        mass = xp.exp(log_p).sum(-1)
        rest, most = 1.0 - mass, mass
        if self.tail is not None:
            rest = library.alike(batch.rows(table(self.tail, "tail")[..., None], part), log_q)[:, 0]
            most = mass + rest
        _check(ids, most, batch)

        # An absent one stands for any of its row's own: these are put out of account anyway.
        ids = xp.where(absent, xp.amax(ids, -1, keepdims=True), ids)
        top_q = xp.where(absent, -math.inf, library.pick(log_q, ids))
        library.put(log_q, ids, -math.inf)
        # Summed: 1 less the others would be nothing but rounding where they are nearly all.
        rest_q = xp.log(xp.exp(log_q).sum(-1))
        if tail == "renormalise":
            log_p, rest_p = log_p - xp.log(mass)[:, None], xp.full_like(rest_q, -math.inf)
        else:
            # A rest that is only rounding is not worth an infinity if the student has nothing there.
            rounding = rest <= 4.0 * float(xp.finfo(log_q.dtype).eps)
            nothing = rounding | ((~absent).sum(-1) == batch.vocabulary)
            rest_p = xp.where(nothing, -math.inf, xp.log(rest))
        return (
            xp.concatenate((log_p, rest_p[:, None]), -1),
            xp.concatenate((top_q, rest_q[:, None]), -1),
            mass,
        )


def _check(ids: Array, mass: Array, batch: Batch) -> None:
    """Raises InputError if (n, k) ids are no tokens, or twice the same, or (n,) probabilities sum to more than 1."""
    ordered = batch.kit.sort(ids)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if bool(((ordered[:, -1] >= batch.vocabulary) | (ordered[:, -1] < 0) | twice.any(-1)).any()):
        raise InputError(
            f"ids of a row must be different tokens, from 0 to {batch.vocabulary - 1}, at least one; -1 marks places that are not used"
        )
    if bool((mass > 1.0 + _ROUNDING).any()):
        raise InputError(
            f"the teacher's probabilities sum to {float(mass.max()):.3f} in one row: log_probs must come from a softmax over the whole "
            "vocabulary, and the tail be what is left of it"
        )
