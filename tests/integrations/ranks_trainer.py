"""Run by torchrun: a search with a Trainer on two ranks; then the same ranks as a command that taut has started."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers_lab import arguments, model, trainer

import taut
from taut.integrations.torch import ranks
from taut.integrations.transformers import TautCallback, hyperparameter_search, resume_from

ranks.PATIENCE = 20.0
RANK, FOLDER = int(os.environ["RANK"]), Path(sys.argv[1])


def say(*words: object) -> None:
    with (FOLDER / f"rank{RANK}").open("a") as file:
        print(*words, file=file)


class Steps(TrainerCallback):
    def on_train_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        say("begin", args.learning_rate)

    def on_train_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        say("end", state.global_step, args.output_dir.removeprefix(str(FOLDER)))


def model_init(trial: taut.Trial | None) -> Any:
    if trial is not None and trial.number == 1:
        raise MemoryError("too large")
    return model()


pruner = {"method": "asha", "eta": 2, "fidelity": {"name": "step", "min": 2, "max": 6}}
space = taut.Space(learning_rate=taut.loguniform(1e-3, 1e-1))
made = trainer(arguments(FOLDER / "out", max_steps=6), [Steps()], model_init=model_init)
best = hyperparameter_search(made, space, n_trials=5, path=FOLDER / "study", sampler="random", pruner=pruner)
say("best", best.run_id, best.objective)

# A trial that each rank takes for its own would train with other parameters on every rank.
own = taut.Study(None, space, minimize="eval_loss").ask()
try:
    trainer(arguments(FOLDER / "out"), [TautCallback(own)]).train()
except taut.InputError as error:
    say("refused", error)

place = FOLDER / "commanded"
(place / "checkpoint").mkdir(parents=True, exist_ok=True)
os.environ |= {"TAUT_TRIAL": "4", "TAUT_SEED": "1", "TAUT_FIDELITY": "3", "TAUT_TRIAL_DIR": str(place)}
os.environ |= {"TAUT_REPORT": str(place / "report"), "TAUT_PARAMS": json.dumps({"learning_rate": 0.01})}
trainer(arguments(FOLDER / "out"), [TautCallback(), Steps()]).train(resume_from_checkpoint=resume_from())
