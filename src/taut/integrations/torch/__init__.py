"""Trials that several ranks of PyTorch train together, under torchrun or whatever sets RANK and WORLD_SIZE.

from taut.integrations.torch import run

study = taut.Study("runs/ddp", space, minimize="loss")
run(study, train, trials=50)             # torchrun --nproc-per-node 4 train.py
"""

from taut.integrations.torch.ranks import RankFailed
from taut.integrations.torch.running import run
from taut.integrations.torch.shared import SharedTrial

__all__ = ["RankFailed", "SharedTrial", "run"]
