"""HyperQueue: its command, its Python package, and whether a server answers."""

from __future__ import annotations

import importlib.metadata

from taut.doctor.finding import Finding
from taut.hyperqueue import server
from taut.hyperqueue.server import Access
from taut.machine import Answer

__all__ = ["finding", "judge"]


def finding(answer: Answer | None) -> Finding:
    """answer: what `hq --version` said; None if there is no such command."""
    try:
        package = importlib.metadata.version("hyperqueue")
    except importlib.metadata.PackageNotFoundError:
        package = None
    found = server.access(server.place(None))
    return judge(answer, package, found, None if found is None else server.unreachable(found))


def judge(answer: Answer | None, package: str | None, found: Access | None, problem: str | None) -> Finding:
    """package: the version of the Python package. found: what a server left for its clients. problem: why it does not answer."""
    if answer is None and package is None and found is None:
        return Finding("HyperQueue", "ok", "not here")
    lines = [] if answer is None else answer.text.splitlines()[:1]
    told = [*lines, f"Python package {package}" if package else "no Python package"]
    if found is not None:
        told.append(f"the last server ({found.version}) does not answer" if problem else _running(found))
    text, advice = ", ".join(told), ""
    if answer is not None and not answer.ok:
        advice = "the hq command is here but does not work; trials run without it, if a server answers"
    elif package is None:
        advice = "pip install 'taut[hyperqueue]' for taut run --on hyperqueue"
    elif found is not None and problem:
        advice = "its tasks have ended with it: hq server start, then taut run --on hyperqueue again"
    elif found is not None and found.version.lstrip("v") != package:
        advice = f"pip install hyperqueue=={found.version.lstrip('v')}, which speaks with this server"
    return Finding("HyperQueue", "warn" if advice else "ok", text, advice)


def _running(found: Access) -> str:
    return f"a server ({found.version}) answers at {found.host}:{found.port}"
