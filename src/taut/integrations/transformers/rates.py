"""What a training that goes on from another trial's checkpoint has to forget of it."""

from __future__ import annotations

from typing import Any

__all__ = ["as_told"]


def as_told(args: Any, optimizer: Any, scheduler: Any) -> None:
    """Give a resumed optimiser and schedule the learning rate, weight decay and momenta of `args`.

    The Trainer loads them with the state of the optimiser and the schedule. A member of a population that takes another one's place would go on with that
    one's, and what it was to try would never be tried. The schedule keeps its shape, and its place in it.

    args: `TrainingArguments`. optimizer, scheduler: those of the Trainer, after it has loaded the checkpoint.
    """
    groups = optimizer.param_groups
    before = groups[0].get("initial_lr", groups[0]["lr"])
    factor = args.learning_rate / before if before else 1.0
    for position, group in enumerate(groups):
        group["lr"] *= factor
        if "initial_lr" in group:
            group["initial_lr"] *= factor
        if position == 0 and "weight_decay" in group:  # the Trainer's second group has what does not decay
            group["weight_decay"] = args.weight_decay
        if "betas" in group:
            group["betas"] = (args.adam_beta1, args.adam_beta2)
    if hasattr(scheduler, "base_lrs"):
        scheduler.base_lrs = [rate * factor for rate in scheduler.base_lrs]
