"""The expression language: what it computes, what it knows, what it refuses and in which words."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taut.errors import InputError
from taut.space import Expression

TYPES = {
    "x": "float",
    "n": "int",
    "b": "bool",
    "s": "str",
    "mix": ["int", "str", "none"],
    "ls": ["list", "str"],
}


def value(text: str, **env: Any) -> Any:
    columns = {
        name: np.array([v], dtype=object if isinstance(v, str) or v is None else None)
        for name, v in env.items()
    }
    values, known = Expression.parse(text).evaluate(columns)
    assert np.all(known)
    return np.broadcast_to(values, 1).tolist()[0]


ENV = {"x": 2.5, "n": 7, "m": -3, "b": True, "s": "sgd"}


@pytest.mark.parametrize(
    "text",
    [
        "1 + 2 * 3", "n + 1", "n - m", "n * m", "n / 2", "n // 2", "m // 2", "m % 5", "n % 2.5", "-n", "-x", "--n", "n ** 2",
        "n ** -1", "x ** 0.5", "2 ** 10", "(-1) ** 2", "-1 ** 2", "n * (m + 2)", "min(n, m)", "max(n, m, 9)", "min(n, x)",
        "round(x)", "round(3.5)", "n < 8", "n <= 7 <= n", "1 < n < 5", "n == 7.0", "n != m", "s == 'sgd'", "s != 'sgd'",
        "s in ['a', 'sgd']", "s not in ('a', 'b')", "n in [1, 7]", "n in [-3, 2]", "m in [-3]", "b", "not b", "b and n > 3",
        "b or n > 100", "not b or not n > 3", "b == True", "True", "None == None", "1", "  n  ",
        "(n\n+ 1)", "2.5e-3 * n", "n > 1 and (x < 0 or s == 'sgd')",
    ],
)  # fmt: skip
def test_computes_as_python_does(text: str) -> None:
    got, expected = (
        value(text, **{n: ENV[n] for n in Expression.parse(text).names}),
        eval(text.strip(), {}, dict(ENV)),
    )
    assert got == expected and type(got) is type(expected)


def test_sqrt_and_log() -> None:
    assert value("sqrt(n)", n=9) == 3.0 and value("log(x)", x=math.e) == 1.0
    assert value("round(2.5)") == 2 and type(value("round(x)", x=1e3)) is int


def numbers(depth: int) -> st.SearchStrategy[str]:
    leaf = st.sampled_from(["n", "x", "m", "1", "2", "0.5", "-3"])
    if depth == 0:
        return leaf
    sub = numbers(depth - 1)
    binary = st.tuples(sub, st.sampled_from(["+", "-", "*", "/", "//", "%"]), sub).map(
        lambda t: f"({t[0]} {t[1]} {t[2]})"
    )
    return (
        leaf
        | binary
        | st.tuples(sub, sub).map(lambda t: f"max({t[0]}, {t[1]})")
        | sub.map(lambda t: f"(-{t})")
    )


@given(numbers(3), st.integers(-50, 50), st.integers(-50, 50), st.floats(-9, 9).map(lambda x: round(x, 3)))
def test_arithmetic_agrees_with_python(text: str, n: int, m: int, x: float) -> None:
    env = {"n": n, "m": m, "x": x}
    expression = Expression.parse(text)
    try:
        expected = eval(text, {"max": max}, env)
    except ZeroDivisionError:
        with pytest.raises(InputError, match="divides by zero"):
            value(text, **{k: env[k] for k in expression.names})
        return
    got = value(text, **{k: env[k] for k in expression.names})
    assert got == pytest.approx(expected, rel=1e-9, abs=1e-9)
    kind = expression.check({"n": "int", "m": "int", "x": "float"})
    assert type(got) is {"int": int, "float": float}[kind]


@given(st.text("nxb123 .+-*/%()[]<>=!',andortif:_\n\\", max_size=30))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        expression = Expression.parse(text)
        expression.check(dict.fromkeys(expression.names, "int"))
    except InputError as error:
        assert error.message


def test_columns_and_unknown_rows() -> None:
    x = np.array([1.0, 2.0, np.nan])
    e = Expression.parse("x > 1")
    assert e.holds({"x": x}).tolist() == [False, True, False]
    assert Expression.parse("not x > 1").holds({"x": x}).tolist() == [True, False, False]
    assert Expression.parse("x * 2").evaluate({"x": x})[1].tolist() == [True, True, False]
    assert Expression.parse("s == 'a'").holds({"s": np.array(["a", "b"])}).tolist() == [True, False]
    with pytest.raises(InputError, match="'x > 1' needs 'x', which is not given"):
        e.holds({"y": x})


@pytest.mark.parametrize("op, table", [("and", "TFU FFF UFU"), ("or", "TTT TFU TUU")])
def test_three_valued_logic(op: str, table: str) -> None:
    states = {"T": (True, True), "F": (False, True), "U": (True, False)}
    for a, row in zip("TFU", table.split(), strict=True):
        for b, expected in zip("TFU", row, strict=True):
            env = {"a": ([states[a][0]], [states[a][1]]), "b": ([states[b][0]], [states[b][1]])}
            values, known = Expression.parse(f"a {op} b").evaluate(env)
            assert ("T" if values[0] else "F") * bool(known[0]) + "U" * (not known[0]) == expected


def test_true_is_not_one() -> None:
    column = np.array([1, True, "1", None, 1.0, 0], dtype=object)
    assert Expression.parse("c == 1").holds({"c": column}).tolist() == [
        True,
        False,
        False,
        False,
        True,
        False,
    ]
    assert Expression.parse("c == True").holds({"c": column}).tolist() == [
        False,
        True,
        False,
        False,
        False,
        False,
    ]
    assert Expression.parse("c == None").holds({"c": column}).tolist() == [
        False,
        False,
        False,
        True,
        False,
        False,
    ]
    assert Expression.parse("c != '1'").holds({"c": column}).tolist() == [True, True, False, True, True, True]


def test_a_guard_protects_what_follows() -> None:
    x = np.array([0.0, 0.5, 2.0])
    assert Expression.parse("x != 0 and 1 / x > 1").holds({"x": x}).tolist() == [False, True, False]
    assert Expression.parse("x == 0 or 1 / x > 1").holds({"x": x}).tolist() == [True, True, False]
    assert Expression.parse("1 / x").evaluate({"x": (x, x > 0)})[1].tolist() == [False, True, True]


def test_conditions_on_metrics_take_what_cannot_be_computed_as_unknown() -> None:
    env = {"energy": np.array([1.0, 2.0, np.nan]), "tokens": np.array([0.0, 1.0, 1.0])}
    assert Expression.parse("energy / tokens <= 3").holds(env).tolist() == [False, True, False]
    assert Expression.parse("not energy / tokens > 3").holds(env).tolist() == [False, True, False]
    assert Expression.parse("log(tokens) < 1 or energy < 2").holds(env).tolist() == [True, True, True]
    with pytest.raises(InputError, match="divides by zero"):
        Expression.parse("energy / tokens <= 3").holds(env, strict=True)


def test_as_values() -> None:
    e = Expression.parse("optim=='sgd'  and (lr>1)")
    assert e.names == ("optim", "lr") and e.source == "optim=='sgd'  and (lr>1)"
    assert e == Expression.parse("optim == 'sgd' and lr > 1") != Expression.parse("lr > 1") and e != 1
    assert Expression.parse("(-1) ** 2") != Expression.parse("-1 ** 2")
    assert pickle.loads(pickle.dumps(e)) == e and hash(e) == hash(pickle.loads(pickle.dumps(e)))
    assert repr(Expression.parse("2 * r")) == "Expression('2 * r')"
    assert Expression.parse("model.lr * max(a, a)").names == ("model.lr", "a")


@pytest.mark.parametrize(
    "text, kind",
    [("n", "int"), ("n + n", "int"), ("n + x", "float"), ("n / n", "float"), ("n ** 2", "int"), ("n ** -1", "float"),
     ("n // 2", "int"), ("round(x)", "int"), ("sqrt(n)", "float"), ("min(n, x)", "float"), ("b", "bool"), ("s", "str"),
     ("n < x", "bool"), ("None", "none"), ("mix == 'auto'", "bool"), ("ls == 'all'", "bool"), ("number", "float")],
)  # fmt: skip
def test_types(text: str, kind: str) -> None:
    assert Expression.parse(text).check({**TYPES, "number": {"int", "float"}}) == kind


HAS = "an expression has names, numbers, texts, + - * / // % **, comparisons, and or not in, log max min round sqrt"
PARSE_ERRORS: list[tuple[Any, str]] = [
    (3, '3 is not an expression; write it as a text, for instance "2 * lora_r"'),
    (" ", 'the expression is empty; write one, for instance "2 * lora_r"'),
    ("1 +" * 400 + "1", "the expression has 1201 characters; at most 1000 are allowed, so split it up"),
    ("1+" * 150 + "1", "the expression has 301 parts; at most 200 are allowed, so split it up"),
    ("-" * 999 + "1", "the expression has 1000 parts; at most 200 are allowed, so split it up"),
    ("(" * 400 + "1" + ")" * 400, f"{'(' * 400 + '1' + ')' * 400!r} is not an expression; {HAS}"),
    ("1 +", f"'1 +' is not an expression; {HAS}"),
    ("a = 1", "'a = 1' is not an expression; write == to compare"),
    ("a && b", "'a && b' is not an expression; write and for &&"),
    ("a || b", "'a || b' is not an expression; write or for ||"),
    ("!a", "'!a' is not an expression; write not for !, and != for unequal"),
    ("a\0b", f"'a\\x00b' is not an expression; {HAS}"),
    ("__import__('os')", "\"__import__('os')\": '__import__' is no function here; there are log, max, min, round, sqrt"),
    ("sqr(x)", "'sqr(x)': 'sqr' is no function here; there are log, max, min, round, sqrt; did you mean 'sqrt'?"),
    ("x.y()", "'x.y()': 'x.y' is no function here; there are log, max, min, round, sqrt"),
    ("(1).real", "'1': a dot joins the parts of a name, as in model.lr, and nothing else"),
    ("[1, 2]", "'[1, 2]': a list stands only after in, for instance optim in ['sgd', 'adam']"),
    ("x[0]", f"'x[0]': not allowed here; {HAS}"),
    ("lambda x: x", f"'lambda x: x': not allowed here; {HAS}"),
    ("1 if x else 2", f"'1 if x else 2': not allowed here; {HAS}"),
    ("[y for y in x]", f"'[y for y in x]': not allowed here; {HAS}"),
    ("f'{x}'", "\"f'{x}'\": not allowed here; " + HAS),
    ("(y := 1)", f"'(y := 1)': not allowed here; {HAS}"),
    ("x @ y", f"'x @ y': not allowed here; {HAS}"),
    ("~x", f"'~x': not allowed here; {HAS}"),
    ("x << 2", f"'x << 2': not allowed here; {HAS}"),
    ("1j", f"'1j': not allowed here; {HAS}"),
    ("b'x'", f"\"b'x'\": not allowed here; {HAS}"),
    ("...", f"'...': not allowed here; {HAS}"),
    ("x is None", "'x is None': write == and != to compare; there is no is"),
    ("x in y", "'y': after in stands a list of written values, for instance optim in ['sgd', 'adam']"),
    ("x in []", "'[]': after in stands a list of written values, for instance optim in ['sgd', 'adam']"),
    ("x in [y]", "'[y]': after in stands a list of written values, for instance optim in ['sgd', 'adam']"),
    ("1 < x in [2]", "'1 < x in [2]': in cannot be chained; join two comparisons with and"),
    ("2 ** n", "'n': an exponent is a written number from -64 to 64, as in x ** 2"),
    ("9 ** 9 ** 9", "'9 ** 9': an exponent is a written number from -64 to 64, as in x ** 2"),
    ("n ** 65", "'65': an exponent is a written number from -64 to 64, as in x ** 2"),
    ("9007199254740993", "'9007199254740993': too large; whole numbers go up to 2**53 = 9007199254740992"),
    ("1e999", "a number in the expression is too large; numbers go up to 1.8e308"),
    ("sqrt(1, 2)", "'sqrt(1, 2)': sqrt takes one argument, not 2"),
    ("min(x)", "'min(x)': min takes two or more arguments, not 1"),
    ("round(number=x)", "'round(number=x)': round takes plain arguments only, as in round(x)"),
    ("max(*x)", "'max(*x)': max takes plain arguments only, as in max(x, y)"),
]  # fmt: skip


@pytest.mark.parametrize("text, message", PARSE_ERRORS)
def test_what_is_not_in_the_language(text: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        Expression.parse(text)
    assert str(error.value) == message


@pytest.mark.parametrize(
    "text, message",
    [
        ("s + 1", "'s' is a text, but arithmetic needs a number; only numbers can be computed with"),
        ("-b", "'b' is true or false, but - needs a number; only numbers can be computed with"),
        (
            "mix * 2",
            "'mix' is a number or a text or None, but arithmetic needs a number; only numbers can be computed with",
        ),
        ("not n", "'n' is a number, but not needs true or false; compare it, for instance with =="),
        ("b and s", "'s' is a text, but and needs true or false; compare it, for instance with =="),
        ("s < 'b'", "'s' is a text and has no order; use == or in"),
        ("s == 1", "'s' is a text, and '1' is a number; they are never equal"),
        ("b == 1", "'b' is true or false, and '1' is a number; they are never equal"),
        ("n in [1, 'a']", "'n' is a number, and \"'a'\" is a text; they are never equal"),
        ("sqrt(s)", "'s' is a text, but sqrt needs a number; only numbers can be computed with"),
        ("y + 1", "'y' is not known here; there are x, n, b, s, mix, ls"),
        ("mixx == 1", "'mixx' is not known here; did you mean 'mix'?"),
        ("mix", "'mix' is a number or a text or None; an expression needs one type"),
    ],
)
def test_what_does_not_fit(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        Expression.parse(text).check(TYPES)
    assert str(error.value) == message


END = "; narrow the ranges, or rewrite the expression"


@pytest.mark.parametrize(
    "text, env, message",
    [
        ("1 / x", {"x": [1.0, 0.0]}, "'1 / x' divides by zero at x = 0.0" + END),
        (
            "2 + n // m",
            {"n": [3], "m": [0]},
            "'n // m' in '2 + n // m' divides by zero at n = 3, m = 0" + END,
        ),
        ("n % 0", {"n": [3]}, "'n % 0' divides by zero at n = 3" + END),
        ("x ** -2", {"x": [0.0]}, "'x ** -2' divides by zero at x = 0.0" + END),
        ("sqrt(x)", {"x": [4.0, -1.0]}, "'sqrt(x)' is not a finite number at x = -1.0" + END),
        ("log(x)", {"x": [0.0]}, "'log(x)' is not a finite number at x = 0.0" + END),
        ("x ** 64", {"x": [1e9]}, "'x ** 64' is not a finite number at x = 1000000000.0" + END),
        (
            "n * n",
            {"n": [2**30]},
            "'n * n' exceeds 2**53, the largest whole number kept exactly, at n = 1073741824" + END,
        ),
        ("1 / 0", {}, "'1 / 0' divides by zero" + END),
    ],
)
def test_what_cannot_be_computed(text: str, env: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        Expression.parse(text).evaluate({name: np.array(v) for name, v in env.items()})
    assert str(error.value) == message
