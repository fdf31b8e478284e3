"""A language model and a Trainer that take a moment: built in memory, nothing is downloaded."""

from __future__ import annotations

import gc
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PrinterCallback, Trainer, TrainingArguments, set_seed
from transformers.utils import logging

logging.disable_progress_bar()
logging.set_verbosity_error()
torch.set_num_threads(1)
gc.collect()
gc.freeze()  # what was imported: the Trainer collects garbage for each training, which would take longer than that

VOCABULARY = 32


def model(**changes: Any) -> LlamaForCausalLM:
    set_seed(0)
    shape = {
        "vocab_size": VOCABULARY,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": 64,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    return LlamaForCausalLM(LlamaConfig(**{**shape, **changes}))


def texts(count: int, seed: int = 0, length: int = 8, ragged: bool = False) -> list[dict[str, Any]]:
    """Sequences that count upwards from a random token; with `ragged` only their ends are scored, each of another length."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for i in range(count):
        start = int(torch.randint(3, VOCABULARY, (), generator=generator))
        ids = [3 + (start + k) % (VOCABULARY - 3) for k in range(length)]
        hidden = i % (length - 1) if ragged else 0
        found.append({"input_ids": ids, "labels": [-100] * hidden + ids[hidden:]})
    return found


def arguments(folder: Any, **changes: Any) -> TrainingArguments:
    given = {
        "output_dir": str(folder),
        "max_steps": 8,
        "per_device_train_batch_size": 4,
        "per_device_eval_batch_size": 8,
        "learning_rate": 1e-2,
        "eval_strategy": "steps",
        "eval_steps": 2,
        "logging_steps": 2,
        "save_strategy": "no",
        "lr_scheduler_type": "linear",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "dataloader_pin_memory": False,
    }
    return TrainingArguments(**{**given, **changes})


def trainer(args: TrainingArguments, callbacks: list[Any], **given: Any) -> Trainer:
    if "model" not in given and "model_init" not in given:
        given["model"] = model()
    made = Trainer(
        args=args,
        train_dataset=given.pop("train_dataset", None) or texts(64),
        eval_dataset=given.pop("eval_dataset", None) or texts(16, seed=1),
        callbacks=callbacks,
        **given,
    )
    made.remove_callback(PrinterCallback)
    return made
