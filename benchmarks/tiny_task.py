"""What tiny.py evaluates: a millisecond of waiting, alone or behind an import that everybody has.

As a program it takes KIND, X and a file, and appends its result to that file.
"""

from __future__ import annotations

import json
import sys
import time

__all__ = ["KINDS", "evaluate"]

KINDS = ("nothing", "numpy", "torch")


def evaluate(kind: str, x: float) -> float:
    """The loss of x, after the import that `kind` names and a millisecond."""
    if kind == "numpy":
        import numpy

        x = float(numpy.square(x))
    elif kind == "torch":
        import torch

        x = float(torch.square(torch.tensor(x)))
    time.sleep(0.001)
    return x


def nothing(x: float) -> float:
    return evaluate("nothing", x)


def numpy(x: float) -> float:
    return evaluate("numpy", x)


def torch(x: float) -> float:
    return evaluate("torch", x)


if __name__ == "__main__":
    kind, x, place = sys.argv[1:]
    loss = evaluate(kind, float(x))
    with open(place, "a", encoding="utf-8") as file:
        file.write(json.dumps({"loss": loss, "t": time.time()}) + "\n")
