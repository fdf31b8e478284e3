"""Parameters as values: what is accepted, how they look, what is refused and in which words."""

from __future__ import annotations

import dataclasses
import enum
import json
import pickle
import subprocess
import sys
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from space_strategies import parameters, spaces

from taut import space as kinds
from taut.errors import InputError
from taut.space import Parameter, Space, choice, expr, loguniform, normal, ordinal, uniform, uniform_int

NAMES = {name: getattr(kinds, name) for name in kinds.__all__}
LR = loguniform(1e-5, 1e-3, start=2e-4, belief="medium", when="r > 8")


@given(parameters)
def test_repr_is_the_call_and_json_is_the_value(parameter: Parameter) -> None:
    assert eval(repr(parameter), dict(NAMES)) == parameter
    read = Parameter.from_json("x", json.loads(json.dumps(parameter.to_json())))
    assert read == parameter and hash(read) == hash(parameter) and repr(read) == repr(parameter)


@given(spaces)
def test_spaces_compare_and_travel(space: Space) -> None:
    assert Space.from_json(json.loads(json.dumps(space.to_json()))) == space
    assert pickle.loads(pickle.dumps(space)) == space
    assert eval(repr(space), dict(NAMES)) == space and hash(space) == hash(eval(repr(space), dict(NAMES)))


def test_looks() -> None:
    assert repr(LR) == "loguniform(1e-05, 0.001, start=0.0002, belief='medium', when='r > 8')"
    assert LR.to_json() == {"loguniform": [1e-5, 1e-3], "start": 2e-4, "belief": "medium", "when": "r > 8"}
    assert repr(uniform(0, 1, 0.1)) == "uniform(0.0, 1.0, step=0.1)"
    assert uniform_int(1, 9, step=2).to_json() == {"uniform_int": [1, 9], "step": 2}
    assert repr(choice(["a", [1, None]], start=[1, None])) == "choice(['a', [1, None]], start=[1, None])"
    assert choice(["a", [1]], start=[1]).to_json() == {"choice": ["a", [1]], "start": [1]}
    assert normal(0, 1, high=2).to_json() == {"normal": [0.0, 1.0], "high": 2.0}
    assert repr(expr("2 * r")) == "expr('2 * r')" and expr("2 * r").to_json() == {"expr": "2 * r"}


def test_equality_is_by_json_text() -> None:
    assert choice([1]) != choice([True]) and choice([1]) != choice([1.0]) and choice([0.0]) == choice([-0.0])
    assert uniform(0, 1) == uniform(0.0, 1.0) != uniform(0, 1, start=0.5)
    assert uniform(0, 1) != loguniform(1, 2) and uniform(0, 1) != 3
    assert Space(a=uniform(0, 1), b=uniform(0, 1)) == Space({"a": uniform(0, 1)}, b=uniform(0, 1))
    assert Space(a=uniform(0, 1), b=LR.__class__(1, 2)) != Space(b=LR.__class__(1, 2), a=uniform(0, 1))
    assert Space(a=uniform(0, 1)) != 1


def test_parameters_are_immutable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        LR.low = 1.0  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        choice(["a"]).start = "a"  # type: ignore[misc]
    given_list = ["a", ["b"]]
    made = choice(given_list)
    given_list[1].append("c")  # type: ignore[attr-defined]
    given_list.append("d")
    assert made == choice(["a", ["b"]])
    listed = Space(x=choice(["a", ["b"]], start=["b"]))
    listed.start["x"].append("c")
    assert listed.start == {"x": ["b"]}


def test_enumerations_become_plain_values() -> None:
    class Color(str, enum.Enum):
        RED = "red"

    class Size(enum.IntEnum):
        BIG = 8

    made = choice([Color.RED, Size.BIG])
    assert [type(v) for v in made.values] == [str, int] and made == choice(["red", 8])
    assert Space(x=made).codes([{"x": Color.RED}, {"x": Size.BIG}]).tolist() == [[0.0], [1.0]]


def test_start_values() -> None:
    space = Space(
        a=uniform(0, 1, start=1),
        b=uniform_int(1, 9, start=3.0),
        c=ordinal([8, 16], start=16),
        d=choice(["ab"]),
    )
    assert space.start == {"a": 1.0, "b": 3, "c": 16}
    assert [type(v) for v in space.start.values()] == [float, int, int]


def test_what_a_space_knows() -> None:
    space = Space({"model.lr": uniform(0, 1)}, alpha=expr("2 * rank"), rank=ordinal([8, 16]))
    assert space.names == ("model.lr", "alpha", "rank") and space.searched == ("model.lr", "rank")
    assert len(space) == 2 and space.cells.tolist() == [0, 2]
    assert space.parameters["rank"] == ordinal([8, 16])
    with pytest.raises(TypeError):
        space.parameters["rank"] = uniform(0, 1)  # type: ignore[index]


def test_scipy_is_imported_for_normals_only() -> None:
    program = (
        "import sys; from taut.space import *\n"
        "s = Space(a=normal(0, 1), b=uniform(0, 1, when='a > 0'), c=lognormal(0, 1))\n"
        "s.params(s.decode([[.1, .2, .3]]))\n"
        "Space(a=loguniform(1, 2)).quantile([[.5]])\n"
        "print('scipy' in sys.modules); s.quantile([[.1, .2, .3]]); print('scipy.stats' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False"]


MANY = "choice, expr, lognormal, loguniform, loguniform_int, normal, ordinal, uniform, uniform_int"
READ_ERRORS: list[tuple[Any, str]] = [
    (3, "x: 3 is not a parameter; write a table such as { uniform = [0.0, 1.0] }; for a constant write { choice = [3] }"),
    ("adam", "x: 'adam' is not a parameter; write a table such as { uniform = [0.0, 1.0] };"
             ' for a constant write { choice = ["adam"] }'),
    ([1, 2], "x: [1, 2] is not a parameter; write a table such as { uniform = [0.0, 1.0] }"),
    ({}, f"x: no kind is given; name one of {MANY}, for instance {{ uniform = [0.0, 1.0] }}"),
    ({"start": 1}, f"x: no kind is given; name one of {MANY}, for instance {{ uniform = [0.0, 1.0] }}"),
    ({"unifrom": [0, 1]}, f"x.unifrom: 'unifrom' is not a kind; use one of {MANY}; did you mean 'uniform'?"),
    ({"uniform": [0, 1], "choice": [1]}, "x.choice: 'uniform' and 'choice' are two kinds; a parameter has one"),
    ({"uniform": [0]}, "x.uniform: 1 value where two numbers are needed; write uniform = [low, high]"),
    ({"normal": [0, 1, 2]}, "x.normal: 3 values where two numbers are needed; write normal = [mean, std]"),
    ({"uniform": 3}, "x.uniform: 3 where two numbers are needed; write uniform = [low, high]"),
    ({"uniform": ["0", 1]}, "x.uniform: low = '0' is not a number; write one without quotes, for instance 0.5"),
    ({"uniform": [0, True]}, "x.uniform: high = True is not a number; write one without quotes, for instance 0.5"),
    ({"uniform": [0, float("inf")]}, "x.uniform: high = inf is not finite; give a finite number"),
    ({"uniform": [float("nan"), 1]}, "x.uniform: low = nan is not finite; give a finite number"),
    ({"uniform": [0, 10**400]}, f"x.uniform: high = {10**400} is not finite; give a finite number"),
    ({"uniform": [1, 0]}, "x.uniform: low = 1.0 lies above high = 0.0; swap them"),
    ({"uniform": [-1e308, 1e308]}, "x.uniform: the range from -1e+308 to 1e+308 is too wide for a number; narrow it"),
    ({"uniform": [0, 1], "stpe": 0.1}, "x.stpe: 'stpe' is not an option of uniform; it takes belief, start, step, when;"
                                       " did you mean 'step'?"),
    ({"expr": "1", "start": 1}, "x.start: 'start' is not an option of expr; it takes none"),
    ({"expr": 2}, 'x.expr: 2 is not an expression; write a text, for instance "2 * lora_r"'),
    ({"loguniform": [0, 1]}, "x.loguniform: low = 0.0 must be above 0, because loguniform works on logarithms;"
                             " raise low, or use uniform"),
    ({"loguniform_int": [0, 8]}, "x.loguniform_int: low = 0 must be 1 or more, because loguniform_int works on"
                                 " logarithms; raise low, or use uniform_int"),
    ({"uniform_int": [0.5, 8]}, "x.uniform_int: low = 0.5 is not a whole number; use uniform, or round it"),
    ({"uniform_int": [0, 2**53 + 2]}, "x.uniform_int: high = 9007199254740994 is too large; whole numbers go up to"
                                      " 2**53 = 9007199254740992"),
    ({"uniform_int": [0, 2**53 + 1]}, "x.uniform_int: high = 9007199254740993 is too large; whole numbers go up to"
                                      " 2**53 = 9007199254740992"),
    ({"choice": ["\ud800"]}, "x.choice: '\\ud800' holds half of a character (a surrogate), which JSON cannot hold"),
    ({"uniform_int": [1, 10], "step": 2}, "x.uniform_int: high = 10 is not reached from low = 1 in steps of 2;"
                                          " use high = 9 or 11"),
    ({"uniform_int": [1, 10], "step": 0}, "x.step: step = 0 must be a whole number, 1 or more"),
    ({"uniform": [0, 1], "step": 0.3}, "x.uniform: high = 1.0 is not reached from low = 0.0 in steps of 0.3;"
                                       " use high = 0.9 or 1.2"),
    ({"uniform": [0, 1], "step": -0.1}, "x.step: step = -0.1 must be above 0"),
    ({"uniform": [0, 1], "step": 1e-30}, "x.step: step = 1e-30 is too fine for numbers from 0.0 to 1.0;"
                                         " use a larger step, or none"),
    ({"normal": [0, 0]}, "x.normal: std = 0.0 must be above 0"),
    ({"normal": [0, 1], "low": 9, "high": 99}, "x.normal: the bounds 9.0 to 99.0 hold less than 1e-12 of the"
     " distribution with mean 0.0 and std 1.0; move the mean between them, or use uniform"),
    ({"lognormal": [0, 1], "low": 0}, "x.lognormal: low = 0.0 must be above 0, because lognormal works on logarithms;"
                                      " raise low, or use normal"),
    ({"lognormal": [700, 9]}, "x.lognormal: mean = 700.0 and std = 9.0 are those of ln x, and give numbers beyond"
                              " 1e308; lower them"),
    ({"uniform": [0, 1], "start": 2}, "x.start: 2 is not allowed; it must be a number from 0.0 to 1.0"),
    ({"uniform": [0, 1], "start": True}, "x.start: True is not allowed; it must be a number from 0.0 to 1.0"),
    ({"uniform": [0, 1], "step": 0.25, "start": 0.3}, "x.start: 0.3 is not allowed; it must be a number from 0.0 to"
                                                      " 1.0 in steps of 0.25, so 0.25 is the nearest"),
    ({"uniform_int": [1, 9], "start": 2.5}, "x.start: 2.5 is not allowed; it must be a whole number from 1 to 9"),
    ({"uniform_int": [1, 9], "step": 2, "start": 2}, "x.start: 2 is not allowed; it must be a whole number from 1 to 9"
                                                     " in steps of 2"),
    ({"choice": ["sgd", "adam"], "start": "sdg"}, "x.start: 'sdg' is not allowed; it must be one of 'sgd', 'adam';"
                                                  " did you mean 'sgd'?"),
    ({"choice": [0.0, 0.5], "start": 0}, "x.start: 0 is not allowed; it must be one of 0.0, 0.5; did you mean 0.0?"),
    ({"uniform": [0, 1], "belief": "weak"}, "x.belief: belief 'weak' needs a start value to believe in; add start"),
    ({"uniform": [0, 1], "start": 0, "belief": "storng"}, "x.belief: 'storng' is not a strength; use 'weak', 'medium'"
                                                          " or 'strong'; did you mean 'strong'?"),
    ({"uniform": [0, 1], "when": 3}, "x.when: 3 is not a condition; write it as a text, for instance"
                                     " \"optim == 'sgd'\""),
    ({"choice": "abc"}, "x.choice: 'abc' is not a list of values; write choice = [\"a\", \"b\"]"),
    ({"choice": []}, "x.choice: the list of values is empty; choice needs at least one"),
    ({"choice": [1, 2, 1]}, "x.choice: 1 stands twice in the list of values; remove one"),
    ({"choice": [float("nan")]}, "x.choice: nan is not finite; JSON has no such number, so write it as a text"),
    ({"choice": [2**60]}, f"x.choice: {2**60} is too large; whole numbers go up to 2**53 = 9007199254740992"),
    ({"choice": [{"a": 1}]}, "x.choice: {'a': 1} is a dict; values are numbers, texts, booleans, None, or lists of"
                             " them. Give a name and look the object up in the objective"),
    ({"ordinal": [[[1]]]}, "x.ordinal: [1] is a list; values are numbers, texts, booleans, None, or lists of them."
                           " Give a name and look the object up in the objective"),
]  # fmt: skip


@pytest.mark.parametrize("data, message", READ_ERRORS)
def test_wrong_definitions(data: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        Space.from_json({"x": data})
    assert str(error.value) == message
    assert error.value.at[0] == "x"


def test_a_wrong_call_names_its_kind() -> None:
    with pytest.raises(InputError) as error:
        loguniform(0, 1)
    assert str(error.value).startswith("loguniform: low = 0.0 must be above 0")


SPACE_ERRORS: list[tuple[Any, str]] = [
    (lambda: Space(), "the space has nothing to search; add a parameter, for instance lr = loguniform(1e-5, 1e-3)"),
    (lambda: Space(a=expr("1")), "the space has nothing to search; add a parameter, for instance lr = loguniform(1e-5, 1e-3)"),
    (lambda: Space(a=cast(Any, 3)), "a: 3 is not a parameter; write a constructor, for instance uniform(0.0, 1.0), or choice([...])"
                         " with one value for a constant"),
    (lambda: Space({"a b": uniform(0, 1)}), "a b: 'a b' is not a name; use up to 200 letters, digits, _ and -, dots"
                                            " between parts, and a letter or _ first"),
    (lambda: Space({"a": uniform(0, 1)}, a=uniform(0, 1)), "a: the name is given twice; give each parameter once"),
    (lambda: Space(cast(Any, [1])), "[1] is not a mapping of names to parameters; write Space({'lr': loguniform(...)})"),
    (lambda: Space.from_json(cast(Any, [1])), "[1] is not a space; write a table of parameters"),
]  # fmt: skip


@pytest.mark.parametrize("make, message", SPACE_ERRORS)
def test_wrong_spaces(make: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        make()
    assert str(error.value) == message


SMALL = Space(
    lr=uniform(0, 1),
    optim=choice(["adam", "sgd"]),
    m=uniform(0, 1, when="optim == 'sgd'"),
    double=expr("2 * m"),
)
VALUE_ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"lr": 2, "optim": "adam"}, "lr: 2 is not allowed; it must be a number from 0.0 to 1.0"),
    ({"lr": float("nan"), "optim": "adam"}, "lr: nan is not allowed; it must be a number from 0.0 to 1.0"),
    ({"lr": 10**400, "optim": "adam"}, f"lr: {10**400} is not allowed; it must be a number from 0.0 to 1.0"),
    ({"lr": "0.1", "optim": "adam"}, "lr: '0.1' is not allowed; it must be a number from 0.0 to 1.0"),
    ({"lr": 0, "optim": "adm"}, "optim: 'adm' is not allowed; it must be one of 'adam', 'sgd'; did you mean 'adam'?"),
    ({"lr": 0, "optim": {}}, "optim: {} is not allowed; it must be one of 'adam', 'sgd'"),
    ({"optim": "adam"}, "lr: no value is given; it must be a number from 0.0 to 1.0"),
    ({"lr": 0, "optim": "sgd"}, "m: no value is given; it must be a number from 0.0 to 1.0"),
    ({"lr": 0, "optim": "adam", "m": 0.5}, "m: 0.5 is given, but the parameter exists only when optim == 'sgd'; leave it out"),
    ({"l": 0, "optim": "adam"}, "l: 0 is given, but the space has no such parameter; did you mean 'lr'?"),
    ({"lr": 0, "optim": "sgd", "m": 0.5, "double": 2}, "double: 2 is given, but '2 * m' is 1.0; leave double out"),
    ({"lr": 0, "optim": "adam", "double": 2}, "double: 2 is given, but '2 * m' is inactive here; leave double out"),
]  # fmt: skip


@pytest.mark.parametrize("params, message", VALUE_ERRORS)
def test_wrong_values(params: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        SMALL.codes([{"lr": 0.1, "optim": "adam"}, params])
    assert str(error.value) == message


keys = st.sampled_from([*Parameter.kinds, "start", "belief", "when", "step", "low", "high", "stat", "", 3])
things = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=3),
        st.sampled_from(["x > 1", "weak", 0, 1]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(keys, things, max_size=4) | things)
def test_any_definition_is_read_or_refused(data: Any) -> None:
    try:
        space = Space.from_json({"x": data, "y": {"uniform": [0, 1]}})
    except InputError as error:
        assert str(error).startswith("x") and error.at[0] == "x"
    else:
        assert Space.from_json(json.loads(json.dumps(space.to_json()))) == space


@given(st.dictionaries(st.sampled_from(["lr", "optim", "m", "double", "z", 3]), things, max_size=4))
def test_any_values_are_taken_or_refused(params: dict[str, Any]) -> None:
    try:
        codes = SMALL.codes([params])
    except InputError as error:
        assert error.at
    else:
        assert SMALL.codes(SMALL.params(codes)).tolist() == codes.tolist() or np.isnan(codes).any()
