"""Configurations of launchers: whose they are, how they are run, and which of their keys are searched."""

from __future__ import annotations

import pytest
from drafting import Desk

from taut.errors import InputError
from taut.executors.patching import ConfigFile
from taut.resultlines import pattern_rows

AXOLOTL = """
    base_model: org/tiny
    datasets:
      - path: data.jsonl
        type: alpaca
    val_set_size: 0.1
    adapter: lora
    sequence_len: 2048
    lora_r: 16
    lora_alpha: 32
    lora_dropout: 0.05
    gradient_accumulation_steps: 2
    micro_batch_size: 3
    num_epochs: 4
    lr_scheduler: cosine
    learning_rate: 2e-4
    seed: 42
"""
FACTORY = """
    model_name_or_path: org/tiny
    stage: sft
    do_train: true
    finetuning_type: lora
    lora_rank: 8
    dataset: identity
    template: qwen3
    per_device_train_batch_size: 1
    gradient_accumulation_steps: 8
    learning_rate: 1.0e-4
    num_train_epochs: 3.0
    warmup_ratio: 0.1
"""
TORCHTUNE = """
    # tune run --nproc_per_node 2 lora_finetune_distributed --config llama3_2/1B_lora
    output_dir: /tmp/out
    model:
      _component_: torchtune.models.llama3_2.lora_llama3_2_1b
      lora_rank: 64
      lora_alpha: 128
    batch_size: 4
    optimizer:
      _component_: torch.optim.AdamW
      lr: 3e-4
      weight_decay: 0.01
    metric_logger:
      _component_: torchtune.training.metric_logging.DiskLogger
      log_dir: ${output_dir}/logs
"""
TRL = """
    model_name_or_path: org/tiny
    dataset_name: org/data
    learning_rate: 2.0e-5
    per_device_train_batch_size: 8
    eval_strategy: epoch
"""


def test_axolotl(desk: Desk) -> None:
    desk.write("base.yml", AXOLOTL)
    study = desk.study("base.yml")
    assert study.evaluation.command == ["axolotl", "train", "{config}", "--output-dir", "{trial_dir}/out"]
    assert (study.evaluation.config, study.evaluation.cwd) == ("base.yml", ".")
    assert study.evaluation.results.stdout == "hf" and study.evaluation.model == "org/tiny"
    space = study.space
    assert space["learning_rate"]["start"] == 2e-4, "a number, though YAML 1.1 takes it for text"
    assert space["lora_alpha"] == {"expr": "2 * lora_r"}
    assert 3 in space["micro_batch_size"]["ordinal"], "the file's own value is among those that are tried"
    assert not {"base_model", "seed", "sequence_len", "adapter", "val_set_size"} & set(space)
    ConfigFile(desk.place / "base.yml").check(space)  # each has its key
    assert study.fidelity is not None and study.fidelity.max == 4 and "num_epochs" not in space


def test_llama_factory_says_what_is_missing(desk: Desk) -> None:
    desk.write("base.yaml", FACTORY)
    study = desk.study("base.yaml")
    assert study.evaluation.command == ["llamafactory-cli", "train", "{config}", "output_dir={trial_dir}/out"]
    assert {"lora_rank", "learning_rate", "per_device_train_batch_size"} <= set(study.space)
    notes = " ".join(desk.outline("base.yaml").notes)
    assert "set val_size (0.1) or eval_dataset" in notes and "eval_strategy: epoch" in notes


def test_torchtune(desk: Desk) -> None:
    desk.write("base.yaml", TORCHTUNE)
    study = desk.study("base.yaml")
    command = study.evaluation.command
    assert command is not None
    assert command[:5] == ["tune", "run", "lora_finetune_distributed", "--config", "{config}"]
    assert "~metric_logger.log_dir" in command
    assert {"optimizer__lr", "model__lora_rank", "batch_size"} <= set(study.space)
    assert study.space["model__lora_alpha"] == {"expr": "2 * model__lora_rank"}
    assert not any("_component_" in name for name in study.space)
    ConfigFile(desk.place / "base.yaml").check(study.space)
    (row,) = pattern_rows(study.evaluation.results.stdout or "")(
        "Step 7 | loss:1.25 lr:0.0003 tokens_per_second:9 "
    )
    assert (row.step, row.values) == (7.0, {"loss": 1.25})


def test_trl(desk: Desk) -> None:
    desk.write("base.yaml", TRL)
    command = desk.study("base.yaml").evaluation.command
    assert command == ["trl", "sft", "--config", "{config}", "--output_dir", "{trial_dir}/out"]


def test_a_preset_chooses_among_the_keys(desk: Desk) -> None:
    desk.write("base.yml", AXOLOTL)
    outline = desk.outline("base.yml", preset="lora")
    assert {pick.flag.name for pick in outline.selection.searched} >= {
        "lora_r",
        "lora_dropout",
        "learning_rate",
    }
    assert outline.left_out == [
        "warmup_ratio (base.yml has no flag for it)",
        "num_train_epochs (num_epochs: it says how long a whole trial is)",
    ]


def test_other_files_are_for_the_script_that_reads_them(desk: Desk) -> None:
    desk.write("base.yaml", "lr: 1\n")
    with pytest.raises(InputError, match=r"taut init train.py -- --config base.yaml"):
        desk.outline("base.yaml")
    desk.write("list.yaml", "- 1\n")
    with pytest.raises(InputError, match="holds no keys and values at its top"):
        desk.outline("list.yaml")
    desk.write("bad.yaml", "a: [1\n")
    with pytest.raises(InputError, match=r"bad.yaml cannot be read: .*correct it"):
        desk.outline("bad.yaml")
