"""`hyperparameter_search`: that of the Trainer, with taut."""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate.state import AcceleratorState
from transformers import Trainer
from transformers.trainer_pt_utils import LabelSmoother
from transformers.trainer_utils import BestRun, default_compute_objective

import taut
from taut.errors import InputError, nearest
from taut.integrations.torch.ranks import Ranks, alone
from taut.integrations.torch.running import run
from taut.integrations.transformers.arguments import arguments
from taut.integrations.transformers.callback import Counted, TautCallback
from taut.integrations.transformers.checkpoints import resume_from
from taut.space import Space
from taut.study import Study
from taut.trial import Trial

__all__ = ["hyperparameter_search"]

_SPACE = Space(
    learning_rate=taut.loguniform(1e-6, 1e-4),
    num_train_epochs=taut.uniform_int(1, 5),
    per_device_train_batch_size=taut.ordinal([4, 8, 16, 32, 64]),
)

Objective = Callable[[dict[str, float]], Any]


def hyperparameter_search(
    trainer: Any,
    hp_space: Space | Callable[[Trial], Mapping[str, Any]] | None = None,
    compute_objective: Objective | None = None,
    n_trials: int = 20,
    direction: str | Sequence[str] = "minimize",
    hp_name: Callable[[Trial], str] | None = None,
    *,
    path: str | os.PathLike[str] | None = None,
    fidelity: Counted = "step",
    **study: Any,
) -> Any:
    """`trainer.hyperparameter_search(...)` with taut in place of a backend; the same arguments, and the same `BestRun`.

    Each trial builds its model anew, by ``model_init(trial)``. Parameters that are fields of `TrainingArguments` are set there, by the type of
    the field; all of them are in ``trial.params`` for `model_init`, so that it can build LoRA of the trial's rank. The Trainer calls
    `model_init` once before any trial, with None.

    trainer: a `Trainer` with `model_init`. TRL's trainers have none: build them in an objective, with `TautCallback`.
    hp_space: a `taut.Space`; or a function of the trial as one writes it for Optuna, which asks for its parameters and returns them.
    compute_objective: from the metrics of an evaluation to the objective, or several; by default ``eval_loss``, or the sum of all other metrics.
    n_trials: finished trials of the whole study.
    direction: "minimize" or "maximize", or one for each objective.
    hp_name: the `run_name` of each trial.
    path: the study's directory; it is resumed if it is there, and any number of jobs may run the same search on it. None keeps it in memory.
    fidelity: what the pruner's steps count.
    study: anything else that `taut.Study` takes: sampler, pruner, subject_to (of the Trainer's metrics), seed, warm_start, ...

    Returns the best run, on every rank; the front, as a list, with several objectives. Its `run_summary` is the study, on rank 0. Metrics of the study are
    ``objective`` (or ``objective_0``, ...) and all that evaluations tell.

    Raises `InputError` for a parameter that nobody takes, `StudyError` if no trial has come to a result.
    """
    if getattr(trainer, "model_init", None) is None:
        raise InputError(
            "each trial has to begin with a new model; give Trainer(model_init=...) in place of model=...",
            ("trainer",),
        )
    directions = [direction] if isinstance(direction, str) else list(direction)
    if not directions or any(each not in ("minimize", "maximize") for each in directions):
        raise InputError(
            f"{direction!r} is no direction; give 'minimize', 'maximize', or a list of them", ("direction",)
        )
    names = [f"objective_{i}" for i in range(len(directions))] if len(directions) > 1 else ["objective"]
    space = _SPACE if hp_space is None else hp_space if isinstance(hp_space, Space) else None
    search = _Search(trainer, names, compute_objective or default_compute_objective, fidelity, hp_name)
    if space is not None:
        search.check(space.names)
    least, most = (
        [name for name, way in zip(names, directions, strict=True) if way == each]
        for each in ("minimize", "maximize")
    )
    opened = Study(path, space, minimize=least, maximize=most, **study)
    asks = None if isinstance(hp_space, Space) else hp_space
    try:
        run(opened, lambda trial: search.evaluate(trial, asks), trials=n_trials)
    finally:
        search.restore()
    best = _told(opened, names)
    runs = [BestRun(number, value, params, opened) for number, value, params in best]
    return runs if len(names) > 1 else runs[0]


def _told(study: Study, names: list[str]) -> list[Any]:
    """Number, objective and parameters of the best trials, on every rank."""

    def look() -> list[Any]:
        found = study.pareto if len(names) > 1 else [study.best]
        values = [[trial.values[name] for name in names] for trial in found]
        return [
            (str(trial.number), value if len(names) > 1 else value[0], trial.params)
            for trial, value in zip(found, values, strict=True)
        ]

    if alone():
        return look()
    ranks = Ranks.here()
    told: list[Any] | str = []
    if ranks.leads:
        try:
            told = look()
        except taut.StudyError as error:
            told = str(error)
    told = ranks.agree("the best trial", lambda: told)
    if isinstance(told, str):
        raise taut.StudyError(told)
    return told


class _Search:
    """A Trainer that is used for one trial after the other."""

    def __init__(
        self,
        trainer: Trainer,
        names: list[str],
        objective: Objective,
        fidelity: Counted,
        hp_name: Callable[[Trial], str] | None,
    ) -> None:
        self.trainer = trainer
        self.names = names
        self.objective = objective
        self._fidelity = fidelity
        self._hp_name = hp_name
        self._args = trainer.args
        self._model_init = trainer.model_init
        self._release()
        self._listens = bool(inspect.signature(trainer.model_init).parameters)

    def check(self, names: Sequence[str]) -> None:
        """Raises `InputError` for a parameter that neither the arguments nor `model_init` would ever see."""
        fields = [field.name for field in dataclasses.fields(self._args) if field.init]
        deaf = [name for name in names if name not in fields]
        if deaf and not self._listens:
            raise InputError(
                f"is no field of {type(self._args).__name__}, and model_init() takes no trial, so nobody would hear of it"
                f"{nearest(deaf[0], fields)}; or write model_init(trial), and read trial.params",
                (deaf[0],),
            )

    def evaluate(self, trial: Trial, asks: Callable[[Trial], Mapping[str, Any]] | None) -> dict[str, float]:
        """Train and evaluate once. Returns the objectives; the callback has reported them with all other metrics."""
        if asks is not None:
            trial.params.update(asks(trial))
            self.check(list(trial.params))
        trainer, callback = self.trainer, _SearchCallback(self, trial)
        base = self._args
        if trial.checkpoint_dir is None:
            base, _ = arguments(base, {"output_dir": str(Path(base.output_dir) / f"run-{trial.number}")})
        if self._hp_name is not None:
            base, _ = arguments(base, {"run_name": self._hp_name(trial)})
        self._take(arguments(base, trial.params)[0])
        model_init = self._model_init
        trainer.model_init = lambda: model_init(trial) if self._listens else model_init()
        trainer.add_callback(callback)
        try:
            trainer.train(resume_from_checkpoint=resume_from(trial))
            if callback.objectives is None and not (trial.paused or callback.stopped):
                trainer.evaluate()
            return callback.objectives or {}
        finally:
            trainer.remove_callback(callback)
            self._release()

    def restore(self) -> None:
        """The Trainer with its own arguments again, and without a model."""
        self.trainer.model_init = self._model_init
        self._take(self._args)

    def _take(self, args: Any) -> None:
        """Everything that the Trainer has made of its arguments, made of these."""
        trainer = self.trainer
        trainer.args = args
        trainer._train_batch_size = args.train_batch_size
        trainer.neftune_noise_alpha = args.neftune_noise_alpha
        smoothing = args.label_smoothing_factor
        trainer.label_smoother = LabelSmoother(epsilon=smoothing) if smoothing else None
        AcceleratorState._reset_state()  # of the precision, for one
        trainer.create_accelerator_and_postprocess()

    def _release(self) -> None:
        """Let go of the model before the next one is built: else both have to fit into memory."""
        trainer = self.trainer
        trainer.model = trainer.model_wrapped = trainer.optimizer = trainer.lr_scheduler = None
        for name in ("model", "optimizer", "lr_scheduler", "train_dataloader", "eval_dataloader"):
            setattr(trainer.callback_handler, name, None)
        trainer.is_in_train = False
        trainer.accelerator.free_memory()


class _SearchCallback(TautCallback):
    """Adds the objectives to what an evaluation reports."""

    def __init__(self, search: _Search, trial: Trial) -> None:
        super().__init__(trial, fidelity=search._fidelity)
        self._search = search
        self.objectives: dict[str, float] | None = None
        self._parts: dict[str, Any] = {}  # of an evaluation on several data sets
        self._missing = 0

    def evaluated(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        sets = self._search.trainer.eval_dataset
        self._missing = (self._missing or (len(sets) if isinstance(sets, dict) else 1)) - 1
        self._parts.update(metrics)
        found = super().evaluated(metrics)
        if self._missing:
            return found
        value = self._search.objective(dict(self._parts))
        values = value if isinstance(value, list | tuple) else [value]
        self._parts = {}
        if len(values) != len(self._search.names):
            raise InputError(
                f"compute_objective returned {value!r}; give a number for each direction: {len(self._search.names)}",
                ("compute_objective",),
            )
        self.objectives = {name: float(each) for name, each in zip(self._search.names, values, strict=True)}
        return {**found, **self.objectives}
