"""Run by torchrun: ranks that do not do the same. Two trials in which one asks more often, then a SIGTERM to rank 1 alone."""

import os
import signal
import sys
import time
from pathlib import Path

import taut
from taut.integrations.torch import ranks, run

ranks.PATIENCE = 3.0
RANK, FOLDER = int(os.environ["RANK"]), Path(sys.argv[1])


def train(trial: taut.Trial) -> float:
    if trial.number == 0:  # rank 1 would wait for an answer that rank 0 never gives
        for _ in range(2 + RANK):
            trial.should_stop()
    elif trial.number == 1:  # rank 0 alone asks, and has left when rank 1 is still at work
        if RANK == 0:
            trial.should_stop()
        time.sleep(6 * RANK)
    else:
        for step in range(1, 200):
            trial.report(step, loss=1.0)
            if step == 5 and RANK == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            trial.should_stop()
            time.sleep(0.05)
    return 1.0


study = taut.Study(FOLDER / "study", taut.Space(rate=taut.loguniform(1e-3, 1e-1)), minimize="loss")
try:
    run(study, train, trials=4)
except SystemExit as ended:
    (FOLDER / f"rank{RANK}").write_text(str(ended.code))
