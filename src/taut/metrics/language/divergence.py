"""How far a student's distributions are from a teacher's: Kullback-Leibler and Jensen-Shannon divergences."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from taut.errors import InputError, nearest
from taut.metrics.language.arrays import Array, Library
from taut.metrics.language.batch import IGNORE, Batch, table
from taut.metrics.language.mean import TokenMean
from taut.metrics.language.truncated import Truncated

__all__ = ["Divergence", "jensen_shannon", "kl_divergence"]

_KINDS = {"forward": "kl", "reverse": "reverse_kl", "jensen-shannon": "js"}


@dataclass(kw_only=True)
class Divergence(TokenMean):
    """A divergence between teacher p and student q, in nats per token, over any number of batches.

    kind:
      "forward"         KL(p||q) = sum p log(p/q): what it costs to use q where p is true. A student that makes it small covers all that p does.
      "reverse"         KL(q||p): a student that makes it small keeps to what p is sure of.
      "jensen-shannon"  beta KL(p||m) + (1 - beta) KL(q||m) with m = beta p + (1 - beta) q: finite, symmetric at beta = 0.5, where
                        it is at most log 2 (Lin, IEEE Trans. Inf. Theory 37, 1991; with beta as in Agarwal et al., arXiv:2306.13649, eq. 1)
    temperature: both logits are divided by it first. The loss of Hinton et al. (arXiv:1503.02531) is this times temperature².
    tail: what a `Truncated` teacher is compared by; see there. "bucket" or "renormalise".

    q = 0 where p > 0 makes KL(p||q) infinite; p = 0 adds nothing. covered: the teacher's mass on the tokens that were compared one by
    one, a mean over tokens: 1 unless it is truncated.
    """

    kind: Literal["forward", "reverse", "jensen-shannon"] = "forward"
    temperature: float = 1.0
    beta: float = 0.5
    tail: Literal["bucket", "renormalise"] = "bucket"
    _covered: float = field(default=0.0, init=False, repr=False)

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("kind", self.kind, _KINDS),
            ("tail", self.tail, ("bucket", "renormalise")),
        ):
            if value not in allowed:
                raise InputError(
                    f"{name} = {value!r}: allowed are {', '.join(map(repr, allowed))}{nearest(value, allowed)}"
                )
        if not 0.0 < self.temperature < math.inf:
            raise InputError(
                f"temperature = {self.temperature}: logits are divided by it, so it must be above 0"
            )
        if not 0.0 < self.beta < 1.0:
            raise InputError(
                f'beta = {self.beta}: a weight between 0 and 1; its limits are kind = "forward" and "reverse"'
            )

    def update(self, teacher: Array | Truncated, student: Array, labels: Array | None = None) -> Divergence:
        """Takes in a batch, and returns itself.

        teacher, student: (..., vocabulary) logits or log-probabilities of the same tokens; the teacher may be `Truncated`, or lie in the
        memory of the host or in a mapped file, and is then fetched part by part. labels: (...), which tokens count: labels as
        `CrossEntropy` takes them, or a mask of booleans. All if left out. Raises InputError on shapes that do not fit.
        """
        student = table(student, "the student's logits")
        if isinstance(teacher, Truncated):
            teacher.check(student, self.temperature, self.tail, self.kind)
            batch = Batch.masked(student, labels, self.ignore, self.shift, teacher.ids, teacher.log_probs)
        else:
            teacher = table(teacher, "the teacher's logits")
            if tuple(teacher.shape) != tuple(student.shape):
                raise InputError(
                    f"the teacher's logits have shape {tuple(teacher.shape)}, the student's {tuple(student.shape)}: token by token only the "
                    "same tokens of the same vocabulary can be compared. With different tokenizers compare bits per byte (CrossEntropy)"
                )
            batch = Batch.masked(student, labels, self.ignore, self.shift, teacher)
        library, between = batch.kit, self._between(batch.kit)
        covered = batch.blank()

        def values(part: slice) -> Array:
            log_q = library.log_softmax(batch.rows(student, part), self.temperature)
            if isinstance(teacher, Truncated):
                log_p, log_q, covered[part] = teacher.beside(log_q, batch, part, self.tail)
            else:
                log_p = library.log_softmax(batch.rows(teacher, part), self.temperature)
            return between(log_p, log_q)

        with library.quiet():
            found = batch.values(values)
            self._add(batch, found)
            self._covered += float(covered.sum()) if isinstance(teacher, Truncated) else batch.count
        return self

    @property
    def covered(self) -> float:
        return self._covered / self.tokens if self.tokens else math.nan

    def result(self) -> dict[str, float]:
        """kl (reverse_kl, js), its _stderr, tokens, nonfinite, covered."""
        return {**self._told(_KINDS[self.kind]), "covered": self.covered}

    def _between(self, library: Library) -> Callable[[Array, Array], Array]:
        xp, beta = library.xp, self.beta
        if self.kind == "forward":
            return lambda log_p, log_q: _kl(xp, log_p, log_q)
        if self.kind == "reverse":
            return lambda log_p, log_q: _kl(xp, log_q, log_p)

        def jensen_shannon(log_p: Array, log_q: Array) -> Array:
            log_m = xp.logaddexp(log_p + math.log(beta), log_q + math.log1p(-beta))
            return beta * _kl(xp, log_p, log_m) + (1.0 - beta) * _kl(xp, log_q, log_m)

        return jensen_shannon


def _kl(xp: Any, log_p: Array, log_q: Array) -> Array:
    """sum p log(p/q) of rows (n, k), as sum p log(p/q) - p + q: no term is below 0, and errors of the logarithms count only in
    proportion to how far p and q are apart, so that even float32 tells a small divergence from none.
    """
    p = xp.exp(log_p)
    terms = log_p - log_q
    terms *= p
    (unclear,) = xp.where(xp.isnan(terms.sum(-1)))  # 0 times an infinity, in few rows or none, or true NaN
    if len(unclear):
        terms[unclear] = xp.where(p[unclear] == 0.0, 0.0, terms[unclear])
    terms -= p
    terms += xp.exp(log_q)
    return xp.clip(terms.sum(-1), 0.0, None)


def kl_divergence(
    teacher: Array | Truncated,
    student: Array,
    labels: Array | None = None,
    *,
    reverse: bool = False,
    temperature: float = 1.0,
    ignore: int = IGNORE,
    shift: bool = False,
) -> float:
    """KL(teacher||student) in nats per token, of one batch of logits; KL(student||teacher) with `reverse`. See `Divergence`."""
    kind: Literal["forward", "reverse"] = "reverse" if reverse else "forward"
    measured = Divergence(kind=kind, temperature=temperature, ignore=ignore, shift=shift)
    return measured.update(teacher, student, labels).mean


def jensen_shannon(
    teacher: Array | Truncated,
    student: Array,
    labels: Array | None = None,
    *,
    beta: float = 0.5,
    temperature: float = 1.0,
    ignore: int = IGNORE,
    shift: bool = False,
) -> float:
    """Jensen-Shannon divergence in nats per token, of one batch of logits. See `Divergence`."""
    measured = Divergence(
        kind="jensen-shannon", beta=beta, temperature=temperature, ignore=ignore, shift=shift
    )
    return measured.update(teacher, student, labels).mean
