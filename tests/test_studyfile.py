"""study.toml: good files become definitions, wrong ones teach."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taut.definition import Definition, Earlier, Evaluation, Method, Objective, Results
from taut.errors import InputError
from taut.fidelity import Fidelity
from taut.preference import Preference, Rank
from taut.studyfile import parse_duration, read, template
from taut.studyfile.lines import Lines

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

COMMAND = 'command = "python train.py {args}"'
MINIMIZE = 'minimize = "loss"'
SPACE = "[space]\nlr = { uniform = [0, 1] }"
TOP = f"{COMMAND}\n{MINIMIZE}"
GOOD = f"{TOP}\n{SPACE}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "sweep"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


def write(text: str, name: str = "study.toml") -> Path:
    Path(name).write_bytes(text.encode())
    return Path(name)


def listing(directory: Path) -> list[tuple[str, int, int]]:
    return sorted((str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in directory.rglob("*"))


NAMES = "letters, digits and . _ - are allowed, at most 100, the first a letter, a digit or _"
TOP_KEYS = (
    "name, command, function, minimize, maximize, subject_to, prefer, reference, config, style, timeout, cwd, fresh_process, seed, retries, warm_start, "
    "space, budget, sampler, pruner, results, on are allowed"
)
PATTERN = (
    '"hf" or a regular expression with named groups is allowed; write, for instance, '
    "stdout = 'loss=(?P<loss>\\S+)'"
)
DURATIONS = "30s, 10m, 2h, 1d, 1h30m or 06:00:00 (hours, minutes, seconds) are allowed"
INLINE = (
    "an inline table stands on one line, with commas between its entries and } right after the last; "
    "longer ones can be tables of their own, [space.NAME]"
)
TEXT_TWICE = "text with one kind of quotes inside stands between the other, as in \"optim == 'sgd'\""

# What the file says, and the whole message after "study.toml:". BASE stands for the file's directory.
WRONG: list[tuple[str, str]] = [
    # syntax
    (f"name = lora\n{GOOD}", '1: not valid TOML: invalid value; text stands between quotes; write "lora"'),
    (
        f"{TOP}\n[space]\nr = {{ expr = 2 * lora_r }}\n",
        "4: not valid TOML: unclosed inline table; an expression is text; put quotes around it, "
        'expr = "2 * lora_r"',
    ),
    (
        f"{TOP}\n[space]\nr = {{ expr = lora_r * 2, start = 1 }}\n",
        '4: not valid TOML: invalid value; an expression is text; put quotes around it, expr = "lora_r * 2"',
    ),
    (
        f"{TOP}\nseed = None\n",
        '3: not valid TOML: invalid value; TOML has no None; leave the key out, or write it as text, "none"',
    ),
    (
        f"{TOP}\n[sampler]\nx = True\n",
        "4: not valid TOML: invalid value; TOML spells it in lower case; write true",
    ),
    (
        'when = "optim == "sgd""\n',
        f"1: not valid TOML: expected newline or end of document after a statement; {TEXT_TWICE}",
    ),
    (
        f'{TOP}\n[space]\nlr = {{ uniform = [0, 1], when = "a == "b"" }}\n',
        f"4: not valid TOML: unclosed inline table; {TEXT_TWICE}",
    ),
    (
        '[results]\nstdout = "loss=(?P<loss>\\S+)"\n',
        "2: not valid TOML: unescaped '\\' in a string; between double quotes \\ is special; "
        "use single quotes, "
        "as in stdout = 'loss=(?P<loss>\\S+)'",
    ),
    (
        f"{GOOD}r = {{ choice = [1, 2 }}\n[budget]\ntrials = 1\n",
        "5: not valid TOML: unclosed array; a list has commas between its items and ends with ]; "
        "add what is missing",
    ),
    (
        'name = "a\nseed = 1\n',
        "1: not valid TOML: illegal character '\\n'; text ends with the kind of quote that it began with, "
        "on the same line; add the closing quote",
    ),
    (
        f'{MINIMIZE}\ncommand = """python\n{SPACE}\n',
        "2: not valid TOML: unterminated string; text that begins with three quotes ends with three; "
        "add them",
    ),
    (
        "minimize: 3\n",
        "1: not valid TOML: expected '=' after a key in a key/value pair; a line is key = value; "
        "put = after the key",
    ),
    (
        f"{MINIMIZE}\n{MINIMIZE}",
        "2: not valid TOML: cannot overwrite a value; each key and each [table] may stand only once; "
        "keep one of the two",
    ),
    (
        "timeout = .5\n",
        "1: not valid TOML: invalid value; a number has a digit on both sides of its point; write 0.5 or 1.0",
    ),
    # keys
    (
        f"minimise = 'loss'\n{GOOD}",
        f"1: minimise: unknown key of a study; {TOP_KEYS}; did you mean 'minimize'?",
    ),
    (
        f"warm_up = 'x'\n{GOOD}",
        f"1: warm_up: unknown key of a study; {TOP_KEYS}; correct its name or take it out",
    ),
    (f"trials = 3\n{GOOD}", f"1: trials: unknown key of a study; {TOP_KEYS}; put it below [budget]"),
    (
        f"x = {{ uniform = [0, 1] }}\n{GOOD}",
        f"1: x: unknown key of a study; {TOP_KEYS}; if x is a parameter, put it below [space]",
    ),
    (
        f"{GOOD}[budget]\ntrails = 100\n",
        "6: budget.trails: unknown key of [budget]; trials, hours, gpu_hours, until are allowed; "
        "did you mean 'trials'?",
    ),
    (
        f"{GOOD}[budget]\nretries = 1\n",
        "6: budget.retries: unknown key of [budget]; trials, hours, gpu_hours, until are allowed; "
        "put the line of retries above the first [table]",
    ),
    (
        f"{GOOD}timeout = 30\n",
        "5: space.timeout: 30 is not a parameter; a table is allowed; "
        "put the line of timeout above the first [table]",
    ),
    (
        f"budget = 100\n{GOOD}",
        "1: budget: 100 is not a table; a table is allowed; write [budget] and trials = 100 below it",
    ),
    (
        f'{GOOD}[results]\nstd = "hf"\n',
        "6: results.std: unknown key of [results]; stdout, json, csv, tensorboard are allowed; "
        "did you mean 'stdout'?",
    ),
    (
        f"{GOOD}[on.pbs]\n",
        "5: on.pbs: unknown key of [on]; local, slurm, hyperqueue are allowed; "
        "correct its name or take it out",
    ),
    # name
    (
        f'name = "my study"\n{GOOD}',
        f'1: name: "my study" cannot be a name; {NAMES}; write, for instance, name = "lora-sweep"',
    ),
    (
        f"name = 3\n{GOOD}",
        '1: name: 3 is not allowed; text is allowed; write, for instance, name = "lora-sweep"',
    ),
    # what to run
    (
        f"{MINIMIZE}\n{SPACE}\n",
        "1: command: neither a command nor a function is given; exactly one of them evaluates a trial; "
        'write command = "python train.py {args}" or function = "train:objective"',
    ),
    (
        f"{MINIMIZE}\nfunction = 'a:b'\n{COMMAND}\n{SPACE}\n",
        "3: command: a function is given too; exactly one of them evaluates a trial; "
        'write command = "python train.py {args}" or function = "train:objective"',
    ),
    (
        f"{MINIMIZE}\nfunction = 'train.py'\n{SPACE}\n",
        '2: function: "train.py" does not name a function; "module:function" is allowed; '
        'write, for instance, function = "train:objective" for objective() in train.py',
    ),
    (
        f"{MINIMIZE}\nfunction = 'a:b'\nstyle = 'k=v'\n{SPACE}\n",
        "3: style: a function has no use for it; it is for {args}; take it out",
    ),
    (
        f"{MINIMIZE}\ncommand = 'python \"x {{args}}'\n{SPACE}\n",
        "2: command: no closing quotation; words are split as a shell would; mend the quote, "
        'or give a list, for instance ["python", "train.py", "{args}"]',
    ),
    (
        f"{MINIMIZE}\ncommand = 'python x.py {{args}} > log'\n{SPACE}\n",
        "2: command: '>' needs a shell; a command is one program with its arguments (its output is kept); "
        "put the line into a script (or give a list, if the argument is meant)",
    ),
    (
        f"{MINIMIZE}\ncommand = 'OMP_NUM_THREADS=1 python x.py {{args}}'\n{SPACE}\n",
        "2: command: 'OMP_NUM_THREADS=1' is not a program; "
        "a command runs without a shell and begins with its program; "
        "write env OMP_NUM_THREADS=1 ...",
    ),
    (
        f"{MINIMIZE}\ncommand = 'python x.py {{arsg}}'\n{SPACE}\n",
        "2: command: {arsg} is no placeholder; "
        "{args}, {trial_dir}, {trial}, {base}, {config}, {lr} are allowed; "
        "did you mean 'args'?",
    ),
    (
        f"{MINIMIZE}\ncommand = [\n  'python',\n  'x.py',\n  '--{{args}}',\n]\n{SPACE}\n",
        "5: command[2]: {args} stands inside '--{args}'; it becomes several words; let it stand alone",
    ),
    (
        f"{MINIMIZE}\ncommand = 'python x.py {{args'\n{SPACE}\n",
        "2: command: '{args' has a single {; placeholders are {name}; write {{ for the character itself",
    ),
    (
        f"{MINIMIZE}\ncommand = 'python x.py'\n{SPACE}\n",
        "2: command: the command never sees the parameters; "
        "{args}, {config} or their names ({lr}) are allowed; "
        "add {args}",
    ),
    (
        f"{MINIMIZE}\ncommand = 'x {{lr}}'\n{SPACE}\nr = {{ uniform = [0, 1] }}\n",
        "2: command: the parameter 'r' never reaches the command; "
        "without {args} and {config} each must be named; "
        "add {r} or {args}",
    ),
    (
        f"{MINIMIZE}\ncommand = '{{lr}} x'\n{SPACE}\n",
        "2: command: {lr} stands for the program; parameters can only be arguments; name the program first",
    ),
    (
        f"{MINIMIZE}\ncommand = 'x {{lr}} a{{m}}b'\n{SPACE}\nm = {{ uniform = [0, 1], when = 'lr > 0.5' }}\n",
        "2: command: {m} has no value in trials where its condition does not hold, and 'a{m}b' would lack it; "
        "--m {m}, m={m} and {args} can be left out; use one of them",
    ),
    (
        f"{MINIMIZE}\ncommand = 'x {{trial}}'\n[space]\ntrial = {{ uniform = [0, 1] }}\n",
        "2: command: {trial} could mean the parameter or taut's own placeholder; names must differ; "
        "rename the parameter, or pass the parameters with {args}",
    ),
    (
        f"{MINIMIZE}\ncommand = ['sh', '-c', 'x {{o}}']\n[space]\no = {{ choice = ['a', '; rm -r .'] }}\n",
        "2: command[2]: a shell would run the text of {o} as code; values may only be arguments; "
        """write '... "$1"' sh {o} after -c""",
    ),
    (
        f"{MINIMIZE}\ncommand = ['x', 3]\n{SPACE}\n",
        '2: command[1]: 3 is not allowed; text is allowed; write, for instance, ["python train.py {args}"]',
    ),
    (
        f"{MINIMIZE}\ncommand = []\n{SPACE}\n",
        "2: command: the command is empty; a program and its arguments are allowed; "
        'write "python train.py {args}"',
    ),
    (
        f"{MINIMIZE}\ncommand = 'x {{config}}'\n{SPACE}\n",
        "2: command: {config} is the trial's copy of a config file, but none is given; "
        "both or neither are allowed; "
        'add, for instance, config = "base.yaml"',
    ),
    (
        f"{TOP}\nconfig = 'base.yaml'\n{SPACE}\n",
        "1: command: a config file is given, but the command never names {config}, the trial's copy of it; "
        "both or neither are allowed; add {config} to the command",
    ),
    (
        f"{MINIMIZE}\ncommand = 'x {{config}}'\nconfig = 'base.yaml'\n{SPACE}\n",
        '3: config: there is no file "base.yaml" in BASE; a path relative to that is allowed; correct it',
    ),
    (
        f"{MINIMIZE}\ncommand = 'x {{config}}'\nconfig = 'base.ini'\n{SPACE}\n",
        '3: config: "base.ini" has another ending; .yaml, .yml, .json and .toml are allowed; rename it',
    ),
    (
        f"style = '--k:v'\n{GOOD}",
        '1: style: "--k:v" is unknown; "--k v", "--k=v", "k=v", "a.b=v", "++a.b=v" are allowed; did you mean \'--k=v\'?',
    ),
    (
        f"{MINIMIZE}\nstyle = 'k=v'\ncommand = 'x {{lr}}'\n{SPACE}\n",
        "2: style: the command has no {args}; style says how {args} spells them; "
        "add {args} or take style out",
    ),
    (
        f"cwd = 'nowhere'\n{GOOD}",
        '1: cwd: there is no directory "nowhere" in BASE; a path relative to that is allowed; '
        "correct it, or take cwd out to run in the trial's own directory",
    ),
    # what to measure
    (
        f"{COMMAND}\n{SPACE}\n",
        "1: minimize: no metric is named; minimize or maximize needs at least one; write, for instance, "
        'minimize = "eval_loss"',
    ),
    (
        f"{COMMAND}\nmaximize = []\n{SPACE}\n",
        "2: maximize: no metric is named; minimize or maximize needs at least one; write, for instance, "
        'minimize = "eval_loss"',
    ),
    (
        f"{COMMAND}\nmaximize = true\n{SPACE}\n",
        "2: maximize: true is not allowed; text or a list of texts is allowed; "
        'write, for instance, maximize = "accuracy"',
    ),
    (
        f"{COMMAND}\nminimize = ['a',\n 1]\n{SPACE}\n",
        '3: minimize[1]: 1 is not allowed; text is allowed; write, for instance, ["eval_loss"]',
    ),
    (
        f"{COMMAND}\nminimize = 'eval-loss'\n{SPACE}\n",
        "2: minimize: 'eval-loss' is not a metric's name; use letters, digits and _: eval_loss",
    ),
    (f'{GOOD}[results]\nstdout = "loss"\n', f'6: results.stdout: "loss" names no metric; {PATTERN}'),
    (
        f'{GOOD}[results]\nstdout = "(?P<a>"\n',
        '6: results.stdout: "(?P<a>" is not a regular expression '
        f"(missing ), unterminated subpattern at position 0); {PATTERN}",
    ),
    (
        f'{GOOD}[results]\njson = "{{trial_dir}}/a.json"\n',
        '6: results.json: "{trial_dir}/a.json" may lie outside the trial\'s directory; '
        "a path inside it is allowed, "
        'so that trials keep apart; write, for instance, json = "out/a.json"',
    ),
    # numbers
    (
        f"seed = true\n{GOOD}",
        "1: seed: true is not an integer; an integer from 0 to 9223372036854775807 is allowed; "
        "write, for instance, seed = 1",
    ),
    (
        f"retries = -1\n{GOOD}",
        "1: retries: -1 is too small; an integer from 0 to 1000 is allowed; write, for instance, retries = 3",
    ),
    (
        f"warm_start = [1]\n{GOOD}",
        '1: warm_start[0]: 1 is not allowed; text is allowed; write, for instance, ["runs/first"]',
    ),
    (
        f"{GOOD}warm_start = 'x'\n",
        '5: space.warm_start: "x" is not a parameter; a table is allowed; '
        "put the line of warm_start above the first [table]",
    ),
    (
        f"{GOOD}[budget]\ntrials = 0\n",
        "6: budget.trials: 0 is too small; an integer from 1 to 1000000000000 is allowed; "
        "write, for instance, trials = 100",
    ),
    (
        f'{GOOD}[budget]\ntrials = "100"\n',
        '6: budget.trials: "100" is not an integer; an integer from 1 to 1000000000000 is allowed; '
        "write, for instance, trials = 100",
    ),
    (
        f"{GOOD}[budget]\ntrials = 1e3\n",
        "6: budget.trials: 1000.0 is not an integer; an integer from 1 to 1000000000000 is allowed; "
        "write, for instance, trials = 100",
    ),
    (
        f"{GOOD}[budget]\nhours = nan\n",
        "6: budget.hours: nan is not above 0 and finite; a number above 0 is allowed; "
        "write, for instance, hours = 8.5",
    ),
    (
        f"{GOOD}[budget]\ngpu_hours = inf\n",
        "6: budget.gpu_hours: inf is not above 0 and finite; a number above 0 is allowed; "
        "write, for instance, gpu_hours = 100.0",
    ),
    (
        f"{GOOD}[budget]\nhours = '2h'\n",
        '6: budget.hours: "2h" is not a number; a number above 0 is allowed; '
        "write, for instance, hours = 8.5",
    ),
    (f"timeout = '30'\n{GOOD}", f"1: timeout: '30' has no unit; {DURATIONS}; write 30s, 30m or 30h"),
    (
        f"timeout = 'soon'\n{GOOD}",
        f"1: timeout: 'soon' is not a span of time; {DURATIONS}; write, for instance, 90m",
    ),
    (
        f"timeout = 0\n{GOOD}",
        "1: timeout: 0 is not above 0 and finite; a number above 0 is allowed; "
        'write, for instance, timeout = "30m"',
    ),
    (
        f"timeout = true\n{GOOD}",
        '1: timeout: true is not a number; a number above 0 is allowed; write, for instance, timeout = "30m"',
    ),
    (
        f"timeout = 1e9\n{GOOD}",
        "1: timeout: 1000000000.0 seconds is too long; at most 366 days is allowed; "
        'write, for instance, "2h"',
    ),
    # space, methods, places
    (
        f"{TOP}\n",
        "1: space: no parameter is given; a study needs at least one; write [space] and, for instance, "
        "learning_rate = { loguniform = [1e-5, 1e-3] } below it",
    ),
    (
        f"{TOP}\n[space]\nm.lr = {{ uniform = [0, 1] }}\n'm.lr' = {{ uniform = [0, 1] }}\n",
        '5: space."m.lr": the parameter m.lr is given twice; each may stand once; take one out',
    ),
    (
        f"sampler = 'gp'\n{GOOD}",
        '1: sampler: "gp" is not a table; a table is allowed; write [sampler] and method = "gp" below it',
    ),
    (
        f"{GOOD}[sampler]\nn = 3\n",
        '5: sampler.method: no method is given; a [sampler] has one; write, for instance, method = "gp"',
    ),
    (
        f"{GOOD}[sampler]\nmethod = 'gird'\n",
        '6: sampler.method: "gird" is unknown; "grid", "random" are allowed; did you mean \'grid\'?',
    ),
    (
        f"{GOOD}[pruner]\nmethod = 'asha'\n",
        '6: pruner.method: "asha" is unknown; "median" are allowed; write, for instance, method = "median"',
    ),
    (
        f"{GOOD}[sampler]\nmethod = 'grid'\nsince = [1,\n 1979-05-27]\n",
        "8: sampler.since[1]: 1979-05-27 is a date or time; text and numbers are allowed; "
        'write it as text, "1979-05-27"',
    ),
    (
        f"{GOOD}[sampler]\nmethod = 'grid'\nseed = 1\n",
        "7: sampler.seed: unknown key of [sampler]; method and its options are allowed; "
        "put the line of seed above the first [table]",
    ),
    (
        f"{GOOD}[on.local]\nmode = 'asynchronous'\n",
        '6: on.local.mode: "asynchronous" is unknown; "sequential", "batch", "async" are allowed; '
        'write, for instance, mode = "sequential"',
    ),
    (
        f"{GOOD}[on.local]\nworkers = 0\n",
        "6: on.local.workers: 0 is too small; an integer from 1 to 100000 is allowed; "
        "write, for instance, workers = 4",
    ),
    (
        f"{GOOD}[on]\nlocal = 4\n",
        "6: on.local: 4 is not a table; a table is allowed; write [on.local] and workers = 4 below it",
    ),
]

ORDER_OR_WEIGHTS = (
    'write an order, prefer = ["eval_loss within 1%", "gpu_hours"], or weights, '
    "prefer = { eval_loss = 0.8, gpu_hours = 0.2 }"
)
RANKS = (
    'is no metric with a tolerance; "eval_loss", "eval_loss within 1%" and "eval_loss within 0.02" are allowed, one text for '
    f"each objective; {ORDER_OR_WEIGHTS}"
)
POINT = "write reference = { loss = 4.0, hours = 4.0 }"
for line, message in [
    (
        'prefer = ["loss",\n "huors"]',
        "4: prefer[1]: 'huors' is no objective; loss and hours are; did you mean 'hours'?",
    ),
    (
        'prefer = ["loss within 1%"]',
        f"3: prefer: hours must be named, too, as every objective; {ORDER_OR_WEIGHTS}",
    ),
    ('prefer = "loss then hours"', f"3: prefer: 'loss then hours' {RANKS}"),
    ('prefer = ["loss +- 1%", "hours"]', f"3: prefer[0]: 'loss +- 1%' {RANKS}"),
    ('prefer = ["loss", 3]', f"3: prefer[1]: 3 {RANKS}"),
    ("prefer = true", f"3: prefer: True is no preference; {ORDER_OR_WEIGHTS}"),
    (
        'prefer = ["loss within -1%", "hours"]',
        "3: prefer[0]: '-1' is no tolerance; a number above 0 is allowed, or a percentage of the best value: "
        '"loss within 1%"',
    ),
    (
        'prefer = ["loss", "hours within 1%"]',
        "3: prefer[1]: 'hours within 1%' is the last, and nobody comes after it to decide within a tolerance; write 'hours', "
        "or move it up",
    ),
    (
        'prefer = ["loss", "hours", "loss"]',
        "3: prefer[2]: 'loss' is named twice; each objective stands once, the most important first",
    ),
    (
        "prefer = { loss = 0.8 }",
        f"3: prefer: hours must be named, too, as every objective; {ORDER_OR_WEIGHTS}",
    ),
    ("prefer = { loss = 1, hours = -2 }", "3: prefer.hours: -2 is below 0; a weight is 0 or above"),
    ("prefer = { loss = 0, hours = 0 }", "3: prefer: all weights are 0; at least one must be above"),
    ('prefer = { loss = "a" }', f"3: prefer.loss: 'a' is not a finite number; {ORDER_OR_WEIGHTS}"),
    ("reference = { loss = 4 }", f"3: reference: hours must be named, too, as every objective; {POINT}"),
    ("reference = 4", f"3: reference: 4 is no table of numbers; {POINT}"),
    ("reference = { loss = 4, hours = inf }", f"3: reference.hours: inf is not a finite number; {POINT}"),
    (
        "reference = { loss = 4, hours = 1, gb = 2 }",
        "3: reference.gb: 'gb' is no objective; loss and hours are",
    ),
]:
    WRONG.append((f'{COMMAND}\nminimize = ["loss", "hours"]\n{line}\n{SPACE}\n', message))
WRONG.append(
    (
        f'{TOP}\nprefer = ["loss"]\n{SPACE}\n',
        "3: prefer: a preference is among several objectives, and loss is the only one; name another with minimize or maximize, "
        "or take it out",
    )
)

try:
    tomllib.loads("a = { b = 1, }")
except tomllib.TOMLDecodeError:  # TOML 1.1, which newer parsers read, allows these two
    WRONG += [
        (
            "[space]\nlr = { uniform = [0, 1], }\n",
            f"2: not valid TOML: invalid initial character for a key part; {INLINE}",
        ),
        (
            "[space]\nlr = { uniform = [0, 1]\n start = 1 }\n",
            f"2: not valid TOML: unclosed inline table; {INLINE}",
        ),
    ]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[message[:40] for _, message in WRONG])
def test_a_wrong_file_is_explained(here: Path, text: str, message: str) -> None:
    path = write(text)
    before = listing(here)
    with pytest.raises(InputError) as caught:
        read(path, samplers=["random", "grid"], pruners=["median"])
    assert str(caught.value) == "study.toml:" + message.replace("BASE", str(here))
    assert caught.value.exit_code == 2
    assert listing(here) == before


@pytest.mark.parametrize(
    ("space", "place"),
    [
        ("lr = { unifrm = [0, 1] }", "4: space.lr.unifrm: "),
        ("lr = 3", "4: space.lr: "),
        ("lr = { loguniform = [0, 1] }", "4: space.lr.loguniform: "),
        (
            "x = { uniform = [0, 1] }\n[space.lr]\nuniform = [0, 1]\n# a comment\nstart = 2",
            "8: space.lr.start: ",
        ),
        ("x = { uniform = [0, 1] }\nlr = { uniform = [0, 1], when = 'y > 1' }", "5: space.lr.when: "),
        ("\nmodel.lr = { uniform = [1, 0] }", "5: space.model.lr.uniform: "),
        ("'model.lr' = { uniform = [1, 0] }", '4: space."model.lr".uniform: '),
        ("[space.model]\nlr.uniform = [0, 1]\nlr.start = 2", "6: space.model.lr.start: "),
    ],
)
def test_errors_of_the_space_name_the_line(here: Path, space: str, place: str) -> None:
    with pytest.raises(InputError) as caught:
        read(write(f"{TOP}\n[space]\n{space}\n"))
    assert str(caught.value).startswith("study.toml:" + place)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"seed = 1\nsubject_to = ['loss <']\n{GOOD}", "2: subject_to"),
        (f"subject_to = 'loss + 1'\n{GOOD}", "1: subject_to"),
        (f"{GOOD}[budget]\nuntil = 'loss'", "6: budget.until: "),
    ],
)
def test_errors_of_conditions_name_the_line(here: Path, text: str, place: str) -> None:
    with pytest.raises(InputError) as caught:
        read(write(text))
    assert str(caught.value).startswith("study.toml:" + place)


def test_files_that_are_no_study(here: Path) -> None:
    def message(path: Path) -> str:
        with pytest.raises(InputError) as caught:
            read(path)
        return str(caught.value)

    move = "a TOML file is allowed; taut init writes a study.toml to begin with"
    assert message(Path("absent.toml")) == f"absent.toml: does not exist; {move}"
    assert message(here) == f"{here}: is a directory; {move}"
    Path("bad.toml").write_bytes(b"a = 1\nb = '\xff'\n")
    assert message(Path("bad.toml")) == (
        "bad.toml:2: byte 0xff is not UTF-8; TOML files are UTF-8 text; save the file with that encoding"
    )
    assert message(write("a = " + "[" * 100_000)) == (
        "study.toml: lists or tables are nested too deeply; a study needs three levels"
    )
    assert message(write("")).startswith("study.toml:1: space: no parameter is given")
    assert message(write(f"seed = {'9' * 5000}\n")).startswith(
        "study.toml:1: not valid TOML: exceeds the limit"
    )
    assert "an integer from 0" in message(write(f"seed = 0x{'f' * 5000}\n{GOOD}"))


FULL = r"""
name = "lora-sweep"
command = "python {base}/train.py --output_dir {trial_dir} {args} --tag '{{x}}' ''"
maximize = "accuracy"
minimize = ["eval_loss", "seconds"]
subject_to = ["memory_gb <= 40"]
prefer = ["accuracy within 0.01", "seconds within 10%", "eval_loss"]
reference = { accuracy = 0.5, eval_loss = 3, seconds = 7200 }
style = "--k=v"
timeout = "1h30m"
cwd = "."
seed = 7
retries = 0
warm_start = ["../other/runs/first", "~/second.toml"]

[space]
learning_rate = { loguniform = [1e-5, 1e-3], start = 2e-4, belief = "medium" }
lora_r        = { ordinal = [8, 16, 32, 64] }
optim         = { choice = ["adamw_torch", "sgd"] }
momentum      = { uniform = [0.0, 0.99], when = "optim == 'sgd'" }
lora_alpha    = { expr = "2 * lora_r" }

[budget]
trials = 100
hours = 8
gpu_hours = 12.5
until = "eval_loss <= 1.9"

[sampler]
method = "gp"
acquisition = { name = "ei", xi = 0.01 }
[pruner]
method = "asha"
fidelity = { name = "epoch", min = 1, max = 27 }

[results]
stdout = 'eval_loss=(?P<eval_loss>\S+)'
json = "out/all_results.json"

[on.local]
workers = 4
mode = "async"
[on.slurm]
partition = "gpu"
setup = ["module load PyTorch"]
"""


def test_a_full_file(here: Path) -> None:
    definition = read(write(FULL), samplers=["gp"], pruners=["asha"])
    assert definition.name == "lora-sweep"
    assert definition.objectives == [
        Objective("accuracy", minimize=False),
        Objective("eval_loss"),
        Objective("seconds"),
    ]
    assert definition.subject_to == ["memory_gb <= 40"]
    assert definition.prefer == Preference(
        order=[Rank("accuracy", 0.01), Rank("seconds", 0.1, relative=True), Rank("eval_loss")]
    )
    assert definition.reference == {"accuracy": 0.5, "eval_loss": 3.0, "seconds": 7200.0}
    assert (definition.seed, definition.retries) == (7, 0)
    assert definition.parsed_space().names == ("learning_rate", "lora_r", "optim", "momentum", "lora_alpha")
    budget = definition.budget
    assert (budget.trials, budget.hours, budget.gpu_hours, budget.until) == (
        100,
        8.0,
        12.5,
        "eval_loss <= 1.9",
    )
    assert definition.sampler == Method("gp", {"acquisition": {"name": "ei", "xi": 0.01}})
    assert definition.pruner == Method("asha") and definition.fidelity == Fidelity("epoch", 27.0, min=1.0)
    words = ["python", "{base}/train.py", "--output_dir", "{trial_dir}", "{args}", "--tag", "{{x}}"]
    assert definition.evaluation == Evaluation(
        command=[*words, ""],
        style="--k=v",
        timeout=5400.0,
        cwd=".",
        base=str(here),
        results=Results(stdout=r"eval_loss=(?P<eval_loss>\S+)", json="out/all_results.json"),
    )
    assert definition.warm_start == [
        Earlier("../other/runs/first", place=str(here.parent / "other/runs/first")),
        Earlier("~/second.toml", place=str(Path.home() / "second.toml")),
    ]
    assert definition.on == {
        "local": {"workers": 4, "mode": "async"},
        "slurm": {"partition": "gpu", "setup": ["module load PyTorch"]},
    }
    assert Definition.from_json(definition.to_json()) == definition


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        FULL,
        "\ufeff" + GOOD.replace("\n", "\r\n"),
        GOOD.replace(COMMAND, 'function = "pkg.train:Model.objective"'),
        GOOD.replace(COMMAND, 'command = ["x", "--lr={lr}", "{{literal}}"]'),
        GOOD.replace(COMMAND, "command = ['sh', '-c', 'x {lr}']"),  # a number cannot be shell code
        GOOD.replace(COMMAND, "command = '''python x.py \\\n  {args}'''"),
        GOOD.replace(COMMAND, "command = 'x {config}'\nconfig = 'study.toml'"),
        GOOD.replace(COMMAND, "command = 'x {r}'") + "r = { expr = '2 * lr' }\n",
        GOOD.replace(COMMAND, "command = 'x {m.lr}'").replace("\nlr", "\nm.lr"),
        GOOD + "trial = { uniform = [0, 1] }\n",
        f"timeout = 90\n{GOOD}",
        GOOD.replace(MINIMIZE, 'minimize = ["loss", "s"]\nprefer = { loss = 1, s = 0 }'),
        GOOD.replace(MINIMIZE, 'minimize = ["loss", "s"]') + "[prefer]\nloss = 0.8\ns = 0.2\n",
    ],
)
def test_good_files_survive_a_round_trip(here: Path, text: str) -> None:
    path = write(text)
    before = listing(here)
    definition = read(path)
    assert Definition.from_json(definition.to_json()) == definition
    assert definition.evaluation.base == str(here)
    assert listing(here) == before


def test_the_defaults(here: Path) -> None:
    definition = read(write(GOOD))
    assert definition.name == "sweep"
    assert definition.sampler == Method("auto")
    assert definition.pruner is None
    assert (definition.seed, definition.retries, definition.on) == (0, 3, {})
    assert definition.evaluation.style == "--k v"
    assert read(write(GOOD, "other.toml")).name == "other"
    with pytest.raises(
        InputError, match=r'my study.toml:1: name: "my study" \(of the file\) cannot be a name;'
    ):
        read(write(GOOD, "my study.toml"))


@pytest.mark.parametrize("name", ["study", "lora-sweep", "a.b_c", "3"])
def test_the_template_is_a_study(here: Path, name: str) -> None:
    text = template(name)
    definition = read(write(text))
    assert definition.name == name
    assert max(map(len, text.splitlines())) <= 110


@pytest.mark.parametrize("name", ["", "a b", 'a"b', "../x", ".hidden", "-x", "a/b", "x" * 101])
def test_a_template_needs_a_good_name(name: str) -> None:
    with pytest.raises(InputError, match="cannot be a name"):
        template(name)


@pytest.mark.parametrize(
    "lines",
    [
        ["timeout"],
        ["seed"],
        ["subject_to"],
        ["warmup"],
        ["hours", "until"],
        ["[sampler]", "method"],
        ["[pruner]", "fidelity", "eta"],
        ["[results]", "stdout", "json"],
        ["[on.local]", "workers = 4"],
        ["[on.slurm]", "partition", "gpus", 'time = "06', "workers = 8", "setup"],
    ],
)
def test_the_templates_commented_examples_work(here: Path, lines: list[str]) -> None:
    text = template("x")
    for line in lines:
        assert text.count(f"\n# {line}") == 1
        text = text.replace(f"\n# {line}", f"\n{line}")
    read(write(text), samplers=["auto"])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("10m", 600),
        ("2h", 7200),
        ("1.5h", 5400),
        ("1h30m", 5400),
        ("1d 2h 3m 4.5s", 93784.5),
        ("06:00:00", 21600),
        ("1-12:00:30", 129630),
        ("366d", 366 * 86400),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "5",
        "1.5",
        "h",
        "-1h",
        "0s",
        "367d",
        "1m2h",
        "2 hours",
        "1e3s",
        "10:00",
        "nan",
        "infs",
        "٣s",
        "9" * 400 + "s",
    ],
)
def test_wrong_durations(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_duration(text)
    assert str(caught.value).startswith(repr(text)) and str(caught.value).count(";") == 2


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_never_crashes(here: Path, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(FULL)))
    end = start + data.draw(st.integers(0, 5))
    damage = data.draw(st.text(alphabet="a0=[]{}.,#\"'\\\n -", max_size=5))
    try:
        read(write(FULL[:start] + damage + FULL[end:]))
    except InputError as error:
        place, line, _ = str(error).split(":", 2)
        assert place == "study.toml" and 1 <= int(line) <= FULL.count("\n") + 6


# -- the locator ---------------------------------------------------------------------------------------


class Writer:
    """Writes TOML and remembers on which line each key path began."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.text = ""
        self.lines: dict[tuple[str, ...], int] = {}
        self.count = 0

    def put(self, text: str) -> None:
        self.text += text

    def mark(self, path: tuple[str, ...]) -> None:
        self.lines.setdefault(path, self.text.count("\n") + 1)

    def pick(self, *options: str) -> str:
        return self.draw(st.sampled_from(options))

    def key(self) -> str:
        """A key that no other key of the text equals."""
        self.count += 1
        return self.draw(st.text(alphabet="ab-_.# []{}=\"'\\é\n", max_size=4)) + str(self.count)

    def put_key(self, path: tuple[str, ...], parts: list[str]) -> tuple[str, ...]:
        for index, part in enumerate(parts):
            if index:
                self.put(self.pick(".", " . "))
            path = (*path, part)
            self.mark(path)
            bare = part.isascii() and part.replace("-", "").replace("_", "").isalnum()
            literal = not set(part) & set("'\n")
            self.put(
                part if bare else f"'{part}'" if literal and self.draw(st.booleans()) else json.dumps(part)
            )
        return path

    def put_string(self) -> None:
        text = self.draw(st.text(alphabet="ab#[]{}=,.\"'\\\n é", max_size=12))
        forms = [json.dumps(text)]
        if not set(text) & set("'\n"):
            forms.append(f"'{text}'")
        if "'''" not in text and not text.endswith("'"):
            forms.append(f"'''{text}'''")
        escaped = text.replace("\\", "\\\\").replace('"""', '""\\"')
        if not escaped.endswith('"') or not escaped.endswith('"""'):
            forms.append(f'"""{escaped}"""')
        self.put(self.pick(*forms))

    def put_value(self, path: tuple[str, ...], depth: int) -> None:
        kind = self.pick("scalar", "string", "list", "table") if depth else self.pick("scalar", "string")
        if kind == "scalar":
            self.put(self.pick("1", "-2.5e3", "true", "1979-05-27 07:32:00", "0xff", "inf", "07:32:00"))
        elif kind == "string":
            self.put_string()
        elif kind == "list":
            gaps = ["", " ", "\n", '\n  # ] " , [\n', " # '''\n\n"]
            self.put("[")
            for index in range(self.draw(st.integers(0, 3))):
                self.put(("," if index else "") + self.pick(*gaps))
                self.mark((*path, str(index)))
                self.put_value((*path, str(index)), depth - 1)
                self.put(self.pick(*gaps))
            self.put("]")
        else:
            self.put("{")
            for index in range(self.draw(st.integers(0, 3))):
                self.put(", " if index else " ")
                self.put_pair(path, depth - 1)
            self.put("}")

    def put_pair(self, path: tuple[str, ...], depth: int) -> None:
        parts = [self.key() for _ in range(self.draw(st.integers(1, 2)))]
        path = self.put_key(path, parts)
        self.put(self.pick("=", " = "))
        self.put_value(path, depth)

    def put_lines(self, path: tuple[str, ...]) -> None:
        for _ in range(self.draw(st.integers(0, 3))):
            self.put(self.pick("", "  ", "# [x]\n", "\n", '# """\n'))
            self.put_pair(path, 2)
            self.put(self.pick("\n", "  # '\n", "\n\n"))


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[tuple[str, ...], int]]:
    writer = Writer(draw)
    writer.put_lines(())
    for _ in range(draw(st.integers(0, 3))):
        parts = [writer.key() for _ in range(draw(st.integers(1, 3)))]
        if draw(st.booleans()):
            writer.put("[ ")
            path = writer.put_key((), parts)
            writer.put(" ]\n")
            writer.put_lines(path)
        else:
            for index in range(draw(st.integers(1, 3))):
                writer.put("[[")
                path = (*writer.put_key((), parts), str(index))
                writer.mark(path)
                writer.put("]] # [[\n")
                writer.put_lines(path)
                if draw(st.booleans()):
                    inner = writer.key()
                    writer.put("[")
                    writer.put_key((), parts)
                    writer.put(".")
                    below = writer.put_key(path, [inner])
                    writer.put("]\n")
                    writer.put_lines(below)
    return writer.text, writer.lines


def reach(data: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        data = data[int(key)] if isinstance(data, list) else data[key]
    return data


@settings(max_examples=300, deadline=None)
@given(documents())
def test_every_key_is_found_on_its_line(document: tuple[str, dict[tuple[str, ...], int]]) -> None:
    text, lines = document
    data = tomllib.loads(text)
    located = Lines(text)
    for path, line in lines.items():
        reach(data, path)  # the writer's own check: the path exists
        assert located.find(path) == line, path
        assert path in located
    for path in lines:
        assert located.find((*path, "no such key")) == located.find(path)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab01=[]{}.,#\"'\\\n ", max_size=60))
def test_any_text_can_be_searched(text: str) -> None:
    """The locator comes to an end and gives a line of the text, whatever the text is."""
    located = Lines(text)
    for path in [(), ("a",), ("a", "b", "0")]:
        assert 1 <= located.find(path) <= text.count("\n") + 1
    assert 1 <= located.statement <= text.count("\n") + 1


PRUNED = 'command = "true {{args}}"\nminimize = "loss"\n[space]\nx = {{ uniform = [0, 1] }}\n[pruner]\n{}\n'


@pytest.mark.parametrize(
    "text, fidelity",
    [
        ('fidelity = { name = "epoch", max = 9 }', Fidelity("epoch", 9.0)),
        (
            'method = "hyperband"\nfidelity = { name = "part", levels = [0.1, 0.5, 1], resume = true, unit = "of the data" }',
            Fidelity("part", 1.0, min=0.1, levels=[0.1, 0.5, 1.0], resume=True, unit="of the data"),
        ),
        (
            'fidelity = { name = "size", min = 2, max = 8, cost = "size ** 2" }',
            Fidelity("size", 8.0, min=2.0, cost="size ** 2"),
        ),
    ],
)
def test_a_fidelity(tmp_path: Path, text: str, fidelity: Fidelity) -> None:
    file = tmp_path / "study.toml"
    file.write_text(PRUNED.format(text))
    definition = read(file)
    assert definition.fidelity == fidelity
    assert definition.pruner == Method("hyperband" if "hyperband" in text else "asha")


@pytest.mark.parametrize(
    "text, problem",
    [
        ("", "pruner.method: no method is given"),
        ('method = "ahsa"', "method"),
        ("fidelity = { max = 9 }", "pruner.fidelity.name: name is not given"),
        ('fidelity = { name = "epoch" }', "pruner.fidelity.max: max is not given"),
        ('fidelity = { name = "epoch", max = -1 }', "pruner.fidelity.max"),
        ('fidelity = { name = "epoch", max = 9, resume = 1 }', "pruner.fidelity.resume: 1 is no answer"),
        ('fidelity = { name = "epoch", levels = [1, "a"] }', "pruner.fidelity.levels"),
        ('fidelity = { name = "x", max = 9 }', "'x' is a parameter too"),
        ('fidelity = { name = "epoch", max = 9, steps = 2 }', "steps"),
    ],
)
def test_no_fidelity(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "study.toml"
    file.write_text(PRUNED.format(text))
    with pytest.raises(InputError) as caught:
        read(file, pruners=["asha", "hyperband"])
    assert problem in caught.value.message
