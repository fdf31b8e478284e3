"""How many sequences per second a model is trained on, and the memory that it takes, for one way to train it.

taut imports this module once for each worker; what is at the top of it is not paid for again by every trial.
"""

from __future__ import annotations

import statistics
import time

import torch
from model import CONTEXT, VOCABULARY, Batch, LanguageModel, packed, padded
from torch import Tensor

SEQUENCES = 64  # of one pass
REPEATS = 3


def sequences() -> list[Tensor]:
    """Synthetic ones, always the same: most are short and a few are long, as texts are."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randn(SEQUENCES, generator=generator).mul(0.8).add(3.7).exp().long().clamp(8, CONTEXT)
    return [torch.randint(VOCABULARY, (int(length),), generator=generator) for length in lengths]


DATA = sequences()


def throughput(batch_size: int, threads: int, packing: bool, dtype: str, optimizer: str) -> dict[str, float]:
    """Train for a few passes; the median pass counts, since others on the machine only ever make one slower."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = LanguageModel()
    kind = {"loop": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}[optimizer]
    adam = torch.optim.AdamW(model.parameters(), lr=1e-3, **kind)
    parts = [DATA[begin : begin + batch_size] for begin in range(0, SEQUENCES, batch_size)]

    def step(batch: Batch) -> None:
        adam.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bfloat16"):
            loss = model.loss(batch)
        loss.backward()
        adam.step()

    def run() -> float:
        """Seconds of one pass; putting batches together is part of the work."""
        begin = time.perf_counter()
        for part in parts:
            step(packed(part) if packing else padded(part))
        return time.perf_counter() - begin

    batches = [packed(part) if packing else padded(part) for part in parts]
    memory = max(kept(model, batch, dtype) for batch in batches)
    filled = sum(map(len, DATA)) / sum(batch.tokens.numel() for batch in batches)
    run()  # warm-up: threads start, kernels are chosen, the optimizer makes its state
    seconds = statistics.median(run() for _ in range(REPEATS))
    return {"seq_per_s": SEQUENCES / seconds, "memory_mb": memory / 1e6, "padding": 1 - filled}


def kept(model: LanguageModel, batch: Batch, dtype: str) -> int:
    """Bytes that a step needs at least: weights, gradients, Adam's two moments, and what is kept for the way back.

    Counted rather than measured: the same on every machine, and a worker that has had larger trials before does not matter.
    """
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    found: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bfloat16"),
    ):
        loss = model.loss(batch)
    del loss  # only now may what was kept go, and its address be used again
    return 4 * sum(weight.nbytes for weight in model.parameters()) + sum(found.values())
