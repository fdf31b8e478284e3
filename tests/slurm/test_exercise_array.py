"""examples/optuna-exercise on a real Slurm, as its page says: Optuna's own job array, the same in taut, and jobs that taut submits."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from cluster import Cluster
from workplace import Workplace

import exercise
import taut
from taut.opening import make_proposals
from taut.verify import verify

TRIALS, AT_ONCE, EPOCHS = 10, 2, 8
LONGEST = 240.0  # seconds for each way; on two free cores it is less than one


class Ways:
    """What the page shows, one way after another. told: how long each took, for people."""

    def __init__(self, place: Workplace) -> None:
        self.place = place
        self.told: list[str] = []

    def array(self, script: str) -> None:
        line = exercise.command(script)
        assert line[0] == "sbatch" and f"--array=0-{TRIALS - 1}%{AT_ONCE}" in line
        begun = time.monotonic()
        job = self.place.run(line[0], "--parsable", f"--output={script}-%a.log", *line[1:]).strip()
        squeue = ("squeue", "-h", "-j", job, "-t", "PD,R,CG")
        self.place.until(lambda: not self.place.cluster.run(*squeue), LONGEST, script)
        assert self.tasks(script, job, begun) == TRIALS

    def submitted(self) -> None:
        begun = time.monotonic()
        self.place.run(*exercise.command("taut run study.toml --on slurm"))
        job = str(self.place.scripts()["job0"]["job"])
        self.place.until_over(LONGEST)
        assert self.tasks("study.toml", job, begun) >= AT_ONCE

    def tasks(self, way: str, job: str, begun: float) -> int:
        """How many tasks have run; no more than two at a time, and each to a good end."""
        took = time.monotonic() - begun
        words = ("sacct", "-n", "-X", "-P", "-j", job, "-o", "Start,End,State,ElapsedRaw")
        lines = [line.split("|") for line in self.place.run(*words).splitlines()]
        rows = [row for row in lines if row[0] not in ("None", "Unknown")]  # others never began
        assert {state for _, _, state, _ in rows} == {"COMPLETED"}, lines
        assert max(sum(a <= at < b for a, b, *_ in rows) for at, *_ in rows) == AT_ONCE
        self.told.append(f"{way} {took:.0f} s, its jobs {sum(int(row[3]) for row in rows)} s")
        return len(rows)


def of_optuna(place: Path) -> list[tuple[str, int]]:
    """By trial: its state, and how many epochs it has reported."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend(str(place / "runs" / "optuna.log")))
    trials = optuna.load_study(study_name="stories", storage=storage).trials
    return [(trial.state.name.lower(), len(trial.intermediate_values)) for trial in trials]


def of_taut(place: Path, name: str) -> list[tuple[str, int]]:
    """The same; besides, who took part, what was found, and whether every suggestion can be derived again."""
    study = taut.Study(place / "runs" / name)
    assert len({trial.worker for trial in study.trials}) == AT_ONCE  # the other tasks found nothing left
    assert study.best.values["eval_loss"] < 2.2  # with a learning rate of 1e-6 it is 3.5
    assert verify(place / "runs" / name, make_proposals).good
    reports = np.bincount(study.snapshot.curves.reports("eval_loss").number, minlength=TRIALS)
    return [(trial.state, int(count)) for trial, count in zip(study.trials, reports, strict=True)]


@pytest.mark.slow
@pytest.mark.timeout(800)
def test_the_three_ways_of_the_page(
    slurm: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exercise.required()
    place = Workplace(slurm, tmp_path, "stories")
    exercise.prepare(tmp_path)
    place.run(*exercise.command("python pretrain.py"), timeout=LONGEST)
    ways = Ways(place)
    ways.array("optuna_way.py")
    ways.array("taut_way.py")
    ways.submitted()
    pruned = 0
    for found in (of_optuna(tmp_path), of_taut(tmp_path, "array"), of_taut(tmp_path, "stories")):
        assert len(found) == TRIALS
        assert all(epochs == EPOCHS if state == "complete" else state == "pruned" for state, epochs in found)
        pruned += sum(epochs < EPOCHS for _, epochs in found)
    assert pruned > 0
    with capsys.disabled():
        print(f"\nexercise: {'; '.join(ways.told)}; {pruned} of {3 * TRIALS} trials pruned")
