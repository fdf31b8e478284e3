"""Run by torchrun: a plain DDP loop; trial 1 fails on rank 1 alone."""

import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist

import taut
from taut.integrations.torch import ranks, run

ranks.PATIENCE = 2.0
RANK, FOLDER = int(os.environ["RANK"]), Path(sys.argv[1])
torch.set_num_threads(1)


def say(*words: object) -> None:
    with (FOLDER / f"rank{RANK}").open("a") as file:
        print(*words, file=file)


def train(trial: taut.Trial) -> float:
    say("begin", trial.number, trial.params["rate"], trial.seed, trial.suggest_int("width", 1, 64))
    torch.manual_seed(0)
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=trial.params["rate"])
    for step in range(1, 11):
        loss = model(torch.full((2, 4), 1.0 + RANK)).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if trial.number == 1 and RANK == 1:
            raise MemoryError("on one")  # the other waits for it in the next step
        if trial.number == 1:
            continue
        trial.report(step, loss=loss.item())
        if trial.should_stop() or trial.should_checkpoint():
            say("stop", trial.number, step)
            break
    return loss.item()


dist.init_process_group("gloo")
study = taut.Study(
    FOLDER / "study",
    taut.Space(rate=taut.loguniform(1e-3, 1e-1)),
    minimize="loss",
    sampler="random",
    pruner={"method": "asha", "eta": 2, "fidelity": {"name": "step", "min": 2, "max": 10}},
)
try:
    run(study, train, trials=6)
finally:
    dist.destroy_process_group()
