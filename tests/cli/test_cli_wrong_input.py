"""Wrong input: the whole message, exit code 2, and nothing left behind."""

from __future__ import annotations

import shlex
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest
from cli_home import Home, Said

from taut.cli import _COMMANDS


def usage(command: str, form: str, problem: str) -> str:
    name = f"taut {command}".rstrip()
    return f"Usage: {name} {form}\nTry '{name} --help' for help.\n\nError: {problem}"


class Wrong(NamedTuple):
    """args: of taut. message: on stderr. edits: in study.toml. done: whether its study was run before."""

    args: str
    message: str
    edits: tuple[tuple[str, str], ...] = ()
    done: bool = False


class Answer(NamedTuple):
    """What taut said, and what the directory held before and after."""

    said: Said
    before: list[tuple[str, int, int, str]]
    after: list[tuple[str, int, int, str]]


THERE = ", ".join(_COMMANDS)  # `test_cli_help.py` has them one by one
X_LINE = "x = { uniform = [0, 1], start = 0.5 }"

WRONG = [
    Wrong(
        "rnu study.toml",
        usage(
            "",
            "[OPTIONS] COMMAND [ARGS]...",
            f"no command 'rnu'; did you mean 'run'?; there are: {THERE}",
        ),
    ),
    Wrong(
        "frobnicate",
        usage(
            "",
            "[OPTIONS] COMMAND [ARGS]...",
            f"no command 'frobnicate'; there are: {THERE}",
        ),
    ),
    Wrong(
        "--verson",
        usage("", "[OPTIONS] COMMAND [ARGS]...", "No such option '--verson'. Did you mean '--version'?"),
    ),
    Wrong(
        "run",
        usage("run", "[OPTIONS] STUDY", "Missing argument 'STUDY'."),
    ),
    Wrong(
        "run study.toml --worker 2",
        usage(
            "run",
            "[OPTIONS] STUDY",
            "No such option '--worker'. (Did you mean one of: '--for', '--workers'?)",
        ),
    ),
    Wrong(
        "run study.toml extra",
        usage("run", "[OPTIONS] STUDY", "Got unexpected extra argument (extra)"),
    ),
    Wrong(
        "trials study.toml --jsn",
        usage(
            "trials", "[OPTIONS] STUDY", "No such option '--jsn'. (Did you mean one of: '--csv', '--json'?)"
        ),
    ),
    Wrong(
        "best study.toml runs/demo",
        usage("best", "[OPTIONS] STUDY", "Got unexpected extra argument (runs/demo)"),
    ),
    Wrong(
        "status --follow",
        usage("status", "[OPTIONS] STUDY", "Missing argument 'STUDY'."),
    ),
    Wrong(
        "run absent.toml",
        "taut: absent.toml: there is no such file; `taut init` writes a study.toml to start from",
    ),
    Wrong(
        "run train.py",
        "taut: train.py is not a study.toml; `taut init` writes one, in which train.py can be the command",
    ),
    Wrong(
        "run .",
        "taut: . holds no study; give the directory that `taut run` named, or its study.toml",
    ),
    Wrong(
        "run study.toml --workers 0",
        "taut: --workers: 0 is too small; use a whole number from 1",
        done=True,
    ),
    Wrong(
        "run study.toml --workers 0 --trials 9",
        "taut: --workers: 0 is too small; use a whole number from 1",
        done=True,
    ),
    Wrong(
        "run study.toml --workers two",
        usage("run", "[OPTIONS] STUDY", "Invalid value for '--workers': 'two' is not a valid integer."),
    ),
    Wrong(
        "run study.toml --mode asynk",
        usage(
            "run",
            "[OPTIONS] STUDY",
            "Invalid value for '--mode': 'asynk' is not one of 'sequential', 'batch', 'async'.",
        ),
    ),
    Wrong(
        "run study.toml --trials 0",
        "taut: --trials: 0 is too small; use a whole number from 1",
    ),
    Wrong(
        "run study.toml --for 2",
        "taut: '2' has no unit; 30s, 10m, 2h, 1d, 1h30m or 06:00:00 (hours, minutes, "
        "seconds) are allowed; write 2s, 2m or 2h",
    ),
    Wrong(
        "run study.toml --for -1h",
        "taut: '-1h' is not a span of time; 30s, 10m, 2h, 1d, 1h30m or 06:00:00 (hours, "
        "minutes, seconds) are allowed; write, for instance, 90m",
    ),
    Wrong(
        "run study.toml --gpu-hours 2",
        "taut: --gpu-hours: it goes with --on slurm; on this machine use --trials or --for",
    ),
    Wrong(
        "run study.toml --on hyperqeue",
        "taut: --on: 'hyperqeue' is not a place; local, slurm, hyperqueue are allowed; did you mean 'hyperqueue'?",
    ),
    Wrong(
        "run study.toml --dry-run",
        "taut: --dry-run: it goes with --on slurm and hyperqueue; on this machine use --trials or --for",
    ),
    Wrong(
        "run study.toml --on slurm --for 2h",
        "taut: --for: it counts from a worker's start, and jobs start when the queue lets them; "
        'write time = "2h" in [on.slurm] for the length of a job, or hours in [budget]',
    ),
    Wrong(
        "run study.toml --on slurm --gpu-hours -1",
        "taut: --gpu-hours: -1.0 is not a number of hours; use one above 0",
    ),
    Wrong("worker runs/demo --once", "taut: --once: it goes with --mode batch"),
    Wrong(
        "run study.toml --dir .",
        "taut: --dir: . holds other files; give a directory of its own, such as runs/demo",
    ),
    Wrong(
        "run study.toml --dir train.py",
        "taut: --dir: train.py is a file; give a directory for the study",
    ),
    Wrong(
        "run runs/demo --dir elsewhere",
        "taut: runs/demo is a study already; --dir goes with a study.toml elsewhere",
        done=True,
    ),
    Wrong(
        "run runs/demo --trials 0",
        "taut: --trials: 0 is too small; use a whole number from 1",
        done=True,
    ),
    Wrong(
        "worker absent",
        "taut: absent: there is no such study directory or file",
    ),
    Wrong(
        "worker study.toml",
        "taut: runs/demo: there is no study here yet; start it with: taut run study.toml",
    ),
    Wrong(
        "worker runs/demo --workers -1",
        "taut: --workers: -1 is too small; use a whole number from 1",
        done=True,
    ),
    Wrong(
        "worker runs/demo --for 1",
        "taut: '1' has no unit; 30s, 10m, 2h, 1d, 1h30m or 06:00:00 (hours, minutes, "
        "seconds) are allowed; write 1s, 1m or 1h",
        done=True,
    ),
    Wrong(
        "status absent",
        "taut: absent: there is no such study directory or file",
    ),
    Wrong(
        "status study.toml",
        "taut: runs/demo: there is no study here yet; start it with: taut run study.toml",
    ),
    Wrong(
        "best runs",
        "taut: runs holds no study; give the directory that `taut run` named, or its study.toml",
        done=True,
    ),
    Wrong(
        "trials study.toml --json --csv",
        "taut: --json and --csv exclude each other; give one of them",
        done=True,
    ),
    Wrong(
        "verify absent",
        "taut: absent: there is no such study directory or file",
    ),
    Wrong(
        "sample study.toml",
        usage("sample", "[OPTIONS] STUDY", "Missing option '--index'."),
    ),
    Wrong(
        "sample study.toml --index -1",
        "taut: --index: -1 is not an index; use a whole number from 0 to 2**62 - 1",
    ),
    Wrong(
        "sample study.toml --index 99999999999999999999",
        "taut: --index: 99999999999999999999 is not an index; use a whole number from 0 to 2**62 - 1",
    ),
    Wrong(
        "sample study.toml --index 0 --format bash",
        usage(
            "sample",
            "[OPTIONS] STUDY",
            "Invalid value for '--format': 'bash' is not one of 'shell', 'json', 'args'.",
        ),
    ),
    Wrong(
        "sample absent.toml --index 0",
        "taut: absent.toml: there is no such file; `taut init` writes a study.toml to start from",
    ),
    Wrong(
        "sample study.toml --index 4",
        "taut: sampler.method: there is no trial 4: the grid has 4 cells, 0 to 3",
        (
            ("x = { uniform = [0, 1], start = 0.5 }", "x = { ordinal = [1, 2] }"),
            ('"random"', '"grid"'),
        ),
    ),
    Wrong(
        "sample study.toml --index 0",
        'taut: study.toml:13: sampler.method: "randon" is unknown; "ants", "auto", "bandit", "cma", "conjugate", "differential", "evolution", "genetic", "gp", "grid", "nsga2", "nsga3", "quasirandom", "random", "swarm", "tpe" are allowed; did you mean \'random\'?',
        (('"random"', '"randon"'),),
    ),
    Wrong(
        "export study.toml",
        usage("export", "[OPTIONS] STUDY [PATH]", "Missing option '--to'."),
        done=True,
    ),
    Wrong(
        "export study.toml --to cvs",
        "taut: --to: 'cvs' is not a format of export; use csv, parquet or sqlite; did you mean 'csv'?",
        done=True,
    ),
    Wrong(
        "export study.toml demo.txt --to optuna",
        "taut: path: demo.txt does not say which of Optuna's storages it is to be; let it end in .db for SQLite, or in .journal for a journal file",
        done=True,
    ),
    Wrong(
        "export study.toml train.py --to csv",
        "taut: train.py exists; give another name, or replace it with --force",
        done=True,
    ),
    Wrong(
        "export study.toml absent/t.csv --to csv",
        "taut: absent is not a directory; make it first, or choose another path",
        done=True,
    ),
    Wrong(
        "export study.toml runs --to csv",
        "taut: runs exists; give another name, or replace it with --force",
        done=True,
    ),
    Wrong(
        "export study.toml --to csv",
        "taut: runs/demo: there is no study here yet; start it with: taut run study.toml",
    ),
    Wrong(
        "init",
        "taut: study.toml exists; taut does not overwrite it: remove it, or give another name with --out",
    ),
    Wrong(
        "init --out absent/study.toml",
        "taut: absent: there is no such directory; make it first, or give another --out",
    ),
    Wrong(
        "init --out train.py",
        "taut: train.py exists; taut does not overwrite it: remove it, or give another name with --out",
    ),
    Wrong(
        "doctor study.toml",
        "taut: study.toml is a file; give a directory",
    ),
    Wrong(
        "doctor study.toml/x",
        "taut: HOME/study.toml is not a directory; give the directory of a study, or one to keep studies in",
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:3: minimise: unknown key of a study; name, command, function, "
        "minimize, maximize, subject_to, prefer, reference, config, style, timeout, cwd, fresh_process, seed, retries, "
        "warm_start, space, budget, sampler, pruner, results, on are allowed; did you mean 'minimize'?",
        (("minimize", "minimise"),),
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:10: budget.trails: unknown key of [budget]; trials, hours, "
        "gpu_hours, until are allowed; did you mean 'trials'?",
        (("trials = 4", "trails = 4"),),
    ),
    Wrong(
        "run study.toml",
        "taut: no end is in sight: add [budget] trials = 100 to the file, or give --trials or --for",
        (("[budget]\ntrials = 4\n", ""),),
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:10: budget.gpu_hours: GPU-hours are those of a queue's jobs, and nothing else ends the "
        "study here; run it with --on slurm, or add trials or hours",
        (("trials = 4", "gpu_hours = 3"),),
    ),
    Wrong(
        "run study.toml",
        'taut: study.toml:13: sampler.method: "quasi-random" is unknown; "ants", "auto", "bandit", "cma", "conjugate", "differential", "evolution", "genetic", "gp", "grid", "nsga2", "nsga3", "quasirandom", "random", "swarm", "tpe" are allowed; did you mean \'quasirandom\'?',
        (('"random"', '"quasi-random"'),),
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:12: sampler.resolution: 'x' is continuous, so a grid needs to know "
        "how many values to try; add resolution = 5 or resolution = { x = 5 } under "
        '[sampler], or use method = "random"',
        (('"random"', '"grid"'),),
    ),
    Wrong(
        "run study.toml",
        'taut: study.toml:14: pruner.fidelity: asha compares trials at steps that it has to know; add, for instance, fidelity = { name = "epoch", min = 1, max = 27 }',
        (('"random"', '"random"\n[pruner]\nmethod = "asha"'),),
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:6: space.x.uniform: low = 1.0 lies above high = 0.0; swap them",
        (("x = { uniform = [0, 1], start = 0.5 }", "x = { uniform = [1, 0] }"),),
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:6: space.x.loguniform: low = 0.0 must be above 0, because "
        "loguniform works on logarithms; raise low, or use uniform",
        (("x = { uniform = [0, 1], start = 0.5 }", "x = { loguniform = [0, 1] }"),),
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:7: space.kind.when: 'y' in 'y > 1' is no parameter; there are x, kind",
        (('["a", "b"] }', '["a", "b"], when = "y > 1" }'),),
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:6: space.x.when: \"kind == 'c'\" compares with 'c', which 'kind' can "
        "never be; it is one of 'a', 'b'",
        (("x = { uniform = [0, 1], start = 0.5 }", "x = { uniform = [0, 1], when = \"kind == 'c'\" }"),),
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:2: command: {y} is no placeholder; {args}, {trial_dir}, {trial}, "
        "{base}, {config}, {x}, {kind} are allowed; write {{ and }} for literal braces",
        (("{args}", "--x {y}"),),
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:2: command: the program 'pythn' was not found in PATH; install it, "
        "load its module or activate its environment first, or give its whole path",
        (("python train.py", "pythn train.py"),),
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:2: command: the script '{base}/tran.py' does not exist (looked in "
        "HOME); mend its name, or put it there",
        (("python train.py", "python {base}/tran.py"),),
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:2: function: 'trian:objective': there is no module 'trian'",
        (('command = "python train.py {args}"', 'function = "trian:objective"'),),
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:2: function: 'tune:objectiv': tune has no 'objectiv'; did you mean 'objective'?",
        (('command = "python train.py {args}"', 'function = "tune:objectiv"'),),
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:2: function: 'tune:LIMIT' is 3, which is not a function",
        (('command = "python train.py {args}"', 'function = "tune:LIMIT"'),),
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:2: function: other() asks for depth, which the space does not have; "
        "write other(trial) and read trial.params, or other(x, kind)",
        (('command = "python train.py {args}"', 'function = "tune:other"'),),
    ),
    Wrong(
        "run study.toml",
        "taut: runs/demo is there to minimize loss, not to maximize loss; use another "
        "directory for another aim",
        (("minimize", "maximize"),),
        done=True,
    ),
    Wrong(
        "run study.toml",
        "taut: runs/demo is there to minimize loss, not to minimize loss and minimize size; "
        "use another directory for another aim",
        (('"loss"', '["loss", "size"]'),),
        done=True,
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:2: seed: 1 is not 0, the seed of runs/demo; use another directory for another seed",
        (('name = "demo"', 'name = "demo"\nseed = 1'),),
        done=True,
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:5: space: runs/demo can only be extended: x cannot change: its "
        "range 0.2 to 1.0 does not hold the old one, 0.0 to 1.0; keep every old value, or "
        "start a new study",
        (("[0, 1], start", "[0.2, 1], start"),),
        done=True,
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:5: space: runs/demo can only be extended: kind cannot change: it "
        "no longer has 'b'; keep every old value, or start a new study",
        (('["a", "b"]', '["a"]'),),
        done=True,
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:5: space: runs/demo can only be extended: x cannot change: it was "
        "uniform and would be loguniform; keep every old value, or start a new study",
        (("x = { uniform = [0, 1], start = 0.5 }", "x = { loguniform = [0.1, 1] }"),),
        done=True,
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:5: space: runs/demo can only be extended: x is gone; keep it, or start a new study",
        (("x = { uniform = [0, 1], start = 0.5 }\n", ""),),
        done=True,
    ),
]

TUNE = """\
LIMIT = 3


def objective(x, kind):
    return x


def other(x, depth):
    return x
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> list[Answer]:
    """What each wrong input led to; several at a time, since each needs a process of its own."""
    place = tmp_path_factory.mktemp("wrong")
    fresh, done = Home(place / "fresh"), Home(place / "done")
    for home in (fresh, done):
        home.write("tune.py", TUNE)
    done.taut("run", "study.toml")

    def ask(index: int) -> Answer:
        wrong = WRONG[index]
        home = (done if wrong.done else fresh).copy(place / f"{index}" / "project")
        home.edit(*wrong.edits)
        before = home.listing()
        said = home.taut(*shlex.split(wrong.args), code=None)
        return Answer(said._replace(err=said.err.replace(str(home.path), "HOME")), before, home.listing())

    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(ask, range(len(WRONG))))


@pytest.mark.parametrize("index", range(len(WRONG)), ids=[f"{i}-{w.args}" for i, w in enumerate(WRONG)])
def test_wrong_input(answers: list[Answer], index: int) -> None:
    answer = answers[index]
    assert answer.said.err == WRONG[index].message + "\n"
    assert (answer.said.code, answer.said.out) == (2, "")
    assert answer.after == answer.before, "nothing is left behind"
