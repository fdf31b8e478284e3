"""YAML configurations of launchers: which one it is for, and the settings in it.

Axolotl         axolotl train {config}
LLaMA-Factory   llamafactory-cli train {config}
torchtune       tune run RECIPE --config {config}
TRL             trl sft --config {config}
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from taut.errors import InputError
from taut.starting.flags import Flag, kind_of

__all__ = ["SUFFIXES", "Launcher", "launcher", "leaves", "load"]

SUFFIXES = (".yaml", ".yml", ".json", ".toml")


@dataclass(frozen=True)
class Launcher:
    """How a configuration is run.

    dialect: whose names its keys are, as the catalogue calls it. command: words, with {config}. results: keys of `[results]`.
    metric: what to minimise or maximise. notes: what the user has to see to, in sentences.
    """

    title: str
    dialect: str
    command: tuple[str, ...]
    results: Mapping[str, str]
    metric: str
    notes: tuple[str, ...] = ()


def load(path: Path) -> dict[str, Any]:
    """The keys and values of a configuration file. Raises `InputError` for what is none."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    try:
        tree = _decoded(path, data)
    except ValueError as error:
        raise InputError(f"{path} cannot be read: {' '.join(str(error).split())}; correct it") from None
    if not isinstance(tree, dict):
        raise InputError(f"{path} holds no keys and values at its top; give a configuration that does")
    return tree


def _decoded(path: Path, data: bytes) -> Any:
    if path.suffix == ".json":
        return json.loads(data)
    if path.suffix == ".toml":
        return msgspec.toml.decode(data)
    try:
        yaml = importlib.import_module("yaml")
    except ImportError:
        raise InputError(f"{path.name} needs PyYAML, which is not installed: pip install pyyaml") from None
    try:
        return yaml.safe_load(data)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


def leaves(tree: Mapping[str, Any], file: str, prefix: str = "", outer: str = "") -> Iterator[Flag]:
    """Each value as a flag; keys of tables inside as ``optimizer__lr``, which `config` understands."""
    for key, value in tree.items():
        if not isinstance(key, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", key):
            continue
        name, spelled = f"{prefix}{key}", f"{outer}{key}"
        if isinstance(value, Mapping):
            yield from leaves(value, file, f"{name}__", f"{spelled}.")
        else:
            number = _written_number(value)
            yield Flag(name, spelled, kind_of(number), number, where=file)


def _written_number(value: Any) -> Any:
    """YAML 1.1 reads 1e-4, which has no point, as text; the launchers' own readers take it for a number."""
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
        return float(value)
    return value


def launcher(tree: Mapping[str, Any], path: Path) -> Launcher | None:
    """Whose configuration it is, by its keys; None if it is nobody's that is known here."""
    keys = set(tree)
    if "base_model" in keys and keys & {"adapter", "micro_batch_size", "sequence_len", "datasets"}:
        return _axolotl(tree)
    if "model_name_or_path" in keys and keys & {"finetuning_type", "stage", "cutoff_len"}:
        return _llamafactory(tree)
    if isinstance(tree.get("model"), Mapping) and "_component_" in tree["model"]:
        return _torchtune(tree, path)
    if "model_name_or_path" in keys and keys & {"dataset_name", "datasets"}:
        return _trl(tree)
    return None


def _axolotl(tree: Mapping[str, Any]) -> Launcher:
    notes = []
    if not tree.get("val_set_size") and not tree.get("test_datasets"):
        notes.append(
            "it holds no data back: set val_set_size (0.05) or test_datasets, or there is no eval_loss"
        )
    if "evals_per_epoch" not in tree and "eval_steps" not in tree and "eval_strategy" not in tree:
        notes.append("say when it evaluates, for instance evals_per_epoch: 1")
    command = ("axolotl", "train", "{config}", "--output-dir", "{trial_dir}/out")
    metric = "eval_loss"
    if tree.get("rl") == "grpo":
        metric = "reward"
    return Launcher("Axolotl", "axolotl", command, {"stdout": "hf"}, metric, tuple(notes))


def _llamafactory(tree: Mapping[str, Any]) -> Launcher:
    notes = []
    if not tree.get("val_size") and not tree.get("eval_dataset"):
        notes.append("it holds no data back: set val_size (0.1) or eval_dataset, or there is no eval_loss")
    if str(tree.get("eval_strategy", "no")) == "no" and not tree.get("do_eval"):
        notes.append("say when it evaluates, for instance eval_strategy: epoch")
    command = ("llamafactory-cli", "train", "{config}", "output_dir={trial_dir}/out")
    return Launcher("LLaMA-Factory", "llamafactory", command, {"stdout": "hf"}, "eval_loss", tuple(notes))


def _torchtune(tree: Mapping[str, Any], path: Path) -> Launcher:
    said = re.search(r"tune\s+run\s+(?:--\S+\s+(?:\d+\s+)?)*([\w./]+)", path.read_text(errors="replace"))
    lora = "lora" in str(tree["model"]["_component_"])
    recipe = said[1] if said else "lora_finetune_single_device" if lora else "full_finetune_single_device"
    notes = [] if said else [f"its recipe is not named in the file; {recipe} is assumed: correct the command"]
    notes.append("the loss is that of training: torchtune's recipes evaluate only with run_val_every_n_steps")
    logger = "metric_logger._component_=torchtune.training.metric_logging.StdoutLogger"
    words = ["tune", "run", recipe, "--config", "{config}", "output_dir={trial_dir}/out", logger]
    settings = tree.get("metric_logger")
    if isinstance(settings, Mapping):  # the logger for standard output takes none
        words += [f"~metric_logger.{key}" for key in settings if key != "_component_"]
    pattern = r"Step (?P<step>\d+) \|.*?\bloss:(?P<loss>\S+)"
    return Launcher("torchtune", "torchtune", tuple(words), {"stdout": pattern}, "loss", tuple(notes))


def _trl(tree: Mapping[str, Any]) -> Launcher:
    kind = "grpo" if "num_generations" in tree else "dpo" if "beta" in tree else "sft"
    notes = [f"the file does not say the method; trl {kind} is assumed: correct the command"]
    if str(tree.get("eval_strategy", "no")) == "no":
        notes.append("say when it evaluates, for instance eval_strategy: epoch, or there is no eval_loss")
    command = ("trl", kind, "--config", "{config}", "--output_dir", "{trial_dir}/out")
    metric = "reward" if kind == "grpo" else "eval_loss"
    return Launcher("TRL", "trl", command, {"stdout": "hf"}, metric, tuple(notes))
