"""How well a model predicts text: cross-entropy, and what is made of it: perplexities and bits per byte."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from taut.errors import InputError
from taut.metrics.language.arrays import Array, library_of
from taut.metrics.language.batch import IGNORE, Batch, table
from taut.metrics.language.mean import TokenMean
from taut.metrics.language.windows import sliding_windows

__all__ = ["CrossEntropy", "cross_entropy", "perplexity", "sliding_perplexity"]


@dataclass(kw_only=True)
class CrossEntropy(TokenMean):
    """Cross-entropy in nats per token, -1/n sum log q(label), over any number of batches.

    `mean` compares models with the same tokenizer. To compare others tell `update` the text that the labels stand for, or how many words and
    bytes it has: `bits_per_byte` and `byte_perplexity` do not depend on the tokenizer, `word_perplexity` only on what a word is.

    A label whose logit is -inf has probability 0: the cross-entropy is infinite. Rows without a softmax (NaN, +inf, all -inf) are NaN.
    """

    words: float = field(default=0.0, init=False)
    bytes: float = field(default=0.0, init=False)
    _worded: float = field(default=0.0, init=False, repr=False)  # tokens whose words are known
    _byted: float = field(default=0.0, init=False, repr=False)

    def update(
        self,
        logits: Array,
        labels: Array,
        *,
        text: str | Iterable[str] | None = None,
        words: int | None = None,
        bytes: int | None = None,
    ) -> CrossEntropy:
        """Takes in a batch, and returns itself.

        logits: (..., vocabulary), of any floating type; log-probabilities do as well. labels: (...), ids of tokens. text: what the
        labels stand for; its words (parted by white space) and bytes (of UTF-8) are counted, unless `words` or `bytes` say how many.
        Raises InputError on labels of another shape or outside of the vocabulary; nothing has been taken in then.
        """
        counted = _counted(text, words, bytes)
        self._count(self._score(logits, labels, self.ignore, self.shift), counted)
        return self

    def update_long(
        self,
        score: Callable[[Any], Any],
        tokens: Array,
        window: int,
        stride: int,
        *,
        batch: int = 1,
        text: str | None = None,
    ) -> CrossEntropy:
        """Takes in one long text by overlapping windows (`sliding_windows`), and returns itself.

        score: from (batch, window) tokens to (batch, window, vocabulary) logits, or to something that has them as `.logits`: a causal model
        of transformers as it is. Row t predicts token t + 1, whatever `shift` says. tokens: (length,) or (1, length); a model of PyTorch gets
        them as a tensor where it is.
        Put the token that begins texts (BOS) first if the model was trained with it: then the first of the text is scored, too. batch: how
        many windows are scored at a time. text: what the tokens stand for.

        The smaller the stride, the more context, and the lower the result: compare only what had the same window and stride. Windows
        count as sequences in the standard error. Raises InputError if there are fewer than 2 tokens, or the model is in training mode.
        """
        counted = _counted(text, None, None)
        if getattr(score, "training", False):
            raise InputError(
                "the model is in training mode, in which dropout falsifies its predictions: call model.eval() first"
            )
        library = library_of(score, tokens)
        ids = library.integers(tokens, "tokens")
        if ids.ndim == 2 and ids.shape[0] == 1:
            ids = ids[0]
        if ids.ndim != 1 or len(ids) < 2 or batch < 1:
            raise InputError(
                f"tokens have shape {tuple(ids.shape)}, batch = {batch}: one text is asked for, (length,), of at least 2 tokens, "
                "since the first only serves as context; and at least one window at a time"
            )
        seen, windows = replace(self), list(sliding_windows(len(ids), window, stride))
        for begin in range(0, len(windows), batch):
            some = windows[begin : begin + batch]
            inputs = library.xp.stack([ids[each.begin : each.end] for each in some])
            labels = library.xp.full_like(inputs, IGNORE)
            for row, each in enumerate(some):
                labels[row, each.first - each.begin :] = ids[each.first : each.end]
            with library.quiet():
                output = score(inputs)
            seen._score(getattr(output, "logits", output), labels, IGNORE, shift=True)
        seen._count(int(seen.tokens), counted)
        return self.merge(seen)

    def add(
        self,
        log_likelihood: float,
        tokens: int,
        *,
        text: str | Iterable[str] | None = None,
        words: int | None = None,
        bytes: int | None = None,
    ) -> CrossEntropy:
        """Takes in one sequence whose log-likelihood (nats, the sum over its tokens) is known, for instance from an inference server."""
        if tokens < 0 or (not tokens and log_likelihood):
            raise InputError(
                f"a log-likelihood of {log_likelihood} over {tokens} tokens: tokens must be at least 1"
            )
        counted = _counted(text, words, bytes)
        total, size = -float(log_likelihood), float(tokens)
        self.total += total
        self.tokens += size
        self.sequences += 1.0 if tokens else 0.0
        self.nonfinite += 0.0 if math.isfinite(total) else 1.0
        self._total_total += total * total
        self._total_tokens += total * size
        self._tokens_tokens += size * size
        self._count(tokens, counted)
        return self

    @property
    def perplexity(self) -> float:
        """exp(mean): among how many equally likely tokens the model might as well have to choose."""
        return _exp(self.mean)

    @property
    def bits_per_token(self) -> float:
        return self.mean / math.log(2.0)

    @property
    def word_perplexity(self) -> float:
        """exp(total / words). Raises InputError if words have not been told with every batch."""
        return _exp(self._over("words", self.words, self._worded))

    @property
    def byte_perplexity(self) -> float:
        """exp(total / bytes). Raises InputError if bytes have not been told with every batch."""
        return _exp(self._over("bytes", self.bytes, self._byted))

    @property
    def bits_per_byte(self) -> float:
        """What a compressor driven by the model would need: total / bytes / ln 2. Raises InputError as `byte_perplexity` does."""
        return self._over("bytes", self.bytes, self._byted) / math.log(2.0)

    def result(self) -> dict[str, float]:
        """cross_entropy, cross_entropy_stderr, perplexity, tokens, nonfinite; and what is known per word and byte."""
        found = {**self._told("cross_entropy"), "perplexity": self.perplexity}
        if self.words:
            found["word_perplexity"] = self.word_perplexity
        if self.bytes:
            found |= {"byte_perplexity": self.byte_perplexity, "bits_per_byte": self.bits_per_byte}
        return found

    def _score(self, logits: Array, labels: Array, ignore: int, shift: bool) -> int:
        """Adds the scored tokens, and returns how many they were."""
        logits = table(logits, "logits")
        batch = Batch.labelled(logits, labels, ignore, shift)
        library = batch.kit

        def values(part: slice) -> Array:
            log_q = library.log_softmax(batch.rows(logits, part))
            return -library.pick(log_q, batch.labels[part, None])[:, 0]

        with library.quiet():
            self._add(batch, batch.values(values))
        return batch.count

    def _count(self, tokens: int, counted: tuple[int | None, int | None]) -> None:
        words, bytes = counted
        if words is not None:
            self.words, self._worded = self.words + words, self._worded + tokens
        if bytes is not None:
            self.bytes, self._byted = self.bytes + bytes, self._byted + tokens

    def _over(self, name: str, count: float, known: float) -> float:
        mean = self.mean  # there must be tokens, before anything else is asked for
        if known != self.tokens or not count:
            raise InputError(
                f"{name} are known for {known:.0f} of {self.tokens:.0f} tokens, {count:.0f} in all: "
                f"give update(...) with every batch the text that its labels stand for, or {name}=..."
            )
        return mean * self.tokens / count


def cross_entropy(logits: Array, labels: Array, *, ignore: int = IGNORE, shift: bool = False) -> float:
    """Nats per token, of one batch; `CrossEntropy` says what goes in, and takes several."""
    return CrossEntropy(ignore=ignore, shift=shift).update(logits, labels).mean


def perplexity(logits: Array, labels: Array, *, ignore: int = IGNORE, shift: bool = False) -> float:
    """exp of the cross-entropy, of one batch."""
    return CrossEntropy(ignore=ignore, shift=shift).update(logits, labels).perplexity


def sliding_perplexity(
    score: Callable[[Any], Any], tokens: Array, window: int, stride: int, *, batch: int = 1
) -> float:
    """Perplexity per token of one long text; `CrossEntropy.update_long` says what goes in, and takes several."""
    return CrossEntropy().update_long(score, tokens, window, stride, batch=batch).perplexity


def _counted(
    text: str | Iterable[str] | None, words: int | None, bytes: int | None
) -> tuple[int | None, int | None]:
    if text is None:
        return words, bytes
    texts = [text] if isinstance(text, str) else list(text)
    if words is None:
        words = sum(len(each.split()) for each in texts)
    if bytes is None:
        bytes = sum(len(each.encode()) for each in texts)
    return words, bytes


def _exp(nats: float) -> float:
    return math.inf if nats > 709.0 else math.exp(nats)
