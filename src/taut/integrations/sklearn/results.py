"""From a study's trials to what scikit-learn's `cv_results_` is made of."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from taut.trial import TrialRecord

__all__ = ["failures", "outcomes", "scorers_of"]


def scorers_of(records: Sequence[TrialRecord]) -> list[str]:
    """The names of all scorers that gave a number on a first fold."""
    found = (re.fullmatch(r"split0_test_(\w+)", name) for record in records for name in record.values)
    return list(dict.fromkeys(match[1] for match in found if match))


def outcomes(
    record: TrialRecord, n_splits: int, scorers: dict[str, str], multimetric: bool, train: bool
) -> list[dict[str, Any]]:
    """A trial as `_fit_and_score` would give its folds; what was not evaluated is NaN.

    scorers: from a scorer's name to the one it has in the trial's metrics.
    """

    def value(index: int, name: str) -> float:
        return record.values.get(f"split{index}_{name}", math.nan)

    def scores(index: int, part: str) -> Any:
        if not multimetric:
            return value(index, f"{part}_score")
        return {name: value(index, f"{part}_{own}") for name, own in scorers.items()}

    return [
        {
            "fit_time": value(index, "fit_time"),
            "score_time": value(index, "score_time"),
            "test_scores": scores(index, "test"),
            **({"train_scores": scores(index, "train")} if train else {}),
        }
        for index in range(n_splits)
    ]


def failures(records: Sequence[TrialRecord], n_splits: int) -> list[dict[str, str | None]]:
    """Each fold that was fitted, with why that failed if it did, as scikit-learn's account of failed fits takes them."""
    found: list[dict[str, str | None]] = []
    for record in records:
        for index in range(n_splits):
            if f"split{index}_fit_time" in record.values:
                failed = f"split{index}_failed" in record.values
                found.append({"fit_error": "it was counted with error_score" if failed else None})
        if record.state == "failed":
            found.append({"fit_error": _why(record.error)})
    return found


def _why(error: str | None) -> str:
    """The error without our own frames, which tell the user nothing."""
    return (error or "it failed").rpartition("folds.Unfit: ")[2]
