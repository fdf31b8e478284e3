"""Language-model metrics on NumPy arrays: values worked out by hand, edges, and what must hold for any numbers."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from taut.errors import InputError
from taut.metrics.language import (
    Accuracy,
    CrossEntropy,
    Divergence,
    Entropy,
    Truncated,
    accuracy,
    cross_entropy,
    entropy,
    jensen_shannon,
    kl_divergence,
    perplexity,
    sliding_perplexity,
    sliding_windows,
)

INF, NAN = math.inf, math.nan
P, Q = np.log([0.7, 0.2, 0.1]), np.log([0.4, 0.4, 0.2])


def draw(seed: int, *shape: int, spread: float = 3.0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(0.0, spread, shape)


# --- values worked out by hand


def test_dice_and_distributions_as_worked_out_by_hand() -> None:
    assert perplexity(np.zeros((5, 2)), [0, 1, 1, 0, 1]) == pytest.approx(2)  # a coin
    assert perplexity(np.zeros((5, 6)), [0, 1, 2, 5, 5]) == pytest.approx(6)  # a die
    assert cross_entropy(P, 0) == pytest.approx(-math.log(0.7))
    assert entropy(P) == pytest.approx(-(0.7 * math.log(0.7) + 0.2 * math.log(0.2) + 0.1 * math.log(0.1)))
    assert kl_divergence(P, Q) == pytest.approx(0.183787, abs=1e-6)
    assert kl_divergence(P, Q, reverse=True) == pytest.approx(0.192042, abs=1e-6)
    # m = (.55, .3, .15): half of .7 log(.7/.55) + .2 log(.2/.3) + .1 log(.1/.15) and of .4 log(.4/.55) + .4 log(.4/.3) + .2 log(.2/.15)
    assert jensen_shannon(P, Q) == pytest.approx(0.5 * 0.0471777 + 0.5 * 0.0452240, abs=1e-6)
    assert jensen_shannon(np.array([0.0, -INF]), np.array([-INF, 0.0])) == pytest.approx(math.log(2))


def test_words_and_bytes_as_the_evaluation_harness_counts_them() -> None:
    seen = CrossEntropy().add(-20.0, 7, text="hello wörld foo").add(-7.0, 3, text="a b")
    assert seen.word_perplexity == pytest.approx(221.40641620418717)
    assert seen.byte_perplexity == pytest.approx(4.1414775967106285)
    assert seen.bits_per_byte == pytest.approx(2.0501455844211587)
    assert seen.result()["perplexity"] == pytest.approx(math.exp(2.7))
    assert seen.bits_per_token == pytest.approx(2.7 / math.log(2))


def test_tokens_count_alike_whatever_batch_they_came_in() -> None:
    """Ragged batches: neither the mean of batch means nor that of batch perplexities is the perplexity."""
    logits = np.log([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0.9, 0.1]])
    labels = np.array([0, 1, 0, 1])
    seen = CrossEntropy().update(logits[:3], labels[:3]).update(logits[3:], labels[3:])
    assert seen.mean == pytest.approx((3 * math.log(2) + math.log(10)) / 4)
    assert seen.mean != pytest.approx((math.log(2) + math.log(10)) / 2, rel=1e-3)
    assert seen.perplexity == pytest.approx(math.exp(seen.mean))


def test_masks_shift_and_the_top_k() -> None:
    logits = np.log([[[0.1, 0.9], [0.2, 0.8], [0.6, 0.4]]])
    tokens = np.array([[0, 1, 1]])
    assert cross_entropy(logits, tokens, shift=True) == pytest.approx(-(math.log(0.9) + math.log(0.8)) / 2)
    assert cross_entropy(logits, [[-100, 1, 0]]) == pytest.approx(-(math.log(0.8) + math.log(0.6)) / 2)
    assert cross_entropy(logits, [[9, 1, 0]], ignore=9) == pytest.approx(
        cross_entropy(logits, [[-100, 1, 0]])
    )
    assert accuracy(logits, [[0, 1, 0]]) == pytest.approx(2 / 3)
    assert accuracy([[1.0, 5.0, 3.0, 4.0]] * 2, [2, 0], k=3) == 0.5
    assert Accuracy(k=3).update([[1.0, 5.0, 3.0, 4.0]], [2]).result()["top3_accuracy"] == 1.0
    mask = np.array([[True, False, True]])
    assert entropy(logits, mask) == pytest.approx(entropy(logits[:, [0, 2]]))
    assert entropy(logits, [[5, 1, 0]], ignore=5) == pytest.approx(entropy(logits[:, [1, 2]]))
    assert kl_divergence(logits, logits + np.array([0.0, 1.0]), mask, shift=True) == pytest.approx(
        kl_divergence(logits[0, 1], logits[0, 1] + np.array([0.0, 1.0]))
    )


def test_a_model_that_tells_all_tokens_alike_is_not_always_right() -> None:
    logits = np.zeros((10, 10))
    assert accuracy(logits, np.arange(10)) == 0.1
    assert accuracy(logits, np.arange(10), k=3) == 0.3
    assert accuracy(logits, np.arange(10), k=99) == 1.0


def test_standard_errors_count_sequences() -> None:
    values = np.array([0.2, 0.5, 0.9, 0.4])
    logits = np.stack([np.log(values), np.log1p(-values)], axis=-1)
    nll = -np.log(values)
    alone = CrossEntropy().update(logits, [0] * 4)
    assert alone.stderr == pytest.approx(nll.std(ddof=1) / 2)
    same = CrossEntropy().update(logits[:, None].repeat(50, axis=1), np.zeros((4, 50), int))
    assert same.stderr == pytest.approx(alone.stderr)  # fifty times the same token teaches nothing
    assert math.isnan(CrossEntropy().update(logits[None], [[0] * 4]).stderr)
    assert math.isnan(CrossEntropy(shift=True).update(logits, [0] * 4).stderr)  # one sequence
    labels = np.array([[0, -100, 0], [0, 0, 0], [-100, -100, -100], [-100, 0, -100]])
    found = CrossEntropy().update(np.tile(logits[:, None], (1, 3, 1)), labels)
    sizes, totals = np.array([2, 3, 1]), nll[[0, 1, 3]] * [2, 3, 1]
    apart = ((totals - found.mean * sizes) ** 2).sum() * 3 / 2
    assert found.sequences == 3
    assert found.stderr == pytest.approx(math.sqrt(apart) / 6)


# --- edges


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_large_logits_lose_nothing(kind: type) -> None:
    for offset in (-1e4, 0.0, 1e4):
        logits = np.array([[offset, offset + 8.0, offset - 1e4]], kind)
        assert cross_entropy(logits, [0]) == pytest.approx(8.0 + math.log1p(math.exp(-8.0)), rel=1e-6)
    assert cross_entropy(np.array([[1e4, -1e4]], kind), [1]) == pytest.approx(2e4, rel=1e-3)
    assert cross_entropy(np.array([[1e4, -1e4]], kind), [0]) == 0.0
    assert entropy(np.array([[1e4, -1e4]], kind)) == 0.0
    assert kl_divergence(np.array([1e4, 0.0], kind), np.array([0.0, 1e4], kind)) == pytest.approx(
        1e4, rel=1e-3
    )


def test_a_mask_of_integers_is_not_read_as_labels() -> None:
    logits, mask = np.arange(18.0).reshape(2, 3, 3) ** 0.5, np.array([[1, 1, 0], [1, 0, 0]])
    for measure in (entropy, lambda logits, mask: kl_divergence(logits, logits[..., ::-1], mask)):
        with pytest.raises(InputError, match=r"A mask\? Give booleans"):
            measure(logits, mask)
        assert measure(logits, mask.astype(bool)) > 0
        measure(logits[..., :2], mask)  # the labels of two classes
        measure(logits, np.where(mask, mask, -100))
    assert cross_entropy(logits, mask) > 0


def test_a_masked_vocabulary_has_a_defined_result() -> None:
    logits = np.array([[0.0, -INF, 0.0]])
    assert cross_entropy(logits, [0]) == pytest.approx(math.log(2))
    assert entropy(logits) == pytest.approx(math.log(2))
    assert accuracy(logits, [0]) == 1.0
    impossible = CrossEntropy().update(logits, [1])
    assert (impossible.mean, impossible.perplexity, impossible.nonfinite) == (INF, INF, 1)
    assert math.isnan(impossible.stderr)
    even = np.zeros((1, 3))
    assert kl_divergence(logits, even) == pytest.approx(math.log(1.5))
    assert kl_divergence(even, logits) == INF
    assert kl_divergence(logits, logits) == 0.0
    assert jensen_shannon(logits, even) < math.log(2)


@pytest.mark.parametrize("row", [[NAN, 0.0, 0.0], [INF, 0.0, 0.0], [-INF, -INF, -INF]])
def test_rows_without_a_softmax_are_never_dropped(row: list[float]) -> None:
    good = draw(0, 9, 3)
    logits = np.concatenate((good, [row]))
    labels = np.array([*np.arange(9) % 3, 1])
    metrics: list[Any] = [
        CrossEntropy(),
        Entropy(),
        *(Divergence(kind=kind) for kind in ("forward", "reverse", "jensen-shannon")),
    ]  # type: ignore[arg-type]
    for metric in metrics:
        given = (logits, np.zeros_like(logits)) if isinstance(metric, Divergence) else (logits, labels)
        told = metric.update(*given).result()
        assert math.isnan(metric.mean) and math.isnan(metric.stderr)
        assert (told["nonfinite"], told["tokens"]) == (1, 10)
    assert (
        CrossEntropy().update(logits, np.array([*labels[:-1], -100])).nonfinite == 0
    )  # not scored, not looked at


def test_accuracy_does_not_take_nan_for_an_answer() -> None:
    for k in (1, 2):
        assert math.isnan(accuracy([[NAN, 1.0, 2.0]], [2], k=k))
        assert math.isnan(accuracy([[1.0, NAN, 2.0]], [1], k=k))


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (lambda: CrossEntropy().mean, "CrossEntropy has scored no token"),
        (lambda: cross_entropy(np.zeros((0, 3)), np.zeros(0, int)), "scored no token"),
        (lambda: perplexity(np.zeros((2, 3)), [-100, -100]), "every label was -100"),
        (lambda: CrossEntropy().result(), "scored no token"),
        (lambda: cross_entropy(np.zeros((1, 2)), [2]), "label 2, that of row 0 .* from 0 to 1"),
        (lambda: cross_entropy(np.zeros((2, 2)), [0, -1]), "label -1, that of row 1"),
        (lambda: cross_entropy(np.zeros((2, 2)), [0]), r"shape \(1,\).*\(2,\)"),
        (lambda: cross_entropy(np.zeros((2, 2)), [0.0, 1.0]), "float64, and must be whole"),
        (lambda: cross_entropy(np.zeros((2, 2)), [True, False]), "bool, and must be whole"),
        (lambda: cross_entropy(1.0, 0), "last axis must be the vocabulary"),
        (lambda: cross_entropy(np.zeros(2), 0, shift=True), "no row after it"),
        (lambda: accuracy(np.zeros((1, 2)), [0], k=0), "k = 0"),
        (lambda: entropy(np.zeros((2, 2)), np.array([True])), "mask"),
        (lambda: kl_divergence(np.zeros((2, 3)), np.zeros((2, 4))), "bits per byte"),
        (lambda: kl_divergence(P, Q, temperature=0.0), "temperature = 0.0"),
        (lambda: jensen_shannon(P, Q, beta=1.0), "between 0 and 1"),
        (lambda: Divergence(kind="revers"), "did you mean 'reverse'"),  # type: ignore[arg-type]
        (lambda: CrossEntropy().add(-1.0, 1).bits_per_byte, "known for 0 of 1 tokens"),
        (lambda: CrossEntropy().add(-1.0, 1, text="a").add(-1.0, 2).word_perplexity, "known for 1 of 3"),
        (lambda: CrossEntropy().add(-1.0, 0), "over 0 tokens"),
        (lambda: CrossEntropy().merge(CrossEntropy(shift=True)), "cannot|can be merged"),
        (lambda: list(sliding_windows(9, 4, 4)), "stride is from 1 to window - 1"),
        (lambda: sliding_perplexity(np.zeros, [1], window=4, stride=2), "at least 2 tokens"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(what: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        what()


def test_a_refused_batch_leaves_no_trace() -> None:
    seen = CrossEntropy()
    for labels, text in (([7], "a"), ([0], 3), ([0, 1], "a")):
        with pytest.raises((InputError, TypeError)):
            seen.update(np.zeros((1, 2)), labels, text=text)  # type: ignore[arg-type]
        assert not seen.state.any()


# --- merging


def test_ranks_add_up() -> None:
    logits, labels = draw(1, 6, 5, 7), np.random.default_rng(1).integers(0, 7, (6, 5))
    labels[0, :3] = -100
    text = [f"text {i}" for i in range(6)]
    whole = CrossEntropy().update(logits, labels, text=text)
    ranks = [CrossEntropy().update(logits[i::2], labels[i::2], text=text[i::2]) for i in (0, 1)]
    summed = CrossEntropy()
    summed.state = ranks[0].state + ranks[1].state
    for each in (summed, ranks[0].merge(ranks[1]).merge(CrossEntropy())):
        assert each.result() == pytest.approx(whole.result())
    with pytest.raises(InputError, match="11 sums, not 3"):
        summed.state = [1.0, 2.0, 3.0]
    with pytest.raises(InputError, match="does not measure the same"):
        Divergence(temperature=2.0).merge(Divergence())


# --- truncated teachers


@pytest.mark.parametrize("kind", ["forward", "reverse", "jensen-shannon"])
def test_a_bucket_for_the_tail_is_a_lower_bound_that_rises_to_the_truth(kind: Any) -> None:
    teacher, student = draw(2, 8, 200), draw(3, 8, 200)
    log_p = teacher - np.log(np.exp(teacher).sum(-1, keepdims=True))
    ids = np.argsort(-log_p, axis=-1)
    found = []
    for k in (1, 5, 20, 100, 200):
        top = Truncated(ids[:, :k], np.take_along_axis(log_p, ids[:, :k], -1))
        seen = Divergence(kind=kind).update(top, student)
        found.append(seen.mean)
        assert seen.covered == pytest.approx(np.exp(top.log_probs).sum(-1).mean())
    assert found == sorted(found)
    assert found[-1] == pytest.approx(Divergence(kind=kind).update(teacher, student).mean)
    rounded = Truncated(ids, np.take_along_axis(log_p, ids, -1).astype(np.float16))
    assert Divergence(kind=kind).update(rounded, student).mean == pytest.approx(found[-1], rel=0.01)


def test_a_truncated_teacher_by_hand() -> None:
    top = Truncated([[0, 2]], np.log([[0.7, 0.1]]))
    kept = 0.7 * math.log(0.7 / 0.4) + 0.1 * math.log(0.1 / 0.2)
    assert kl_divergence(top, Q[None]) == pytest.approx(kept + 0.2 * math.log(0.2 / 0.4))
    assert kl_divergence(Truncated([[0, 2, -1]], np.log([[0.7, 0.1, 0.6]])), Q[None]) == pytest.approx(
        kept + 0.2 * math.log(0.2 / 0.4)
    )
    scaled = Divergence(tail="renormalise").update(top, Q[None])
    assert scaled.mean == pytest.approx((kept - 0.8 * math.log(0.8)) / 0.8)
    assert scaled.covered == pytest.approx(0.8)
    wide = Truncated([[0]], np.log([[0.7]]), tail=[0.3])
    assert kl_divergence(wide, Q[None]) == pytest.approx(
        0.7 * math.log(0.7 / 0.4) + 0.3 * math.log(0.3 / 0.6)
    )
    assert kl_divergence(top, np.array([[1.0, -INF, 2.0]])) == INF  # the teacher's tail has nowhere to go
    assert kl_divergence(top, Q[None], np.array([True])) == kl_divergence(top, Q[None])


@pytest.mark.parametrize(
    ("top", "options", "message"),
    [
        (Truncated([[0, 0]], [[-1.0, -1.0]]), {}, "different tokens"),
        (Truncated([[0, 3]], [[-1.0, -1.0]]), {}, "from 0 to 2"),
        (Truncated([[-1, -1]], [[-1.0, -1.0]]), {}, "at least one"),
        (Truncated([[0, 1]], [[-0.1, -0.1]]), {}, "sum to 1.81"),
        (Truncated([[0]], [[-1.0]], tail=[0.9]), {}, "sum to 1.268"),
        (Truncated([[0, 1]], [[-1.0]]), {}, r"log_probs have shape \(1, 1\)"),
        (Truncated([[0], [1]], [[-1.0], [-1.0]]), {}, "the student's logits"),
        (Truncated([[0]], [[-1.0]]), {"temperature": 2.0}, "stored at temperature 1.0"),
        (Truncated([[0]], [[-1.0]]), {"tail": "renormalise", "kind": "reverse"}, "infinite"),
    ],
)
def test_a_truncated_teacher_that_cannot_be(top: Truncated, options: dict[str, Any], message: str) -> None:
    seen = Divergence(**options)
    with pytest.raises(InputError, match=message):
        seen.update(top, Q[None])
    assert not seen.state.any()


# --- long texts


@given(st.integers(2, 60), st.integers(2, 20), st.data())
@settings(max_examples=60, deadline=None)
def test_windows_score_every_token_once(length: int, window: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(1, window - 1))
    windows = list(sliding_windows(length, window, stride))
    assert [t for each in windows for t in range(each.first, each.end)] == list(range(1, length))
    assert {each.end - each.begin for each in windows} == {min(window, length)}
    assert all(each.first - each.begin >= window - stride for each in windows[1:])
    assert len(windows) == 1 + max(math.ceil((length - window) / stride), 0)


def test_a_long_text_by_windows_is_scored_as_each_window_says() -> None:
    table, tokens = draw(4, 5, 5), np.random.default_rng(4).integers(0, 5, 50)
    calls = []

    def bigram(ids: Any) -> Any:
        calls.append(ids.shape)
        return table[ids]

    expected = cross_entropy(table[tokens], tokens, shift=True)  # a bigram model needs one token of context
    for stride, batch in ((1, 1), (3, 4), (7, 2)):
        seen = CrossEntropy().update_long(bigram, tokens, window=8, stride=stride, batch=batch, text="abc")
        assert seen.mean == pytest.approx(expected)
        assert (seen.tokens, seen.bytes) == (49, 3)
    assert CrossEntropy(ignore=int(tokens[5])).update_long(bigram, tokens, 8, 4).tokens == 49
    assert set(calls) == {(1, 8), (4, 8), (3, 8), (2, 8)}
    seen = CrossEntropy()
    with pytest.raises(InputError, match="labels have shape"):
        seen.update_long(lambda ids: bigram(ids)[:, : 8 if len(calls) % 3 else 7], tokens, 8, 4)
    assert not seen.state.any()
    assert sliding_perplexity(bigram, tokens[None], window=500, stride=1) == pytest.approx(math.exp(expected))


# --- what must hold for any numbers

logits = arrays.arrays(np.float64, (3, 5), elements=st.floats(-30, 30))
labels = arrays.arrays(np.int64, 3, elements=st.integers(0, 4))
SOME = settings(max_examples=40, deadline=None)


@given(logits, logits)
@SOME
def test_cross_entropy_is_entropy_and_divergence(p: Any, q: Any) -> None:
    """H(p, q) = H(p) + KL(p||q); the left side as the expected cross-entropy of labels drawn from p."""
    prob = np.exp(p - p.max(-1, keepdims=True))
    prob /= prob.sum(-1, keepdims=True)
    each = [[cross_entropy(q[i], label) for label in range(5)] for i in range(3)]
    assert (prob * each).sum(-1).mean() == pytest.approx(entropy(p) + kl_divergence(p, q), abs=1e-9)
    assert 0.0 <= entropy(p) <= math.log(5) + 1e-9


@given(logits, logits, st.floats(0.05, 0.95), st.floats(0.3, 5.0))
@SOME
def test_divergences_are_zero_at_equality_alone(p: Any, q: Any, beta: float, temperature: float) -> None:
    options: dict[str, Any] = {"temperature": temperature}
    assert kl_divergence(p, p + 7.0, **options) == pytest.approx(0.0, abs=1e-12)  # a softmax knows no offsets
    forward, reverse = kl_divergence(p, q, **options), kl_divergence(p, q, reverse=True, **options)
    assert reverse == pytest.approx(kl_divergence(q, p, **options), abs=1e-12)
    mixed = jensen_shannon(p, q, beta=beta, **options)
    assert mixed == pytest.approx(jensen_shannon(q, p, beta=1.0 - beta, **options), abs=1e-12)
    assert 0.0 <= mixed <= -beta * math.log(beta) - (1 - beta) * math.log(1 - beta) + 1e-9
    assert mixed <= beta * forward + 1e-9 or mixed <= (1 - beta) * reverse + 1e-9
    apart = np.abs(np.diff(p, axis=-1) - np.diff(q, axis=-1)).max() / temperature
    if apart > 1e-3 and max(np.ptp(p), np.ptp(q)) / temperature < 5:
        assert min(forward, reverse, mixed) > 0.0


def test_forward_and_reverse_differ() -> None:
    assert abs(kl_divergence(P, Q) - kl_divergence(P, Q, reverse=True)) > 0.005


def test_float32_tells_a_small_divergence_from_none() -> None:
    p = draw(5, 4, 5000).astype(np.float32)
    for step in (1e-2, 1e-3):
        q = (p + step * draw(6, 4, 5000, spread=1.0)).astype(np.float32)
        exact = kl_divergence(p.astype(np.float64), q.astype(np.float64))
        assert kl_divergence(p, q) == pytest.approx(exact, rel=0.02)
    assert kl_divergence(p, p) == 0.0


@given(arrays.arrays(np.float64, (6, 4, 5), elements=st.floats(-20, 20)), arrays.arrays(np.int64, (6, 4), elements=st.sampled_from([-100, 0, 2, 4])), st.sets(st.integers(1, 5)), st.booleans())  # fmt: skip
@SOME
def test_how_batches_are_split_changes_nothing(x: Any, y: Any, cuts: set[int], shift: bool) -> None:
    for make in (CrossEntropy, Accuracy, Entropy):
        whole, split = make(shift=shift).update(x, y), make(shift=shift)
        for part, label in zip(np.split(x, sorted(cuts)), np.split(y, sorted(cuts)), strict=True):
            split.update(part, label)
        assert split.state == pytest.approx(whole.state, rel=1e-9, abs=1e-9)


@given(logits, labels, st.permutations(range(5)))
@SOME
def test_names_of_tokens_do_not_matter(x: Any, y: Any, order: list[int]) -> None:
    renamed = np.empty(5, int)
    renamed[order] = range(5)
    for k in (1, 2):
        assert cross_entropy(x[:, order], renamed[y]) == pytest.approx(cross_entropy(x, y))
        if len(np.unique(x)) == x.size:
            assert accuracy(x[:, order], renamed[y], k=k) == accuracy(x, y, k=k)


# --- memory, layout, imports


def test_strides_and_chunks_make_no_difference() -> None:
    x, y = draw(7, 9, 30, 7000).astype(np.float32), np.random.default_rng(7).integers(0, 7000, (9, 30))
    y[::3, ::2] = -100
    whole = cross_entropy(x, y)
    assert cross_entropy(x[:, ::-1], y[:, ::-1]) == pytest.approx(whole)
    assert cross_entropy(x[:, :-1], y[:, 1:]) == pytest.approx(cross_entropy(x, y, shift=True))
    shifted = x - x.max(-1, keepdims=True)
    nll = (
        np.log(np.exp(shifted.astype(np.float64)).sum(-1))
        - np.take_along_axis(shifted, np.maximum(y, 0)[..., None], -1)[..., 0]
    )
    assert whole == pytest.approx(nll[y != -100].mean(), rel=1e-6)


def test_memory_beyond_what_is_given_is_small() -> None:
    code = """
import resource, numpy as np
from taut.metrics.language import Accuracy, CrossEntropy, Divergence, Entropy
x = np.zeros((2, 100, 50_000), np.float16)  # 20 MB, 40 MB as float32
x[..., 3] = 1
y = np.ones((2, 100), int)
CrossEntropy().update(x[:, :2], y[:, :2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
CrossEntropy(shift=True).update(x, y); CrossEntropy().update(x[:, :-1], y[:, 1:]); Accuracy(k=5).update(x, y); Entropy().update(x, y)
Divergence().update(x, x[:, ::-1], y)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(ran.stdout) * (1 if sys.platform == "darwin" else 1024) < 10e6


def test_arrays_alone_import_no_torch() -> None:
    code = "import sys, numpy as np\nfrom taut.metrics.language import *\ncross_entropy(np.zeros((1, 2)), [0])\nprint([m for m in sys.modules if re.match('torch|scipy', m)])"
    ran = subprocess.run(
        [sys.executable, "-c", f"import re\n{code}"], capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"\[\]\n", ran.stdout)
