"""Flags are read from the source as the libraries themselves would take them, and nothing is run."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest
from drafting import Desk, by_name

from taut.errors import InputError
from taut.starting import argumentparser, dataclassfields, decorated, helptext, signatures
from taut.starting.flags import UNKNOWN
from taut.starting.installed import Installed
from taut.starting.sources import sources

PYTHON = Installed(sys.executable)

ARGPARSE = """
    import argparse
    from pathlib import Path
    from options import common

    RATE = 2 ** -6
    raise SystemExit("this script must not be run")

    def count(text: str) -> int:
        return int(text)

    parser = argparse.ArgumentParser()
    common(parser)
    parser.add_argument("data")
    parser.add_argument("-l", "--learning-rate", type=float, default=RATE, help="step  size")
    parser.add_argument("--layers", type=count, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 32])
    parser.add_argument("--optimizer", choices=["adam", "sgd"], default="adam")
    parser.add_argument("--heads", type=int, choices=[1, 2, 4], required=True)
    parser.add_argument("--amp", action="store_true")
    parser.add_argument("--no_bias", action="store_false", dest="bias")
    parser.add_argument("--ema", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--trap", type=bool, default=False)
    parser.add_argument("--out", type=Path, default=Path("runs") )
    for name in ("a", "b"):
        parser.add_argument(f"--{name}", type=int)
    parser.set_defaults(layers=5)
"""


def test_argparse(desk: Desk) -> None:
    desk.write(
        "options.py",
        """
        def common(parser):
            parser.add_argument("--dropout", type=float, default=0.1)

        if __name__ == "__main__":
            parser.add_argument("--of_the_module_itself", type=int)
        """,
    )
    script = argumentparser.read(sources(desk.write("train.py", ARGPARSE)))
    flags = by_name(script.flags)
    assert list(flags) == [
        "data",
        "learning_rate",
        "layers",
        "sizes",
        "optimizer",
        "heads",
        "amp",
        "no_bias",
        "ema",
        "trap",
        "out",
        "dropout",
    ]
    rate = flags["learning_rate"]
    assert (rate.option, rate.kind, rate.default, rate.help) == (
        "--learning-rate",
        "float",
        2**-6,
        "step size",
    )
    assert rate.where == "train.py:14"
    assert flags["data"].positional and flags["heads"].required and flags["heads"].choices == (1, 2, 4)
    assert (flags["layers"].kind, flags["layers"].default) == ("int", 5)  # a type of its own; set_defaults
    assert flags["sizes"].kind == "list"
    assert flags["amp"].switch == ("--amp", "") and flags["amp"].default is False
    assert flags["no_bias"].switch == ("", "--no_bias") and flags["no_bias"].default is True
    assert flags["ema"].switch == ("--ema", "--no-ema")
    assert "even of false" in flags["trap"].trap
    assert (flags["out"].kind, flags["out"].default) == ("str", "runs")
    assert flags["dropout"].where == "options.py:2"
    assert script.notes == (
        "train.py:25: the name of this flag is made as the script runs; --run-help reads it",
    )


SUBCOMMANDS = """
    import argparse
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=0)
    parts = parser.add_subparsers()
    fit = parts.add_parser("fit")
    fit.add_argument("--lr", type=float, default=0.1)
    fit.add_argument("--batch_size", type=int, default=32)
    show = parts.add_parser("show")
    show.add_argument("--width", type=int, default=80)
"""


def test_subcommands_of_argparse(desk: Desk) -> None:
    modules = sources(desk.write("tool.py", SUBCOMMANDS))
    largest = argumentparser.read(modules)
    assert largest.subcommand == ("fit",) and "fit is taken" in largest.notes[0]
    assert [flag.name for flag in largest.flags] == ["seed", "lr", "batch_size"]
    chosen = argumentparser.read(modules, ["show", "--width", "3"])
    assert chosen.subcommand == ("show",) and not chosen.notes
    assert [flag.name for flag in chosen.flags] == ["seed", "width"]


CLICK = """
    import click

    @click.command()
    @click.option("--lr", default=1e-3, type=click.FloatRange(1e-6, 1.0), show_default=True, help="learning rate")
    @click.option("--batch-size", default=32, show_default=True)
    @click.option("--optimizer", type=click.Choice(["adam", "sgd"]), default="adam", show_default=True)
    @click.option("--nesterov/--no-nesterov", default=False)
    @click.option("--amp", is_flag=True)
    @click.option("--data", type=click.Path(), required=True)
    def main(**settings):
        print("val_loss:", 1.0)

    if __name__ == "__main__":
        main()
"""


def test_click_in_the_source_and_in_its_help(desk: Desk) -> None:
    path = desk.write("train.py", CLICK)
    flags = by_name(decorated.read(sources(path)).flags)
    assert list(flags) == ["lr", "batch_size", "optimizer", "nesterov", "amp", "data"]
    assert (flags["lr"].kind, flags["lr"].low, flags["lr"].high) == ("float", 1e-6, 1.0)
    assert (flags["batch_size"].option, flags["batch_size"].kind) == ("--batch-size", "int")
    assert flags["nesterov"].switch == ("--nesterov", "--no-nesterov")
    assert flags["amp"].switch == ("--amp", "")
    assert flags["data"].required

    told = by_name(helptext.parse(helptext.ask([sys.executable, str(path)], desk.place)).flags)
    assert list(told) == list(flags)
    assert (told["lr"].kind, told["lr"].default) == ("float", 1e-3)
    assert told["optimizer"].choices == ("adam", "sgd")
    assert told["nesterov"].switch == flags["nesterov"].switch and told["amp"].switch == flags["amp"].switch


TYPER = """
    import typer
    from typing import Annotated, Literal, Optional

    def train(
        data: str,
        lr: float = 1e-3,
        drop_out: Annotated[float, typer.Option("--drop", min=0.0, max=0.9, help="share")] = 0.1,
        layers: int = typer.Option(2, help="how many"),
        optimizer: Literal["adam", "sgd"] = "adam",
        amp: bool = False,
        decay: Optional[float] = None,
    ):
        ...

    typer.run(train)
"""


def test_typer(desk: Desk) -> None:
    flags = by_name(decorated.read(sources(desk.write("train.py", TYPER))).flags)
    assert flags["data"].positional
    assert (flags["lr"].option, flags["lr"].default) == ("--lr", 1e-3)
    assert (flags["drop_out"].option, flags["drop_out"].low, flags["drop_out"].high) == ("--drop", 0.0, 0.9)
    assert (flags["layers"].default, flags["layers"].kind) == (2, "int")
    assert flags["optimizer"].choices == ("adam", "sgd")
    assert flags["amp"].switch == ("--amp", "--no-amp")
    assert (flags["decay"].kind, flags["decay"].default) == ("float", None)


def test_absl_and_fire(desk: Desk) -> None:
    absl = desk.write(
        "a.py",
        """
        from absl import app, flags
        flags.DEFINE_float("lr", 1e-3, "rate", lower_bound=0.0)
        flags.DEFINE_enum("opt", "adam", ["adam", "sgd"], "optimiser")
        flags.DEFINE_bool("amp", False, "half precision")
        """,
    )
    flags = by_name(signatures.read_absl(sources(absl)).flags)
    assert flags["lr"].low == 0.0 and flags["opt"].choices == ("adam", "sgd")
    assert flags["amp"].switch == ("--amp", "--noamp")
    fire = desk.write(
        "f.py",
        "import fire\ndef main(lr=1e-3, amp: bool = False, data='x.csv'): ...\nfire.Fire(main)\n",
    )
    flags = by_name(signatures.read_fire(sources(fire)).flags)
    assert [flags[name].default for name in ("lr", "amp", "data")] == [1e-3, False, "x.csv"]
    assert flags["amp"].switch == ("--amp", "--noamp")


def test_dataclasses_of_the_script_and_of_modules_beside_it(desk: Desk) -> None:
    desk.write(
        "settings.py",
        """
        from dataclasses import dataclass, field

        @dataclass
        class Base:
            seed: int = 0
            lr: float = 0.1
        """,
    )
    script = desk.write(
        "train.py",
        """
        from dataclasses import dataclass, field
        from typing import List, Literal, Optional
        from transformers import HfArgumentParser
        from settings import Base

        @dataclass
        class Mine(Base):
            lr: float = field(default=0.2, metadata={"help": "step size"})
            mode: Literal["a", "b"] = "a"
            decay: "Optional[float]" = None
            names: List[str] = field(default_factory=lambda: ["q", "v"])
            data: str = field()
            _hidden: int = 3

        parser = HfArgumentParser(Mine)
        """,
    )
    flags = by_name(dataclassfields.read(sources(script), PYTHON).flags)
    assert list(flags) == ["seed", "lr", "mode", "decay", "names", "data"]
    assert (flags["lr"].default, flags["lr"].help, flags["lr"].inherited) == (0.2, "step size", False)
    assert flags["mode"].choices == ("a", "b")
    assert (flags["decay"].kind, flags["names"].kind, flags["data"].required) == ("float", "list", True)


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="transformers is not installed")
def test_every_field_of_the_installed_training_arguments_is_found_without_importing_it(desk: Desk) -> None:
    script = desk.write(
        "train.py",
        "from transformers import HfArgumentParser, TrainingArguments\nHfArgumentParser((TrainingArguments,))\n",
    )
    before = set(sys.modules)
    script_flags = by_name(dataclassfields.read(sources(script), PYTHON).flags)
    assert not {name for name in set(sys.modules) - before if name.startswith(("transformers", "torch"))}
    assert script_flags["learning_rate"].kind == "float" and script_flags["learning_rate"].inherited
    # the same names by another way of counting: lines of the class that annotate and assign
    package = Path(importlib.util.find_spec("transformers").origin or "").parent  # type: ignore[union-attr]
    body = (package / "training_args.py").read_text().partition("\nclass TrainingArguments")[2]
    lines = body.partition("\n    def ")[0]
    assert set(script_flags) == set(re.findall(r"(?m)^    ([a-z]\w*): [^=\n]+ = ", lines))
    assert len(script_flags) > 90 and {"optim", "warmup_steps", "num_train_epochs"} <= set(script_flags)


def test_what_is_not_installed_is_said(desk: Desk) -> None:
    script = desk.write(
        "train.py",
        "from nowhere import Settings\nfrom transformers import HfArgumentParser\nHfArgumentParser(Settings)\n",
    )
    found = dataclassfields.read(sources(script), PYTHON)
    assert found.flags == () and "nowhere is not installed" in found.notes[0]


HELP = """\
usage: prog [-h] [--lr LR] [--optimizer {adam,sgd}] [--sizes SIZES [SIZES ...]] [--amp] [--ema | --no-ema]

options:
  -h, --help            show this help message and exit
  --lr LR, --learning-rate LR
                        step size (default: 0.001)
  --optimizer {adam,sgd}
                        which one (default: adam)
  --sizes SIZES [SIZES ...]
  --amp                 half precision
  --ema, --no-ema       average of weights (default: True)
"""


def test_a_help_text_of_argparse() -> None:
    flags = by_name(helptext.parse(HELP).flags)
    assert (flags["lr"].kind, flags["lr"].default) == ("float", 0.001)
    assert flags["optimizer"].choices == ("adam", "sgd") and flags["optimizer"].default == "adam"
    assert flags["sizes"].kind == "list"
    assert flags["amp"].switch == ("--amp", "") and flags["ema"].switch == ("--ema", "--no-ema")
    assert set(flags) == {"lr", "optimizer", "sizes", "amp", "ema"}


def test_a_script_that_fails_is_quoted(desk: Desk) -> None:
    path = desk.write(
        "train.py", "import argparse\nargparse.ArgumentParser()\nraise RuntimeError('no GPU here')\n"
    )
    with pytest.raises(InputError, match="exit code 1: RuntimeError: no GPU here; mend that"):
        helptext.ask([sys.executable, str(path)], desk.place)


def test_what_is_computed_in_a_default_is_read_or_left_unknown(desk: Desk) -> None:
    path = desk.write(
        "train.py",
        """
        import argparse, os
        CONFIG = {"lr": 3e-4}
        p = argparse.ArgumentParser()
        p.add_argument("--lr", type=float, default=CONFIG["lr"])
        p.add_argument("--size", type=int, default=4 * 16)
        p.add_argument("--low", type=float, default=-1.5)
        p.add_argument("--huge", type=int, default=9 ** 9 ** 9)
        p.add_argument("--jobs", type=int, default=os.cpu_count())
        """,
    )
    flags = by_name(argumentparser.read(sources(path)).flags)
    assert [flags[name].default for name in ("lr", "size", "low")] == [3e-4, 64, -1.5]
    assert flags["huge"].default is UNKNOWN and flags["jobs"].default is UNKNOWN
