"""The documentation tells the truth: its Python runs, its study files are valid, its commands exist."""

from __future__ import annotations

import dataclasses
import importlib
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest

from taut import jobplan, studyfile
from taut.cli import _COMMANDS
from taut.opening import make_proposals
from taut.pruners import registry as pruners
from taut.samplers import registry
from taut.slurm.rounds import Rounds
from taut.slurm.site import Config, Site
from taut.snapshot import Snapshot
from taut.studyfile import keys

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("**/*.md")),
    *sorted((ROOT / "examples").glob("*/*.md")),
]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), flags=re.M | re.S)


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if "examples" not in page.parts and blocks(page, "python")],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_python_blocks_run_in_order(page: Path, tmp_path: Path) -> None:
    code = "\n".join(blocks(page, "python"))
    assert "import taut" in code
    for needed in ("torch", "transformers", "peft"):  # which run-tests may have been unable to install
        if re.search(rf"^(?:import|from) {needed}\b", code, flags=re.M) and not find_spec(needed):
            pytest.skip(f"{needed} is not installed")
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_study_files_are_valid(page: Path, tmp_path: Path) -> None:
    for number, text in enumerate(blocks(page, "toml")):
        file = tmp_path / f"study{number}.toml"
        file.write_text(text)
        definition = studyfile.read(file)
        assert make_proposals(definition, definition.parsed_space()).sampler


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!http)([^)#]*)(?:#([^)]*))?\)", page.read_text()):
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", found.read_text(), flags=re.M)
            assert anchor in {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}, anchor


@pytest.mark.parametrize(
    ("folder", "method", "target", "elsewhere"),
    [
        *(("samplers", method, target, "designs") for method, target in sorted(registry._BUILT_IN.items())),
        *(("pruners", method, target, "median") for method, target in sorted(pruners._BUILT_IN.items())),
    ],
)
def test_every_option_of_a_method_is_documented_with_its_default(
    folder: str, method: str, target: str, elsewhere: str
) -> None:
    module, _, kind = target.partition(":")
    pages = [ROOT / "docs" / folder / f"{name}.md" for name in (method, elsewhere)]
    text = next(page for page in pages if page.exists()).read_text()
    assert f"`{method}`" in text
    assert f"`{method}`" in (ROOT / "docs" / f"{folder}.md").read_text()
    for option in dataclasses.fields(getattr(importlib.import_module(module), kind)):
        row = next(line for line in text.splitlines() if re.match(rf"\|[^|]*`{option.name}`", line))
        if isinstance(option.default, str | int | float):
            names, default = row.split("|")[1:3]
            place = re.findall(r"`(\w+)`", names).index(option.name)  # one row may hold several
            told = default.replace('"', "").split(",")[place].strip()
            assert told == (
                f"{option.default}".lower()  # TOML spells true so
                if isinstance(option.default, bool)
                else f"{option.default}".removesuffix(".0")
            )


def test_the_pictures_are_made_from_the_methods(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    script = ROOT / "docs" / "make_pictures.py"
    ran = subprocess.run([sys.executable, script, "--to", tmp_path], env=env, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    made = {file.name for file in tmp_path.iterdir() if ElementTree.parse(file)}
    shown = "".join(page.read_text() for page in PAGES)
    assert made == {file.name for file in (ROOT / "docs" / "pictures").iterdir()}
    assert all(f"pictures/{name})" in shown for name in made)


def test_every_command_stands_in_the_readme() -> None:
    named = set(re.findall(r"\b(\w+)", (ROOT / "README.md").read_text()))
    assert set(_COMMANDS) <= named


def test_no_page_names_a_command_that_does_not_exist() -> None:
    for page in PAGES:
        for name in re.findall(r"^(?:\S*/)?taut (\w+)", page.read_text(), flags=re.M):
            assert name in _COMMANDS, f"{page.name}: taut {name}"


def test_every_key_of_a_study_file_is_documented() -> None:
    documented = set(re.findall(r"`\[?(\w+)\]?`", (ROOT / "docs" / "study-toml.md").read_text()))
    names = {*keys.VALUES, *(name for table, names in keys.TABLES.items() if table != "on" for name in names)}
    assert names - {"method"} <= documented


def test_the_job_script_of_the_docs_is_what_is_submitted(tmp_path: Path) -> None:
    page = ROOT / "docs" / "slurm.md"
    (tmp_path / "study.toml").write_text(blocks(page, "toml")[0])
    definition = studyfile.read(tmp_path / "study.toml")
    site = Site(user="me", config=Config("lab", "22.05", kill_wait=30))
    planned = jobplan.plan(
        definition, Snapshot(definition), Path("/home/me/runs/lora"), Rounds(tmp_path), site, (), 0
    )
    shown = next(text for text in blocks(page, "bash") if "taut run --on slurm" in text)
    made = planned.steps[0].script.replace(sys.executable, "/home/me/env/bin/python")
    mark = r"taut-lora-[0-9a-f]{6}"
    assert re.sub(mark, "taut-lora", made) == re.sub(mark, "taut-lora", shown)
