"""Process groups never outlive the worker that started them, even if it is killed with SIGKILL.

A dead process cannot clean up, so a small helper process does it: it reads a pipe of which the worker
holds the only writing end, and when the pipe ends it sends SIGTERM and, a second later, SIGKILL to
every group that it was told of.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import weakref
from pathlib import Path

__all__ = ["Guardian"]

_VARIABLE = "TAUT_GUARDIAN"
_PROGRAM = Path(__file__).with_name("guard.py")
_living: weakref.WeakSet[Guardian] = weakref.WeakSet()


class Guardian:
    """Kills the process groups it watches when this process ends without `close`.

    Start each child in a group of its own and with `environment` added to its environment variables,
    then `watch` it. The environment closes the gap between the two: should this process die before
    `watch`, the helper finds the child by it (on Linux; elsewhere the gap of some microseconds stays).
    A child that is forked without starting a program has no such mark and must call `watch` itself,
    before it does anything else; the end of the pipe that it inherits is closed in it afterwards by
    `leave`.

    One guardian serves any number of groups and costs one sleeping process.
    """

    def __init__(self) -> None:
        self._mark = secrets.token_hex(8)
        self.environment = {_VARIABLE: self._mark}
        self._groups: set[int] = set()
        self._helper: subprocess.Popen[bytes] | None = None
        self._start()
        _living.add(self)

    def watch(self, group: int) -> None:
        """From now on `group` dies with this process."""
        self._groups.add(group)
        self._say(f"+{group}")

    def forget(self, group: int) -> None:
        """`group` has ended; its number may soon be somebody else's."""
        self._groups.discard(group)
        self._say(f"-{group}")

    def close(self) -> None:
        """End the helper. Groups that are still watched are killed, as if this process had died."""
        helper, self._helper = self._helper, None
        if helper is None or helper.stdin is None:
            return
        if not self._groups:
            with contextlib.suppress(OSError):
                os.write(helper.stdin.fileno(), b"quit\n")
        self._hang_up(helper)
        try:
            helper.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            helper.kill()
            helper.wait()

    def leave(self) -> None:
        """In a forked child: let go of the pipe, which would else hide the parent's death."""
        helper, self._helper = self._helper, None
        if helper is not None:
            self._hang_up(helper)
            helper.returncode = 0  # the parent's child, not ours to wait for

    def _start(self) -> None:
        # The helper must not carry an outer guardian's mark: it has to outlive its own worker.
        environment = {key: value for key, value in os.environ.items() if key != _VARIABLE}
        self._helper = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_PROGRAM), f"{_VARIABLE}={self._mark}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            env=environment,
            start_new_session=True,
        )

    def _say(self, line: str) -> None:
        if self._helper is None:
            raise RuntimeError("the guardian is closed")
        try:
            self._write(line)
        except BrokenPipeError:  # somebody killed the helper: start another and tell it everything
            self._hang_up(self._helper)
            self._helper.wait()
            self._start()
            self._write("\n".join(f"+{group}" for group in sorted(self._groups)) or "-0")

    def _write(self, line: str) -> None:
        if self._helper is not None and self._helper.stdin is not None:
            os.write(self._helper.stdin.fileno(), f"{line}\n".encode())

    @staticmethod
    def _hang_up(helper: subprocess.Popen[bytes]) -> None:
        if helper.stdin is not None:
            with contextlib.suppress(OSError):
                helper.stdin.close()


def _leave_all() -> None:
    for guardian in list(_living):
        guardian.leave()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_all)
