"""Which flags are worth tuning, and what to believe of each: the catalogue's knowledge on a script's own flags."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from taut import catalogue
from taut.catalogue import Entry
from taut.starting.fitting import fitted, guessed
from taut.starting.flags import UNKNOWN, Flag
from taut.starting.picks import Context, Pick, Selection
from taut.starting.rules import condition, couple, prove

__all__ = ["is_kept", "select"]

FEW = 4  # where fewer matter, those of low impact are searched as well
MOST = 8  # parameters of middling impact are searched up to this many in all
_KEPT: Final = re.compile(
    r"(^|_)(seed|dir|path|file|folder|root|out|output|outputs|log|logging|logs|log_level|verbose|debug|device|gpu|gpus|cuda|cpu"
    r"|wandb|tensorboard|project|run|name|tag|resume|checkpoint|ckpt|save|saving|eval|test|data|dataset|datasets|url|token|hub|push"
    r"|model_name_or_path|base_model|tokenizer|port|host|rank|local_rank|version|config|entity|notes|report_to|do|num_workers"
    r"|workers|trials|plot|print|quiet|dry|profile|download|cache|subset|split|column|fold|metric|strategy|every|interval)(_|$)"
)
_CHANGES_THE_METRIC: Final = (
    *(
        "finetuning_method",
        "base_quantization",
        "max_sequence_length",
        "packing",
        "completion_only_loss",
        "dpo_loss_type",
    ),
    *(
        "grpo_loss_type",
        "scale_rewards",
        "max_completion_length",
        "num_generations",
        "max_model_len",
        "max_new_tokens",
    ),
)
_BY_MACHINE: Final = ("mixed_precision", "tf32", "sharding_strategy")
_RANK: Final = {"high": 0, "medium": 1, "low": 2}
_ALWAYS: Final = ("batch_size", "test_size")


def is_kept(name: str) -> bool:
    """Whether a flag says where or how the script runs, rather than what comes out of it."""
    return name not in _ALWAYS and _KEPT.search(name.lower()) is not None


def select(
    flags: Sequence[Flag], context: Context, given: Mapping[str, Any], fixed: Mapping[str, str] | None = None
) -> Selection:
    """What becomes of each flag. given: values in the user's own command. fixed: flags that stay as the
    command has them, and why."""
    stay = {} if fixed is None else fixed
    picks = [_pick(flag, context, given.get(flag.name, UNKNOWN), stay.get(flag.name)) for flag in flags]
    picks = _ranked(_unique(picks), context)
    selection = Selection(picks)
    condition(selection, given)
    couple(selection, context, given)
    prove(selection)
    return selection


def _pick(flag: Flag, context: Context, start: Any, fixed: str | None) -> Pick:
    entry, library = _entry(flag, context)
    if entry is not None and entry.name == "warmup_steps" and _is_share(flag, start):
        entry = catalogue.entry("warmup_ratio")
    pick = Pick(flag, entry, spelled=_spelled(flag, entry, library, start))
    if fixed is not None or flag.positional:
        return replace(pick, why=fixed or "", stays=True)
    if flag.trap:
        return replace(pick, why=flag.trap)
    if entry is None:
        mine = re.search(r":\d+$|^--help$", flag.where) and not flag.inherited and not is_kept(flag.name)
        prior = guessed(flag) if mine else None
        why = "not in the catalogue; the range is a guess around the default" if prior else ""
        return replace(pick, prior=prior, why=why)
    if reason := _unasked(entry, context):
        return replace(pick, why=reason)
    setting = next((found for name in context.names if (found := entry.setting(name))), None)
    if setting is None:
        return replace(pick, why=f"not for {context.names[0]}: {entry.summary}")
    fit = fitted(flag, entry, setting, library, start, context.refused)
    if fit is None and context.refused and fitted(flag, entry, setting, library, start) is not None:
        return replace(
            pick, why=f"the other values of the catalogue need what is not installed: {setting.why}"
        )
    if fit is None:
        return replace(pick, why=f"its values ({flag.kind or 'unknown'}) are others than the catalogue's")
    why = (setting.why or entry.summary).rstrip(".")
    levels: Any = fit.prior.get("choice", fit.prior.get("ordinal", ()))
    if flag.free and any(isinstance(each, str) for each in levels):
        why = f"the script does not say which texts it takes; these are the catalogue's: {why}"
        return replace(pick, prior=fit.prior, why=why)
    if pick.lengthens and entry.name not in (context.wanted or ()):
        why = "more is mostly better, and a trial takes as much longer; search it where trials overfit"
        return replace(pick, prior=fit.prior, why=why)
    return replace(pick, prior=fit.prior, searched=True, why=why, said=fit.said, basis=setting.basis)


def _is_share(flag: Flag, start: Any) -> bool:
    """Whether a flag for the warm-up takes a share of all steps, not their number."""
    value = flag.default if start is UNKNOWN else start
    return flag.kind == "float" and not flag.inherited and isinstance(value, float) and 0 <= value <= 1


def _unasked(entry: Entry, context: Context) -> str:
    """Why an entry is not searched unless a preset asks for it; empty if it may be."""
    if entry.tune == "no":
        return _sentence(entry.notes) or entry.summary
    if entry.name in (context.wanted or ()):
        return ""
    if entry.name in _CHANGES_THE_METRIC:
        return f"another task, or another measure of it, and better a study of its own: {entry.summary}"
    if entry.name in _BY_MACHINE:
        return f"what the machine can do decides it: {entry.summary}"
    return ""


def _entry(flag: Flag, context: Context) -> tuple[Entry | None, str]:
    """The entry that a flag means, and in which library it is called so."""
    spellings = dict.fromkeys(each for each in (flag.option, flag.name) if each)
    for library in context.libraries:
        for spelling in spellings:
            for name in context.names:
                if found := catalogue.match(spelling, library, name):
                    return found, library
    if context.wanted is not None and context.libraries and "scripts" not in context.libraries:
        return None, ""
    for spelling in spellings:
        if found := catalogue.match(spelling, None, context.names[0]):
            return found, "scripts"
    return None, ""


def _unique(picks: Sequence[Pick]) -> list[Pick]:
    """Of several flags for one entry only the first is searched."""
    seen: dict[str, str] = {}
    result = []
    for pick in picks:
        if pick.searched and pick.entry is not None:
            other = seen.setdefault(pick.entry.name, pick.flag.name)
            if other != pick.flag.name:
                pick = replace(pick, searched=False, prior=None, why=f"the same as {other}")
        result.append(pick)
    return result


def _ranked(picks: Sequence[Pick], context: Context) -> list[Pick]:
    """What matters most, first; the rest keeps its line, to be uncommented, or only its name where it matters least."""
    speed = "performance" in context.names

    def weight(pick: Pick) -> int:
        entry = pick.entry
        if not pick.searched or entry is None:
            return 10_000
        if context.wanted is not None:
            return (
                context.wanted.index(entry.name)
                if entry.name in context.wanted
                else 1000 + _RANK[entry.impact]
            )
        return (
            3 + _RANK[entry.impact] if "quality" not in entry.affects and not speed else _RANK[entry.impact]
        )

    ordered = sorted(picks, key=weight)
    if context.wanted is not None:
        keep = sum(weight(pick) < 1000 and pick.searched for pick in ordered)
    else:
        high = sum(weight(pick) == 0 for pick in ordered)
        keep = max(high, min(MOST, sum(weight(pick) <= 1 for pick in ordered)))
        while keep < FEW and ordered[keep:] and ordered[keep].searched and not ordered[keep].flag.inherited:
            keep += (
                1  # little is there: then also what matters less, where the script itself has a flag for it
            )
    result = []
    for place, pick in enumerate(ordered):
        if pick.searched and place >= keep:
            assert pick.entry is not None
            only_speed = "quality" not in pick.entry.affects and not speed
            why = (
                f"it moves speed and memory, not quality: {pick.why}"
                if only_speed
                else f"{pick.entry.impact} impact: {pick.why}"
            )
            least = pick.entry.impact == "low" and pick.flag.inherited
            pick = replace(
                pick, searched=False, prior=None if least else pick.prior, why="" if least else why
            )
        result.append(pick)
    return result


def _spelled(flag: Flag, entry: Entry | None, library: str, start: Any) -> Mapping[str, Any]:
    """The library's values for the catalogue's, and the script's own where only upper and lower case differ."""
    if entry is None or not library:
        return {}
    alias = next((found for name in (flag.option, flag.name) if (found := entry.called(name, library))), None)
    spelled = dict(alias.values) if alias is not None else {}
    own = {each.lower(): each for each in (*flag.choices, flag.default, start) if isinstance(each, str)}
    for known, value in [*spelled.items(), *((each, each) for each in own)]:
        if isinstance(value, str) and value.lower() in own and own[value.lower()] != value:
            spelled[known] = own[value.lower()]
    return spelled


def _sentence(text: str) -> str:
    """The first sentence, in one line."""
    flat = " ".join(text.split())
    return re.split(r"(?<=[.;])\s", flat, maxsplit=1)[0].rstrip(".;") if flat else ""
