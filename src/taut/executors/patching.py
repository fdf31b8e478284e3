"""Patched copies of a script's own configuration file: YAML, JSON or TOML, one for each trial."""

from __future__ import annotations

import copy
import importlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from taut.errors import InputError, nearest
from taut.resultlines import number_of

if TYPE_CHECKING:
    from taut.definition import Evaluation

__all__ = ["ConfigFile", "copied_config"]

_AT = ("config",)
_STR = "tag:yaml.org,2002:str"


class ConfigFile:
    """A configuration file whose values parameters replace by name.

    ``lr`` is the key lr, ``model__lr`` the key lr in the table model, ``layers__0__size`` reaches into
    the first element of a list. Comments are not copied. A key that no active parameter names keeps
    the file's value. Raises `InputError` for a file that cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._kind = path.suffix.lower()
        if self._kind not in (".json", ".yaml", ".yml", ".toml"):
            raise InputError(f"{path.name!r} is of no known kind; give a .yaml, .json or .toml file", _AT)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}", _AT) from None
        self._tree = self._load(data)

    def check(self, parameters: Iterable[str], elsewhere: Collection[str] = ()) -> None:
        """Raise `InputError` for a parameter that has no key, unless it reaches the command `elsewhere`."""
        for name in parameters:
            keys = self._find(name)
            if keys is None:
                if name not in elsewhere:
                    raise InputError(
                        f"{self.name} has no key {name.replace('__', '.')!r}; add it there with its usual "
                        f"value, or give the parameter as {{{name}}} in the command"
                        f"{nearest(name, _leaves(self._tree))}",
                        ("space", name),
                    )
            elif isinstance(self._at(keys), dict):
                inner = next(iter(self._at(keys)), "key")
                raise InputError(
                    f"{name!r} is a whole table in {self.name}; name one of its keys, for instance "
                    f"{name}__{inner}",
                    ("space", name),
                )

    def patched(self, params: Mapping[str, Any]) -> str:
        """The text of a copy with `params` in it; those without a key are skipped."""
        tree = copy.deepcopy(self._tree)
        for name, value in params.items():
            keys = self._find(name)
            if keys is not None:
                place = tree
                for key in keys[:-1]:
                    place = place[key]
                place[keys[-1]] = _like(value, place[keys[-1]])
        if self._kind == ".json":
            return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"
        if self._kind == ".toml":
            return "\n".join(_toml(tree, ())) + "\n"
        yaml = _yaml()

        class Dumper(yaml.SafeDumper):  # type: ignore[misc, name-defined]
            pass

        Dumper.add_representer(_Text, lambda dumper, text: dumper.represent_scalar(_STR, text, style="'"))
        text: str = yaml.dump(
            tree, Dumper=Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False
        )
        return text

    def _load(self, data: bytes) -> Any:
        yaml = _yaml(self.name) if self._kind in (".yaml", ".yml") else None
        try:
            if self._kind == ".json":
                tree = json.loads(data)
            elif self._kind == ".toml":
                tree = msgspec.toml.decode(data)
            elif yaml is not None:
                try:
                    tree = yaml.safe_load(data)
                except yaml.YAMLError as error:
                    raise ValueError(" ".join(str(error).split())) from None
        except ValueError as error:  # msgspec's and json's errors are ValueErrors
            raise InputError(f"{self.name} cannot be read: {error}", _AT) from None
        if not isinstance(tree, dict):
            raise InputError(f"{self.name} holds no table of keys and values at its top", _AT)
        return tree

    def _find(self, name: str) -> tuple[Any, ...] | None:
        if name in self._tree:
            return (name,)
        place: Any = self._tree
        keys: list[Any] = []
        for part in re.split(r"__|\.", name):
            key: Any = int(part) if isinstance(place, list) and part.isdigit() else part
            try:
                place = place[key]
            except (KeyError, IndexError, TypeError):
                return None
            keys.append(key)
        return tuple(keys)

    def _at(self, keys: tuple[Any, ...]) -> Any:
        place = self._tree
        for key in keys:
            place = place[key]
        return place


def copied_config(
    evaluation: Evaluation, base: Path, names: Collection[str], parameters: Collection[str] | None
) -> ConfigFile | None:
    """The file of which each trial of a command gets a copy, if it names one.

    names: placeholders of the command. parameters: names of the space, each of which must have a key, or reach the command
    otherwise; None leaves that to the trials. Raises `InputError` if file and command do not fit.
    """
    used = "config" in names
    if evaluation.config is None:
        if used:
            raise InputError('{config} needs a file to patch: config = "base.yaml"', ("command",))
        return None
    if not used:
        raise InputError(
            f"the command does not use the patched copies of {evaluation.config}; put {{config}} in it, "
            "for instance --config {config}",
            ("config",),
        )
    config = ConfigFile(base / evaluation.config)
    if parameters is not None:
        elsewhere = set(parameters) if "args" in names else names
        config.check(parameters, elsewhere)
    return config


class _Text(str):
    """A text such as ``1e-3``: one for PyYAML, which would not quote it, and a number for most others that read YAML."""


def _like(value: Any, old: Any) -> Any:
    """`value` in the kind of number that the file has: scripts often check it."""
    if isinstance(value, str):
        return _Text(value) if number_of(value) is not None else value
    if isinstance(value, list):
        return [_like(element, None) for element in value]
    if isinstance(value, bool) or isinstance(old, bool):
        return value
    if isinstance(old, float) and isinstance(value, int):
        return float(value)
    if isinstance(old, int) and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _leaves(tree: Any, prefix: str = "") -> Iterator[str]:
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{name}__")
        else:
            yield name


def _yaml(name: str = "") -> Any:
    try:
        return importlib.import_module("yaml")
    except ImportError:
        raise InputError(
            f"{name} needs PyYAML, which is not installed: pip install pyyaml, or give a .json or .toml file",
            _AT,
        ) from None


def _toml(table: Mapping[str, Any], at: tuple[str, ...]) -> list[str]:
    """Lines of a TOML table: its own values, then the tables inside. TOML has no null: such keys go."""
    values = [(key, value) for key, value in table.items() if value is not None]
    lines = [f"{_key(key)} = {_inline(value)}" for key, value in values if not isinstance(value, dict)]
    for key, value in values:
        if isinstance(value, dict):
            inner = (*at, _key(key))
            lines += ["", f"[{'.'.join(inner)}]", *_toml(value, inner)]
    return lines


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _quoted(key)


def _inline(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_inline(element) for element in value if element is not None)}]"
    if isinstance(value, dict):
        inner = (f"{_key(key)} = {_inline(item)}" for key, item in value.items() if item is not None)
        return f"{{{', '.join(inner)}}}"
    return str(value.isoformat())  # dates and times are the rest


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
