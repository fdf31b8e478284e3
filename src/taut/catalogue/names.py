"""The words of the catalogue: families, contexts, libraries; and how a flag is brought to one spelling."""

from __future__ import annotations

from typing import Final, Literal, get_args

__all__ = [
    "CONTEXTS",
    "FAMILIES",
    "GROUPS",
    "LIBRARIES",
    "Affected",
    "Basis",
    "Context",
    "Family",
    "Impact",
    "Kind",
    "Library",
    "plain",
    "widen",
]

Family = Literal["model", "training", "inference", "performance"]
Kind = Literal["float", "int", "bool", "choice"]
Impact = Literal["high", "medium", "low"]
Affected = Literal["quality", "speed", "memory"]
Basis = Literal["seen", "inferred"]
Context = Literal[
    "full_sft",
    "lora_sft",
    "dpo_full",
    "dpo_lora",
    "grpo_full",
    "grpo_lora",
    "reward",
    "distillation",
    "pretrain",
    "inference",
    "performance",
    "pytorch",
    "sklearn",
]
Library = Literal[
    "hf",
    "trl",
    "peft",
    "vllm",
    "torchtune",
    "axolotl",
    "llamafactory",
    "pytorch",
    "sklearn",
    "xgboost",
    "lightgbm",
    "scripts",
]

FAMILIES: Final[tuple[Family, ...]] = get_args(Family)
"""What a parameter belongs to: the model's shape, its training, its use, its speed."""

CONTEXTS: Final[tuple[Context, ...]] = get_args(Context)
"""What is being done. `pytorch` is a network of any kind that is trained from scratch by a loop of one's own."""

LIBRARIES: Final[tuple[Library, ...]] = get_args(Library)
"""Whose names are known. `scripts` are names that people give in scripts of their own, such as lr and n_layers."""

_LLM: Final[tuple[Context, ...]] = CONTEXTS[:8]
GROUPS: Final[dict[str, tuple[Context, ...]]] = {
    "sft": ("full_sft", "lora_sft"),
    "dpo": ("dpo_full", "dpo_lora"),
    "grpo": ("grpo_full", "grpo_lora"),
    "full": ("full_sft", "dpo_full", "grpo_full"),
    "lora": ("lora_sft", "dpo_lora", "grpo_lora"),
    "finetuning": _LLM,
    "language": (*_LLM, "pretrain"),
    "networks": (*_LLM, "pretrain", "pytorch"),
    "any": CONTEXTS,
}
"""Words for several contexts at once, for the data files."""


def plain(flag: str) -> str:
    """One spelling for a flag: no leading dashes, `_` for `-`, small letters."""
    return flag.strip().lstrip("-").replace("-", "_").lower()


def widen(words: tuple[str, ...]) -> tuple[Context, ...]:
    """The contexts that `words` mean, groups spelled out; an unknown word stays, for the schema to refuse."""
    found = [context for word in words for context in GROUPS.get(word, (word,))]
    return tuple(dict.fromkeys(found))  # type: ignore[arg-type]
