"""What the jobs of slurm.py evaluate: a hundred steps of gradient descent, which need torch and little time.

As a program it takes ``--rate 0.1 --momentum 0.5`` and appends its result to the file in `$TAUT_REPORT`.
"""

from __future__ import annotations

import json
import os
import sys
import time

import torch

torch.set_num_threads(1)  # a job has one processor


def evaluate(rate: float, momentum: float) -> dict[str, float]:
    """The loss of a linear regression, and how many seconds it took to find."""
    begin = time.perf_counter()
    random = torch.Generator().manual_seed(0)
    inputs = torch.randn(256, 16, generator=random)
    targets = inputs @ torch.randn(16, 1, generator=random)
    weights, velocity = torch.zeros(16, 1, requires_grad=True), torch.zeros(16, 1)
    for _ in range(100):
        loss = ((inputs @ weights - targets) ** 2).mean()
        (gradient,) = torch.autograd.grad(loss, weights)
        velocity = momentum * velocity + gradient
        with torch.no_grad():
            weights -= rate * velocity
    return {"loss": loss.item(), "computing": time.perf_counter() - begin}


if __name__ == "__main__":
    given = dict(zip(sys.argv[1::2], map(float, sys.argv[2::2]), strict=True))
    found = evaluate(given["--rate"], given["--momentum"])
    with open(os.environ["TAUT_REPORT"], "a", encoding="utf-8") as file:
        file.write(json.dumps({**found, "end": time.time()}) + "\n")
