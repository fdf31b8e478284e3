"""From a flag to an entry, on the command line and in Python."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from taut import catalogue
from taut.catalogue.text import inline
from taut.errors import InputError

ROOT = Path(__file__).parents[2]


def taut(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "taut", "catalogue", *words]
    return subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "src")})


@pytest.mark.parametrize(
    ("flag", "library", "context", "name"),
    [
        ("--lr", None, None, "learning_rate"),
        ("learning-rate", None, None, "learning_rate"),
        ("--per-device-train-batch-size", "hf", None, "per_device_train_batch_size"),
        ("--batch_size", None, None, "per_device_train_batch_size"),
        ("optimizer.lr", "torchtune", None, "learning_rate"),
        ("training.optim.lr", None, None, "learning_rate"),
        ("learning_rate", "trl", "dpo_full", "learning_rate"),  # TRL has all of transformers' names
        ("learning_rate", "llamafactory", None, "learning_rate"),
        ("learning_rate", "sklearn", None, "boosting_learning_rate"),
        ("r", "peft", None, "lora_r"),
        ("beta", "trl", "dpo_lora", "dpo_beta"),
        ("beta", "trl", "grpo_full", "kl_beta_online"),
        ("beta", "trl", "distillation", "distill_divergence_beta"),
        ("temperature", "trl", "grpo_lora", "rollout_temperature"),
        ("temperature", "vllm", None, "temperature"),
        ("temperature", None, None, "temperature"),
        ("warmup_steps", "hf", None, "warmup_ratio"),  # below 1 a share
        ("--warmup_steps", None, None, "warmup_steps"),
        ("warmup_ratio", "hf", None, "warmup_ratio"),  # of transformers 4
        ("gamma", "sklearn", None, "svm_gamma"),
        ("gamma", "xgboost", None, "min_split_gain"),
        ("C", "sklearn", None, "svm_c"),
        ("--gpu-memory-utilization", "vllm", None, "gpu_memory_utilization"),
        ("hidden_size", "pytorch", None, "hidden_units"),
        ("hidden_size", "hf", None, "hidden_size"),
        ("LORA_R", "axolotl", None, "lora_r"),
    ],
)
def test_a_flag_means_an_entry(flag: str, library: str | None, context: str | None, name: str) -> None:
    found = catalogue.match(flag, library, context)
    assert found is not None and found.name == name
    assert catalogue.entry(flag, library, context) is found


@pytest.mark.parametrize(
    ("flag", "library"),
    [
        ("beta", "trl"),
        ("beta", None),
        ("--gamma", None),
        ("C", None),
        ("k", None),
        ("n", None),
        ("model", None),
    ],
)
def test_what_could_be_anything_is_not_guessed(flag: str, library: str | None) -> None:
    assert catalogue.match(flag, library) is None


@pytest.mark.parametrize(
    "flag", ["output_dir", "data_path", "logging_steps", "device", "foo", "", "--", "a.b"]
)
def test_what_is_no_hyperparameter_is_not_found(flag: str) -> None:
    assert catalogue.meanings(flag) == ()


def test_a_setting_is_that_of_its_context() -> None:
    lr = catalogue.entry("learning_rate")
    starts = {context: lr.setting(context).prior["start"] for context in ("full_sft", "lora_sft", "dpo_full")}
    assert starts == {"full_sft": 2e-5, "lora_sft": 2e-4, "dpo_full": 5e-7}
    assert lr.setting("inference") is None
    assert lr.setting() is lr.settings[0]
    assert catalogue.entry("lora_r").setting("full_sft") is None
    line = lr.setting("lora_sft").toml("lr", start=3e-4, when="method == 'lora'")
    assert line == "lr = { loguniform = [1e-5, 0.002], start = 3e-4, when = \"method == 'lora'\" }"
    assert "start = 2e-4" in lr.setting("lora_sft").toml("lr")


def test_couplings_take_a_scripts_names_and_numbers() -> None:
    (rule,) = catalogue.couplings("lora_alpha")
    assert rule.toml({"lora_r": "rank", "lora_alpha": "alpha"}) == 'alpha = { expr = "2 * rank" }'
    fixed = next(each for each in catalogue.couplings() if each.name == "accumulation_fixed")
    assert fixed.needs == ("per_device_train_batch_size",)
    said = fixed.expression({"per_device_train_batch_size": "bs"}, batch=64, devices=2)
    assert said == "max(1, 64 // (bs * 2))"
    with pytest.raises(
        InputError, match=r"'device' is no constant of accumulation_fixed.*did you mean 'devices'"
    ):
        fixed.expression(device=2)


@pytest.mark.parametrize(
    "x", [0.0, 1e-5, 2e-4, 0.05, 0.1, 1.0, 32768.0, 7e6, 1.23456e-9, 1 / 3, 1e22, -2e-4, 5e-324]
)
def test_numbers_are_read_back_as_they_were(x: float) -> None:
    text = inline(x)
    assert float(text) == x
    assert re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?", text) and ("." in text or "e" in text)


def test_wrong_names_are_answered() -> None:
    with pytest.raises(
        InputError, match=r"'leaning_rate' is not in the catalogue; did you mean 'learning_rate'"
    ):
        catalogue.entry("leaning_rate")
    with pytest.raises(InputError, match=r"'beta' can mean dpo_beta .*kl_beta_online"):
        catalogue.entry("beta")
    with pytest.raises(InputError, match=r"'hugging' is no library; there are hf, trl"):
        catalogue.entries(library="hugging")
    with pytest.raises(InputError, match=r"'lora_stf' is no context.*did you mean 'lora_sft'"):
        catalogue.match("lr", context="lora_stf")


def test_the_command_lists_shows_and_refuses() -> None:
    listed = taut("--family", "inference")
    assert (
        listed.returncode == 0
        and "\n  temperature " in listed.stdout
        and "learning_rate" not in listed.stdout
    )
    shown = taut("--lr", "--context", "lora_sft")
    assert shown.returncode == 0 and shown.stdout.startswith("learning_rate: training, float, impact high")
    assert "learning_rate = { loguniform = [1e-5, 0.002], start = 2e-4 }" in shown.stdout
    assert "dpo_full" not in shown.stdout.partition("Called")[0]
    wrong = taut("per_device_train_batchsize")
    assert wrong.returncode == 2 and "did you mean 'per_device_train_batch_size'" in wrong.stderr
    assert taut("--library", "nope").returncode == taut("--family", "nope").returncode == 2
    one = json.loads(taut("lora_r", "--json").stdout)
    assert one["name"] == "lora_r" and one["settings"][0]["prior"]["ordinal"][0] == 8
    some = json.loads(taut("--library", "vllm", "--family", "performance", "--json").stdout)
    assert {"max_num_seqs", "kv_cache_dtype"} <= {each["name"] for each in some}


def test_the_command_is_quick_and_loads_nothing_heavy() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert taut().returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (
        after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime < 0.6
    )  # 0.2 s on an idle machine
    code = "import sys; from taut.cli.catalogue import catalogue; from taut.catalogue import entries; entries()\n"
    code += (
        "print(sorted(m for m in ('numpy', 'scipy', 'rich', 'taut.space', 'taut.study') if m in sys.modules))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "src")}
    )
    assert ran.stdout == "[]\n", ran.stdout + ran.stderr


def test_the_page_is_what_the_data_say() -> None:
    command = [sys.executable, str(ROOT / "docs" / "make_catalogue.py"), "--check"]
    ran = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "src")})
    assert ran.returncode == 0, ran.stderr
