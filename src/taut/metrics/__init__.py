"""Numbers that trials are judged by. Scripts use `taut.metrics.language` and `taut.metrics.meters`, which are loaded when first used."""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    if name not in ("language", "meters"):
        raise AttributeError(f"module 'taut.metrics' has no attribute {name!r}")
    return importlib.import_module(f"taut.metrics.{name}")
