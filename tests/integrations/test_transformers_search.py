"""hyperparameter_search with a real Trainer, and a trial's parameters as arguments."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from transformers import TrainingArguments
from transformers_lab import arguments as training
from transformers_lab import model, texts, trainer

import taut
from taut.integrations.transformers import arguments, hyperparameter_search

pytestmark = pytest.mark.xdist_group("transformers")  # which take long to import

SPACE = taut.Space(learning_rate=taut.loguniform(1e-3, 1e-1), hidden_size=taut.ordinal([8, 16]))


def test_the_model_is_built_from_the_trial_and_arguments_from_what_they_know(tmp_path: Path) -> None:
    built: list[Any] = []

    def model_init(trial: taut.Trial | None) -> Any:
        made = model(hidden_size=8 if trial is None else trial.params["hidden_size"])
        assert not any(each() is not None for each in built)  # the one before is gone
        gc.collect()
        built.append(weakref.ref(made))
        return made

    args = training(tmp_path / "out", max_steps=2)
    made = trainer(args, [], model_init=model_init)
    made.model = None
    seen = []
    made.add_callback(callback := _Noting(seen))
    best = hyperparameter_search(made, SPACE, n_trials=3, path=tmp_path / "study", sampler="random", seed=3)
    made.remove_callback(callback)
    study = taut.Study(tmp_path / "study")
    assert [trial.params for trial in study.trials] == [
        {"learning_rate": rate, "hidden_size": size} for rate, size in seen
    ]
    assert len({size for _, size in seen}) == 2
    assert (best.run_id, best.objective) == (str(study.best.number), study.best.values["eval_loss"])
    assert best.hyperparameters == study.best.params and best.run_summary.path == tmp_path / "study"
    assert made.args is args and made.model is None and args.learning_rate == 1e-2
    # It is resumed, and there is nothing left to do.
    assert hyperparameter_search(made, SPACE, n_trials=3, path=tmp_path / "study")[:3] == best[:3]


class _Noting(__import__("transformers").TrainerCallback):
    def __init__(self, seen: list[Any]) -> None:
        self.seen = seen

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any, **rest: Any) -> None:
        self.seen.append((args.learning_rate, model.config.hidden_size))


def test_as_one_writes_it_for_optuna(tmp_path: Path) -> None:
    made = trainer(training(tmp_path, max_steps=4), [], model_init=lambda: model())
    best = hyperparameter_search(
        made,
        lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)},
        lambda metrics: [metrics["eval_loss"], metrics["eval_runtime"]],
        n_trials=2,
        direction=["minimize", "minimize"],
        pruner="median",
        hp_name=lambda trial: f"run {trial.number}",
    )
    assert best and all(len(run.objective) == 2 for run in best)
    assert all(set(run.hyperparameters) == {"learning_rate"} for run in best)


def test_a_search_prunes(tmp_path: Path) -> None:
    pruner = {"method": "asha", "eta": 2, "fidelity": {"name": "step", "min": 2, "max": 8}}
    made = trainer(training(tmp_path), [], model_init=lambda: model())
    space = taut.Space(learning_rate=taut.loguniform(1e-5, 1e-1))
    best = hyperparameter_search(made, space, n_trials=5, pruner=pruner, sampler="random")
    states = [trial.state for trial in best.run_summary.trials]
    assert {"pruned", "complete"} == set(states)
    assert not list(tmp_path.rglob("checkpoint-*"))


def test_what_the_trainer_made_of_its_arguments_is_made_anew(tmp_path: Path) -> None:
    made = trainer(training(tmp_path, max_steps=1, eval_steps=1), [], model_init=lambda: model())
    space = taut.Space(label_smoothing_factor=taut.ordinal([0.0, 0.9]), bf16=taut.choice([True, False]))
    study = hyperparameter_search(made, space, n_trials=4, sampler="grid").run_summary
    loss = {
        (t.params["label_smoothing_factor"], t.params["bf16"]): t.values["objective"] for t in study.trials
    }
    assert len(set(loss.values())) == 4  # each of the two does something
    assert made.label_smoother is None


def test_what_nobody_would_hear_of_is_refused(tmp_path: Path) -> None:
    made = trainer(training(tmp_path), [], model_init=lambda: model())
    with pytest.raises(taut.InputError, match=r"learning_rat: .*nobody would hear.*'learning_rate'"):
        hyperparameter_search(made, taut.Space(learning_rat=taut.uniform(0, 1)))
    with pytest.raises(taut.InputError, match="direction"):
        hyperparameter_search(made, SPACE, direction="down")
    with pytest.raises(taut.InputError, match="model_init"):
        hyperparameter_search(trainer(training(tmp_path), []), SPACE)
    assert isinstance(made.args, TrainingArguments)


def test_values_are_taken_by_the_type_of_the_field(tmp_path: Path) -> None:
    base = training(tmp_path)
    given = {
        "warmup_steps": 0.1,
        "bf16": "False",
        "num_train_epochs": 3,
        "max_steps": 5.0,
        "optim": "adamw_torch",
        "lora_r": 8,
    }
    made, rest = arguments(base, given)
    assert (made.warmup_steps, made.bf16, made.max_steps) == (0.1, False, 5) and rest == {"lora_r": 8}
    assert isinstance(made.num_train_epochs, float) and isinstance(made.max_steps, int)
    assert base.warmup_steps == 0 and base.max_steps == 8
    again, _ = arguments(made, {})
    assert again == made
    for wrong in (
        {"max_steps": 3.5},
        {"bf16": "perhaps"},
        {"learning_rate": "fast"},
        {"lr_scheduler_type": "up"},
    ):
        with pytest.raises(taut.InputError, match=next(iter(wrong))):
            arguments(base, wrong)


def test_lora_of_the_trials_rank(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")

    def model_init(trial: taut.Trial | None) -> Any:
        config = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
        return peft.get_peft_model(model(), arguments(config, {} if trial is None else trial.params)[0])

    made = trainer(training(tmp_path, max_steps=2), [], model_init=model_init)
    space = taut.Space(r=taut.ordinal([1, 2, 4]), lora_alpha=taut.expr("2 * r"))
    ranks = []
    made.add_callback(_Ranks(ranks))
    best = hyperparameter_search(made, space, n_trials=3, sampler="grid", path=tmp_path / "study")
    assert ranks == [(t.params["r"], t.params["lora_alpha"]) for t in taut.Study(tmp_path / "study").trials]
    assert len(set(ranks)) == 3 and best.hyperparameters["lora_alpha"] == 2 * best.hyperparameters["r"]


class _Ranks(_Noting):
    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any, **rest: Any) -> None:
        self.seen.append((model.peft_config["default"].r, model.peft_config["default"].lora_alpha))


def test_several_held_out_sets(tmp_path: Path) -> None:
    sets = {"near": texts(8, seed=1), "far": texts(8, seed=2)}
    made = trainer(training(tmp_path, max_steps=2), [], model_init=lambda: model(), eval_dataset=sets)
    both = hyperparameter_search(
        made,
        taut.Space(learning_rate=taut.loguniform(1e-3, 1e-1)),
        lambda metrics: metrics["eval_near_loss"] + metrics["eval_far_loss"],
        n_trials=1,
    )
    values = both.run_summary.best.values
    assert values["objective"] == pytest.approx(values["eval_near_loss"] + values["eval_far_loss"])
