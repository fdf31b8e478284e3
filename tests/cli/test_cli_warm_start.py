"""`warm_start` in a study.toml: what `taut run`, `status` and `verify` make of it."""

from __future__ import annotations

import re
import shutil

import pytest
from cli_home import STUDY, Home

NEXT = STUDY.replace('name = "demo"', 'name = "next"\nwarm_start = ["runs/demo"]')


@pytest.fixture
def project(finished: Home, home: Home) -> Home:
    """A project with a finished study, and the file of one that is to learn from it."""
    project = finished.copy(home.path.parent / "warm")
    project.write("next.toml", NEXT)
    return project


def test_a_study_goes_on_when_the_one_that_it_learned_from_is_gone(project: Home) -> None:
    said = project.taut("run", "next.toml")
    assert said.out.splitlines()[:2] == [
        "study next in runs/next: minimize loss, 4 trials, 1 worker",
        "warm start: runs/demo (4 complete trials)",
    ]
    assert said.err == (
        "note: random does not learn from earlier studies, so warm_start changes nothing; "
        'the samplers "auto" and "gp" do\n'
    )
    shutil.rmtree(project.path / "runs/demo")
    lines = project.taut("status", "next.toml").out.splitlines()
    assert lines[2:4] == ["sampler: random", "warm start: runs/demo (4 complete trials)"]
    project.edit(("trials = 4", "trials = 5"), name="next.toml")
    assert "5 trials, 1 worker, 4 finished before" in project.taut("run", "next.toml").out
    project.taut("run", "runs/next/study.toml")  # the study's own copy, whose paths start elsewhere
    assert project.taut("verify", "runs/next").out == "all 5 suggestions reproduced\n"
    project.edit(('warm_start = ["runs/demo"]\n', ""), name="next.toml")
    assert "warm start" not in project.taut("run", "next.toml").out


def test_a_sampler_that_learns_from_earlier_studies_needs_no_note(project: Home) -> None:
    project.edit(('method = "random"', 'method = "auto"'), name="next.toml")
    assert project.taut("run", "next.toml").err == ""


def test_it_is_found_from_the_file_wherever_the_command_is_typed(project: Home) -> None:
    project.write("next.toml", NEXT.replace('["runs/demo"]', '"study.toml"'))
    said = project.taut(
        "run", "project/next.toml", cwd=project.copy(project.path.parent / "x/project").path.parent
    )
    assert "warm start: study.toml (4 complete trials)" in said.out


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            '"runs/gone"',
            "next.toml:2: warm_start: 'runs/gone' is no study: HOME/runs/gone holds none; "
            "give the directory of an earlier study, or its study.toml",
        ),
        (
            '[\n  "runs/demo",\n  "runs/next",\n]',
            "next.toml:4: warm_start[1]: 'runs/next' is no study: HOME/runs/next holds none; "
            "give the directory of an earlier study, or its study.toml",
        ),
        (
            '["next.toml"]',
            "next.toml:2: warm_start: 'next.toml' is no study: HOME/runs/next holds none; "
            "give the directory of an earlier study, or its study.toml",
        ),
        (
            "7",
            'next.toml:2: warm_start: 7 is not allowed; text or a list of texts is allowed; write, for instance, warm_start = "runs/first"',
        ),
        (
            '["runs/demo", " "]',
            'next.toml:2: warm_start[1]: " " is not allowed; text is allowed; write, for instance, ["runs/first"]',
        ),
    ],
)
def test_wrong_names_are_found_in_the_file_and_leave_no_trace(
    project: Home, value: str, message: str
) -> None:
    project.write("next.toml", NEXT.replace('["runs/demo"]', value))
    before = project.listing()
    said = project.taut("run", "next.toml", code=2)
    assert (said.out, project.masked(said.err)) == ("", f"taut: {message}\n")
    assert project.listing() == before


def test_a_study_cannot_learn_from_itself(project: Home) -> None:
    project.edit(('name = "demo"', 'name = "demo"\nwarm_start = "runs/demo"'))
    said = project.taut("run", "study.toml", code=2)
    assert said.err == (
        "taut: study.toml:2: warm_start: 'runs/demo' is this study itself; name an earlier one, or none\n"
    )


def test_a_study_that_has_found_nothing_is_no_error(project: Home) -> None:
    project.write("train.py", "raise SystemExit(1)\n")
    project.edit(('name = "demo"', 'name = "bad"'))
    project.taut("run", "study.toml", code=1)
    project.write("next.toml", NEXT.replace("runs/demo", "runs/bad"))
    said = project.taut("run", "next.toml", code=1)
    assert re.search(r"^warm start: runs/bad \(no complete trial to learn from, \d failed\)$", said.out, re.M)
