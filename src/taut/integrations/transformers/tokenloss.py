"""A held-out loss that is the mean over tokens, as the Trainer's `eval_loss` is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from taut.metrics.language import CrossEntropy

__all__ = ["TokenLoss"]


class TokenLoss:
    """Cross-entropy in nats per scored token, and perplexity, of a Trainer's evaluation.

    `eval_loss` is a mean of means over batches: it changes with ``per_device_eval_batch_size`` and with the order of the data, by some percent where
    examples differ in length. This does not. It adds ``eval_token_loss``, ``eval_perplexity`` and ``eval_nonfinite`` (scored tokens whose
    loss is NaN or infinite, of which the first two are then, too):

        loss = TokenLoss()
        Trainer(..., compute_metrics=loss, preprocess_logits_for_metrics=loss.sums)

    Two numbers are kept of each example, not its logits. Where several ranks evaluate, no example counts twice.

    shift: whether a row of logits predicts the next label, as in causal language models; labels of -100 are not scored.
    """

    def __init__(self, *, shift: bool = True) -> None:
        self.shift = shift

    def sums(self, logits: Any, labels: Any) -> torch.Tensor:
        """Nats, scored tokens and those of them that are not finite, for each example: (batch, 3)."""
        logits = logits[0] if isinstance(logits, tuple) else logits
        rows = []
        for row, label in zip(logits, labels, strict=True):
            found = CrossEntropy(shift=self.shift).update(row, label)
            rows.append((found.total, found.tokens, found.nonfinite))
        return torch.tensor(rows, dtype=torch.float32, device=logits.device)

    def __call__(self, evaluated: Any) -> dict[str, float]:
        total, tokens, nonfinite = np.asarray(evaluated.predictions, dtype=np.float64).sum(axis=0)
        loss = total / tokens if tokens else float("nan")
        with np.errstate(over="ignore"):
            perplexity = float(np.exp(loss))
        return {"token_loss": float(loss), "perplexity": perplexity, "nonfinite": float(nonfinite)}
