"""From an outline to the text of a study.toml, with its reasons as comments."""

from __future__ import annotations

import json
import re
import shlex
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from taut import commandline
from taut.catalogue import Coupling
from taut.catalogue.text import inline
from taut.errors import InputError
from taut.starting.flags import printable
from taut.starting.outline import Outline
from taut.starting.picks import Pick

__all__ = ["written"]

_WIDTH: Final = 110
_COMMON: Final = frozenset(
    ["from", "with", "that", "values", "default", "space", "search", "rate", "learning", "range"]
)


def written(outline: Outline, file: str) -> str:
    """The text; `file` is its name, for the commands in its first lines."""
    parts = [
        _head(outline, file),
        _evaluation(outline),
        _objective(outline),
        _space(outline),
        _others(outline),
        _rules(outline.selection.rules),
        _budget(outline),
        _pruner(outline),
        _results(outline),
        _places(outline, file),
    ]
    return "\n".join("\n".join(part) + "\n" for part in map(list, parts) if part)


def _comment(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        printable(text),
        _WIDTH,
        initial_indent="# ",
        subsequent_indent=f"# {indent}",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _head(outline: Outline, file: str) -> Iterator[str]:
    yield from _comment(f"A study of {outline.title}, drafted by `taut init`. Read it, correct it, then:")
    shown = shlex.quote(file)
    yield f"#   taut run {shown} --trials 2      a first try"
    yield f"#   taut run {shown}                 to its end; the same line goes on after an interruption"
    for line in (*outline.read, *outline.notes):
        yield from _comment(f"- {line}", "  ")


def _evaluation(outline: Outline) -> Iterator[str]:
    yield f"name = {json.dumps(outline.name)}"
    if outline.warm_start:
        yield "# earlier studies of this metric, to learn from"
        yield f"warm_start = {inline(list(outline.warm_start))}"
    for word, what in outline.to_fill.items():
        yield from _comment(f"REPLACE {word}: {what}", "  ")
    if outline.function:
        yield f"function = {json.dumps(outline.function)}"
        return
    if outline.config:
        yield f"config = {json.dumps(outline.config)}    # {{config}} is a copy of it for each trial, with its parameters"
    if outline.named:
        yield from _comment("a parameter that you add below needs a place in this line, too: --name {name}")
    line = _as_line(outline.command)
    yield f"command = {inline(list(outline.command)) if line is None else json.dumps(line, ensure_ascii=False)}"
    if outline.cwd:
        yield f"cwd = {json.dumps(outline.cwd)}    # {outline.why_cwd}"


def _as_line(words: Sequence[str]) -> str | None:
    """The command as one text, if that reads back as the very same words; quotes around braces only are left out."""
    line = shlex.join(words).replace("'", "")
    try:
        return line if commandline.split(line) == list(words) else None
    except InputError:
        return None


def _objective(outline: Outline) -> Iterator[str]:
    measure = outline.measure
    for line in measure.said:
        yield from _comment(line, "  ")
    key = "minimize" if measure.minimize else "maximize"
    yield f"{key} = {json.dumps(measure.metric)}"


def _space(outline: Outline) -> Iterator[str]:
    searched = outline.selection.searched
    if not searched:
        yield "# Without [space] the parameters are those that the function asks for."
        return
    yield "# What is searched: those flags that the catalogue holds to matter most (`taut catalogue NAME` has all of it)."
    yield "[space]"
    for pick in searched:
        yield from _comment(_reason(pick), "  ")
        yield _line(pick)


def _line(pick: Pick) -> str:
    return f"{pick.flag.name} = {inline(dict(pick.prior or {}))}"


def _reason(pick: Pick) -> str:
    said = [pick.why] if pick.why else []
    if pick.said:
        said.append(pick.said)
    if pick.basis:
        said.append(f"range {pick.basis}, {_source(pick)}")
    return f"{pick.flag.name}: {'; '.join(said)}"


def _source(pick: Pick) -> str:
    """The source that the reason speaks of, or where all of them are."""
    if pick.entry is None:
        return ""
    words = {word.lower() for word in re.findall(r"[\w-]{4,}", pick.why)}
    for each in pick.entry.sources:
        told = {word.lower() for word in re.findall(r"[\w-]{4,}", f"{each.key} {each.title}")}
        if words & told - _COMMON:
            return each.url
    return f"taut catalogue {pick.entry.name}"


def _others(outline: Outline) -> Iterator[str]:
    """Flags that are not searched: first those that could be, each a line to be uncommented; then the names of the rest."""
    offered = [pick for pick in outline.selection.picks if not pick.searched and pick.prior]
    told = [pick for pick in outline.selection.picks if not pick.searched and not pick.prior and pick.why]
    silent = [
        pick for pick in outline.selection.picks if not pick.searched and not pick.prior and not pick.why
    ]
    rest = [pick.flag.name for pick in silent if not pick.flag.inherited]
    if more := sum(pick.flag.inherited for pick in silent):
        rest.append(f"{more} settings of the libraries")
    if offered:
        yield "# Not searched; take the # away to search one."
        for pick in offered:
            yield from _comment(f"  {pick.flag.name}: {pick.why}", "    ")
            yield f"# {_line(pick)}"
    for name in outline.left_out:
        yield from _comment(f"Left out of the preset: {name}", "  ")
    if told:
        yield "# Left as they are:"
        for pick in told:
            yield from _comment(f"  {pick.flag.name}: {pick.why}", "    ")
    if rest:
        yield from _comment(f"Not tuned: {', '.join(rest)}", "  ")


def _rules(rules: Sequence[tuple[Coupling, dict[str, str]]]) -> Iterator[str]:
    if rules:
        yield "# Rules between them, instead of searching both (`taut catalogue` has their sources):"
    for rule, names in rules:
        unknown = f" (the script has no flag {' and '.join(rule.helpers)}: then the command names each flag, without {{args}})"
        yield from _comment(f"  {rule.title}{unknown if rule.helpers else ''}", "    ")
        yield from (f"#   {line}" for line in rule.toml(names).splitlines())


def _budget(outline: Outline) -> Iterator[str]:
    yield "[budget]"
    yield f"trials = {outline.trials}                 # ten for each parameter is a beginning"
    yield "# hours = 8                 # of running; whichever comes first"


def _pruner(outline: Outline) -> Iterator[str]:
    far = outline.fidelity
    if far is None:
        yield "# Trials are not ended early, for want of a metric that comes step by step and of a flag that says how many steps there are."
        yield "# [pruner]"
        yield '# fidelity = { name = "epoch", min = 1, max = 27 }'
        return
    mark = "" if far.sure else "# "
    yield from _comment(
        f"Ends trials early that promise little, by what they say at each {far.name}; a whole trial has {far.most} "
        f"({far.flag.option or far.flag.name})"
    )
    if far.doubt:
        yield from _comment(far.doubt, "  ")
    yield f"{mark}[pruner]"
    yield f'{mark}method = "asha"'
    yield f'{mark}fidelity = {{ name = "{far.name}", min = {far.least}, max = {far.most} }}'


def _results(outline: Outline) -> Iterator[str]:
    if not outline.measure.results:
        return
    yield "# How the numbers come back."
    yield "[results]"
    for key, value in outline.measure.results.items():
        yield f"{key} = {_literal(value)}"


def _literal(text: str) -> str:
    """A pattern without escapes, where it holds no quote."""
    return (
        f"'{text}'"
        if "'" not in text and ("\\" in text or '"' in text)
        else json.dumps(text, ensure_ascii=False)
    )


def _places(outline: Outline, file: str) -> Iterable[str]:
    gpus = f"# gpus = {outline.gpus}\n" if outline.gpus else "# cpus = 2\n"
    return (
        "# [on.local]\n# workers = 2               # trials at the same time on this machine\n\n"
        f"# On a cluster:  taut run {shlex.quote(file)} --on slurm\n# [on.slurm]\n"
        f'# partition = "..."\n{gpus}'
        '# time = "04:00:00"         # of one job; a job runs trial after trial\n# workers = 4               # jobs at the same time\n'
        '# setup = ["module load Python"]'
    ).splitlines()
