"""Samplers by name: our own, and those that other packages bring."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import taut
from taut.definition import Method
from taut.errors import InputError
from taut.samplers import registry
from taut.samplers.base import Sampler


def test_every_name_makes_a_sampler() -> None:
    built_in = {"auto", "bandit", "conjugate", "gp", "grid", "quasirandom", "random", "tpe"}
    assert built_in <= set(registry.names())
    assert registry.names() == sorted(registry.names())
    for name in registry.names():
        assert isinstance(registry.make(Method(name)), Sampler)


@pytest.mark.parametrize(
    "name, hint",
    [("randm", "did you mean 'random'"), ("Grid", "grid"), ("", "there are: ants, auto, "), ("zz", "random")],
)
def test_an_unknown_name_lists_what_there_is(name: str, hint: str) -> None:
    with pytest.raises(InputError, match=hint) as caught:
        registry.make(Method(name))
    assert caught.value.at == ("sampler", "method") and "quasirandom" in str(caught.value)


def test_an_unknown_option_lists_what_there_is() -> None:
    with pytest.raises(InputError, match="did you mean 'resolution'") as caught:
        registry.make(Method("grid", {"resolutoin": 3}))
    assert caught.value.at == ("sampler", "resolutoin")
    with pytest.raises(InputError, match="allowed: none"):
        registry.make(Method("random", {"resolution": 3}))


@pytest.mark.parametrize(
    "sampler", ["nope", {"method": "nope"}, {"method": "random", "x": 1}, {"resolution": 3}, {}]
)
def test_a_study_refuses_them_and_leaves_nothing(sampler: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        taut.Study(tmp_path / "s", taut.Space(x=taut.uniform(0, 1)), minimize="loss", sampler=sampler)
    assert caught.value.at[0] == "sampler" and not (tmp_path / "s").exists()


def test_another_package_brings_a_sampler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "middles.py").write_text(
        "import dataclasses, numpy as np\n"
        "from taut.samplers.base import Sampler\n"
        "@dataclasses.dataclass(frozen=True)\n"
        "class Middle(Sampler):\n"
        "    at: float = 0.5\n"
        "    def propose(self, space, seed, numbers, snapshot):\n"
        "        return space.decode(np.full((len(numbers), len(space)), self.at))\n"
    )
    info = tmp_path / "middles-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: middles\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[taut.samplers]\nmiddle = middles:Middle\nrandom = middles:Middle\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))

    assert "middle" in registry.names() and registry.names().count("random") == 1
    space = taut.Space(x=taut.uniform(0, 8))
    study = taut.Study(None, space, minimize="loss", sampler={"method": "middle", "at": 0.25})
    assert study.ask().params == {"x": 2.0}
    with pytest.raises(InputError, match="did you mean 'at'"):
        taut.Study(None, space, minimize="loss", sampler={"method": "middle", "aat": 0.25})
    assert taut.Study(None, space, minimize="loss", sampler="random").ask().params != {"x": 4.0}


def test_without_optuna_its_samplers_say_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("optuna", "taut.integrations"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"pip install 'taut\[optuna\]'"):
        registry.make(Method("optuna:TPESampler"))
