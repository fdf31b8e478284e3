"""Columns that are mapped together come out as each would alone, and as each row would alone."""

import numpy as np

import taut
from taut import choice, lognormal, loguniform, normal, uniform, uniform_int

SPACE = taut.Space(
    {
        **{f"log{i}": loguniform(10.0 ** -(i + 1), 10.0**i) for i in range(5)},
        "steps": uniform(0.0, 1.0, step=0.1),
        **{f"even{i}": uniform(-i, i + 0.3) for i in range(5)},
        "bell": normal(1.0, 2.0),
        "log_bell": lognormal(0.0, 1.0),
        "constant": uniform(2.0, 2.0),
        "log_constant": loguniform(2.0, 2.0),
        "count": uniform_int(1, 9),
        "kind": choice(["a", "b"]),
    }
)
UNIT = np.random.default_rng(0).random((2000, len(SPACE)))
UNIT[0], UNIT[1] = 0.0, 1.0


def test_each_column_is_as_its_parameter_alone_would_have_it() -> None:
    for name in ("quantile", "decode"):
        alone = [getattr(p, name)(UNIT[:, j]) for j, p in enumerate(SPACE.columns)]
        assert np.array_equal(getattr(SPACE, name)(UNIT), np.stack(alone, axis=1))
    codes = SPACE.decode(UNIT)
    alone = [np.clip(p.encode(codes[:, j]), 0.0, 1.0) for j, p in enumerate(SPACE.columns)]
    assert np.array_equal(SPACE.encode(codes), np.stack(alone, axis=1))


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    codes = SPACE.quantile(UNIT)
    for name, given in (("quantile", UNIT), ("decode", UNIT), ("encode", codes)):
        whole = getattr(SPACE, name)(given)
        for i in range(50):
            assert np.array_equal(getattr(SPACE, name)(given[i : i + 1])[0], whole[i])
