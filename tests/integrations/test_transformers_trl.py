"""TRL's trainers through the same callback: SFT with LoRA of the trial's rank, DPO, GRPO. Nothing is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
for name in ("transformers", "trl", "peft", "datasets"):
    pytest.importorskip(name)

from datasets import Dataset  # noqa: E402
from peft import LoraConfig  # noqa: E402
from tokenizers import Tokenizer, decoders, models, pre_tokenizers  # noqa: E402
from transformers import PreTrainedTokenizerFast, PrinterCallback  # noqa: E402
from transformers_lab import model  # noqa: E402
from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer  # noqa: E402

import taut  # noqa: E402
from taut.integrations.transformers import TautCallback, TokenLoss, arguments, resume_from  # noqa: E402

pytestmark = pytest.mark.xdist_group("transformers")  # which take long to import

LINES = ["the tide comes in", "the tide goes out", "a boat lies still", "the gulls are loud"]


def tokenizer() -> PreTrainedTokenizerFast:
    """One token for each byte."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {word: i for i, word in enumerate(["<pad>", "<s>", "</s>", *letters])}
    made = Tokenizer(models.BPE(vocab=words, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )


def given(folder: Path, **changes: Any) -> dict[str, Any]:
    common = {
        "output_dir": str(folder),
        "max_steps": 4,
        "per_device_train_batch_size": 2,
        "per_device_eval_batch_size": 2,
        "eval_strategy": "steps",
        "eval_steps": 2,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "dataloader_pin_memory": False,
    }
    return {**common, **changes}


def trained(trainer: Any, trial: taut.Trial) -> Any:
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=resume_from(trial))
    return trainer


def test_sft_with_lora_of_the_trials_rank(tmp_path: Path) -> None:
    space = taut.Space(
        learning_rate=taut.loguniform(1e-3, 1e-1), r=taut.ordinal([1, 2, 4]), lora_alpha=taut.expr("2 * r")
    )
    pruner = {"method": "halving", "eta": 2, "fidelity": {"name": "step", "min": 2, "max": 4}}
    study = taut.Study(tmp_path / "study", space, minimize="eval_token_loss", pruner=pruner)
    data = Dataset.from_list([{"text": line} for line in LINES])
    ranks = {}

    def objective(trial: taut.Trial) -> None:
        args, others = arguments(SFTConfig, trial.params, **given(tmp_path, max_length=32))
        adapter, nobody = arguments(LoraConfig, others, target_modules=["q_proj"], task_type="CAUSAL_LM")
        assert not nobody and args.learning_rate == trial.params["learning_rate"]
        loss = TokenLoss()
        trainer = SFTTrainer(
            model(vocab_size=260),
            args,
            train_dataset=data,
            eval_dataset=data,
            processing_class=tokenizer(),
            peft_config=adapter,
            callbacks=[TautCallback(trial)],
            compute_metrics=loss,
            preprocess_logits_for_metrics=loss.sums,
        )
        trained(trainer, trial)
        ranks[trial.number] = trainer.model.peft_config["default"].r

    study.run(objective, trials=2)
    assert ranks == {trial.number: trial.params["r"] for trial in study.trials}
    best = study.best
    assert best.attempts == 2  # it waited, and went on from its adapter's checkpoint
    assert {"eval_token_loss", "eval_loss", "eval_mean_token_accuracy"} <= set(best.values)


def test_dpo(tmp_path: Path) -> None:
    study = taut.Study(None, taut.Space(beta=taut.loguniform(0.01, 1.0)), maximize="eval_rewards_accuracies")
    rows = [{"prompt": "the ", "chosen": line[4:], "rejected": line[:3:-1]} for line in LINES]

    def objective(trial: taut.Trial) -> None:
        args, _ = arguments(DPOConfig, trial.params, **given(tmp_path, max_length=32))
        assert args.beta == trial.params["beta"]
        callback = TautCallback(trial)
        data = Dataset.from_list(rows)
        trainer = DPOTrainer(
            model(vocab_size=260),
            model(vocab_size=260),  # the reference
            args=args,
            train_dataset=data,
            eval_dataset=data,
            processing_class=tokenizer(),
            callbacks=[callback],
        )
        trained(trainer, trial)

    study.run(objective, trials=1)
    assert study.trials[0].error is None, study.trials[0].error
    assert [told.s for told in study.snapshot.curves.of(0)] == [2, 4]
    assert 0 <= study.best.values["eval_rewards_accuracies"] <= 1


def test_grpo_reports_its_reward(tmp_path: Path) -> None:
    study = taut.Study(None, taut.Space(temperature=taut.uniform(0.5, 1.5)), maximize="reward")
    changes = {"eval_strategy": "no", "max_steps": 2, "num_generations": 2, "max_completion_length": 4}

    def letters(completions: list[str], **rest: Any) -> list[float]:
        return [sum(letter.isalpha() for letter in text) / 4 for text in completions]

    def objective(trial: taut.Trial) -> None:
        args, _ = arguments(GRPOConfig, trial.params, **given(tmp_path, **changes))
        trainer = GRPOTrainer(
            model(vocab_size=260),
            letters,
            args=args,
            train_dataset=Dataset.from_list([{"prompt": line[:6]} for line in LINES]),
            processing_class=tokenizer(),
            callbacks=[TautCallback(trial)],
        )
        trained(trainer, trial)

    study.run(objective, trials=1)
    assert study.trials[0].error is None, study.trials[0].error
    assert [told.s for told in study.snapshot.curves.of(0)] == [1, 2]
    assert "rewards_letters_mean" in study.best.values
