"""The tutorial and its like: the files of a page are written, its commands run, and they print what the page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from pages import ONE_RUN, OUTPUT, ROOT, Block, blocks, matches

PAGES = [
    page
    for page in (ROOT / "docs").glob("**/*.md")
    if any(block.title == OUTPUT or block.title == ONE_RUN for block in blocks(page))
]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """taut and python by name, and nothing of this machine's user or cluster."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, words in {"taut": '-m taut "$@"', "python": '"$@"'}.items():
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words}\n')
        (programs / name).chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TAUT_", "SLURM"))}
    own = {"PATH": f"{programs}:{kept['PATH']}", "PYTHONPATH": str(ROOT / "src"), "HOME": str(tmp_path)}
    return {
        **kept,
        **own,
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "COLUMNS": "120",
        "NO_COLOR": "1",
        "OMP_NUM_THREADS": "1",
    }


def steps(page: Path) -> Iterator[tuple[Block, Block | None]]:
    """Files and commands in order, each with what it is said to print."""
    found = blocks(page)
    for number, block in enumerate(found):
        after = found[number + 1] if number + 1 < len(found) else None
        shows = after is not None and after.title in (OUTPUT, ONE_RUN)
        if block.title not in (OUTPUT, ONE_RUN) and (block.title or block.language == "sh"):
            yield block, after if shows else None


@pytest.mark.parametrize("page", sorted(PAGES), ids=lambda page: page.stem)
def test_the_commands_of_the_page_do_what_it_says(
    page: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    place = tmp_path / "work"
    place.mkdir()
    for block, shown in steps(page):
        if block.title:
            (place / block.title).write_text(block.text, encoding="utf-8")
            continue
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.text],
            cwd=place,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert ran.returncode == 0, f"{block.text}{ran.stdout}{ran.stderr}"
        if shown is not None:
            assert matches(shown.text, ran.stdout, shown.title == ONE_RUN), f"{block.text}{ran.stdout}"


def test_every_block_begins_as_the_site_can_read_it() -> None:
    for page in (ROOT / "docs").glob("**/*.md"):
        for line in page.read_text(encoding="utf-8").splitlines():
            if line.startswith("```"):
                assert re.fullmatch(r'```\w*(?: title="[^"]+")?', line), f"{page.name}: {line}"


def test_the_site_can_be_built(tmp_path: Path) -> None:
    if not find_spec("mkdocs") or not find_spec("material"):
        pytest.skip("mkdocs-material is not installed")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    ran = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, timeout=100)
    assert ran.returncode == 0, ran.stderr
    made = [path.read_text(encoding="utf-8") for path in tmp_path.glob("**/*.html")]
    assert len(made) > 60
    for text in made:  # a page that is opened asks no other server for anything
        assert 'src="http' not in text and 'rel="stylesheet" href="http' not in text
