"""`TautCallback`: a Trainer that reports to its trial, stops when it is told to, and saves itself when it has to leave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import SaveStrategy

from taut.errors import InputError
from taut.integrations.commanded import CommandedTrial
from taut.integrations.torch.ranks import Ranks, alone
from taut.integrations.torch.shared import SharedTrial
from taut.integrations.transformers.rates import as_told
from taut.resultlines import metric_name
from taut.trial import Trial

__all__ = ["Counted", "TautCallback"]

Counted = Literal["step", "epoch", "tokens"]


class TautCallback(TrainerCallback):  # type: ignore[misc]  # of Any, where types are checked
    """Joins a Trainer of Hugging Face, or of TRL, to a trial.

    Each evaluation is reported, and so are training logs that have one of the study's objectives (the reward of GRPO, say); all
    logs, in a script that taut runs as a command. Metrics have the names of the Trainer's logs, with ``_`` for what is neither letter nor
    digit. After each report the trial asks whether to stop. While it trains,

    - checkpoints go into the trial's own directory in place of ``args.output_dir``, where trials would overwrite each other's;
    - a trial that is to wait for its promotion, or that has to make way since its job ends, is saved and ends; `resume_from` finds what was
      saved. The latter is paused (``trial.paused``), and what its objective returns does not count;
    - ``args.logging_nan_inf_filter`` is off: with it the Trainer leaves batches whose loss is NaN out of ``eval_loss``, and a model
      that has diverged looks healthy.

    In a program that taut has not started, without a trial, it does nothing.

    trial: the objective's argument, or one of `study.work()`; left out, the one for which `taut run` has started this program
        as a command. Where several ranks train (torchrun), one that `taut.integrations.torch.run` hands out, or left out.
    fidelity: what the study's steps count: update steps, epochs, or tokens.

    Raises `InputError` when the training begins, for a trial that other ranks do not have, and tokens that are not counted.
    """

    def __init__(self, trial: Trial | None = None, *, fidelity: Counted = "step") -> None:
        if fidelity not in ("step", "epoch", "tokens"):
            raise InputError(
                f"{fidelity!r} is nothing that the Trainer counts; give 'step', 'epoch' or 'tokens'",
                ("fidelity",),
            )
        self.trial = CommandedTrial.here() if trial is None else trial
        self.fidelity = fidelity
        self.stopped = False  # by the pruner, or since it waits for its promotion
        self._commanded = isinstance(self.trial, CommandedTrial)
        self._cut = False  # the training was ended here, maybe in the middle of an epoch
        self._leaves = False
        self._begun = False
        self._before: dict[str, Any] = {}  # arguments that are others while it trains
        self._told: tuple[float, set[str]] = -1.0, set()  # names that were reported last, and at which step

    # ------------------------------------------------------------------ the Trainer's events

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        self.trial = trial = self._shared()
        if trial is None:
            return
        if self.fidelity == "tokens" and args.include_num_input_tokens_seen in (False, "no"):
            raise InputError(
                "tokens are not counted; set TrainingArguments(include_num_input_tokens_seen='non_padding')",
                ("fidelity",),
            )
        trial.should_checkpoint()  # from now on a command catches the signal that asks for it
        place = trial.checkpoint_dir
        self._begun = True
        self._set(args, output_dir=args.output_dir if place is None else str(place))
        self._set(args, logging_nan_inf_filter=False)
        if trial.parent is not None and state.global_step:
            as_told(args, rest["optimizer"], rest["lr_scheduler"])

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        for name, value in self._before.items():
            setattr(args, name, value)
        self._before = {}
        if self._leaves and self.trial is not None:
            self.trial.pause()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        trial = self.trial
        if trial is None or self._cut or state.global_step >= state.max_steps:
            return
        if trial.should_checkpoint():
            self._leaves = True
            control.should_evaluate = False  # there may be no time for it
            self._end(args, control, save=True)
        elif self._commanded and trial.fidelity is not None and self._at(state) >= trial.fidelity:
            control.should_evaluate = args.eval_strategy != "no"
            control.should_log = True
            self._end(args, control, save=True)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **rest: Any
    ) -> None:
        if self._cut:  # the Trainer takes it for the end of an epoch, and would evaluate and save again
            control.should_evaluate = control.should_save = control.should_log = False

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **rest: Any,
    ) -> None:
        trial, found = self.trial, self.metrics(logs or {})
        if trial is None:
            return
        evaluated = any(name.startswith("eval_") for name in found)
        if evaluated or self._commanded or any(name in found for name in trial.main):
            self._report(found, args, state, control)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, Any],
        **rest: Any,
    ) -> None:
        self._report(self.evaluated(metrics), args, state, control)

    # ------------------------------------------------------------------ what may be overridden

    def metrics(self, logs: Mapping[str, Any]) -> dict[str, float]:
        """What is reported of the Trainer's logs."""
        return {
            metric_name(name): float(value)
            for name, value in logs.items()
            if isinstance(value, int | float) and name not in ("epoch", "step")
        }

    def evaluated(self, metrics: Mapping[str, Any]) -> dict[str, float]:
        """What is reported of an evaluation, beside what was in its log."""
        return self.metrics(metrics)

    # ------------------------------------------------------------------

    def _report(
        self, found: dict[str, float], args: TrainingArguments, state: TrainerState, control: TrainerControl
    ) -> None:
        """Report what is new, and stop if the pruner says so. Of an evaluation after the training it takes the numbers alone."""
        trial, at = self.trial, self._at(state)
        before = self._told[1] if self._told[0] == at else set()
        found = {name: value for name, value in found.items() if name not in before}
        if trial is None or not self._begun or self._leaves or not found:
            return
        if self.stopped and at != self._told[0]:  # further reports would take the order back
            return
        self._told = at, before | set(found)
        trial.report(at, **found)
        if not self.stopped and trial.should_stop() and state.global_step < state.max_steps:
            goal = trial.fidelity
            self.stopped = True
            # Whoever has come to where it was to run waits there. One that is stopped before is given up: its checkpoint would only fill the disk.
            self._end(args, control, save=goal is not None and at >= goal)

    def _end(self, args: TrainingArguments, control: TrainerControl, save: bool) -> None:
        self._cut = control.should_training_stop = True
        control.should_save = save
        if save and args.save_strategy == SaveStrategy.BEST:  # it would save the best evaluation alone
            self._set(args, save_strategy=SaveStrategy.STEPS)

    def _set(self, args: TrainingArguments, **values: Any) -> None:
        for name, value in values.items():
            self._before[name] = getattr(args, name)
            setattr(args, name, value)

    def _at(self, state: TrainerState) -> float:
        if self.fidelity == "epoch":
            return round(float(state.epoch), 6)  # 2.9999999 is 3
        return int(state.global_step if self.fidelity == "step" else state.num_input_tokens_seen)

    def _shared(self) -> Trial | None:
        """The trial, as all ranks have it."""
        trial = self.trial
        if trial is None or alone() or isinstance(trial, SharedTrial):
            return trial
        ranks = Ranks.here()
        if self._commanded:
            return SharedTrial(ranks, SharedTrial.described(trial), trial if ranks.leads else None)
        raise InputError(
            f"{ranks.size} ranks train together, and each has a trial of its own; let them share one: "
            "taut.integrations.torch.run(study, objective) in place of study.run, study.work or study.ask",
            ("trial",),
        )
