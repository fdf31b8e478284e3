"""What a script does, and so which part of the catalogue is about it."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from taut.errors import InputError
from taut.starting.findings import Results
from taut.starting.flags import Flag
from taut.starting.installed import Installed
from taut.starting.literals import dotted
from taut.starting.picks import Context, Selection
from taut.starting.presets import Preset
from taut.starting.rules import prove
from taut.starting.sources import Source

__all__ = ["context_of", "imported", "left_out", "refused", "require_some"]

_TRAINS: Final = (
    *("lr", "learning_rate", "epochs", "num_epochs", "n_epochs", "max_epochs", "num_train_epochs"),
    *("weight_decay", "max_steps", "max_iters", "train_steps", "optimizer", "optim"),
)
_PEFT: Final = ("lora_r", "lora_rank", "lora_alpha", "use_peft", "use_lora", "adapter")


def imported(modules: Sequence[Source]) -> frozenset[str]:
    return frozenset().union(*(source.modules for source in modules))


def context_of(
    modules: Sequence[Source],
    flags: Sequence[Flag],
    found: Results,
    wanted: Preset | None,
    given: Mapping[str, Any] | None = None,
) -> Context:
    """What is being done, and whose names flags have. given: values in the user's own command."""
    names = {flag.name for flag in flags}
    for flag in flags:  # a script that can do LoRA does not do it unless it is told to
        if flag.name in ("use_peft", "use_lora") and not (given or {}).get(flag.name, flag.default):
            names -= set(_PEFT)
    there = imported(modules)
    libraries: list[str] = []
    if "trl" in there:
        libraries += ["trl"]
    if "transformers" in there:
        libraries += ["hf"]
    if there & {"peft", "trl"} or names & set(_PEFT):
        libraries += ["peft"]
    for library, module in (
        ("vllm", "vllm"),
        ("xgboost", "xgboost"),
        ("lightgbm", "lightgbm"),
        ("sklearn", "sklearn"),
    ):
        if module in there:
            libraries.append(library)
    if there & {"torch", "jax", "tensorflow", "keras", "flax"}:
        libraries.append("pytorch")
    libraries.append("scripts")
    if wanted is not None:
        chosen = list(dict.fromkeys([*libraries, *wanted.libraries]))
        return Context(tuple(wanted.contexts), tuple(chosen), tuple(entry.name for entry in wanted.entries))
    pretrained = any(
        isinstance(node, ast.Attribute) and node.attr == "from_pretrained" and "Model" in dotted(node.value)
        for source in modules
        for node in source.nodes
    )
    return Context(_activities(found, names, there, pretrained), tuple(libraries))


def _activities(
    found: Results, names: set[str], imported: frozenset[str], pretrained: bool
) -> tuple[str, ...]:
    """Contexts of the catalogue. pretrained: whether the script loads a model that was trained before."""
    lora = bool(names & set(_PEFT))
    kind = found.trainer
    if kind.startswith("DPO"):
        return ("dpo_lora", "dpo_full") if lora else ("dpo_full",)
    if kind.startswith("GRPO"):
        return ("grpo_lora", "grpo_full") if lora else ("grpo_full",)
    if kind.startswith("Reward"):
        return ("reward",)
    samples = "vllm" in imported or (names & {"top_p", "top_k"} and "temperature" in names and not kind)
    if samples and not names & set(_TRAINS):
        return ("inference", "performance")
    if kind == "Trainer" and not pretrained and not lora:
        return ("pretrain", "pytorch")
    if kind or ("transformers" in imported and "model_name_or_path" in names) or lora:
        return ("lora_sft", "full_sft") if lora else ("full_sft",)
    if imported & {"sklearn", "xgboost", "lightgbm"} and not imported & {"torch", "jax", "tensorflow"}:
        return ("sklearn", "pytorch")
    return ("pytorch", "sklearn")


def refused(installed: Installed) -> str:
    """Values that need a package which is not there."""
    needs = {"bitsandbytes": r"bnb|8bit|4bit|paged|lion_|ademamix", "flash_attn": r"flash_attention_2|^fa2$"}
    return "|".join(values for package, values in needs.items() if installed.package(package) is None)


def left_out(wanted: Preset | None, selection: Selection, script: str, tune: Sequence[str] = ()) -> list[str]:
    if wanted is None:
        return []
    by_entry = {pick.entry.name: pick for pick in reversed(selection.picks) if pick.entry is not None}
    said = []
    for name in tune or wanted.tune:
        pick = by_entry.get(name)
        if pick is None:
            said.append(f"{name} ({script} has no flag for it)")
        elif not pick.searched:
            said.append(f"{name} ({pick.flag.name}: {pick.why})")
    return said


def require_some(selection: Selection, what: str, wanted: Preset | None) -> None:
    """A study has a parameter: if the catalogue knows none, the first flag that could be searched is."""
    if selection.searched:
        return
    for i, pick in sorted(enumerate(selection.picks), key=lambda each: each[1].lengthens):
        if pick.prior is not None:
            why = f"nothing else could be searched; {pick.why}" if pick.lengthens else pick.why
            selection.picks[i] = replace(pick, searched=True, why=why)
            prove(selection)
            if selection.searched:
                return
    names = ", ".join(pick.flag.name for pick in selection.picks[:12])
    raise InputError(
        f"{what}: none of its settings could be searched ({names}); "
        + ("try without --preset, or " if wanted else "")
        + "write those to be tuned into the file that plain `taut init` writes"
    )
