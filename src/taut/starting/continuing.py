"""A new study that begins as an earlier one and learns from it: for another base model, or other data."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from taut import basemodel, studyfile
from taut.definition import Definition
from taut.errors import InputError
from taut.layout import is_frozen, place
from taut.starting.configs import SUFFIXES

__all__ = ["Continued", "continued"]


@dataclass(frozen=True)
class Continued:
    """A study file and what goes with it. path: where it belongs; files: others to be written first, by path."""

    path: Path
    text: str
    said: list[str]
    files: dict[Path, str] = field(default_factory=dict)


def continued(earlier: Path, model: str | None, out: Path | None) -> Continued:
    """The file of a new study that is as `earlier`, with `model` as its base model, and has that one as its warm start.

    out: where to put it; None names it after the study. Raises `InputError`, with nothing written.
    """
    folder = _folder(earlier)
    frozen = folder / "study.toml"
    if not (folder / "definition").is_dir() or not frozen.is_file():
        raise InputError(
            f"{earlier}: there is no study that was run from a study.toml; give the directory of one, runs/NAME",
            ("--from",),
        )
    text = frozen.read_text(encoding="utf-8")
    definitions = sorted((folder / "definition").glob("[0-9]*.json"))
    was = Definition.from_json(definitions[-1].read_bytes())
    old = was.evaluation.model
    if model is not None and old is None:
        raise InputError(
            f"{earlier} names no base model that could be replaced ({', '.join('--' + name for name in basemodel.NAMES)}); leave "
            "--model out, and change the command in the file that is written",
            ("--model",),
        )
    if model is not None and old is not None and basemodel.same(model, old):
        raise InputError(
            f"{model} is the base model of {earlier}; go on with that study, or name another", ("--model",)
        )
    stem = was.name.removesuffix(f"-{_slug(old)}")
    name = f"{stem}-{_slug(model)}"[:100] if model else f"{was.name}-2"
    base = (folder / was.evaluation.base).resolve()
    path = out if out is not None else base / f"{name}.toml"
    if path.absolute().parent.resolve() != base:
        raise InputError(
            f"{path} would lie elsewhere than the study's files, from which its names start; write it beside them: "
            f"--out {base / path.name}",
            ("--out",),
        )
    files: dict[Path, str] = {}
    if model is not None and old is not None:
        text = _replaced(text, frozen, was, old, model, base, files)
    text = _named(text, name, _from(folder, base), path.name)
    changed = f"{model} instead of {old}" if model else "to be changed as you like"
    said = [
        f"another study, {name}: as {was.name}, {changed}",
        f"it learns from {_from(folder, base)} (warm_start): what was good there guides the search, and values of the two are never mixed",
        *(f"wrote {each.name}, a copy of {was.evaluation.config} with the new model" for each in files),
    ]
    return Continued(path, text, said, files)


def _folder(earlier: Path) -> Path:
    if earlier.is_dir():
        return earlier
    if is_frozen(earlier):
        return earlier.parent
    if earlier.suffix == ".toml" and earlier.is_file():
        return place(earlier, studyfile.read(earlier).name)
    return earlier


def _from(folder: Path, base: Path) -> str:
    """The earlier study, as its directory is seen from the file."""
    try:
        return str(folder.resolve().relative_to(base))
    except ValueError:
        return str(folder.resolve())


def _slug(model: str | None) -> str:
    last = (model or "").rstrip("/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-.") or "model"


def _named(text: str, name: str, earlier: str, file: str) -> str:
    """The text with another name, and the earlier study as its warm start."""
    head, rest = _parted(text)
    found = re.search(r"(?ms)^\s*warm_start\s*=\s*(\[.*?\]|\"[^\"\n]*\"|'[^'\n]*').*?$\n?", head)
    before = re.findall(r"[\"']([^\"'\n]+)[\"']", found[1]) if found else []
    head = head.replace(found[0], "") if found else head
    head = re.sub(r"(?m)^(#.*?\btaut run )\S+\.toml", lambda match: f"{match[1]}{file}", head)
    warm = json.dumps([*before, earlier], ensure_ascii=False)
    lines = f"name = {json.dumps(name)}\nwarm_start = {warm}\n"
    changed, times = re.subn(r"(?m)^[ \t]*name[ \t]*=.*\n?", lambda _: lines, head, count=1)
    return (changed if times else lines + head) + rest


def _parted(text: str) -> tuple[str, str]:
    """The text above the first [table], and the rest."""
    found = re.search(r"(?m)^[ \t]*\[[\w.\"-]+\][ \t]*(#.*)?$", text)
    return (text, "") if found is None else (text[: found.start()], text[found.start() :])


def _replaced(
    text: str, frozen: Path, was: Definition, old: str, model: str, base: Path, files: dict[Path, str]
) -> str:
    """The text with another model, where it stands: in the command, in the space, or in a copy of the configuration."""
    word = re.compile(rf"(?<![\w./-]){re.escape(old)}(?![\w./-])")
    config = was.evaluation.config
    if word.search(text) is None and config and config.endswith(SUFFIXES):
        source = base / config
        inner = source.read_text(encoding="utf-8")
        if word.search(inner) is None:
            raise InputError(
                f"{config} does not name {old} any more; put {model} in it, leave --model out, and run what is written",
                ("--model",),
            )
        copy = source.with_name(f"{source.stem}-{_slug(model)}{source.suffix}")
        if copy.exists():
            raise InputError(
                f"{copy} exists, and would be overwritten; remove it, or use it in a file of your own",
                ("--model",),
            )
        files[copy] = word.sub(lambda _: model, inner, count=1)
        return re.sub(
            r"(?m)^(\s*config\s*=\s*)([\"']).*?\2",
            lambda m: f"{m[1]}{json.dumps(str(Path(config).with_name(copy.name)))}",
            text,
        )
    lines = text.split("\n")
    replaced = [line if line.lstrip().startswith("#") else word.sub(lambda _: model, line) for line in lines]
    if replaced == lines:
        raise InputError(
            f"{frozen} spells {old} so that it cannot be replaced safely; leave --model out, and change it in the file that is written",
            ("--model",),
        )
    return "\n".join(replaced)
