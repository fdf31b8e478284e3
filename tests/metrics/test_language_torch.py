"""Language-model metrics on PyTorch tensors, against PyTorch's own, torchmetrics and transformers."""

from __future__ import annotations

import copy
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch")
F = torch.nn.functional

from taut.errors import InputError  # noqa: E402
from taut.metrics.language import (  # noqa: E402
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
)

V = 700


@pytest.fixture(scope="module")
def data() -> tuple[Any, Any, Any]:
    """Logits of a teacher and a student, (4, 33, V), and ragged labels."""
    draw = torch.Generator().manual_seed(0)
    teacher = 3.0 * torch.randn(4, 33, V, generator=draw)
    student = teacher + torch.randn(4, 33, V, generator=draw)
    labels = torch.multinomial(student.softmax(-1).flatten(0, 1), 1, generator=draw).reshape(4, 33)
    labels[torch.arange(33) < torch.tensor([[0], [5], [30], [17]])] = -100
    return teacher, student, labels


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shift", [False, True])
def test_cross_entropy_is_that_of_torch(data: Any, kind: Any, shift: bool) -> None:
    logits, labels = data[1].to(kind), data[2]
    rows, right = (logits[:, :-1], labels[:, 1:]) if shift else (logits, labels)
    expected = F.cross_entropy(rows.double().flatten(0, 1), right.flatten()).item()
    assert cross_entropy(logits, labels, shift=shift) == pytest.approx(expected, rel=1e-6)
    assert cross_entropy(rows, right) == pytest.approx(expected, rel=1e-6)  # a view that is not contiguous
    assert cross_entropy(logits, labels.int().numpy(), shift=shift) == pytest.approx(expected, rel=1e-6)
    if kind != torch.bfloat16:
        assert cross_entropy(logits.numpy(), labels.numpy(), shift=shift) == pytest.approx(expected, rel=1e-6)


def test_gradients_are_neither_needed_nor_kept(data: Any) -> None:
    logits = data[1].clone().requires_grad_()
    seen = CrossEntropy().update(logits, data[2])
    assert seen.mean == cross_entropy(data[1], data[2])
    assert logits.grad is None and logits._version == 0
    for metric in (Entropy(), Accuracy(k=3)):
        metric.update(data[1], data[2])
    Divergence().update(data[0], data[1], data[2])
    assert torch.equal(data[1], logits)  # nothing is worked on in place


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_divergences_are_those_of_torch(data: Any, temperature: float) -> None:
    teacher, student, labels = data
    scored = labels != -100
    log_p, log_q = (torch.log_softmax(x.double() / temperature, -1)[scored] for x in (teacher, student))

    def kl(log_q: Any, log_p: Any) -> Any:
        return F.kl_div(log_q, log_p, log_target=True, reduction="none").sum(-1).mean().item()

    options = {"temperature": temperature}
    forward, reverse = kl(log_q, log_p), kl(log_p, log_q)
    assert kl_divergence(teacher, student, labels, **options) == pytest.approx(forward, rel=1e-5)
    assert kl_divergence(teacher, student, scored, reverse=True, **options) == pytest.approx(
        reverse, rel=1e-5
    )
    assert kl_divergence(teacher.numpy(), student, labels, **options) == pytest.approx(forward, rel=1e-5)
    assert kl_divergence(teacher, student.numpy(), labels, **options) == pytest.approx(forward, rel=1e-5)
    for beta in (0.1, 0.5):  # the loss of generalised knowledge distillation, as trl has it
        mixed = torch.logsumexp(torch.stack([log_q + math.log1p(-beta), log_p + math.log(beta)]), 0)
        expected = beta * kl(mixed, log_p) + (1 - beta) * kl(mixed, log_q)
        assert jensen_shannon(teacher, student, labels, beta=beta, **options) == pytest.approx(
            expected, rel=1e-5
        )


def test_entropy_and_accuracy_are_those_of_torch(data: Any) -> None:
    _, student, labels = data
    scored = labels != -100
    expected = torch.distributions.Categorical(logits=student.double()).entropy()[scored].mean().item()
    assert entropy(student, labels) == pytest.approx(expected, rel=1e-6)
    assert entropy(student.numpy(), scored.numpy()) == pytest.approx(expected, rel=1e-6)
    right = student.topk(5).indices[scored] == labels[scored][:, None]
    assert 0.0 < accuracy(student, labels, 5) == right.any(-1).double().mean().item()
    assert accuracy(student.bfloat16(), labels, 5) == accuracy(
        student.bfloat16().float().numpy(), labels.numpy(), 5
    )  # ties


def test_torchmetrics_agrees(data: Any) -> None:
    pytest.importorskip("torchmetrics")
    from torchmetrics.classification import MulticlassAccuracy
    from torchmetrics.regression import KLDivergence
    from torchmetrics.text import Perplexity

    teacher, student, labels = data
    theirs, ours = Perplexity(ignore_index=-100), CrossEntropy()
    for rows in (slice(0, 1), slice(1, 4)):
        theirs.update(student[rows], labels[rows])
        ours.update(student[rows], labels[rows])
    assert ours.perplexity == pytest.approx(theirs.compute().item(), rel=1e-5)
    divergence = KLDivergence(log_prob=True)
    divergence.update(teacher.log_softmax(-1).flatten(0, 1), student.log_softmax(-1).flatten(0, 1))
    assert kl_divergence(teacher, student) == pytest.approx(divergence.compute().item(), rel=1e-4)
    for k in (1, 5):
        share = MulticlassAccuracy(V, top_k=k, average="micro", ignore_index=-100)
        share.update(student.flatten(0, 1), labels.flatten())
        assert accuracy(student, labels, k) == pytest.approx(share.compute().item())


@pytest.mark.parametrize("kind", ["forward", "reverse", "jensen-shannon"])
def test_a_truncated_teacher_is_the_same_for_torch_and_numpy(data: Any, kind: Any) -> None:
    teacher, student, labels = data
    log_p, ids = teacher.log_softmax(-1).topk(20)
    tail = 1.0 - log_p.double().exp().sum(-1)
    found = []
    for top in (Truncated(ids, log_p, tail), Truncated(ids.numpy(), log_p.numpy(), tail.numpy())):
        found += [Divergence(kind=kind).update(top, x, labels).result() for x in (student, student.numpy())]
    assert all(each == pytest.approx(found[0], rel=1e-4) for each in found)
    whole = Divergence(kind=kind).update(teacher, student, labels).mean
    assert (
        0.0
        < found[0]["js" if kind == "jensen-shannon" else "kl" if kind == "forward" else "reverse_kl"]
        < whole
    )
    half = Truncated(ids, log_p.bfloat16())
    assert Divergence(kind=kind).update(half, student, labels).mean == pytest.approx(
        next(iter(found[0].values())), rel=0.02
    )
    padded = Truncated(F.pad(ids, (0, 2), value=-1), F.pad(log_p, (0, 2)))
    assert Divergence(kind=kind).update(padded, student, labels).mean == pytest.approx(
        next(iter(found[0].values())), rel=1e-4
    )


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
def test_extremes(kind: Any) -> None:
    large = torch.tensor([[1e4, -1e4, 0.0]], dtype=kind)
    assert cross_entropy(large, torch.tensor([1])) == pytest.approx(2e4, rel=1e-2)
    assert cross_entropy(large, torch.tensor([0])) == entropy(large) == 0.0
    even = torch.tensor([[1e4, 1e4, -math.inf]], dtype=kind)
    assert cross_entropy(even, torch.tensor([0])) == pytest.approx(math.log(2))
    assert perplexity(even, torch.tensor([2])) == math.inf
    assert kl_divergence(even, torch.zeros_like(even)) == pytest.approx(math.log(1.5), rel=1e-6)
    assert kl_divergence(torch.zeros_like(even), even) == math.inf
    assert kl_divergence(even, even) == jensen_shannon(even, even) == 0.0
    for bad in (math.nan, math.inf):
        rows = torch.tensor([[bad, 0.0, 0.0], [0.0, 1.0, 2.0]], dtype=kind)
        for metric in (CrossEntropy(), Entropy(), Accuracy(), Accuracy(k=2)):
            seen = metric.update(rows, torch.tensor([1, 1]))
            if math.isnan(bad) or not isinstance(metric, Accuracy):
                assert math.isnan(seen.mean) and seen.nonfinite == 1
        assert math.isnan(kl_divergence(rows, torch.zeros_like(rows)))


def test_wrong_labels_are_refused_before_torch_sees_them(data: Any) -> None:
    for labels, message in (
        (torch.full((4, 33), V), f"label {V}, that of row 0"),
        (torch.full((4, 33), 0.5), "torch.float32, and must be whole"),
        (data[2] > 0, "torch.bool, and must be whole"),
        (data[2][:2], r"shape \(2, 33\)"),
    ):
        with pytest.raises(InputError, match=message):
            cross_entropy(data[1], labels)
    assert cross_entropy(data[1][:, :1], [[0]] * 4) > 0.0  # a list will do


def test_a_model_of_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=50, n_positions=16, n_embd=8, n_layer=1, n_head=2, initializer_range=0.5
    )
    model = transformers.GPT2LMHeadModel(config)
    tokens = torch.randint(0, 50, (1, 45))
    with pytest.raises(InputError, match="training mode"):
        CrossEntropy().update_long(model, tokens, window=16, stride=4)
    model.eval()
    labels = tokens[:, :16].clone()
    labels[0, :4] = -100
    with torch.no_grad():
        output = model(tokens[:, :16], labels=labels)
    assert cross_entropy(output.logits, labels, shift=True) == pytest.approx(output.loss.item(), rel=1e-5)

    total = 0.0  # the strided loop, with the last window reaching back
    for begin, first in ((0, 1), (8, 16), (16, 24), (24, 32), (29, 40)):
        end = min(begin + 16, 45)
        some = tokens[:, begin:end].clone()
        some[0, : first - begin] = -100
        with torch.no_grad():
            loss = model(tokens[:, begin:end], labels=some).loss.item()
        total += loss * (end - first)
    for given, batch in ((tokens, 1), (tokens[0].tolist(), 3)):
        seen = CrossEntropy().update_long(model, given, window=16, stride=8, batch=batch)
        assert seen.tokens == 44
        assert seen.mean == pytest.approx(total / 44, rel=1e-5)
    closer = CrossEntropy().update_long(model, tokens, window=16, stride=1, batch=8)
    assert closer.tokens == 44 and closer.sequences == 30


def test_ranks_of_torch_distributed_add_up(tmp_path: Path) -> None:
    code = f"""
import os, sys, torch, torch.distributed as dist
from taut.metrics.language import CrossEntropy
logits = torch.randn(6, 5, 9, generator=torch.Generator().manual_seed(0))
labels = torch.arange(30).reshape(6, 5) % 9
rank = 0 if os.fork() else 1
dist.init_process_group("gloo", init_method="file://{tmp_path}/store", rank=rank, world_size=2)
mine = slice(0, 5) if rank == 0 else slice(5, 6)
metric = CrossEntropy().update(logits[mine], labels[mine], words=4 + rank)
state = torch.tensor(metric.state)
dist.all_reduce(state)
metric.state = state.tolist()
whole = CrossEntropy().update(logits, labels, words=9)
assert all(abs(metric.result()[k] - v) < 1e-9 for k, v in whole.result().items()), metric
if rank == 0:
    assert os.wait()[1] == 0
    print("same")
dist.destroy_process_group()
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert ran.stdout == "same\n", ran.stderr


def test_snippets_of_the_documentation_that_need_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    page = Path(__file__).parents[2] / "docs" / "metrics.md"
    snippets = re.findall(r"^```py\n(.*?)^```", page.read_text(), flags=re.M | re.S)
    assert len(snippets) == 3
    monkeypatch.chdir(tmp_path)
    exec(compile("\n".join(snippets), str(page), "exec"), {})


def test_memory_beyond_what_is_given_is_small() -> None:
    code = """
import resource, torch
from taut.metrics.language import *
torch.set_num_threads(1)
x = torch.zeros(2, 50, 64_000, dtype=torch.bfloat16)  # 13 MB, 26 MB as float32
x[..., 3] = 1
y = torch.ones(2, 50, dtype=torch.long)
def all_of_them(x, y):
    CrossEntropy(shift=True).update(x, y); CrossEntropy().update(x[:, :-1], y[:, 1:]); Divergence().update(x, x, y)
    Divergence(kind="jensen-shannon").update(x[:, :-1], x[:, 1:]); Accuracy(k=5).update(x, y); Entropy().update(x[:, :-1], y[:, 1:])
all_of_them(x[:, :9], y[:, :9])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
all_of_them(x, y)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(ran.stdout) * (1 if sys.platform == "darwin" else 1024) < 10e6


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu(data: Any) -> None:
    teacher, student, labels = data
    there = [each.cuda() for each in data]
    top = teacher.log_softmax(-1).topk(20)
    stored = Truncated(top.indices, top.values)
    for metric in (
        CrossEntropy(shift=True),
        Accuracy(),
        Accuracy(k=5),
        Entropy(),
        *(Divergence(kind=kind) for kind in ("forward", "reverse", "jensen-shannon")),
    ):  # type: ignore[arg-type]
        for first in (teacher, stored) if isinstance(metric, Divergence) else (None,):
            host, device = copy.copy(metric), copy.copy(metric)
            if isinstance(metric, Divergence):
                host.update(first, student, labels)
                device.update(first, there[1], there[2])  # the teacher stays on the host
            else:
                host.update(student, labels)
                device.update(there[1], labels)
            assert device.state == pytest.approx(host.state, rel=1e-4, abs=1e-6)
    logits = torch.zeros(2, 1024, 65536, dtype=torch.bfloat16, device="cuda")
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    CrossEntropy(shift=True).update(logits, torch.zeros(2, 1024, dtype=torch.long, device="cuda"))
    assert torch.cuda.max_memory_allocated() - before < 2**28 < logits.nbytes * 2
    assert np.isfinite(kl_divergence(logits, logits))
