"""Conditions and coupled parameters of a space."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taut.errors import InputError
from taut.space import (
    Space,
    choice,
    expr,
    lognormal,
    loguniform,
    loguniform_int,
    ordinal,
    uniform,
    uniform_int,
)

SPACE = Space(
    nesterov=choice([True, False], when="momentum > 0.5"),  # names what is defined later
    lr=loguniform(1e-5, 1e-3),
    lora_r=ordinal([8, 16, 32, 64]),
    optim=choice(["adamw", "sgd", "lion"]),
    momentum=uniform(0.0, 0.99, when="optim == 'sgd'"),
    alpha=expr("2 * lora_r"),
    damp=expr("1 - momentum"),
    wide=uniform_int(1, 4, when="alpha >= 64 and optim in ['adamw', 'lion']"),
)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["quantile", "decode"]))
def test_nested_conditions_against_plain_python(seed: int, how: str) -> None:
    u = np.random.default_rng(seed).random((40, len(SPACE)))
    full = getattr(SPACE, how)(u, conditions=False)
    codes = getattr(SPACE, how)(u)
    params = SPACE.params(codes)
    for p, row in zip(params, full, strict=True):
        sgd = p["optim"] == "sgd"
        assert ("momentum" in p) == sgd == ("damp" in p)
        assert ("nesterov" in p) == (sgd and p["momentum"] > 0.5)
        assert p["alpha"] == 2 * p["lora_r"] and type(p["alpha"]) is int
        assert ("wide" in p) == (p["alpha"] >= 64 and not sgd)
        assert not sgd or p["damp"] == 1 - p["momentum"]
        assert list(p) == [name for name in SPACE.names if name in p]
        assert not np.isnan(row).any()
    assert np.array_equal(SPACE.active(full), ~np.isnan(codes)) and np.array_equal(
        SPACE.active(codes), ~np.isnan(codes)
    )
    assert np.array_equal(SPACE.condition(full), codes, equal_nan=True)
    assert np.array_equal(SPACE.codes(params), codes, equal_nan=True)
    assert np.array_equal(SPACE.codes(params, known=True), codes, equal_nan=True)
    unit = SPACE.encode(codes)
    assert np.all(unit[np.isnan(codes)] == 0.5)
    again = SPACE.decode(unit)
    assert np.array_equal(np.isnan(again), np.isnan(codes)) and np.allclose(
        again, codes, rtol=1e-12, equal_nan=True
    )
    assert np.array_equal(
        SPACE.encode(SPACE.decode(SPACE.encode(again))), SPACE.encode(again)
    ) or np.allclose(SPACE.encode(again), unit, atol=1e-14)


def test_given_coupled_values_are_checked() -> None:
    row = dict(lr=1e-4, lora_r=8, optim="adamw")
    assert np.array_equal(SPACE.codes([row]), SPACE.codes([{**row, "alpha": 16}]), equal_nan=True)
    with pytest.raises(InputError, match="alpha: 17 is given, but '2 \\* lora_r' is 16; leave alpha out"):
        SPACE.codes([{**row, "alpha": 17}])


def test_coupled_parameters_of_every_type() -> None:
    space = Space(
        n=uniform_int(1, 3), x=uniform(0, 1), o=choice(["a", "b"]), flag=choice([True, False], when="o == 'a'"),
        ratio=expr("n / 2"), alias=expr("o"), small=expr("x < 0.5"), both=expr("flag and n > 1"), chain=expr("ratio * 2 + n"),
        fixed=expr("3"), rounded=expr("round(10 * x)"),
    )  # fmt: skip
    rows = space.params(space.quantile([[0.5, 0.25, 0.0, 0.0], [0.0, 0.75, 0.9, 0.0], [0.9, 0.75, 0.9, 0.9]]))
    assert rows == [
        dict(
            n=2,
            x=0.25,
            o="a",
            flag=True,
            ratio=1.0,
            alias="a",
            small=True,
            both=True,
            chain=4.0,
            fixed=3,
            rounded=2,
        ),
        # n > 1 is false, which decides `both` although flag is inactive
        dict(
            n=1, x=0.75, o="b", ratio=0.5, alias="b", small=False, both=False, chain=2.0, fixed=3, rounded=8
        ),
        dict(n=3, x=0.75, o="b", ratio=1.5, alias="b", small=False, chain=6.0, fixed=3, rounded=8),
    ]
    assert [type(rows[0][k]) for k in ("ratio", "small", "both", "chain", "fixed", "rounded")] == [
        float, bool, bool, float, int, int]  # fmt: skip


def test_conditions_on_mixed_values_and_dotted_names() -> None:
    space = Space(
        {
            "opt.name": choice(["sgd", None, 1, True, ["a", "b"]]),
            "opt.a": uniform(0, 1, when="opt.name == None"),
            "opt.b": uniform(0, 1, when="opt.name == 1"),
            "opt.c": uniform(0, 1, when="opt.name == True"),
            "opt.d": uniform(0, 1, when="opt.name not in ['sgd', None]"),
        }
    )
    names = [
        list(p)[1:]
        for p in space.params(space.quantile([[(i + 0.5) / 5, 0.5, 0.5, 0.5, 0.5] for i in range(5)]))
    ]
    assert names == [[], ["opt.a"], ["opt.b", "opt.d"], ["opt.c", "opt.d"], ["opt.d"]]


@pytest.mark.parametrize(
    "when",
    ["n == 37", "37 == n", "1 <= n <= 2", "n > 9998", "lr == 1e-3", "lr >= 0.001", "lr <= 1e-5", "r != 8 and r >= 64",
     "a == 'k' and b == 'k' and c == 'k'", "n in [3, 77] and r == 16", "x == 0.3", "n % 2 == 1 and lr < 1e-4",
     "lr < 1.1e-5 and n == 9999 and r == 8"],
)  # fmt: skip
def test_rare_conditions_are_found(when: str) -> None:
    ten = "abcdefghijk"
    Space(n=uniform_int(1, 10000), lr=loguniform(1e-5, 1e-3), r=ordinal([8, 16, 32, 64]), a=choice(list(ten)),
          b=choice(list(ten)), c=choice(list(ten)), x=uniform(0, 1, step=0.1), y=uniform(0, 1, when=when))  # fmt: skip


BASE: dict[str, Any] = dict(
    lr=loguniform(1e-5, 1e-3),
    n=uniform_int(1, 9, step=2),
    optim=choice(["adam", "sgd"]),
    r=ordinal(["low", "high"]),
)
FIVE = "there are lr, n, optim, r, x"
WRONG: list[tuple[str, str]] = [
    ("optmi == 'sgd'", "'optmi' in \"optmi == 'sgd'\" is no parameter; did you mean 'optim'?"),
    ("zzz > 1", f"'zzz' in 'zzz > 1' is no parameter; {FIVE}"),
    ("x > 0.5", "'x > 0.5' names 'x' itself; name other parameters"),
    ("lr", "'lr' is a number, not a condition; compare it, for instance lr == ..."),
    ("optim + 1 > 2", "'optim' is a text, but arithmetic needs a number; only numbers can be computed with"),
    ("optim == 'sdg'", "\"optim == 'sdg'\" compares with 'sdg', which 'optim' can never be; it is one of 'adam', 'sgd';"
                       " did you mean 'sgd'?"),
    ("'sdg' != optim", "\"'sdg' != optim\" compares with 'sdg', which 'optim' can never be; it is one of 'adam', 'sgd';"
                       " did you mean 'sgd'?"),
    ("optim not in ['sgd', 'x']", "\"optim not in ['sgd', 'x']\" compares with 'x', which 'optim' can never be;"
                                  " it is one of 'adam', 'sgd'"),
    ("n == 2", "'n == 2' compares with 2, which 'n' can never be; it is a whole number from 1 to 9 in steps of 2"),
    ("lr == 1", "'lr == 1' compares with 1, which 'lr' can never be; it is a number from 1e-05 to 0.001"),
    ("r > 'low'", "'r' is a text and has no order; use == or in"),
    ("lr > 1", "'lr > 1' is never true in {n} combinations tried, so 'x' would never be searched; correct the condition,"
               " or remove the parameter"),
    ("optim == 'sgd' and optim == 'adam'", "\"optim == 'sgd' and optim == 'adam'\" is never true in {n} combinations tried,"
     " so 'x' would never be searched; correct the condition, or remove the parameter"),
    ("1 / (n - 5) > 0", "'1 / (n - 5)' in '1 / (n - 5) > 0' divides by zero at n = 5; narrow the ranges, or rewrite the"
                        " expression"),
]  # fmt: skip


@pytest.mark.parametrize("when, message", WRONG)
def test_wrong_conditions(when: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        Space(**BASE, x=uniform(0, 1, when=when))
    text = error.value.message
    if "{n}" in message:
        message = message.replace("{n}", text.split(" in ")[-1].split()[0])
    assert text == message and error.value.at == ("x", "when")


def test_circles() -> None:
    with pytest.raises(InputError) as error:
        Space(a=uniform(0, 1, when="c > 0"), b=uniform(0, 1, when="a > 0"), c=expr("b + 1"))
    assert str(error.value) == (
        "a.when: the parameters need each other in a circle: a -> c -> b -> a; take one condition out"
    )


def test_a_condition_on_a_parameter_that_contradicts_its_own() -> None:
    with pytest.raises(InputError, match=r"^c\.when: .* is never true"):
        Space(a=choice(["x", "y"]), b=uniform(0, 1, when="a == 'x'"),
              c=uniform(0, 1, when="b > 0.5 and a == 'y'"))  # fmt: skip


@pytest.mark.parametrize(
    "source, message",
    [
        ("2 * lr +", "y.expr: '2 * lr +' is not an expression; "),
        (
            "log(optim)",
            "y.expr: 'optim' is a text, but log needs a number; only numbers can be computed with",
        ),
        (
            "1 / n0",
            "y.expr: '1 / n0' divides by zero at n0 = 0; narrow the ranges, or rewrite the expression",
        ),
        ("y", "y.expr: 'y' names 'y' itself; name other parameters"),
        ("big * big", "y.expr: 'big * big' exceeds 2**53, the largest whole number kept exactly, at big = "),
    ],
)
def test_wrong_expressions(source: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        Space(**BASE, n0=uniform_int(0, 3), big=uniform_int(1, 10**9), y=expr(source))
    assert str(error.value).startswith(message)


def test_an_error_that_only_a_rare_value_makes_names_the_parameter() -> None:
    space = Space(n=loguniform_int(1, 10**6), y=expr("1 / (3 * n - 2222223)"))
    with pytest.raises(InputError) as error:
        space.params([[740741.0]])
    assert str(error.value).startswith("y.expr: '1 / (3 * n - 2222223)' divides by zero at n = 740741")


def test_missing_values_of_parents() -> None:
    nan = np.nan
    codes = np.array([[nan, 1e-4, 1, nan, 0.5, 2.0]])
    assert SPACE.active(codes).tolist() == [[False, True, True, False, False, False]]


def test_many_rows_at_once_are_like_one_by_one() -> None:
    codes = SPACE.quantile(np.random.default_rng(0).random((200, len(SPACE))))
    rows = SPACE.params(codes)
    assert rows == [SPACE.params(codes[i : i + 1])[0] for i in range(200)]
    assert np.array_equal(SPACE.codes(rows), np.concatenate([SPACE.codes([r]) for r in rows]), equal_nan=True)


def test_conditions_on_normals() -> None:
    space = Space(a=lognormal(-6, 1), b=uniform(0, 1, when="a > 0.002"))
    codes = space.quantile([[0.01, 0.5], [0.99, 0.5]])
    assert np.isnan(codes[:, 1]).tolist() == [True, False]


def test_many_conditions_stay_quick_to_define() -> None:
    pairs = {f"c{i}": choice(list("abcdefgh")) for i in range(40)}
    nested = {
        f"x{i}": uniform(0, 1, when=f"c{i} == 'a' and c{(i + 1) % 40} == 'b' and c{(i + 7) % 40} != 'c'")
        for i in range(40)
    }
    began = time.perf_counter()
    space = Space({**pairs, **nested})
    assert len(space) == 80 and time.perf_counter() - began < 5.0
