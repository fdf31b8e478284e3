"""Time and memory of language-model metrics beside PyTorch's own functions and torchmetrics.

python benchmarks/language.py                                    # --batch 2 --length 1024 --vocabulary 32000 --rounds 3
python benchmarks/language.py --device cuda --batch 4 --length 2048 --vocabulary 131072

Each contestant runs in a process of its own, on logits that it has there already. Seconds are those of the processor (one thread), or of the clock on a
GPU, the least of three; memory is what the peak lies above the logits. The error is that of the value, against float64.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import common

Run = Callable[[], float]
SCORED = {"cross-entropy, a quarter scored": 0.25}


def contestants(task: str, teacher: Any, student: Any, labels: Any) -> dict[str, Run]:
    """Each gives the value of a task; "exact" is what the others are held against."""
    import torch

    from taut.metrics import language as taut

    F = torch.nn.functional
    V = student.shape[-1]

    def flat(x: Any) -> Any:
        return x.flatten(0, 1)

    def exact(of: Callable[[int], Any]) -> float:
        rows = [of(i) for i in range(labels.numel()) if flat(labels)[i] != -100]
        return float(torch.stack(rows).mean())

    def torchmetric(module: str, name: str, *given: Any, **options: Any) -> float:
        metric = getattr(__import__(f"torchmetrics.{module}", fromlist=[name]), name)(**options)
        metric = metric.to(student.device)
        metric.update(*given)
        return float(metric.compute())

    if task.startswith("cross-entropy"):
        return {
            "exact": lambda: exact(lambda i: F.cross_entropy(flat(student)[i].double(), flat(labels)[i])),
            "torch": lambda: float(F.cross_entropy(flat(student).float(), flat(labels))),
            "torchmetrics": lambda: math.log(torchmetric("text", "Perplexity", student, labels, ignore_index=-100)),
            "taut": lambda: taut.cross_entropy(student, labels),
            **({"taut, NumPy": lambda: taut.cross_entropy(student.numpy(), labels.numpy())} if student.dtype == torch.float32 and student.device.type == "cpu" else {}),
        }  # fmt: skip
    if task.startswith("KL"):

        def exact_row(i: int) -> Any:
            p, q = (F.log_softmax(flat(x)[i].double(), -1) for x in (teacher, student))
            return (p.exp() * (p - q)).sum()

        def of_torch() -> float:
            p, q = (F.log_softmax(x, -1, dtype=torch.float32) for x in (teacher, student))
            return float(F.kl_div(q, p, log_target=True, reduction="sum")) / labels.numel()

        def of_torchmetrics() -> float:
            p, q = (flat(F.log_softmax(x, -1, dtype=torch.float32)) for x in (teacher, student))
            return torchmetric("regression", "KLDivergence", p, q, log_prob=True)

        return {
            "exact": lambda: exact(exact_row),
            "torch": of_torch,
            "torchmetrics": of_torchmetrics,
            "taut": lambda: taut.kl_divergence(teacher, student),
        }
    k = 5
    return {
        "exact": lambda: exact(lambda i: (flat(student)[i].topk(k).indices == flat(labels)[i]).any().double()),
        "torch": lambda: float((student.topk(k).indices == labels[..., None]).any(-1).double().mean()),
        "torchmetrics": lambda: torchmetric("classification", "MulticlassAccuracy", flat(student), flat(labels), num_classes=V, top_k=k, average="micro"),
        "taut": lambda: taut.accuracy(student, labels, k),
    }  # fmt: skip


TASKS = {
    "cross-entropy, bfloat16": "bfloat16",
    "cross-entropy, a quarter scored": "bfloat16",
    "cross-entropy, float32": "float32",
    "KL divergence, bfloat16": "bfloat16",
    "top-5 accuracy, bfloat16": "bfloat16",
}


def resident(name: str) -> int:
    """Bytes in memory: now (VmRSS), or at most so far (VmHWM)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def one(options: argparse.Namespace) -> dict[str, float]:
    """Runs one contestant here: seconds, MiB above the data, value."""
    import torch

    torch.set_num_threads(1)
    task, name = options.one
    draw = torch.Generator(options.device).manual_seed(0)
    shape, like = (options.batch, options.length), {"generator": draw, "device": options.device}
    kind = getattr(torch, TASKS[task])
    student = torch.empty(*shape, options.vocabulary, dtype=kind, device=options.device)
    for row in student:
        row.copy_(2.0 * torch.randn(row.shape, **like))
    teacher = student if not task.startswith("KL") else torch.empty_like(student)
    for row, other in zip(teacher, student, strict=True) if teacher is not student else ():
        row.copy_(other + 0.1 * torch.randn(row.shape, **like))
    labels = torch.randint(0, options.vocabulary, shape, **like)
    labels[torch.rand(shape, **like) >= SCORED.get(task, 1.0)] = -100
    run = contestants(task, teacher, student, labels)[name]
    cuda = options.device == "cuda"
    small = [x[:, :16] for x in (teacher, student, labels)]
    contestants(task, *small)[name]()  # what is loaded at first use
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    else:
        Path("/proc/self/clear_refs").write_text("5")  # forgets the peak of making the logits; Linux only
        before = resident("VmRSS")
    clock, spent, value = (time.perf_counter if cuda else time.process_time), [], math.nan
    for _ in range(1 if name == "exact" else 3):
        begin = clock()
        value = run()
        spent.append(clock() - begin)
    after = torch.cuda.max_memory_allocated() if cuda else resident("VmHWM")
    return {"seconds": min(spent), "MiB": max(after - before, 0) / 2**20, "value": value}


def apart(options: argparse.Namespace, task: str, name: str) -> dict[str, float]:
    """The same in a process of its own; NaN where that ends badly, for instance without memory."""
    sizes = [f"--{key}={getattr(options, key)}" for key in ("device", "batch", "length", "vocabulary")]
    ran = subprocess.run(
        [sys.executable, __file__, *sizes, "--one", task, name], capture_output=True, text=True
    )
    if ran.returncode:
        print(f"{task}, {name}: {(ran.stderr.strip().splitlines() or [ran.returncode])[-1]}", file=sys.stderr)
        return dict.fromkeys(("seconds", "MiB", "value"), math.nan)
    return dict(json.loads(ran.stdout))


def ratio(value: float, base: float) -> str:
    return f"{value / base:.2f}" if base else ""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--vocabulary", type=int, default=32000)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(options)))
        return

    import torch

    numbers = options.batch * options.length * options.vocabulary
    size = f"logits ({options.batch}, {options.length}, {options.vocabulary}), {numbers * 2 / 2**20:.0f} MiB as bfloat16"
    print(common.header(f"{size}, on {options.device}, torch {torch.__version__}"))
    rows = []
    for task, kind in TASKS.items():
        names = contestants(
            task,
            *(torch.empty(1, 1, 2, dtype=getattr(torch, kind), device=options.device),) * 2,
            torch.zeros(1, 1, dtype=torch.long),
        )
        runs = {name: partial(apart, options, task, name) for name in names if name != "exact"}
        value = apart(options, task, "exact")["value"]
        found = {
            name: {key: statistics.median(each[key] for each in results) for key in results[0]}
            for name, results in common.rounds(runs, options.rounds, warm_up=0).items()
        }
        base = found["torch"]
        for name, each in found.items():
            rows.append((
                task if name == "torch" else "", name, f"{each['seconds']:.3f}", ratio(each["seconds"], base["seconds"]),
                f"{each['MiB']:.0f}", ratio(each["MiB"], base["MiB"]), f"{abs(each['value'] / value - 1.0):.0e}",
            ))  # fmt: skip
    print(common.table(("", "", "s", "/ torch", "MiB above", "/ torch", "error"), rows))


if __name__ == "__main__":
    main()
