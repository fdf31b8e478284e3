"""What the processes of one `torchrun` say to each other about trials: rank 0 speaks, the others hear.

It goes through torch.distributed's key-value store and not by collectives: no backend and no GPU is needed, no collective
of the training is disturbed, and a rank that has failed can still say so while others wait in one. Values are JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import torch.distributed as dist

from taut.errors import Interrupted

__all__ = ["Failure", "RankFailed", "Ranks", "alone"]

T = TypeVar("T")

_LOOK = 1.0  # seconds between two looks whether another rank has failed
_PAUSE = 1e-4, 0.05  # seconds between two looks for what rank 0 says in a trial: the first two, and at most
_IDLE = 0.5  # the same at most, between trials
PATIENCE = 10.0  # seconds that a rank has to come out of a trial that has failed elsewhere


class RankFailed(RuntimeError):
    """A trial failed on another rank; the message has its traceback."""


class Failure(NamedTuple):
    """What went wrong in a trial, and on which rank first."""

    rank: int
    text: str


def alone() -> bool:
    """Whether this process trains by itself."""
    if dist.is_available() and dist.is_initialized():
        return bool(dist.get_world_size() == 1)
    return int(os.environ.get("WORLD_SIZE", "1")) == 1


class Ranks:
    """The processes that train one trial together, as one of them sees them.

    rank: this one's; 0 alone talks to the study. size: how many there are.

    All ranks ask the same questions in the same order, as they call the same collectives in the same order; the n-th
    answer of rank 0 is everybody's.
    """

    _here: Ranks | None = None

    def __init__(self, store: dist.Store, rank: int, size: int) -> None:
        # A restart by torchrun may find the store of the processes before it.
        life = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        self._store = dist.PrefixStore(f"taut/{life}", store)
        self.rank = rank
        self.size = size
        self._trials = 0  # how many were announced
        self._answers = 0  # in this trial
        self._asked: Counter[str] = Counter()  # the same, by what was asked

    @classmethod
    def here(cls) -> Ranks:
        """Those of this process: of its process group, or of the environment that torchrun sets."""
        if Ranks._here is None:
            if dist.is_initialized():
                store = dist.distributed_c10d._get_default_store()
                Ranks._here = cls(store, dist.get_rank(), dist.get_world_size())
            else:
                Ranks._here = cls(*next(iter(dist.rendezvous("env://"))))
        return Ranks._here

    @property
    def leads(self) -> bool:
        return self.rank == 0

    # ------------------------------------------------------------------ between trials

    def announce(self, trial: Any) -> None:
        """Tell the others what is next: a trial, or None if there is none."""
        self._begin()
        self._store.set(self._key("trial"), json.dumps(trial))

    def next(self) -> Any:
        """What rank 0 announces next; waits as long as it takes."""
        self._begin()
        return self._heard("trial", _IDLE)

    def _begin(self) -> None:
        if self.leads:  # all have left the one before
            for answer in range(self._answers):
                self._store.delete_key(self._key(str(answer)))
        self._trials += 1
        self._answers = 0
        self._asked.clear()

    # ------------------------------------------------------------------ within a trial

    def agree(self, what: str, ask: Callable[[], T]) -> T:
        """What `ask` answers on rank 0, on every rank. what: the question's name.

        Raises `RankFailed` if the trial has failed elsewhere, or rank 0 has left it and will not answer.
        """
        name = str(self._answers)
        self._answers += 1
        self._asked[what] += 1
        if self.leads:
            failure = self.failure()
            if failure is not None:
                raise RankFailed(failure.text)
            value = ask()
            self._store.set(self._key(name), json.dumps(value))
            return value
        answer: T = self._heard(name, _PAUSE[1])
        return answer

    def settle(self, error: str | None) -> Failure | None:
        """Wait until all ranks are done with the trial; what went wrong first on any of them, or None if all went well.

        error: what went wrong on this one.
        """
        if error is not None and self._store.add(self._key("failed"), 1) == 1:
            self._store.set(self._key("failure"), json.dumps((self.rank, error)))
        if dist.is_initialized():
            self._store.add(self._key("grouped"), 1)
        self._say_asked()
        self._store.set(self._key(f"out/{self.rank}"), "")
        if self._store.add(self._key("done"), 1) == self.size:
            self._store.set(self._key("over"), "")
        since, began, explained = None, time.monotonic(), False
        for _ in self._awaited("over", _PAUSE[1]):
            if not explained and time.monotonic() - began > PATIENCE:
                explained = True
                self._explain()
            if self._ending():
                raise Interrupted(128 + signal.SIGTERM)
            failure = self.failure()
            since = since or (failure and time.monotonic())
            if failure is not None and since and time.monotonic() - since > 3 * PATIENCE:
                raise RankFailed(f"{failure.text}\n(other ranks do not come out of this trial)")
        failure = self.failure()
        if failure is not None:
            self._renew()
        return failure

    def failure(self) -> Failure | None:
        """What the first rank said that failed in this trial."""
        key = self._key("failure")
        return Failure(*json.loads(self._store.get(key))) if self._store.check([key]) else None

    def leave(self) -> None:
        """Tell the others that this rank was asked to end, and they with it."""
        self._store.set("ending", "")

    def _ending(self) -> bool:
        return bool(self._store.check(["ending"]))

    def watch(self, left: threading.Event, give_up: Callable[[Failure], None]) -> None:
        """Call `give_up` if this rank has not `left` the trial some seconds after another one failed.

        If another one was asked to end, this one is, too: by the same signal.

        Rank 0 comes first, since it has to write down what went wrong before torchrun ends all ranks.
        """
        patience = PATIENCE if self.leads else 1.5 * PATIENCE
        said = 0
        while not left.wait(_LOOK):
            if said != self._answers:
                said = self._answers
                self._say_asked()
            if self._ending():
                os.kill(os.getpid(), signal.SIGTERM)
                return
            failure = self.failure()
            if failure is not None and not left.wait(patience):
                give_up(failure)
                return

    def _say_asked(self) -> None:
        self._store.set(self._key(f"asked/{self.rank}"), json.dumps(dict(self._asked)))

    def _heard_asked(self, rank: int) -> Counter[str]:
        key = self._key(f"asked/{rank}")
        return Counter(json.loads(self._store.get(key))) if self._store.check([key]) else Counter()

    def _explain(self) -> None:
        """Say who keeps the others waiting, and whether it has asked something else than they have. The first to wait says it for all."""
        if self._store.add(self._key("explained"), 1) != 1:
            return
        awaited = [r for r in range(self.size) if not self._store.check([self._key(f"out/{r}")])]
        if not awaited:
            return
        who = ", ".join(map(str, awaited))
        said = [f"taut: rank {self.rank} is done with this trial and waits for rank {who}"]
        for rank in awaited:
            theirs = self._heard_asked(rank)
            said += [
                f"rank {self.rank} asked {what} {_times(self._asked[what])}, rank {rank} {_times(theirs[what])}: every rank must ask"
                for what in sorted(self._asked | theirs)
                if self._asked[what] != theirs[what]
            ]
        print("; ".join(said), file=sys.stderr, flush=True)

    def _renew(self) -> None:
        """A process group in which some waited and others had gone on is of no use any more: make it anew."""
        everywhere = self._store.add(self._key("grouped"), 0) == self.size
        if not dist.is_initialized():
            return
        backend = dist.get_backend_config()
        dist.destroy_process_group()
        if everywhere:
            store = dist.PrefixStore(self._key("group"), self._store)
            dist.init_process_group(backend, store=store, rank=self.rank, world_size=self.size)

    # ------------------------------------------------------------------ the store

    def _key(self, name: str) -> str:
        return f"{self._trials}/{name}"

    def _heard(self, name: str, at_most: float) -> Any:
        for _ in self._awaited(name, at_most):
            failure = self.failure()
            if failure is not None:
                raise RankFailed(failure.text)
            if self._store.check([self._key("out/0")]) and not self._store.check([self._key(name)]):
                theirs = self._heard_asked(0)
                asked = [what for what in sorted(self._asked) if self._asked[what] != theirs[what]]
                counts = "; ".join(
                    f"{what}: {_times(self._asked[what])} here, {_times(theirs[what])} there"
                    for what in asked
                )
                raise RankFailed(
                    f"rank {self.rank} asks what rank 0, which is done with this trial, has not asked ({counts}): "
                    "every rank must ask, in the same order"
                )
        return json.loads(self._store.get(self._key(name)))

    def _awaited(self, name: str, at_most: float) -> Iterator[None]:
        """Wait until something is said under `name`; a turn of the loop about every second.

        at_most: seconds between two looks. The store's own `wait` would complain on the screen each time it waits in vain.
        """
        key, pause, looked = self._key(name), _PAUSE[0], time.monotonic()
        while not self._store.check([key]):
            time.sleep(pause)
            pause = min(2 * pause, at_most)
            if time.monotonic() - looked > _LOOK:
                yield
                looked = time.monotonic()


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
