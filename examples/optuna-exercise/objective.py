"""Fine-tune the small language model, as an objective for Optuna. Nothing in here knows taut."""

from pathlib import Path
from typing import Any

import optuna
import torch
from stories import HARBOUR, blocks, stories
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.utils import logging

RUNS = Path(__file__).resolve().parent / "runs"
MODEL = RUNS / "model"

torch.set_num_threads(1)  # one core for each worker
logging.disable_progress_bar()
if not MODEL.exists():
    raise FileNotFoundError(f"{MODEL} is missing: python pretrain.py makes it")
TOKENIZER = AutoTokenizer.from_pretrained(MODEL)  # once in each process
TRAINING, HELD_OUT = (blocks(stories(HARBOUR, *which), TOKENIZER) for which in ((100, 3), (150, 4)))


class ReportAndPrune(TrainerCallback):
    """Tells the trial what each evaluation has come to, and ends the training where that promises little."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float],
        **rest: Any,
    ) -> None:
        epoch = round(state.epoch or 0)
        print(f"trial {self.trial.number}: epoch {epoch}: eval_loss={metrics['eval_loss']:.4f}", flush=True)
        self.trial.report(metrics["eval_loss"], epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def objective(trial: optuna.Trial) -> float:
    """Mean cross-entropy in nats per token on stories of the harbour that the model was not trained on."""
    arguments = TrainingArguments(
        str(RUNS / "trainer"),
        learning_rate=trial.suggest_float("learning_rate", 1e-6, 1e-4, log=True),
        weight_decay=trial.suggest_float("weight_decay", 0.0, 0.3),
        num_train_epochs=8,
        per_device_train_batch_size=4,
        per_device_eval_batch_size=32,
        eval_strategy="epoch",
        save_strategy="no",
        logging_nan_inf_filter=False,  # else batches that diverged are left out of eval_loss
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,  # so small that a GPU would not be faster
        dataloader_pin_memory=False,
    )
    trainer = Trainer(
        AutoModelForCausalLM.from_pretrained(MODEL),
        arguments,
        train_dataset=TRAINING,
        eval_dataset=HELD_OUT,
        callbacks=[ReportAndPrune(trial)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return trainer.state.log_history[-2]["eval_loss"]  # the last entry sums up the training
