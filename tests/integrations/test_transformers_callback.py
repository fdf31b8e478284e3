"""TautCallback: a real Trainer in a trial, in Python and as a command."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from transformers import TrainerCallback  # noqa: E402
from transformers_lab import arguments, texts, trainer  # noqa: E402

import taut  # noqa: E402
from taut.integrations.transformers import TautCallback, TokenLoss, resume_from  # noqa: E402

pytestmark = pytest.mark.xdist_group("transformers")  # which take long to import

SPACE = taut.Space(learning_rate=taut.loguniform(1e-3, 1e-1))
ASHA = {"method": "asha", "fidelity": {"name": "step", "min": 2, "max": 8}, "eta": 2}


class At(TrainerCallback):
    """Does something at the end of a step."""

    def __init__(self, step: int, does: Any) -> None:
        self.step, self.does = step, does

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        if state.global_step == self.step:
            self.does()


class Steps(TrainerCallback):
    """Notes what was trained, evaluated and saved."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        self.done.append(f"{state.global_step}")

    def on_evaluate(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        self.done.append("eval")

    def on_save(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        self.done.append("save")


def train(trial: taut.Trial, folder: Path, *others: Any, fidelity: Any = "step", **changes: Any) -> float:
    args = arguments(folder, learning_rate=trial.params["learning_rate"], **changes)
    made = trainer(args, [TautCallback(trial, fidelity=fidelity), *others])
    made.train(resume_from_checkpoint=resume_from(trial))
    return trial.last.get("eval_loss", math.nan)


def test_evaluations_are_reported_by_step_and_the_arguments_are_as_before(tmp_path: Path) -> None:
    study, logged = taut.Study(tmp_path / "study", SPACE, minimize="eval_loss", sampler="random"), []

    def objective(trial: taut.Trial) -> None:
        args = arguments(tmp_path / "out", learning_rate=trial.params["learning_rate"])
        made = trainer(args, [TautCallback(trial)])
        made.train()
        assert args.output_dir == str(tmp_path / "out") and args.logging_nan_inf_filter
        logged.extend(row["eval_loss"] for row in made.state.log_history if "eval_loss" in row)

    study.run(objective, trials=1)
    curve = [(told.s, told.y["eval_loss"]) for told in study.snapshot.curves.of(0)]
    assert curve == list(zip([2, 4, 6, 8], logged, strict=True))
    assert study.best.values["eval_loss"] == logged[-1]
    assert "grad_norm" not in study.best.values  # of the training, and no objective


def test_training_logs_count_where_they_have_the_objective(tmp_path: Path) -> None:
    study = taut.Study(None, SPACE, minimize="loss", sampler="random")
    study.run(lambda trial: train(trial, tmp_path, eval_strategy="no") and None, trials=1)
    assert [told.s for told in study.snapshot.curves.of(0)] == [2, 4, 6, 8]


def test_who_is_pruned_ends_at_once_and_leaves_no_checkpoint(tmp_path: Path) -> None:
    study, steps = taut.Study(tmp_path / "study", SPACE, minimize="eval_loss", pruner=ASHA), {}

    def objective(trial: taut.Trial) -> float:
        noted = Steps()
        loss = train(trial, tmp_path, noted)
        steps[trial.number] = noted.done
        return loss

    study.run(objective, trials=5)
    pruned = [trial for trial in study.trials if trial.state == "pruned"]
    assert pruned and study.best.step == 8
    for trial in pruned:
        done = steps[trial.number]
        assert done[-1] == "eval" and trial.step < 8 and f"{trial.step + 1:g}" not in done
        assert not list((tmp_path / "study" / "trials" / str(trial.number)).rglob("checkpoint-*"))


def test_who_is_promoted_goes_on_from_its_checkpoint_to_the_same_result(tmp_path: Path) -> None:
    waits = {**ASHA, "method": "halving"}
    study, trained = taut.Study(tmp_path / "study", SPACE, minimize="eval_loss", pruner=waits), []

    def objective(trial: taut.Trial) -> float:
        noted = Steps()
        best = {"save_strategy": "best", "metric_for_best_model": "eval_runtime"}  # which seldom is the last
        loss = train(trial, tmp_path, noted, **best)
        trained.extend((trial.number, int(step)) for step in noted.done if step.isdigit())
        return loss

    study.run(objective, trials=4)
    best = study.best
    assert best.attempts > 1 and len(trained) == len(set(trained))  # no step was trained twice
    whole = taut.Study(None, SPACE, minimize="eval_loss")
    (trial,) = whole.ask(1)
    trial.params["learning_rate"] = best.params["learning_rate"]
    assert train(trial, tmp_path) == pytest.approx(best.values["eval_loss"], rel=1e-6)


def test_who_has_to_leave_is_saved_in_the_middle_of_an_epoch_and_goes_on(tmp_path: Path) -> None:
    noted = Steps()
    study = taut.Study(tmp_path / "study", SPACE, minimize="eval_loss", trials=1)
    for trial in study.work():
        leave = At(3, lambda: study.store.walltime.ask("a test"))
        train(trial, tmp_path, leave, noted, eval_strategy="epoch")
        assert trial.paused
    assert study.trials[0].state == "paused" and noted.done == ["1", "2", "3", "4", "save"]
    study.close()
    noted.done = []
    for trial in taut.Study(tmp_path / "study", trials=1).work():
        train(trial, tmp_path, noted)
        assert noted.done == ["5", "6", "eval", "7", "8", "eval"]
    assert taut.Study(tmp_path / "study").best.attempts == 2


def test_a_checkpoint_that_was_not_finished_is_passed_over(tmp_path: Path) -> None:
    for step, state in (("2", "{}"), ("10", '{"epo'), ("9", "{}"), ("11", None)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if state is not None:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
    from taut.integrations.transformers.checkpoints import newest

    assert newest(tmp_path) == tmp_path / "checkpoint-9"


def nan_at(token: int) -> Any:
    def loss(outputs: Any, labels: Any, **rest: Any) -> Any:
        found = torch.nn.functional.cross_entropy(
            outputs.logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
        )
        return found * math.nan if token in labels else found

    return loss


def test_a_batch_that_diverged_is_not_left_out(tmp_path: Path) -> None:
    held_out = [{"input_ids": [3, 4, 5], "labels": [3, 4, 5]}] * 8 + [
        {"input_ids": [9, 7], "labels": [9, 7]}
    ] * 8
    given = {"train_dataset": texts(8, length=4), "eval_dataset": held_out, "compute_loss_func": nan_at(9)}
    args = arguments(tmp_path, max_steps=1, eval_steps=1)
    peer = trainer(args, [], **given)
    assert math.isfinite(peer.evaluate()["eval_loss"])  # what the Trainer says by itself
    study = taut.Study(None, SPACE, minimize="eval_loss")

    def objective(trial: taut.Trial) -> None:
        trainer(args, [TautCallback(trial)], **given).train()

    study.run(objective, trials=1)
    assert study.trials[0].state == "failed" and "eval_loss is nan" in study.trials[0].error


def test_the_loss_by_token_does_not_depend_on_the_batches(tmp_path: Path) -> None:
    losses, means = [], []
    for size in (1, 3, 10):
        loss = TokenLoss()
        args = arguments(tmp_path, per_device_eval_batch_size=size)
        made = trainer(
            args,
            [],
            eval_dataset=texts(10, ragged=True),
            compute_metrics=loss,
            preprocess_logits_for_metrics=loss.sums,
        )
        told = made.evaluate()
        losses.append(told["eval_token_loss"])
        means.append(told["eval_loss"])
        assert told["eval_perplexity"] == pytest.approx(math.exp(losses[-1])) and told["eval_nonfinite"] == 0
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-6)
    assert means[2] == pytest.approx(losses[2], rel=1e-6)  # one batch: the mean over tokens
    assert abs(means[0] - losses[0]) > 3e-4


@pytest.mark.parametrize("fidelity", ["epoch", "tokens"])
def test_steps_may_be_epochs_or_tokens(tmp_path: Path, fidelity: str) -> None:
    study = taut.Study(None, SPACE, minimize="eval_loss")
    changes = {
        "max_steps": -1,
        "num_train_epochs": 2,
        "per_device_train_batch_size": 64,
        "eval_strategy": "epoch",
    }
    changes |= {"include_num_input_tokens_seen": "all"} if fidelity == "tokens" else {}
    study.run(lambda trial: train(trial, tmp_path, fidelity=fidelity, **changes), trials=1)
    steps = [told.s for told in study.snapshot.curves.of(0)]
    assert steps == ([1, 2] if fidelity == "epoch" else [64 * 8, 2 * 64 * 8])


def test_what_cannot_be_counted_is_said(tmp_path: Path) -> None:
    with pytest.raises(taut.InputError, match="'step', 'epoch' or 'tokens'"):
        TautCallback(fidelity="epochs")
    study = taut.Study(None, SPACE, minimize="eval_loss")
    study.run(lambda trial: train(trial, tmp_path, fidelity="tokens"), trials=1)
    assert "include_num_input_tokens_seen" in study.trials[0].error


def test_a_member_of_a_population_takes_the_weights_of_another_and_not_its_learning_rate(
    tmp_path: Path,
) -> None:
    first, rates = taut.Study(tmp_path / "study", SPACE, minimize="eval_loss"), []
    parent = first.ask()
    parent.params["learning_rate"] = 1e-2
    train(parent, tmp_path, At(4, lambda: first.store.walltime.ask("a test")))
    child = taut.Trial(1, 0, {"learning_rate": 5e-3}, parent._channel, 0, str(tmp_path / "child"), parent=0,
                       origin=str(parent.checkpoint_dir))  # fmt: skip

    class Rates(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, optimizer: Any, **rest: Any) -> None:
            rates.append(
                (
                    state.global_step,
                    optimizer.param_groups[0]["lr"],
                    optimizer.param_groups[0]["weight_decay"],
                )
            )

    args = arguments(tmp_path, learning_rate=5e-3, weight_decay=0.25)
    made = trainer(args, [TautCallback(child), Rates()])
    child._channel = _Quiet()
    made.train(resume_from_checkpoint=resume_from(child))
    assert rates == [(s, pytest.approx(5e-3 * (1 - s / 8)), 0.25) for s in range(5, 8)]


class _Quiet:
    def report(self, trial: Any, step: float, values: Any) -> None: ...
    def should_stop(self, trial: Any) -> bool:
        return False

    def should_checkpoint(self, trial: Any) -> bool:
        return False


# ------------------------------------------------------------------ as a command


@pytest.fixture
def commanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def begin(**given: str) -> None:
        place = tmp_path / "trials" / "3"
        (place / "checkpoint").mkdir(parents=True, exist_ok=True)
        told = {
            "TAUT_TRIAL": "3",
            "TAUT_ATTEMPT": "0",
            "TAUT_SEED": "5",
            "TAUT_PARAMS": '{"learning_rate": 0.01}',
        }
        told |= {"TAUT_TRIAL_DIR": str(place), "TAUT_REPORT": str(place / "report")}
        told |= {"TAUT_CHECKPOINT_DIR": str(place / "checkpoint"), **given}
        for name, value in told.items():
            monkeypatch.setenv(name, value)

    return begin


def reports(tmp_path: Path) -> list[dict[str, float]]:
    lines = (tmp_path / "trials" / "3" / "report").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_a_command_runs_up_to_its_step_and_the_next_attempt_goes_on(tmp_path: Path, commanded: Any) -> None:
    noted = Steps()
    commanded(TAUT_FIDELITY="3")
    trainer(arguments(tmp_path / "out"), [TautCallback(), noted]).train(resume_from_checkpoint=resume_from())
    assert noted.done == ["1", "2", "eval", "3", "eval", "save"]
    told = reports(tmp_path)
    assert [line["step"] for line in told if "eval_loss" in line] == [2, 3]
    assert all("loss" in line or "eval_loss" in line or "train_loss" in line for line in told)
    noted.done = []
    commanded(
        TAUT_FIDELITY="8", TAUT_ATTEMPT="1", TAUT_RESUMED_FROM=str(tmp_path / "trials" / "3" / "checkpoint")
    )
    trainer(arguments(tmp_path / "out"), [TautCallback(), noted]).train(resume_from_checkpoint=resume_from())
    assert [step for step in noted.done if step.isdigit()] == ["4", "5", "6", "7", "8"]
    assert "save" not in noted.done  # it is whole


def test_a_program_that_taut_did_not_start_needs_no_switch(tmp_path: Path) -> None:
    args = arguments(tmp_path / "out", max_steps=2)
    made = trainer(args, [TautCallback()])
    made.train(resume_from_checkpoint=resume_from())
    assert made.state.global_step == 2 and args.logging_nan_inf_filter
