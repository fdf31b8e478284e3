"""What every test gets."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

hypothesis.settings.register_profile(
    "untimed", deadline=None
)  # how long an example takes depends on what else runs here
hypothesis.settings.load_profile("untimed")

# Which tests may run side by side, when they run in several processes (`-n`): those of one cluster share it and stay together,
# those that only compute go wherever there is room, and the others stay with their file.
CLUSTER = ("slurm", "hq")
APART = (
    "catalogue",
    "cli",
    "integrations",
    "metrics",
    "pruners",
    "queue",
    "reports",
    "samplers",
    "space",
    "starting",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Who hands out tests when they run in several processes."""
    from xdist.scheduler import LoadScopeScheduling

    class ByPlace(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            folder = Path(file).relative_to("tests").parts[0]
            return nodeid if folder in APART else "cluster" if folder in CLUSTER else file

    return ByPlace(config, log)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The second try of `./run-tests`: what failed the first time has to run, and pass."""
    parser.addoption("--no-skips", action="store_true", help="a test that is skipped fails")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A skipped test has shown nothing, where one that had failed was to be shown to pass."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and item.config.getoption("--no-skips"):
        report.outcome = "failed"
        report.longrepr = f"not to be skipped now: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def _environment_as_before() -> Iterator[None]:
    """Dask leaves its own thread limits behind; then processes started later would compute otherwise than this one."""
    before = dict(os.environ)
    yield
    for name in {*before, *os.environ} - {"PYTEST_CURRENT_TEST"}:
        if name not in before:
            del os.environ[name]
        elif os.environ.get(name) != before[name]:
            os.environ[name] = before[name]
