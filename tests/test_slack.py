"""Constraints as numbers: at most 0 exactly where a trial keeps them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from taut.definition import Definition, Objective
from taut.events import Finished, Started
from taut.metrics.pareto import losses
from taut.samplers.history import History
from taut.slack import slacks
from taut.snapshot import Snapshot
from taut.space import Space, uniform
from taut.space.prior import Floats

SPACE = Space(x=uniform(0, 1))
NAN = float("nan")


def study(constraints: list[str], rows: list[dict[str, float | None]]) -> Snapshot:
    snapshot = Snapshot(
        Definition("a study", SPACE.to_json(), [Objective("loss")], subject_to=constraints), SPACE
    )
    for n, row in enumerate(rows):
        ended = Finished(n=n, a=0, state="complete", y={"loss": 1.0, **row}, t=n + 0.5)
        snapshot.apply(0, [Started(n=n, a=0, x={"x": 0.5}, r=0, c=n + 1, t=float(n)), ended])
    return snapshot


def of(snapshot: Snapshot) -> Floats:
    return slacks(snapshot.definition.subject_to, snapshot.values, snapshot.size)


def slack(text: str, rows: list[dict[str, float | None]]) -> list[list[float]]:
    """One list for each column."""
    found: list[list[float]] = of(study([text], rows)).T.tolist()
    return found


ROWS: list[dict[str, float | None]] = [{"a": 1.0, "b": 5.0}, {"a": 3.0, "b": 0.0}, {"a": 2.0, "b": 2.0}]
LEAST = 5e-324


@pytest.mark.parametrize(
    "text, columns",
    [
        ("a <= 2", [[-1, 1, 0]]),
        ("a < 2", [[-1, 1, LEAST]]),
        ("a >= 2", [[1, -1, 0]]),
        ("a > 2", [[1, -1, LEAST]]),
        ("2 >= a", [[-1, 1, 0]]),
        ("a <= b", [[-4, 3, 0]]),
        ("2 * a <= b + 1", [[-4, 5, 1]]),
        ("1 < a <= 2", [[LEAST, -2, -1], [-1, 1, 0]]),
        ("3 >= a > b", [[-2, 0, -1], [4, -3, LEAST]]),
        ("a <= 2 and b <= 2", [[-1, 1, 0], [3, -2, 0]]),
        ("(a <= 2 and b <= 2) and a + b <= 4", [[-1, 1, 0], [3, -2, 0], [2, -1, 0]]),
        ("a <= 1 or b <= 1", [[-1, -1, 1]]),
        ("not a <= 2", [[1, -1, 1]]),
        ("a == 2", [[1, 1, -1]]),
        ("a != 2", [[-1, -1, 1]]),
        ("a in [1, 2]", [[-1, 1, -1]]),
        ("1 < a == b", [[1, 1, -1]]),
        ("a <= 2 and not b == 2", [[-1, 1, 0], [-1, -1, 1]]),
        ("1 <= 2", [[-1, -1, -1]]),
        ("max(a, b) <= 3", [[2, 0, -1]]),
    ],
)
def test_every_form(text: str, columns: list[list[float]]) -> None:
    assert slack(text, ROWS) == columns


def test_what_is_not_known() -> None:
    rows: list[dict[str, float | None]] = [
        {"a": None, "b": 1.0},
        {"b": 9.0},
        {"a": NAN, "b": 1.0},
        {"a": 1.0},
    ]
    assert np.array_equal(slack("a <= 2", rows), [[NAN, NAN, NAN, -1]], equal_nan=True)
    assert np.array_equal(slack("nobody <= 2", rows), [[NAN] * 4], equal_nan=True)
    # One side may decide alone.
    assert np.array_equal(slack("a <= 2 or b <= 1", rows), [[-1, NAN, -1, -1]], equal_nan=True)
    assert np.array_equal(slack("not (a <= 2 and b <= 1)", rows), [[NAN, -1, NAN, NAN]], equal_nan=True)


def test_what_cannot_be_computed_is_not_known_in_that_trial_alone() -> None:
    rows: list[dict[str, float | None]] = [{"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 0.0}, {"a": 4.0, "b": 1.0}]
    assert np.array_equal(slack("a / b <= 2", rows), [[-1.5, NAN, 2]], equal_nan=True)
    assert np.array_equal(slack("not a / b <= 2", rows), [[1, NAN, -1]], equal_nan=True)
    assert np.array_equal(slack("log(b) < 1", rows), [[np.log(2) - 1, NAN, -1]], equal_nan=True)
    assert np.array_equal(slack("b == 0 or a / b <= 2", rows), [[-1, -1, 1]])


def test_any_size_is_finite() -> None:
    rows: list[dict[str, float | None]] = [
        {"a": 1.7e308},
        {"a": -1.7e308},
        {"a": float("inf")},
        {"a": -float("inf")},
        {"a": 1e-320},
    ]
    (column,) = slack("a <= -1.7e308", rows)
    assert np.isfinite(column).all() and [value > 0 for value in column] == [True, False, True, False, True]
    (column,) = slack("a <= 0", rows)
    assert column[4] == 1e-320


def test_long_texts_and_none() -> None:
    text = "+".join(["a"] * 90) + "<=" + "+".join(["a"] * 9)  # longer when it is written with blanks
    assert slack(text, ROWS) == [[81, 243, 162]]
    assert of(study([], [])).shape == (0, 0) and of(study([], list(ROWS))).shape == (3, 0)
    assert of(study(["a <= 1", "0 < b <= 1"], [])).shape == (0, 3)


WORDS = ["a <= 2", "a < 2", "b >= 2", "b > a", "1 < a <= 2", "a == b", "a / b <= 1", "a in [1, 3]"]


def texts() -> list[str]:
    pairs = [(p, q) for p in WORDS for q in WORDS]
    joined: list[Any] = [f"({p}) {word} (not {q})" for p, q in pairs for word in ("and", "or")]
    return [*WORDS, *(f"not ({p})" for p in WORDS), *joined]


def test_what_is_kept_is_what_fulfils_the_constraints() -> None:
    rows = [{"a": a, "b": b} for a in (None, 0.0, 1.0, 2.0, 3.0) for b in (None, 0.0, 1.0, 2.0, 3.0)]
    assert len(texts()) == 144
    for text in texts():
        snapshot = study([text], list(rows))
        history = History.of(snapshot)
        assert history.done[history.good].tolist() == losses(snapshot)[0].tolist(), text
