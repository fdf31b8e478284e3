"""Wrong input: the whole message, exit code 2, and nothing left behind."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import NamedTuple

import pytest
from cli_home import Home


def usage(command: str, form: str, problem: str) -> str:
    name = f"taut {command}".rstrip()
    return f"Usage: {name} {form}\nTry '{name} --help' for help.\n\nError: {problem}"


class Wrong(NamedTuple):
    """args: of taut. message: on stderr. edits: in study.toml. done: whether its study was run before."""

    args: str
    message: str
    edits: tuple[tuple[str, str], ...] = ()
    done: bool = False


X_LINE = "x = { uniform = [0, 1], start = 0.5 }"

WRONG = [
    Wrong(
        "rnu study.toml",
        usage(
            "",
            "[OPTIONS] COMMAND [ARGS]...",
            "no command 'rnu'; did you mean 'run'?; there are: init, run, worker, sample, "
            "status, best, trials, verify, export, doctor",
        ),
    ),
    Wrong(
        "frobnicate",
        usage(
            "",
            "[OPTIONS] COMMAND [ARGS]...",
            "no command 'frobnicate'; there are: init, run, worker, sample, status, best, "
            "trials, verify, export, doctor",
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
        "run study.toml --trials -5",
        "taut: --trials: -5 is too small; use a whole number from 1",
        done=True,
    ),
    Wrong(
        "run study.toml --trials 1e3",
        usage("run", "[OPTIONS] STUDY", "Invalid value for '--trials': '1e3' is not a valid integer."),
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
        "run study.toml --for soon",
        "taut: 'soon' is not a span of time; 30s, 10m, 2h, 1d, 1h30m or 06:00:00 (hours, "
        "minutes, seconds) are allowed; write, for instance, 90m",
    ),
    Wrong(
        "run study.toml --gpu-hours 2",
        "taut: --gpu-hours needs a queue that counts them, which is not built yet; use --trials or --for",
    ),
    Wrong(
        "run study.toml --on slurm",
        "taut: --on slurm: only local is built so far; leave --on out to run on this machine",
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
        "worker .",
        "taut: . holds no study; give the directory that `taut run` named, or its study.toml",
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
        "taut: --index: -1 is not an index; use a whole number from 0",
    ),
    Wrong(
        "sample study.toml --index 1.5",
        usage("sample", "[OPTIONS] STUDY", "Invalid value for '--index': '1.5' is not a valid integer."),
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
        'taut: study.toml:13: sampler.method: "randon" is unknown; "grid", "quasirandom", '
        "\"random\" are allowed; did you mean 'random'?",
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
        "export study.toml --to optuna",
        "taut: --to: export to Optuna comes later; use csv, parquet or sqlite",
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
        "init --out 'my study.toml'",
        'taut: name: "my study" cannot be a name; letters, digits and . _ - are allowed, at '
        "most 100, the first a letter, a digit or _; choose another",
    ),
    Wrong(
        "init --out .",
        "taut: . exists; taut does not overwrite it: remove it, or give another name with --out",
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
        "minimize, maximize, subject_to, config, style, timeout, cwd, seed, retries, space, "
        "budget, sampler, pruner, results, on are allowed; did you mean 'minimize'?",
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
        "taut: no end is in sight: add [budget] trials = 100 to the file, or give --trials 100 or --for 2h",
        (("[budget]\ntrials = 4\n", ""),),
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:10: budget.gpu_hours: gpu_hours needs a queue that counts them, "
        "which is not built yet; use trials or hours",
        (("trials = 4", "gpu_hours = 3"),),
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:10: budget.until: 'los <' is not an expression; an expression has "
        "names, numbers, texts, + - * / // % **, comparisons, and or not in, log max min "
        "round sqrt",
        (("trials = 4", 'until = "los <"'),),
    ),
    Wrong(
        "run study.toml",
        'taut: study.toml:13: sampler.method: "quasi-random" is unknown; "grid", '
        '"quasirandom", "random" are allowed; did you mean \'quasirandom\'?',
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
        "taut: study.toml:14: pruner: pruners are not built yet; leave [pruner] out",
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
        "taut: study.toml:6: space.x.unifrom: 'unifrom' is not a kind; use one of choice, "
        "expr, lognormal, loguniform, loguniform_int, normal, ordinal, uniform, uniform_int; "
        "did you mean 'uniform'?",
        (("x = { uniform = [0, 1], start = 0.5 }", "x = { unifrom = [0, 1] }"),),
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:6: space.x: 0.5 is not a parameter; write a table such as { "
        "uniform = [0.0, 1.0] }; for a constant write { choice = [0.5] }",
        (("x = { uniform = [0, 1], start = 0.5 }", "x = 0.5"),),
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:6: space.x.start: 2 is not allowed; it must be a number from 0.0 to 1.0",
        (("x = { uniform = [0, 1], start = 0.5 }", "x = { uniform = [0, 1], start = 2 }"),),
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:7: space.kind.when: 'y' in 'y > 1' is no parameter; there are x, kind",
        (('["a", "b"] }', '["a", "b"], when = "y > 1" }'),),
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:7: space.kind.when: 'x > 2' is never true in 4099 combinations "
        "tried, so 'kind' would never be searched; correct the condition, or remove the "
        "parameter",
        (('["a", "b"] }', '["a", "b"], when = "x > 2" }'),),
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
        "taut: study.toml:2: command: '|' needs a shell; a command is one program with its "
        "arguments (its output is kept); put the line into a script (or give a list, if the "
        "argument is meant)",
        (("{args}", "{args} | tee log"),),
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
        'taut: study.toml:3: config: there is no file "base.yaml" in HOME; a path relative '
        "to that is allowed; correct it",
        (('"python train.py {args}"', '"python train.py {config}"\nconfig = "base.yaml"'),),
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
        "taut: study.toml:2: function: 'tune:LIMIT' is an int, not a function",
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
        "taut: study.toml:6: space.x: runs/demo has another space: x cannot change: its "
        "range 0.2 to 1.0 does not hold the old one, 0.0 to 1.0; a study can be extended "
        "(wider ranges, more choices), for any other change use another directory",
        (("[0, 1], start", "[0.2, 1], start"),),
        done=True,
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:7: space.kind: runs/demo has another space: kind cannot change: it "
        "no longer has 'b'; a study can be extended (wider ranges, more choices), for any "
        "other change use another directory",
        (('["a", "b"]', '["a"]'),),
        done=True,
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:6: space.x: runs/demo has another space: x cannot change: it was "
        "uniform and would be loguniform; a study can be extended (wider ranges, more "
        "choices), for any other change use another directory",
        (("x = { uniform = [0, 1], start = 0.5 }", "x = { loguniform = [0.1, 1] }"),),
        done=True,
    ),
    Wrong(
        "run study.toml",
        "taut: study.toml:5: space: runs/demo has another space: x is gone; a study can be "
        "extended (wider ranges, more choices), for any other change use another directory",
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
def templates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Home]:
    """A directory before, and one after `taut run`."""
    fresh = Home(tmp_path_factory.mktemp("fresh") / "project")
    done = Home(tmp_path_factory.mktemp("done") / "project")
    for home in (fresh, done):
        home.write("tune.py", TUNE)
    done.taut("run", "study.toml")
    return fresh, done


@pytest.mark.parametrize("wrong", WRONG, ids=[f"{i}-{wrong.args}" for i, wrong in enumerate(WRONG)])
def test_wrong_input(templates: tuple[Home, Home], tmp_path: Path, wrong: Wrong) -> None:
    home = templates[wrong.done].copy(tmp_path / "project")
    home.edit(*wrong.edits)
    before = home.listing()
    said = home.taut(*shlex.split(wrong.args), code=None)
    assert said.err.replace(str(home.path), "HOME") == wrong.message + "\n"
    assert (said.code, said.out) == (2, "")
    assert home.listing() == before, "nothing is left behind"
