"""Language-model metrics, computed right: for NumPy arrays and PyTorch tensors, batch by batch, and mergeable over ranks.

    CrossEntropy   how well a model predicts text; perplexity per token, word and byte, bits per byte
    Divergence     how far a student is from a teacher: KL forward and reverse, Jensen-Shannon
    Entropy        how undecided a model is
    Accuracy       how often the right token is among the k likeliest

Each takes batches with `update`, and tells `mean`, `stderr` and `result()`. Memory beyond what is given stays within a few megabytes (on a GPU
some hundred), and on a GPU the work is done there: only sums come back. The functions do the same for a single batch.
"""

from __future__ import annotations

from taut.metrics.language.accuracy import Accuracy, accuracy
from taut.metrics.language.crossentropy import CrossEntropy, cross_entropy, perplexity, sliding_perplexity
from taut.metrics.language.divergence import Divergence, jensen_shannon, kl_divergence
from taut.metrics.language.entropy import Entropy, entropy
from taut.metrics.language.truncated import Truncated
from taut.metrics.language.windows import Window, sliding_windows

__all__ = [
    "Accuracy",
    "CrossEntropy",
    "Divergence",
    "Entropy",
    "Truncated",
    "Window",
    "accuracy",
    "cross_entropy",
    "entropy",
    "jensen_shannon",
    "kl_divergence",
    "perplexity",
    "sliding_perplexity",
    "sliding_windows",
]
