"""The same training for `taut run asha.toml`, which calls `train` for each trial in a process that stays warm."""

import torch
import train as charlm

ARGS = charlm.arguments(["--epochs", "9", "--characters", "100000"])  # as many epochs as in asha.toml
torch.set_num_threads(1)  # one core for each worker
TEXT = charlm.load_text(ARGS.characters)  # once in each process


def train(trial):
    return charlm.train(trial, *TEXT, ARGS)
