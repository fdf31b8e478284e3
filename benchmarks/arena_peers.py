"""Peers in an arena that would not run there as they come; see `arena_adapter`.

    python arena.py run --mode async --k 8 --opts arena_peers:ParallelAx ...

with this directory on PYTHONPATH: the arena's own adapter of the peer, with what its documentation offers for the case.
"""

from adapters.ax_ import Ax

__all__ = ["ParallelAx"]


class ParallelAx(Ax):
    """Ax whose first, random trials may be more than its five while none has a result.

    By default it raises ``DataRequiredError`` where eight workers ask before the first of them has finished.
    """

    def setup(self) -> None:
        super().setup()
        self.c.configure_generation_strategy(
            allow_exceeding_initialization_budget=True, initialization_random_seed=self.seed
        )
