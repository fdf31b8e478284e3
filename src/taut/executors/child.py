"""A warm Python process that evaluates one trial after another: what a `PoolExecutor` slot runs.

It talks to its parent over a socket in MessagePack. The objective is imported by name, or arrives
once, pickled by the parent itself.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from types import FrameType

import msgspec

from taut.errors import InputError
from taut.executors.base import Asked, Outcome, Paused, Report, Task
from taut.executors.board import Board
from taut.executors.objective import Objective, call, live, load, note, takes_trial
from taut.executors.spool import Spool
from taut.metrics.meters.own import OwnProcess
from taut.trial import Trial
from taut.verdict import metrics, numbers

__all__ = ["Answer", "Broken", "Ready", "Setup"]


class Setup(msgspec.Struct, frozen=True):
    """What a child needs to know before its first trial."""

    path: list[str]  # import path
    name: str | None  # the objective, "module:attribute" ...
    pickled: bytes | None  # ... or by value
    names: list[str]  # of the space's parameters
    optional: list[str]  # those that not every trial has
    main: list[str]  # the objectives, whose values a bare number or a tuple gives
    slots: int  # children side by side
    capture: bool  # whether what a trial prints goes to files in its directory
    prunes: bool = False  # whether anybody wants trials to stop early


class Answer(msgspec.Struct, frozen=True, tag="answer"):
    """Whether the trial that asked should stop."""

    stop: bool


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The objective is loaded."""


class Broken(msgspec.Struct, frozen=True, tag="broken"):
    """The objective cannot be loaded. clear: the error speaks for itself, and is no traceback."""

    error: str
    clear: bool


Said = Ready | Broken | Report | Outcome | Paused | Asked

encode = msgspec.msgpack.Encoder().encode
decode_said = msgspec.msgpack.Decoder(Said).decode


class _Pipe:
    """The channel of the trials in this process."""

    def __init__(self, connection: Connection, board: Board, prunes: bool) -> None:
        self._prunes = prunes
        self._connection = connection
        self._board = board

    def report(self, trial: Trial, step: float, values: Mapping[str, float]) -> None:
        self._connection.send_bytes(encode(Report(trial.number, trial.attempt, step, numbers(values))))

    def should_stop(self, trial: Trial) -> bool:
        if not self._prunes:
            return False
        self._connection.send_bytes(encode(Asked(trial.number, trial.attempt)))
        return msgspec.msgpack.decode(self._connection.recv_bytes(), type=Answer).stop

    def should_checkpoint(self, trial: Trial) -> bool:
        return self._board.asked

    def pause(self, trial: Trial) -> None:
        trial.paused = True

    def tell(self, trial: Trial, values: Mapping[str, float]) -> None:
        note(trial, values)


def main(socket: int, byte: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    board = Board(byte)
    board.release()
    _end_only_for(board)
    connection = Connection(socket)
    setup = msgspec.msgpack.decode(connection.recv_bytes(), type=Setup)
    try:
        objective, with_trial = _load(setup)
    except BaseException as error:
        text = error.message if isinstance(error, InputError) else traceback.format_exc().rstrip()
        connection.send_bytes(encode(Broken(text, clear=isinstance(error, InputError))))
        return
    connection.send_bytes(encode(Ready()))
    pipe, spool, own = _Pipe(connection, board, setup.prunes), Spool(), OwnProcess()
    while True:
        try:
            task = msgspec.msgpack.decode(connection.recv_bytes(), type=Task)
        except (EOFError, ConnectionError):
            return  # the worker is done with us, or gone
        captured = setup.capture and task.directory is not None
        if captured:
            spool.begin(task)
        own.begin()
        trial, begun = live(task, task.params, pipe), time.perf_counter()
        outcome = call(objective, trial, with_trial, setup.main)
        took = time.perf_counter() - begun
        used = own.end()
        with contextlib.suppress(OSError, ValueError):  # the objective may have closed it
            sys.stdout.flush()
        if captured:
            spool.end(task)
        if isinstance(outcome, Outcome):
            outcome = _plain(outcome, setup.main, took)
        del trial  # what its objective has hung on it
        outcome = msgspec.structs.replace(outcome, used={**used, **own.clean()})
        try:
            connection.send_bytes(encode(outcome))
        except ConnectionError:
            return  # it is gone


def _end_only_for(board: Board) -> None:
    """Let SIGTERM end this process only if its own parent sent it, or is gone.

    Slurm sends it to all processes of a job that has to end: a trial would die of it before it could checkpoint.
    """
    parent = os.getppid()

    def end(number: int, frame: FrameType | None) -> None:
        if board.ending or os.getppid() != parent:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    def forget() -> None:
        """In a process that the objective has forked."""
        if signal.getsignal(signal.SIGTERM) is end:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, end)
    os.register_at_fork(after_in_child=forget)


def _load(setup: Setup) -> tuple[Objective, bool]:
    sys.path[:] = setup.path
    if setup.pickled is not None:
        import pickle  # the bytes come from our own parent, through a socket that nobody else has

        objective: Objective = pickle.loads(setup.pickled)
    else:
        assert setup.name is not None
        objective = load(setup.name)
    return objective, takes_trial(objective, setup.names, setup.optional)


def _plain(outcome: Outcome, main: list[str], took: float) -> Outcome:
    """Metrics as floats, since NumPy's or PyTorch's own cannot go through the pipe; and how long it took."""
    try:
        return msgspec.structs.replace(outcome, values=metrics(main, outcome.values), took=took)
    except InputError as error:
        return msgspec.structs.replace(outcome, values={}, error=outcome.error or str(error), took=took)
