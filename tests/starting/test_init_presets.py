"""Every preset, with a script and without; and drafts of any flags can be read."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from drafting import Desk
from hypothesis import given, settings
from hypothesis import strategies as st

from taut import catalogue, studyfile
from taut.errors import InputError
from taut.space import Space
from taut.starting.dataclassfields import of_class
from taut.starting.findings import Results
from taut.starting.flags import UNKNOWN, Flag
from taut.starting.installed import Installed
from taut.starting.measuring import measure
from taut.starting.outline import Outline
from taut.starting.picks import Context
from taut.starting.presets import PRESETS, preset
from taut.starting.scope import require_some
from taut.starting.selection import select
from taut.starting.words import parameters
from taut.starting.writing import written

TRL = importlib.util.find_spec("trl") is not None


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_alone_is_a_study(desk: Desk, name: str) -> None:
    outline = desk.outline("", preset=name, python=sys.executable)
    study = desk.study("", preset=name, python=sys.executable)
    assert study.space and outline.to_fill
    text = desk.draft("", preset=name, python=sys.executable)
    assert all(f"REPLACE {word}: " in text for word in outline.to_fill)
    assert all(word in " ".join(study.evaluation.command or ()) for word in outline.to_fill)


def test_the_share_of_features_stays_among_its_names(desk: Desk) -> None:
    """Its default in scikit-learn is a text, and numbers are allowed as well."""
    pytest.importorskip("sklearn")
    space = desk.study("", preset="sklearn", python=sys.executable).space
    assert {"sqrt", 0.3, 1.0} <= set(space["max_features"]["choice"])


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_names_entries_that_apply_to_it(name: str) -> None:
    for each in (*preset(name).tune, *preset(name).bare.tune):
        entry = catalogue.entry(each)
        assert entry.name == each and entry.tune == "yes"
        assert any(entry.setting(context) for context in preset(name).contexts), each


@pytest.mark.skipif(not TRL, reason="trl is not installed")
@pytest.mark.parametrize("name", ["sft", "lora", "dpo", "grpo"])
def test_the_names_are_those_of_the_installed_trl(desk: Desk, name: str) -> None:
    installed = Installed(sys.executable)
    known: set[str] = set()
    for each in preset(name).bare.classes:
        module, _, short = each.rpartition(".")
        source = installed.find_class(module, short)
        assert source is not None
        known |= {flag.name for flag in of_class(source, short, installed) or ()}
    study = desk.study("", preset=name, python=sys.executable)
    command = study.evaluation.command or ()
    assert set(study.space) <= known
    assert {word[2:] for word in command if word.startswith("--")} <= known
    assert "checked against trl " in desk.outline("", preset=name, python=sys.executable).read[0]


@pytest.mark.skipif(not TRL, reason="trl is not installed")
def test_what_the_command_says_decides_what_matters(desk: Desk) -> None:
    """The command of lora has --use_peft true, so adapters are searched; that of sft has not, so they are not."""
    assert {"lora_r", "lora_alpha", "lora_dropout"} <= set(
        desk.study("", preset="lora", python=sys.executable).space
    )
    assert "lora_r" not in desk.study("", preset="sft", python=sys.executable).space


def test_with_a_script_only_its_flags_count(desk: Desk) -> None:
    desk.write(
        "train.py",
        """
        import argparse
        p = argparse.ArgumentParser()
        p.add_argument("--lr", type=float, default=1e-4)
        p.add_argument("--lora_rank", type=int, default=8)
        p.add_argument("--width", type=int, default=64)
        p.parse_args()
        """,
    )
    outline = desk.outline("train.py", preset="lora")
    assert [pick.flag.name for pick in outline.selection.searched] == ["lr", "lora_rank"]
    assert "lora_dropout (train.py has no flag for it)" in outline.left_out
    assert "# Left out of the preset: lora_dropout (train.py has no flag for it)" in desk.draft(
        "train.py", preset="lora"
    )


def test_an_unknown_preset_is_refused(desk: Desk) -> None:
    with pytest.raises(InputError, match=r"'lor' is no preset; sft, lora, .* did you mean 'lora'"):
        desk.outline("", preset="lor")


NAMES = sorted(
    {name for entry in catalogue.entries() for name in (entry.name, *entry.names()) if name.isidentifier()}
)
VALUES = st.one_of(
    st.just(UNKNOWN),
    st.none(),
    st.booleans(),
    st.integers(-5, 10**6),
    st.floats(allow_nan=False),
    st.sampled_from(["adam", "", 'it\'s "so"', "ü\n"]),
    st.lists(st.integers(), max_size=3),
)
FLAGS = st.builds(
    Flag,
    name=st.one_of(st.sampled_from(NAMES), st.sampled_from(["a", "b_c", "metric", "step"])),
    option=st.sampled_from(["--x", "-y", "--with-dash", ""]),
    kind=st.sampled_from(["float", "int", "str", "bool", "list", ""]),
    default=VALUES,
    choices=st.one_of(
        st.just(()),
        st.lists(st.sampled_from([1, 2, 0.5, "adam", "sgd", True]), max_size=4, unique_by=repr).map(tuple),
    ),
    low=st.one_of(st.none(), st.floats(-10, 10)),
    high=st.one_of(st.none(), st.floats(-10, 10)),
    switch=st.one_of(st.none(), st.just(("--x", "")), st.just(("--x", "--no-x"))),
    inherited=st.booleans(),
    where=st.sampled_from(["train.py:3", "base.yaml", "--help"]),
    help=st.text(max_size=20),
)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(FLAGS, min_size=1, max_size=6, unique_by=lambda flag: flag.name),
    st.sampled_from(catalogue.CONTEXTS),
    st.sampled_from(["trl", "sklearn", "scripts", "vllm"]),
)
def test_whatever_the_flags_are_the_draft_can_be_read(flags: list[Flag], context: str, library: str) -> None:
    selection = select(flags, Context((context,), (library, "scripts")), {})
    try:
        require_some(selection, "train.py", None)
    except InputError:
        return  # there is nothing to search, and that is what it says
    _, words, named = parameters(selection, set(), False)
    outline = Outline(
        "x", "train.py", measure(Results()), selection, command=("python", "train.py", *words), named=named
    )
    study = studyfile.read_text(written(outline, "study.toml"), Path("study.toml"))
    assert set(study.space) == {pick.flag.name for pick in selection.searched}
    for pick in selection.picks:
        if pick.prior is not None and not pick.searched:
            Space.from_json({pick.flag.name: dict(pick.prior)})  # a line to be uncommented


@pytest.mark.skipif(not TRL, reason="trl is not installed")
def test_the_script_of_trl_tunes_adapters_only_if_it_is_told_to_have_some(desk: Desk) -> None:
    place = Installed(sys.executable).package("trl")
    assert place is not None
    script = str(place / "scripts" / "sft.py")
    full = desk.study(script, "--dataset_name", "x", python=sys.executable)
    adapters = desk.study(script, "--dataset_name", "x", "--use_peft", python=sys.executable)
    assert "lora_r" not in full.space and adapters.space["lora_alpha"] == {"expr": "2 * lora_r"}
    assert full.space["learning_rate"]["loguniform"][1] < adapters.space["learning_rate"]["loguniform"][1]
    assert "dtype" not in adapters.space, "what the machine can do"
