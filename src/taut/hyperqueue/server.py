"""The user's HyperQueue server, by its Python package (`hyperqueue` on PyPI, which has no `hq` command).

The package can submit, count what has finished and failed, and name failures. It can neither cancel a task nor say which
tasks run, nor what workers there are.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from taut.errors import InputError, StudyError
from taut.hyperqueue.settings import Settings

__all__ = ["Access", "HyperQueueError", "Progress", "Server", "access", "place", "unreachable"]

_PATIENCE = 3.0  # seconds for which a server may let us wait
_INSTALL = "install it where taut is: pip install 'taut[hyperqueue]'"
_START = (
    "start it with `hq server start`, and workers with `hq worker start` or `hq alloc add slurm`; or say where it is: "
    "server_dir below [on.hyperqueue], or HQ_SERVER_DIR in the environment"
)


class HyperQueueError(StudyError):
    """The server did not do what it was asked for; the message is what it said."""


class Access(NamedTuple):
    """What a server has written down for its clients. uid: another one for each start."""

    uid: str
    version: str
    host: str
    port: int


class Progress(NamedTuple):
    """How far the tasks of a job are. open: those that wait or run."""

    tasks: int
    finished: int
    failed: int
    open: int


def place(asked: str | None) -> Path:
    """The server directory: the one asked for, the one in HQ_SERVER_DIR, or HyperQueue's own default."""
    return Path(asked or os.environ.get("HQ_SERVER_DIR") or "~/.hq-server").expanduser()


def access(directory: Path) -> Access | None:
    """What the last server of a directory has left there, dead or alive; None if there is nothing."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        said = json.loads((_current(directory) / "access.json").read_bytes())
        client = said["client"]
        return Access(str(said["server_uid"]), str(said["version"]), str(client["host"]), int(client["port"]))
    return None


def unreachable(access: Access) -> str | None:
    """Why nobody answers where the server should be; None if somebody does."""
    try:
        socket.create_connection((access.host, access.port), _PATIENCE).close()
    except OSError as error:
        return f"{access.host}:{access.port}: {error.strerror or error}"
    return None


class Server:
    """A connection to the server whose directory is `directory`.

    Raises `InputError` if the Python package is not installed, or no server answers.
    """

    def __init__(self, directory: Path) -> None:
        try:
            import hyperqueue
        except ImportError:
            raise InputError(
                f"--on hyperqueue needs the Python package hyperqueue, which is not there; {_INSTALL}"
            ) from None
        found = access(directory)
        if found is None:
            raise InputError(f"no HyperQueue server has been started in {directory}; {_START}")
        # Its client would wait much longer, and cannot be interrupted meanwhile.
        if why := unreachable(found):
            raise InputError(
                f"the HyperQueue server of {directory} does not answer ({why}); it has probably ended, and its tasks with it; {_START}"
            )
        self.uid, self.directory = found.uid, directory
        try:
            self._client: Any = hyperqueue.Client(str(directory))
        except Exception as error:
            raise InputError(
                f"the HyperQueue server of {directory} (version {found.version}) refuses us: {_said(error)}; "
                "the Python package has to be of the server's version"
            ) from None

    def submit(self, settings: Settings, name: str, words: Sequence[str], count: int, logs: Path) -> int:
        """Submit `count` equal tasks that run `words` here, each with its own log in `logs`; their job's number."""
        from hyperqueue import Job
        from hyperqueue.ffi.protocol import ResourceRequest
        from hyperqueue.output import StdioDef

        log: Any = f"{logs}/%{{TASK_ID}}.%{{INSTANCE_ID}}.log"
        if settings.tasks == "trial":  # the trials' own output is with the study
            log = StdioDef.remove_if_finished(log)
        amounts = {key: _amount(value) for key, value in settings.amounts.items()}
        request = ResourceRequest(
            cpus=amounts.pop("cpus"),
            resources=amounts,
            min_time=datetime.timedelta(seconds=settings.min_time) if settings.min_time else None,
        )
        job = Job(max_fails=None, name=name)  # a task that fails is no reason to give up the others
        for _ in range(count):
            job.program(list(words), cwd=Path.cwd(), stdout=log, stderr=None, resources=request)
        try:
            return int(self._client.submit(job).id)
        except Exception as error:
            raise HyperQueueError(f"the HyperQueue server did not take the tasks: {_said(error)}") from None

    def progress(self, jobs: Sequence[int]) -> dict[int, Progress]:
        """How far these jobs are, without those that the server does not know (any more)."""

        def leave(counts: Mapping[int, Mapping[str, Any]]) -> NoReturn:
            raise _Counts(counts)

        # What waits for jobs is the one thing in the package that says how far they are, once a second. One look is enough.
        try:
            if jobs:
                self._client.connection.wait_for_jobs(sorted(jobs), leave)
        except _Counts as told:
            return {job: _progress(one) for job, one in told.counts.items()}
        except Exception as error:
            raise HyperQueueError(
                f"the HyperQueue server does not say how far its tasks are: {_said(error)}"
            ) from None
        return {}

    def failure(self, job: int) -> tuple[int, str] | None:
        """The first task of a job that failed, and why; None if none did."""
        try:
            failed = self._client.connection.get_failed_tasks([job]).get(job, {})
        except Exception as error:
            raise HyperQueueError(f"the HyperQueue server does not say what failed: {_said(error)}") from None
        return min(((int(task), str(one.error)) for task, one in failed.items()), default=None)


class _Counts(Exception):
    """Leaves the package's wait with what it told."""

    def __init__(self, counts: Mapping[int, Mapping[str, Any]]) -> None:
        self.counts = counts


def _progress(counts: Mapping[str, Any]) -> Progress:
    tasks, finished, failed = int(counts["total"]), int(counts["finished"]), int(counts["failed"])
    return Progress(tasks, finished, failed, 0 if counts["completed"] else tasks - finished - failed)


def _current(directory: Path) -> Path:
    current = directory / "hq-current"
    return current if current.is_dir() else directory


def _amount(value: float) -> int | float:
    return int(value) if float(value).is_integer() else value


def _said(error: Exception) -> str:
    """The message of the package's exceptions, which carry a page of its own calls behind it."""
    return " ".join(str(error).partition("Stack backtrace:")[0].split()) or type(error).__name__
