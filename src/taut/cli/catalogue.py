"""`taut catalogue`: what could be tuned, with ranges, names in libraries and sources."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

import click

from taut.catalogue import CONTEXTS, FAMILIES, LIBRARIES, Coupling, Entry
from taut.catalogue.text import inline

__all__ = ["catalogue"]

_WIDEST = 110


@click.command(
    context_settings={"ignore_unknown_options": True},  # --lr is a NAME
    epilog="Example:  taut catalogue --library trl, then  taut catalogue lora_r",
)
@click.argument("name", required=False)
@click.option("--family", metavar="FAMILY", help=f"Only one of: {', '.join(FAMILIES)}.")
@click.option("--library", metavar="LIB", help=f"Names of one of: {', '.join(LIBRARIES)}.")
@click.option("--context", metavar="CONTEXT", help=f"Ranges for one of: {', '.join(CONTEXTS)}.")
@click.option("--json", "as_json", is_flag=True, help="As JSON: a list of entries, or one entry.")
def catalogue(
    name: str | None, family: str | None, library: str | None, context: str | None, as_json: bool
) -> None:
    """Show what could be tuned: all, or NAME with its ranges, names in libraries, interactions and sources.

    NAME may be any library's name for it, such as per_device_train_batch_size or --lr.
    """
    from taut import catalogue as known

    if name is not None:
        entry = known.entry(name, library, context)
        rules = known.couplings(entry.name)
        if as_json:
            _json({**_plain(entry), "couplings": _plain(rules)})
        else:
            click.echo("\n".join(_whole(entry, rules, library, context)))
        return
    chosen = known.entries(family, library, context)
    if as_json:
        _json(_plain(chosen))
    else:
        click.echo("\n".join(_listed(chosen, library, context)))


def _listed(entries: Iterable[Entry], library: str | None, context: str | None) -> Iterator[str]:
    """Entries by family, those with the most impact first."""
    entries = list(entries)
    width = max((len(each.name) for each in entries), default=0)
    for family in FAMILIES:
        own = [each for each in entries if each.family == family]
        if not own:
            continue
        yield f"{family} ({len(own)})"
        for each in sorted(own, key=lambda entry: ("high", "medium", "low").index(entry.impact)):
            setting = each.setting(context)
            text = inline(setting.prior)[2:-2] if setting else "better not tuned"
            basis = setting.basis if setting else ""
            names = each.names(library)[:3] if library else ()
            line = f"  {each.name:{width}}  {each.impact:6}  {basis:8}  {text}"
            yield _cut(line + (f"  [{', '.join(names)}]" if names and names != (each.name,) else ""))
        yield ""
    yield f"{len(entries)} entries; one in full: taut catalogue NAME"


def _whole(
    entry: Entry, rules: tuple[Coupling, ...], library: str | None, context: str | None
) -> Iterator[str]:
    """One entry, from what it is to where it was seen."""
    affects = ", ".join(entry.affects)
    yield f"{entry.name}: {entry.family}, {entry.kind}, impact {entry.impact}, moves {affects}"
    yield from _wrapped(entry.summary, "  ")
    matters = [f"where {entry.when}"] if entry.when else []
    matters += [entry.condition] if entry.condition else []
    if matters:
        yield from _wrapped(f"Matters: {'; '.join(matters)}", "  ")
    yield from _wrapped(entry.notes, "  ")
    if entry.settings:
        yield from ("", "In study.toml")
        for setting in entry.settings:
            if context is None or context in setting.contexts:
                yield f"  {setting.toml(entry.name)}"
                where = "" if len(setting.contexts) == len(CONTEXTS) else f"{', '.join(setting.contexts)}: "
                yield from _wrapped(
                    f"# {where}{setting.basis}{f' ({setting.why})' if setting.why else ''}", "    "
                )
    if rules:
        yield from ("", "Coupled instead of searched")
        for rule in rules:
            yield from (f"  {line}" for line in rule.toml().splitlines())
            yield from _wrapped(f"# {rule.title}. {rule.notes}".rstrip(), "    ")
    called = [alias for alias in entry.aliases if library is None or alias.owner == library]
    if called:
        yield from ("", "Called")
        for alias in called:
            default = entry.defaults.get(alias.owner)
            extras = [f"in {', '.join(alias.contexts)}"] if alias.contexts else []
            extras += ["the other way round"] if alias.inverted else []
            extras += [f"gone {alias.gone}"] if alias.gone else []
            extras += [f"default {_said(default)}"] if default is not None and not alias.gone else []
            extras += [f"with {inline(alias.values)[2:-2]}"] if alias.values else []
            yield _cut(f"  {alias.owner:12}  {alias.name}{'  (' + '; '.join(extras) + ')' if extras else ''}")
    for title, pairs in (
        ("Goes with", [(each.name, each.how) for each in entry.interactions]),
        ("Versions", [("", each) for each in entry.versions]),
        ("Seen", [(each.title, f"{each.says}  {each.url}") for each in entry.sources]),
    ):
        if pairs:
            yield from ("", title)
            for key, text in pairs:
                yield from _wrapped(f"{key}: {text}" if key else text, "  ")


def _said(default: Any) -> str:
    return default if isinstance(default, str) else inline(default)


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        min(_WIDEST, shutil.get_terminal_size((_WIDEST, 24)).columns),
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _cut(line: str) -> str:
    """`line`, no longer than a wide terminal."""
    return line if len(line) <= _WIDEST else line[: _WIDEST - 3] + "..."


def _plain(value: Any) -> Any:
    import msgspec

    return msgspec.to_builtins(value)


def _json(value: Any) -> None:
    import json

    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
