"""[on.slurm]: good tables become settings, wrong ones teach."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from taut.errors import InputError
from taut.slurm.settings import Settings
from taut.studyfile import read
from taut.studyfile.slurm import settings

KEYS = (
    "partition, account, qos, constraint, gpus, cpus, memory, time, workers, mode, per_trial, setup, extra, "
    "container, python, snapshot, notice, requeue are allowed"
)
SPANS = "30s, 10m, 2h, 1d, 1h30m or 06:00:00 (hours, minutes, seconds) are allowed"
GPUS = "a number of GPUs, or a type and a number, is allowed; write, for instance, "
NAME = "text without blanks, quotes, # and \\ is allowed"


def test_nothing_asked_is_all_defaults() -> None:
    assert settings({}) == Settings()
    assert Settings().slots == 1


def test_everything() -> None:
    assert settings(
        {
            "partition": "gpu,gpu-long",
            "account": "p_tuning",
            "qos": "normal",
            "constraint": "[a100|h100]&nvlink",
            "gpus": "a100:4",
            "cpus": 32,
            "memory": "64g",
            "time": "1-12:00:00",
            "workers": 8,
            "mode": "batch",
            "per_trial": {"gpus": 0.5, "cpus": 4},
            "setup": "module load PyTorch\nsource env/bin/activate",
            "extra": ["--exclusive", "--mail-type=END", "--comment='a b'"],
            "container": "apptainer exec --nv 'my image.sif'",
            "python": "/opt/my env/bin/python",
            "snapshot": True,
            "notice": "3m",
            "requeue": False,
        }
    ) == Settings(
        partition="gpu,gpu-long",
        account="p_tuning",
        qos="normal",
        constraint="[a100|h100]&nvlink",
        gpus=4,
        gpu_type="a100",
        cpus=32,
        memory="64G",
        time=36 * 60,
        workers=8,
        mode="batch",
        trial_gpus=0.5,
        trial_cpus=4,
        setup=["module load PyTorch\nsource env/bin/activate"],
        extra=["--exclusive", "--mail-type=END", "--comment='a b'"],
        container=["apptainer", "exec", "--nv", "my image.sif"],
        python="/opt/my env/bin/python",
        snapshot=True,
        notice=180,
        requeue=False,
    )


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("06:00:00", 360),
        ("2h", 120),
        ("90m", 90),
        ("1-12:00:00", 2160),
        ("61s", 2),  # never less than was asked for
        ("1s", 1),
        ("auto", None),
    ],
)
def test_time_is_whole_minutes(text: str, minutes: int | None) -> None:
    assert settings({"time": text, "notice": "30s"}).time == minutes


@pytest.mark.parametrize(
    ("table", "notice"),
    [
        ({}, 120),
        ({"time": "8h"}, 120),
        ({"time": "4m"}, 60),  # a short job keeps most of its time
        ({"time": "1m"}, 30),
        ({"time": "4m", "notice": 200}, 200),
        ({"notice": "1m30s"}, 90),
    ],
)
def test_notice(table: dict[str, Any], notice: int) -> None:
    assert settings(table).notice == notice


@pytest.mark.parametrize(
    ("table", "slots"),
    [
        ({"gpus": 4}, 1),
        ({"gpus": 4, "per_trial": {}}, 1),
        ({"gpus": 4, "per_trial": {"gpus": 1}}, 4),
        ({"gpus": 5, "per_trial": {"gpus": 2}}, 2),
        ({"gpus": 1, "per_trial": {"gpus": 0.5}}, 2),
        ({"gpus": 2, "per_trial": {"gpus": 0.4}}, 4),  # a fifth one would lie on two GPUs
        ({"gpus": 1, "per_trial": {"gpus": 1 / 3}}, 3),
        ({"gpus": 1, "per_trial": {"gpus": 0.1}}, 10),
        ({"cpus": 8, "per_trial": {"cpus": 3}}, 2),
        ({"gpus": 4, "cpus": 8, "per_trial": {"gpus": 1, "cpus": 4}}, 2),
    ],
)
def test_slots(table: dict[str, Any], slots: int) -> None:
    assert settings(table).slots == slots


@pytest.mark.parametrize("table", [{"workers": "auto"}, {"extra": ["--gres=tmpdisk:10"]}, {"memory": "0"}])
def test_also_allowed(table: dict[str, Any]) -> None:
    settings(table)


@pytest.mark.parametrize(
    ("text", "megabytes"),
    [("16G", 16384), ("4000M", 4000), ("1T", 2**20), ("1025k", 2), ("0", 0), (None, None)],
)
def test_memory(text: str | None, megabytes: int | None) -> None:
    assert settings({} if text is None else {"memory": text}).memory_mb == megabytes


OWN = "is not allowed, since taut sets"
# A table, the key that is at fault, and the whole message.
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"partitoin": "gpu"}, "partitoin", f"unknown key of [on.slurm]; {KEYS}; did you mean 'partition'?"),
    ({"seed": 1}, "seed", f"unknown key of [on.slurm]; {KEYS}; put the line of seed above the first [table]"),
    (
        {"partition": "my gpu"},
        "partition",
        f'"my gpu" is not allowed; {NAME}; write, for instance, partition = "gpu"',
    ),
    (
        {"account": "x\u0000y"},
        "account",
        f'"x\\u0000y" is not allowed; {NAME}; write, for instance, account = "my-project"',
    ),
    ({"qos": 3}, "qos", '3 is not allowed; text is allowed; write, for instance, qos = "normal"'),
    (
        {"constraint": "a100\n#SBATCH --wrap=x"},
        "constraint",
        f'"a100\\n#SBATCH --wrap=x" is not allowed; {NAME}; write, for instance, constraint = "a100|h100"',
    ),
    ({"gpus": "4"}, "gpus", f'"4" is not allowed; {GPUS}gpus = 4'),
    ({"gpus": "a100"}, "gpus", f'"a100" is not allowed; {GPUS}gpus = "a100:2"'),
    ({"gpus": "gpu:a100:2"}, "gpus", f'"gpu:a100:2" is not allowed; {GPUS}gpus = "a100:2"'),
    ({"gpus": "gpu:2"}, "gpus", f'"gpu:2" is not allowed; {GPUS}gpus = "a100:2"'),
    (
        {"gpus": -1},
        "gpus",
        "-1 is too small; an integer from 0 to 9999 is allowed; write, for instance, gpus = 1",
    ),
    (
        {"cpus": True},
        "cpus",
        "true is not an integer; an integer from 1 to 100000 is allowed; write, for instance, cpus = 8",
    ),
    (
        {"memory": "16 GB"},
        "memory",
        '"16 GB" is not allowed; a whole number with K, M, G or T is allowed; write, for instance, memory = "16G"',
    ),
    ({"memory": 16}, "memory", '16 is not allowed; text is allowed; write, for instance, memory = "16G"'),
    ({"time": 60}, "time", f"'60' has no unit; {SPANS}; write 60s, 60m or 60h"),
    (
        {"time": "soon"},
        "time",
        f"'soon' is not a span of time; {SPANS}; write, for instance, 90m",
    ),
    (
        {"time": datetime.time(6)},
        "time",
        '06:00:00 is not allowed; a span of time or "auto" is allowed; '
        'write, for instance, time = "06:00:00"',
    ),
    (
        {"time": ["2h"]},
        "time",
        '["2h"] is not allowed; a span of time or "auto" is allowed; write, for instance, time = "06:00:00"',
    ),
    (
        {"workers": "many"},
        "workers",
        '"many" is not allowed; an integer from 1 or "auto" is allowed; write, for instance, workers = 8',
    ),
    (
        {"workers": 0},
        "workers",
        "0 is too small; an integer from 1 to 100000 is allowed; write, for instance, workers = 8",
    ),
    (
        {"mode": "asynch"},
        "mode",
        '"asynch" is unknown; "async", "batch", "sequential" are allowed; did you mean \'async\'?',
    ),
    (
        {"snapshot": "yes"},
        "snapshot",
        '"yes" is not allowed; true and false are allowed; write, for instance, snapshot = true',
    ),
    (
        {"notice": 10},
        "notice",
        "10 is too small; an integer from 30 to 65535 is allowed; write, for instance, notice = 120",
    ),
    ({"notice": "30"}, "notice", f"'30' has no unit; {SPANS}; write 30s, 30m or 30h"),
    (
        {"time": "2m", "notice": "2m"},
        "notice",
        "120 s is no shorter than a job's 120 s; less than that is allowed; shorten notice or lengthen time",
    ),
    (
        {"setup": ["x", "a\0b"]},
        "setup.1",
        '"a\\u0000b" holds a control character; shell lines are allowed; take it out',
    ),
    (
        {"python": "a\nb"},
        "python",
        '"a\\nb" holds a line break or a control character; text on one line is allowed; take it out',
    ),
    (
        {"container": "apptainer exec 'image.sif"},
        "container",
        '"apptainer exec \'image.sif" has no closing quotation; words are split as a shell would; '
        'mend the quote, or give a list, for instance ["apptainer", "exec", "image.sif"]',
    ),
    (
        {"container": ["", "x"]},
        "container",
        '"" is not a program; the program comes first; '
        'write, for instance, container = "apptainer exec --nv image.sif"',
    ),
    (
        {"container": ["apptainer", "a\nb"]},
        "container.1",
        '"a\\nb" holds a line break or a control character; text on one line is allowed; take it out',
    ),
    (
        {"per_trial": 1},
        "per_trial",
        "1 is not a table; a table is allowed; write, for instance, per_trial = { gpus = 1, cpus = 4 }",
    ),
    (
        {"per_trial": {"memory": "4G"}},
        "per_trial.memory",
        "unknown key of [on.slurm.per_trial]; gpus, cpus are allowed; "
        "memory is a job's, not a trial's; put it below [on.slurm]",
    ),
    (
        {"per_trial": {"gpus": 1}},
        "per_trial.gpus",
        "1 does not fit, a job asks for no gpus; at most what a job has is allowed; "
        "write, for instance, gpus = 1 below [on.slurm]",
    ),
    (
        {"gpus": 2, "per_trial": {"gpus": 4}},
        "per_trial.gpus",
        "4 does not fit, a job has 2 gpus; at most what a job has is allowed; "
        "write, for instance, gpus = 4 below [on.slurm]",
    ),
    (
        {"per_trial": {"cpus": 2}},
        "per_trial.cpus",
        "2 does not fit, a job asks for no cpus; at most what a job has is allowed; "
        "write, for instance, cpus = 2 below [on.slurm]",
    ),
    (
        {"gpus": 4, "per_trial": {"gpus": 1.5}},
        "per_trial.gpus",
        "1.5 is not allowed; whole GPUs, or a part of one from 0.01 on, are allowed; "
        "write, for instance, gpus = 0.5 for two trials on each GPU",
    ),
    (
        {"extra": ["exclusive"]},
        "extra.0",
        '"exclusive" is not an option; options begin with -; write, for instance, extra = ["--exclusive"]',
    ),
    (
        {"extra": ["--exclusive\n#SBATCH --wrap=x"]},
        "extra.0",
        '"--exclusive\\n#SBATCH --wrap=x" holds a line break or a control character; '
        "text on one line is allowed; take it out",
    ),
    (
        {"extra": ["--exclusive", "--array=0-3"]},
        "extra.1",
        f'"--array=0-3" {OWN} --array itself; take it out: write, for instance, workers = 8',
    ),
    (
        {"extra": "--exclusive --array 0-3"},
        "extra",
        f'"--array" {OWN} --array itself; take it out: write, for instance, workers = 8',
    ),
    (
        {"extra": ["--outp=x"]},
        "extra.0",
        f'"--outp=x" {OWN} --output itself; take it out: '
        "output is kept in the study's directory, where taut looks for it",
    ),
    (
        {"extra": ["-t60"]},
        "extra.0",
        f'"-t60" {OWN} --time itself; take it out: write, for instance, time = "06:00:00"',
    ),
    (
        {"extra": ["--gres=gpu:2"]},
        "extra.0",
        f'"--gres=gpu:2" {OWN} --gres itself; take it out: write, for instance, gpus = 2 or gpus = "a100:2"',
    ),
    (
        {"gpus": 1, "extra": ["--gres=tmpdisk:10"]},
        "extra.0",
        f'"--gres=tmpdisk:10" {OWN} --gres itself; take it out: '
        'write, for instance, gpus = 2 or gpus = "a100:2"',
    ),
    (
        {"extra": ["--comment='a"]},
        "extra.0",
        '"--comment=\'a" has no closing quotation; quotes come in pairs; mend it',
    ),
]


@pytest.mark.parametrize(
    ("table", "key", "message"), WRONG, ids=[f"{key}-{n}" for n, (_, key, _) in enumerate(WRONG)]
)
def test_wrong(table: dict[str, Any], key: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        settings(table)
    assert caught.value.message == message
    assert caught.value.at == ("on", "slurm", *key.split("."))


@pytest.mark.parametrize(
    "name", ["signal", "job-name", "time", "mem-per-cpu", "nodes", "ntasks", "wrap", "wait"]
)
def test_options_that_are_tauts_own(name: str) -> None:
    with pytest.raises(InputError, match=f"taut sets --{name} itself"):
        settings({"extra": [f"--{name}=1"]})


def test_a_mistake_is_found_with_its_line_when_the_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    head = 'command = "python x.py {args}"\nminimize = "loss"\n[space]\nx = { uniform = [0, 1] }\n'
    table = 'partition = "gpu"\nextra = [\n  "--exclusive",\n  "--array=3",\n]\n'
    Path("study.toml").write_text(f"{head}[on.slurm]\n{table}")
    with pytest.raises(InputError) as caught:
        read(Path("study.toml"))
    assert str(caught.value).startswith('study.toml:9: on.slurm.extra[1]: "--array=3" is not allowed')
    Path("study.toml").write_text(f"{head}[on.slurm]\ntime = '6h'\nper_trial = {{ gpus = 2 }}\n")
    with pytest.raises(InputError) as caught:
        read(Path("study.toml"))
    assert str(caught.value).startswith("study.toml:7: on.slurm.per_trial.gpus: 2 does not fit")
    Path("study.toml").write_text(f"{head}[on.slurm]\ntime = '6h'\n[on.hyperqueue]\nworkers = 2\n")
    assert read(Path("study.toml")).on == {"slurm": {"time": "6h"}, "hyperqueue": {"workers": 2}}
