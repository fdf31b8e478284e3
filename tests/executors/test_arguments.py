"""From template words to the argument list: golden, pure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taut.errors import InputError
from taut.executors.arguments import Style, Template
from taut.executors.program import anchored, find_program

PARAMS: dict[str, Any] = {
    "lr": 1e-05,
    "model__depth": 4,
    "optim": "adam w",
    "nesterov": True,
    "warmup": None,
    "layers": [64, 32],
    "shift": -0.5,
}
PLACES = {"base": "/study", "trial": "7", "trial_dir": "/run/7", "config": "/run/7/base.yaml"}


def expand(*words: str, style: Style = "--k v", params: dict[str, Any] = PARAMS) -> list[str]:
    return Template(words, style).expand(params, PLACES)


@pytest.mark.parametrize("style", ["--k v", "--k=v", "k=v"])
def test_flags_without_a_value(style: Style) -> None:
    words = ("run", "{amp:--amp}", "{ema:--ema|--no-ema}", "{bias:|--no-bias}")
    assert expand(*words, style=style, params={"amp": True, "ema": True, "bias": True}) == [
        "run",
        "--amp",
        "--ema",
    ]
    assert expand(*words, style=style, params={"amp": False, "ema": False, "bias": False}) == [
        "run",
        "--no-ema",
        "--no-bias",
    ]
    assert expand(*words, style=style, params={}) == ["run"], "where their conditions do not hold"


@pytest.mark.parametrize(
    ("style", "words"),
    [
        (
            "--k v",
            [
                "--lr",
                "1e-05",
                "--model__depth",
                "4",
                "--optim",
                "adam w",
                "--nesterov",
                "true",
                "--layers",
                "64",
                "32",
                "--shift=-0.5",
            ],
        ),
        (
            "--k=v",
            [
                "--lr=1e-05",
                "--model__depth=4",
                "--optim=adam w",
                "--nesterov=true",
                "--layers=[64,32]",
                "--shift=-0.5",
            ],
        ),
        (
            "k=v",
            [
                "lr=1e-05",
                "model__depth=4",
                "optim=adam w",
                "nesterov=true",
                "warmup=null",
                "layers=[64,32]",
                "shift=-0.5",
            ],
        ),
        (
            "a.b=v",
            [
                "lr=1e-05",
                "model.depth=4",
                "optim=adam w",
                "nesterov=true",
                "warmup=null",
                "layers=[64,32]",
                "shift=-0.5",
            ],
        ),
    ],
)
def test_styles(style: Style, words: list[str]) -> None:
    assert expand("train", "{args}", "end", style=style) == ["train", *words, "end"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["p", "{lr}"], ["p", "1e-05"]),
        (["p", "--lr={lr}", "o_{optim}_{model__depth}"], ["p", "--lr=1e-05", "o_adam w_4"]),
        (
            ["p", "{base}/x", "{trial_dir}", "n{trial}", "{config}"],
            ["p", "/study/x", "/run/7", "n7", "/run/7/base.yaml"],
        ),
        (["p", "{{lr}}", "{{{lr}}}", "}}{{"], ["p", "{lr}", "{1e-05}", "}{"]),
        (["p", "--layers", "{layers}", "x={layers}"], ["p", "--layers", "64", "32", "x=[64,32]"]),
        (["p", "--shift", "{shift}", "-s", "{shift}"], ["p", "--shift=-0.5", "-s", "-0.5"]),
        # what is inactive goes together with its option
        (["p", "--momentum", "{momentum}", "--out", "o"], ["p", "--out", "o"]),
        (["p", "--momentum={momentum}", "momentum={momentum}", "{momentum}"], ["p"]),
        (["p", "--name=run_{momentum}", "a{momentum}b"], ["p", "--name=run_", "ab"]),
        (["p", "--warmup", "{warmup}"], ["p"]),
        (["p", ""], ["p", ""]),
    ],
)
def test_words(words: list[str], expected: list[str]) -> None:
    assert expand(*words) == expected


def test_a_missing_value_in_other_styles() -> None:
    assert expand("p", "w={warmup}", "{warmup}", style="k=v") == ["p", "w=null", "null"]
    assert expand("p", "--layers", "{layers}", style="--k=v") == ["p", "--layers", "[64,32]"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], ["--x"]),
        (["a b", True, None, 0.1], ["--x", "a b", "true", "null", "0.1"]),
        (["-v"], ["--x=-v"]),
        ([-1, 2], ["--x", "-1", "2"]),
        ("", ["--x", ""]),
        ("--evil", ["--x=--evil"]),
        (2**53, ["--x", "9007199254740992"]),
        (0.1 + 0.2, ["--x", "0.30000000000000004"]),
        (1e22, ["--x", "1e+22"]),
    ],
)
def test_values(value: Any, words: list[str]) -> None:
    assert expand("p", "{args}", params={"x": value}) == ["p", *words]


@given(st.text(), st.sampled_from(["--k v", "--k=v", "k=v", "a.b=v"]))
def test_a_text_never_becomes_another_argument(text: str, style: Style) -> None:
    words = expand("p", "{args}", "--o={x}", "end", params={"x": text}, style=style)
    assert words[0] == "p" and words[-1] == "end" and words[-2] == f"--o={text}"
    spelled = words[1:-2]
    if style == "a.b=v":
        assert len(spelled) == 1 and spelled[0].startswith("x=")
    elif style == "--k v" and not text.startswith("-"):
        assert spelled == ["--x", text]
    else:
        assert len(spelled) == 1 and spelled[0].endswith(f"x={text}")


def test_a_lone_brace() -> None:
    with pytest.raises(InputError, match="has a single }"):
        Template(["p", "a}b"], "--k v")


def test_a_dotted_parameter_by_name() -> None:
    assert expand("p", "--lr={model.lr}", params={"model.lr": 0.5}) == ["p", "--lr=0.5"]


def test_a_list_with_an_option_in_it() -> None:
    with pytest.raises(InputError) as caught:
        expand("p", "{args}", params={"x": ["a", "-rf"]})
    assert str(caught.value) == (
        "space.x: '-rf' in a list begins with '-', and as a word of its own it would be taken for an option; "
        'use style = "--k=v"'
    )


def test_the_program_is_fixed() -> None:
    assert Template(["{base}/run.sh"], "--k v").program("/study") == "/study/run.sh"
    with pytest.raises(InputError, match="the program itself cannot be a parameter"):
        Template(["{tool}", "x"], "--k v").program("/study")


def test_paths_relative_to_the_study(tmp_path: Path) -> None:
    base = tmp_path / "a{b}"
    (base / "conf").mkdir(parents=True)
    (base / "work").mkdir()
    for name in ("train.py", "conf/base.yaml", "work/here.txt", "here.txt", "plain"):
        (base / name).write_text("")
    root = str(base).replace("{", "{{").replace("}", "}}")
    cases = {
        "train.py": f"{root}/train.py",
        "./train.py": f"{root}/train.py",
        "conf/base.yaml": f"{root}/conf/base.yaml",
        "conf/": f"{root}/conf",
        "--config=conf/base.yaml": f"--config={root}/conf/base.yaml",
        "../a{b}/train.py": "../a{b}/train.py",  # holds a placeholder
        "missing.py": "missing.py",
        "plain": "plain",
        "0.5": "0.5",
        "-": "-",
        "": "",
        "/etc/hosts": "/etc/hosts",
    }
    assert {word: anchored(word, base, None) for word in cases} == cases
    assert anchored("here.txt", base, base / "work") == "here.txt"
    assert expand(anchored("train.py", base, None)) == [f"{base}/train.py"]


def test_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError) as caught:
        find_program("tool", tmp_path)
    assert str(caught.value) == (
        "command: the program 'tool' was not found in PATH; install it, load its module or activate its "
        "environment first, or give its whole path"
    )
    with pytest.raises(InputError) as caught:
        find_program("./tool", tmp_path)
    assert str(caught.value) == (
        f"command: the program './tool' is not executable; make it so with chmod +x {tmp_path}/tool, "
        "or put its interpreter in front, for instance python"
    )
    with pytest.raises(InputError) as caught:
        find_program("bin/tool", tmp_path)
    assert (
        str(caught.value)
        == f"command: the program 'bin/tool' does not exist (looked for {tmp_path}/bin/tool)"
    )
    (tmp_path / "tool").chmod(0o755)
    assert find_program("tool", tmp_path) == find_program("./tool", tmp_path) == str(tmp_path / "tool")


def test_python_is_this_interpreter_where_path_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program("python", tmp_path) == find_program("python3", tmp_path) == sys.executable
