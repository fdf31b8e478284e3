"""Overrides as Hydra and OmegaConf themselves read them: every value arrives as what it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("hydra")

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

import taut
from taut.executors.arguments import Template
from taut.executors.patching import ConfigFile

ODD = [
    *(
        "true",
        "False",
        "null",
        "None",
        "nan",
        "inf",
        "yes",
        "on",
        "12",
        "1e-3",
        "1.5",
        "",
        "a b",
        " a ",
        "a,b",
        "a=b",
    ),
    *(
        "a: b",
        "it's",
        'say "x"',
        "[x]",
        "{x}",
        "${x}",
        "$x",
        "%",
        "é",
        "*",
        "&a",
        "!x",
        "#x",
        "a #b",
        "@x",
        "-x",
    ),
    *("~", "?", "|", "a(b)", "/data/x y", "a\\b", "'q'", '"q"', "\t", "8bit", "2024-01-01", "1:30", "\\${x}"),
    *("cos(10)", "choice(1,2)", ".", "meta-llama/Llama-3.1", "adamw_torch"),
]
HYDRA_ONLY = ["\\", "c:\\dir\\", 'it\'s \\ "q"', "a\nb", "\\'", "a\\'b", "'${x}'"]
VALUES = [
    1e-5,
    1e22,
    0.1 + 0.2,
    -3.0,
    3,
    True,
    False,
    None,
    [1, 2],
    [0.1, 1e-5],
    ["a", "b,c", "null"],
    [True, None],
    [],
]
CONFIG = "lr: 1.0\nname: base\nmodel:\n  depth: 1\n  inner:\n    layers: [1]\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("conf")
    (place / "config.yaml").write_text(CONFIG)
    with initialize_config_dir(str(place), version_base=None):
        yield place


def words(params: dict[str, Any], *template: str, style: Any = "a.b=v") -> list[str]:
    places = {"trial_dir": "/runs/a=b, c/7", "trial": "7", "base": "/study", "config": ""}
    return Template(["train", *(template or ("{args}",))], style).expand(params, places)[1:]


def hydra(overrides: list[str]) -> Any:
    return OmegaConf.to_container(compose("config", overrides), resolve=True)


def same(a: Any, b: Any) -> bool:
    return a == b and json.dumps(a) == json.dumps(b)  # 1, 1.0 and true are three


def test_hydra_reads_what_was_meant(folder: Path) -> None:
    values = [*ODD, *HYDRA_ONLY, *VALUES, [ODD[0], *HYDRA_ONLY]]
    read = hydra(words({f"model__v{i}": value for i, value in enumerate(values)}, style="++a.b=v"))["model"]
    for i, value in enumerate(values):
        assert same(read[f"v{i}"], value), value


def test_a_list_of_overrides_reads_the_same() -> None:
    for value in [*ODD, *VALUES]:
        read = OmegaConf.to_container(OmegaConf.from_dotlist(words({"model__name": value})), resolve=True)
        assert same(read["model"]["name"], value), value


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from(list("ab1 .,='\"\\${}[]():#-+~*&!|>%@`\n\té"))))
def test_any_text_arrives(text: str) -> None:
    for value in (text, [text, text]):
        (word,) = words({"name": value})
        read = (
            OverridesParser.create().parse_override(word).value()
        )  # what compose does, without reading files
        assert OmegaConf.to_container(OmegaConf.create({"name": read}), resolve=True)["name"] == value


def test_keys_that_are_missing_there(folder: Path) -> None:
    with pytest.raises(Exception, match=r"To append to your config use \+model.rank=8"):
        hydra(words({"model__rank": 8}))
    assert hydra(words({"model__rank": 8, "lr": 0.5}, style="++a.b=v"))["model"]["rank"] == 8
    added = hydra(words({"rank": "8,16", "lr": 0.5}, "+model.rank={rank}", "lr={lr}"))
    assert added["model"]["rank"] == "8,16" and added["lr"] == 0.5


def test_places_and_what_is_inactive(folder: Path) -> None:
    said = words({"lr": 0.5}, "name={trial_dir}", "lr={lr}", "model.depth={depth}")
    assert len(said) == 2 and hydra(said) == {**hydra([]), "lr": 0.5, "name": "/runs/a=b, c/7"}


def test_a_patched_copy_reads_the_same(folder: Path, tmp_path: Path) -> None:
    base = tmp_path / "base.yaml"
    base.write_text(
        "defaults: [_self_]\nlr: 1e-3\nname: ${model.kind}\nmodel: {kind: x, wd: 1e-4, on: true}\n"
    )
    before = OmegaConf.to_container(OmegaConf.load(base))
    for value in [*ODD, *HYDRA_ONLY, *VALUES]:
        escaped = value.replace("${", "\\${") if isinstance(value, str) else value
        (tmp_path / "copy.yaml").write_text(ConfigFile(base).patched({"model__kind": escaped}))
        after = OmegaConf.to_container(OmegaConf.load(tmp_path / "copy.yaml"))
        assert same(after["model"].pop("kind"), escaped)
        assert after == {**before, "model": {k: v for k, v in before["model"].items() if k != "kind"}}


SCRIPT = """
import json, os
import hydra
from omegaconf import OmegaConf

@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    for name, value in json.loads(os.environ["TAUT_PARAMS"]).items():
        assert OmegaConf.select(cfg, name.replace("__", ".")) == value, (name, value)
    assert hydra.core.hydra_config.HydraConfig.get().runtime.output_dir == os.environ["TAUT_TRIAL_DIR"]
    print(f"loss={cfg.lr * len(cfg.name)}")

main()
"""


def test_a_program_of_hydra_as_a_study(tmp_path: Path) -> None:
    place = tmp_path / "a=b, 'c'"
    (place / "conf").mkdir(parents=True)
    (place / "conf" / "config.yaml").write_text(CONFIG)
    (place / "train.py").write_text(SCRIPT)
    (place / "study.toml").write_text(
        f'name = "s"\ncommand = "{sys.executable} train.py hydra.run.dir={{trial_dir}} {{args}}"\nstyle = "a.b=v"\n'
        "minimize = \"loss\"\n[results]\nstdout = 'loss=(?P<loss>\\S+)'\n[space]\nlr = { loguniform = [1e-5, 1e-1] }\n"
        'name = { choice = ["a,b=c", "null", "it\'s", "[x]"] }\nmodel__inner__layers = { choice = [[64, 32], [8]] }\n'
        "[budget]\ntrials = 4\n"
    )
    paths = os.pathsep.join([str(Path(taut.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    ran = subprocess.run(
        [sys.executable, "-m", "taut", "run", "study.toml"],
        cwd=place,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    trials = taut.Study(place / "runs" / "s").trials
    assert [trial.error for trial in trials] == [None] * 4
    assert all(t.values["loss"] == pytest.approx(t.params["lr"] * len(t.params["name"])) for t in trials)
