"""How undecided a model is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from taut.metrics.language.arrays import Array
from taut.metrics.language.batch import IGNORE, Batch, table
from taut.metrics.language.mean import TokenMean

__all__ = ["Entropy", "entropy"]


@dataclass(kw_only=True)
class Entropy(TokenMean):
    """Entropy of the model's own distribution, -sum p log p, in nats per token: 0 if it is sure, log(vocabulary) if it has no idea.

    It needs no right answers. Falling towards 0 in reinforcement learning it tells that a policy no longer explores.
    """

    def update(self, logits: Array, labels: Array | None = None) -> Entropy:
        """Takes in a batch, and returns itself.

        logits: (..., vocabulary). labels: (...), which tokens count: labels as `CrossEntropy` takes them, or a mask of booleans. All if left out.
        """
        logits = table(logits, "logits")
        batch = Batch.masked(logits, labels, self.ignore, self.shift)
        library, xp = batch.kit, batch.kit.xp

        def values(part: slice) -> Array:
            log_p = library.log_softmax(batch.rows(logits, part))
            terms = xp.exp(log_p)
            terms *= xp.clip(log_p, float(xp.finfo(log_p.dtype).min), None)  # 0 log 0 = 0
            return -terms.sum(-1)

        with library.quiet():
            self._add(batch, batch.values(values))
        return self

    @property
    def effective_choices(self) -> float:
        """exp(mean): as many equally likely tokens are as undecided."""
        return math.exp(self.mean)

    def result(self) -> dict[str, float]:
        """entropy, entropy_stderr, tokens, nonfinite."""
        return self._told("entropy")


def entropy(
    logits: Array, labels: Array | None = None, *, ignore: int = IGNORE, shift: bool = False
) -> float:
    """Nats per token, of one batch; see `Entropy`."""
    return Entropy(ignore=ignore, shift=shift).update(logits, labels).mean
