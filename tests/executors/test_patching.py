"""Patched copies of YAML, JSON and TOML files."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from taut.errors import InputError
from taut.executors.patching import ConfigFile

TREE: dict[str, Any] = {
    "lr": 0.1,
    "epochs": 10,
    "name": 'a "b" \\ ü\n',
    "nested": {"model": {"depth": 2, "drop out": 0.0}, "flag": False},
    "layers": [{"size": 8}, {"size": 16}],
    "a__b": 1,
    "empty": {},
}


def written(path: Path, tree: Any = TREE) -> Path:
    if path.suffix == ".json":
        path.write_text(json.dumps(tree))
    elif path.suffix == ".toml":
        path.write_text(
            '# a comment\nlr = 0.1\nepochs = 10\nname = "a \\"b\\" \\\\ ü\\n"\na__b = 1\n'
            "layers = [{size = 8}, {size = 16}]\n"
            '[nested]\nflag = false\n[nested.model]\ndepth = 2\n"drop out" = 0.0\n[empty]\n'
        )
    else:
        path.write_text(importlib.import_module("yaml").safe_dump(tree))
    return path


def read(suffix: str, text: str) -> Any:
    if suffix == ".json":
        return json.loads(text)
    return msgspec.toml.decode(text) if suffix == ".toml" else importlib.import_module("yaml").safe_load(text)


@pytest.fixture(params=[".json", ".toml", ".yaml", ".yml"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param in (".yaml", ".yml"):
        pytest.importorskip("yaml")
    return written(tmp_path / f"base{request.param}")


def test_round_trip(path: Path) -> None:
    assert read(path.suffix, ConfigFile(path).patched({})) == TREE


def test_values_replace_keys(path: Path) -> None:
    config = ConfigFile(path)
    params = {"lr": 1e-05, "nested__model__depth": 6, "layers__1__size": 32, "a__b": 5, "nested__flag": True}
    config.check(params)
    tree = read(path.suffix, config.patched({**params, "elsewhere": 1}))
    assert (tree["lr"], tree["nested"]["model"]["depth"], tree["nested"]["flag"]) == (1e-05, 6, True)
    assert (tree["layers"], tree["a__b"], tree["name"]) == ([{"size": 8}, {"size": 32}], 5, TREE["name"])
    assert config.patched({}) == ConfigFile(path).patched({})  # the original is not touched


def test_a_key_keeps_its_kind_of_number(path: Path) -> None:
    tree = read(path.suffix, ConfigFile(path).patched({"lr": 1, "epochs": 20.0}))
    assert (repr(tree["lr"]), repr(tree["epochs"])) == ("1.0", "20")
    assert read(path.suffix, ConfigFile(path).patched({"epochs": 2.5}))["epochs"] == 2.5


def test_odd_values(path: Path) -> None:
    tree = read(
        path.suffix, ConfigFile(path).patched({"name": "x: [1]\n#{}'\"\x7f", "epochs": [1, [2.5, "a"]]})
    )
    assert (tree["name"], tree["epochs"]) == ("x: [1]\n#{}'\"\x7f", [1, [2.5, "a"]])


def test_none_is_null_or_no_key(path: Path) -> None:
    tree = read(path.suffix, ConfigFile(path).patched({"epochs": None}))
    assert tree.get("epochs") is None and ("epochs" in tree) == (path.suffix != ".toml")


def test_yaml_text_that_means_a_number(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    path = tmp_path / "base.yaml"
    path.write_text("lr: 1e-5  # PyYAML takes this for a text\nmodel: {depth: 2}\n")
    assert ConfigFile(path).patched({"lr": 3e-05}) == "lr: 3.0e-05\nmodel:\n  depth: 2\n"


def test_toml_text(tmp_path: Path) -> None:
    text = ConfigFile(written(tmp_path / "base.toml")).patched({"lr": 2e-05})
    assert text == (
        'lr = 2e-05\nepochs = 10\nname = "a \\"b\\" \\\\ ü\\n"\na__b = 1\n'
        "layers = [{size = 8}, {size = 16}]\n\n[nested]\nflag = false\n\n[nested.model]\ndepth = 2\n"
        '"drop out" = 0.0\n\n[empty]\n'
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "learning",
            "space.learning: base.json has no key 'learning'; add it there with its usual value, "
            "or give the parameter as {learning} in the command",
        ),
        (
            "nested__model__dept",
            "space.nested__model__dept: base.json has no key 'nested.model.dept'; add it there with its "
            "usual value, or give the parameter as {nested__model__dept} in the command; did you mean "
            "'nested__model__depth'?",
        ),
        (
            "nested",
            "space.nested: 'nested' is a whole table in base.json; name one of its keys, for instance "
            "nested__model",
        ),
    ],
)
def test_keys_that_do_not_exist(tmp_path: Path, name: str, message: str) -> None:
    config = ConfigFile(written(tmp_path / "base.json"))
    with pytest.raises(InputError) as caught:
        config.check([name])
    assert str(caught.value) == message


def test_a_parameter_given_elsewhere_needs_no_key(tmp_path: Path) -> None:
    ConfigFile(written(tmp_path / "base.json")).check(["lr", "other"], {"other"})


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("base.ini", "", "config: 'base.ini' is of no known kind; give a .yaml, .json or .toml file"),
        ("base.json", "[1]", "config: base.json holds no table of keys and values at its top"),
        (
            "base.json",
            "{",
            "config: base.json cannot be read: Expecting property name enclosed in double quotes: ",
        ),
        ("base.toml", "a = ", "config: base.toml cannot be read: Invalid value (at "),
        ("base.yaml", "a: [", "config: base.yaml cannot be read: while parsing a flow "),
        (
            "base.yaml",
            "a: !!python/object:os.x {}",
            "config: base.yaml cannot be read: could not determine a constr",
        ),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, text: str, message: str) -> None:
    if name.endswith("yaml"):
        pytest.importorskip("yaml")
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as caught:
        ConfigFile(tmp_path / name)
    assert str(caught.value).startswith(message)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        ConfigFile(tmp_path / "base.json")
    assert str(caught.value) == f"config: {tmp_path}/base.json cannot be read: No such file or directory"


def test_yaml_without_pyyaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    (tmp_path / "base.yaml").write_text("a: 1")
    with pytest.raises(InputError) as caught:
        ConfigFile(tmp_path / "base.yaml")
    assert str(caught.value) == (
        "config: base.yaml needs PyYAML, which is not installed: pip install pyyaml, "
        "or give a .json or .toml file"
    )
