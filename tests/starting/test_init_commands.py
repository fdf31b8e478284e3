"""The user's own command in a drafted study: its words, its outputs, its paths and its spellings."""

from __future__ import annotations

import subprocess
import sys

import pytest
from drafting import Desk

from taut.starting.rules import _narrowed

TINY = """
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--note", default="")
parser.add_argument("--lr", type=float, default=1e-3)
args = parser.parse_args()
print("val_loss", args.lr)
"""


@pytest.mark.parametrize(
    "note", ["it's", "a  b", "a b", '"', "", "a\\b", "'quoted'", "|", "{x}", "$HOME", "ä;"]
)
def test_the_users_words_stay_what_they_are(desk: Desk, note: str) -> None:
    desk.write("train.py", TINY)
    command = desk.study("train.py", "--note", note).evaluation.command
    assert command == ["python", "train.py", "--note", note.replace("{", "{{").replace("}", "}}"), "{args}"]


def test_outputs_of_the_users_command_go_to_the_trial(desk: Desk) -> None:
    desk.write(
        "train.py",
        TINY + 'parser.add_argument("--output_dir")\nparser.add_argument("--log", default="info")\n',
    )
    outline = desk.outline("train.py", "--output_dir", "shared/run1", "--log", "debug")
    assert "{trial_dir}/out" in outline.command and "shared/run1" not in outline.command
    assert outline.command[outline.command.index("--log") + 1] == "debug", "no path, and so no output"
    assert any(
        "--output_dir shared/run1 gives way to --output_dir {trial_dir}/out" in note for note in outline.notes
    )


TRAINED = """
from dataclasses import dataclass

from transformers import HfArgumentParser
from trl import GRPOTrainer, SFTTrainer


@dataclass
class Arguments:
    learning_rate: float = 2e-5
    eval_strategy: str = "no"


(args,) = HfArgumentParser(Arguments).parse_args_into_dataclasses()
"""


@pytest.mark.parametrize(
    ("call", "metric", "evaluated", "said"),
    [
        (
            "SFTTrainer(args=args, eval_dataset=data if args.do_eval else None)",
            "eval_loss",
            True,
            "each evaluation",
        ),
        ("SFTTrainer(args=args, eval_dataset=None)", "eval_loss", False, "no data is held back"),
        ("SFTTrainer(args=args).evaluate(data)", "eval_loss", False, "evaluate()"),
        ("GRPOTrainer(args=args)", "reward", False, "in training"),
        ("GRPOTrainer(args=args, eval_dataset=data)", "eval_reward", True, "each evaluation"),
    ],
)
def test_a_trainer_evaluates_only_on_data_that_it_is_given(
    desk: Desk, call: str, metric: str, evaluated: bool, said: str
) -> None:
    desk.write("train.py", TRAINED + call + "\n")
    outline = desk.outline("train.py")
    assert outline.measure.metric == metric and said in " ".join(outline.measure.said)
    assert ("--eval_strategy" in outline.command) is evaluated
    assert outline.measure.minimize is metric.endswith("loss")


TEXTS = """
import argparse

import torch

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=1e-3)
parser.add_argument("--optimizer", default="AdamW")
parser.add_argument("--momentum", type=float, default=0.9)
parser.add_argument("--activation", default="ReLU")
args = parser.parse_args()
CHECK
print("val_loss", args.lr)
"""


@pytest.mark.parametrize(
    "check",
    [
        'assert args.optimizer in ("AdamW", "SGD")',
        'make = {"AdamW": 1, "SGD": 2}[args.optimizer]',
        'MAKE = {"AdamW": 1, "SGD": 2}\nmake = MAKE.get(args.optimizer)',
        'if args.optimizer == "SGD": pass',
    ],
)
def test_texts_are_those_that_the_script_knows(desk: Desk, check: str) -> None:
    desk.write("train.py", TEXTS.replace("CHECK", check))
    space = desk.study("train.py").space
    assert set(space["optimizer"]["choice"]) == {"AdamW", "SGD"} and space["optimizer"]["start"] == "AdamW"
    assert space["momentum"]["when"] == "optimizer == 'SGD'"
    assert "activation" not in space


def test_texts_that_nothing_is_known_of_are_offered_only(desk: Desk) -> None:
    desk.write("train.py", TEXTS.replace("CHECK", "make = getattr(torch.optim, args.optimizer)"))
    text = desk.draft("train.py")
    assert "\n# optimizer = { choice" in text and "does not say which texts it takes" in text
    space = desk.study("train.py").space
    assert "optimizer" not in space and "momentum" not in space, "AdamW has none"
    assert "momentum" in desk.study("train.py", "--optimizer", "SGD").space


def test_what_is_trained_is_no_inference(desk: Desk) -> None:
    flags = "".join(
        f'parser.add_argument("--{name}", type=float, default={value})\n'
        for name, value in (("temperature", 1.0), ("top_k", 5.0), ("warmup", 0.1))
    )
    desk.write("train.py", TINY.replace("args =", f"{flags}args ="))
    space = desk.study("train.py").space
    assert space["lr"]["start"] == 1e-3
    assert space["warmup"]["uniform"][1] <= 1, "0.1 is a share of all steps"


def test_what_a_batch_prints_is_no_result(desk: Desk) -> None:
    desk.write(
        "train.py",
        """
        import argparse

        parser = argparse.ArgumentParser()
        parser.add_argument("--lr", type=float, default=1e-3)
        args = parser.parse_args()


        def train(epoch):
            for b in range(3):
                print("Train Epoch: {} Loss: {:.6f}".format(epoch, 1.0))


        for epoch in range(1, 10):
            train(epoch)
            print("Test set: Average loss: {:.4f}".format(args.lr))
        """,
    )
    assert desk.outline("train.py").measure.metric == "average_loss"
    desk.write(
        "folds.py",
        """
        import argparse

        parser = argparse.ArgumentParser()
        parser.add_argument("--lr", type=float, default=1e-3)
        args = parser.parse_args()
        for fold in range(5):
            for epoch in range(10):
                print(f"fold {fold} epoch {epoch} val_loss {args.lr}")
        print(f"mean val_loss {args.lr}")
        """,
    )
    assert desk.outline("folds.py").measure.metric == "mean_val_loss"


METHODS = """
import argparse

from peft import get_peft_model

parser = argparse.ArgumentParser()
parser.add_argument("--finetuning_method", choices=CHOICES, default="qlora")
parser.add_argument("--learning_rate", type=float, default=1e-4)
parser.add_argument("--lora_r", type=int, default=16)
parser.add_argument("--per_device_train_batch_size", type=int, default=4)
parser.add_argument("--gradient_accumulation_steps", type=int, default=4)
args = parser.parse_args()
print("eval_loss:", args.learning_rate)
"""


def test_adapters_are_tuned_for_qlora_too(desk: Desk) -> None:
    desk.write("train.py", METHODS.replace("CHOICES", '["full", "lora", "qlora"]'))
    assert "lora_r" in desk.study("train.py").space
    assert "lora_r" not in desk.study("train.py", "--finetuning_method", "full").space


def test_a_condition_names_only_values_that_there_are() -> None:
    levels = {"method": ["full", "lora"]}
    assert _narrowed("method in ['lora', 'qlora']", levels) == "method == 'lora'"
    assert _narrowed("method in ['x'] and y > 1", levels) == "method in ['x'] and y > 1"


def test_accumulation_holds_the_batch(desk: Desk) -> None:
    desk.write("train.py", METHODS.replace("CHOICES", '["lora", "qlora"]'))
    space = desk.study("train.py", "--gradient_accumulation_steps", "2").space
    assert space["gradient_accumulation_steps"] == {
        "expr": "max(1, 8 // (per_device_train_batch_size * 1))"
    }, "4 x 2, as in the command"
    assert space["per_device_train_batch_size"] == {"ordinal": [1, 2, 4, 8], "start": 4}


SPELLED = """
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("-v", "--verbose", action="store_true")
commands = parser.add_subparsers(dest="what")
train = commands.add_parser("train")
train.add_argument("data")
train.add_argument("-e", "--epochs", "--num-epochs", type=int, default=5)
train.add_argument("--lr", type=float, default=1e-3)
train.add_argument("--split", default="a")
train.add_argument("--dir", default="corpus")
args = parser.parse_args()
for epoch in range(1, args.epochs + 1):
    print(f"epoch {epoch} val_loss {args.lr}")
"""


@pytest.mark.parametrize(
    "words", [["-e", "9"], ["-e9"], ["--num-epochs", "9"], ["--num-epochs=9"], ["--ep", "9"]]
)
def test_flags_are_known_by_all_their_spellings(desk: Desk, words: list[str]) -> None:
    desk.write("train.py", SPELLED)
    study = desk.study("train.py", "-v", "train", "corpus", *words)
    assert study.evaluation.command == ["python", "train.py", "-v", "train", "corpus", *words, "{args}"]
    assert study.fidelity is not None and study.fidelity.max == 9


def test_bare_words_that_are_places_stay_those(desk: Desk) -> None:
    desk.write("train.py", SPELLED)
    desk.write("corpus/a.txt", "x")
    command = desk.study("train.py", "train", "--split", "corpus", "corpus").evaluation.command
    assert command == [
        *("python", "train.py", "train", "--split", "corpus", "./corpus", "--dir", "./corpus", "{args}")
    ], "a split is no place"


def test_help_texts_steer_no_terminal(desk: Desk) -> None:
    steering = 'parser.add_argument("--corpus", required=True, help="\\x1b[1mbold\\x1b[0m\\x07 text")\n'
    desk.write("train.py", TINY.replace("args =", f"{steering}args ="))
    assert "# REPLACE CORPUS: bold text, which the script requires" in desk.draft("train.py")


def test_what_is_required_can_be_searched(desk: Desk) -> None:
    desk.write("train.py", TINY.replace("default=1e-3", "required=True"))
    study = desk.study("train.py")
    assert study.evaluation.command == ["python", "train.py", "{args}"] and "lr" in study.space


def test_outputs_beside_a_configuration(desk: Desk) -> None:
    pytest.importorskip("yaml", reason="PyYAML reads the configuration")
    desk.write("base.yaml", "base_model: org/tiny\nadapter: lora\nlora_r: 8\nlearning_rate: 0.0002\n")
    outline = desk.outline("base.yaml", "--output-dir", "shared", "--debug")
    assert "shared" not in outline.command and "--debug" in outline.command
    assert outline.command.count("--output-dir") == 1 and "shared is left out" in " ".join(outline.notes)


PARTS = """
import argparse

parser = argparse.ArgumentParser()
speed = parser.add_argument_group("speed")
speed.add_argument("--lr", type=float, default=1e-3)
common = argparse.ArgumentParser(add_help=False)
common.add_argument("--weight-decay", type=float, default=0.0)
parts = parser.add_subparsers(dest="part")
fit = parts.add_parser("fit", parents=[common])
fit.add_argument("--dropout", type=float, default=0.1)
args = parser.parse_args()
print("val_loss", args.lr + args.weight_decay + args.dropout)
"""
HELPERS = """
import argparse


def build():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=1e-3)
    return parser


def add_common(parser):
    parser.add_argument("--weight-decay", type=float, default=0.0)


def add_speed(top):
    top.add_argument_group("speed").add_argument("--batch-size", type=int, default=8)


def main():
    whole = argparse.ArgumentParser(add_help=False)
    parser = build()
    add_speed(parser)
    parts = parser.add_subparsers(dest="part")
    fit = parts.add_parser("fit")
    add_common(fit)
    fit.add_argument("--dropout", type=float, default=0.1)
    args = parser.parse_args()
    print("val_loss", args.lr + args.weight_decay + args.dropout)


main()
"""
PARENT = """
import argparse

common = argparse.ArgumentParser(add_help=False)
common.add_argument("--lr", type=float, default=1e-3)
parser = argparse.ArgumentParser(parents=[common])
parts = parser.add_subparsers(dest="part")
fit = parts.add_parser("fit")
fit.add_argument("--dropout", type=float, default=0.1)
print("val_loss", parser.parse_args().dropout)
"""
CLICK = """
import click


@click.group()
@click.option("--lr", type=float, default=1e-3)
def main(lr):
    pass


@main.command()
@click.option("--dropout", type=float, default=0.1)
def fit(dropout):
    print("val_loss", dropout)


main()
"""


@pytest.mark.parametrize("words", [(), ("fit",), ("--lr", "0.01", "fit", "--dropout", "0.2")])
def test_flags_of_the_whole_stand_before_the_subcommand(desk: Desk, words: tuple[str, ...]) -> None:
    """Those of a parser that the subcommand has as its parent stand behind it."""
    script = desk.write("train.py", PARTS)
    command = list(desk.study("train.py", *words).evaluation.command or ())
    assert command[2:5] == ["--lr", "{lr}", "fit"] and {"--dropout", "--weight-decay"} <= set(command[5:])
    filled = ["0.5" if word.startswith("{") else word for word in command[2:]]
    subprocess.run([sys.executable, str(script), *filled], check=True)


@pytest.mark.parametrize(
    ("text", "before", "behind"),
    [
        (HELPERS, {"--lr", "--batch-size"}, {"--weight-decay", "--dropout"}),
        (PARENT, {"--lr"}, {"--dropout"}),
    ],
)
def test_flags_are_known_by_the_parser_that_a_function_is_given(
    desk: Desk, text: str, before: set[str], behind: set[str]
) -> None:
    script = desk.write("train.py", text)
    command = list(desk.study("train.py").evaluation.command or ())
    at = command.index("fit")
    assert set(command[2:at:2]) == before and set(command[at + 1 :: 2]) == behind
    filled = ["1" if word.startswith("{") else word for word in command[2:]]
    subprocess.run([sys.executable, str(script), *filled], check=True)


def test_options_of_a_group_stand_before_the_subcommand(desk: Desk) -> None:
    desk.write("train.py", CLICK)
    command = desk.study("train.py").evaluation.command
    assert command == ["python", "train.py", "--lr", "{lr}", "fit", "--dropout", "{dropout}"]


def test_groups_within_groups_are_named(desk: Desk) -> None:
    nested = CLICK.replace("@main.command()", "@main.group()\ndef model():\n    pass\n\n\n@model.command()")
    script = desk.write("train.py", nested)
    command = list(desk.study("train.py").evaluation.command or ())
    assert command[2:] == ["--lr", "{lr}", "model", "fit", "--dropout", "{dropout}"]
    filled = ["0.1" if word.startswith("{") else word for word in command[2:]]
    subprocess.run([sys.executable, str(script), *filled], check=True)


def test_a_group_without_options_is_one_as_well(desk: Desk) -> None:
    desk.write(
        "train.py",
        CLICK.replace('@click.option("--lr", type=float, default=1e-3)\ndef main(lr)', "def main()"),
    )
    assert desk.study("train.py").evaluation.command == ["python", "train.py", "fit", "{args}"]


def test_a_callback_of_typer_is_a_group(desk: Desk) -> None:
    desk.write(
        "train.py",
        """
        import typer

        app = typer.Typer()

        @app.callback()
        def whole(context: typer.Context, lr: float = 1e-3):
            pass

        @app.command()
        def fit(dropout: float = 0.1):
            print("val_loss", dropout)

        app()
        """,
    )
    command = desk.study("train.py").evaluation.command
    assert command == ["python", "train.py", "--lr", "{lr}", "fit", "--dropout", "{dropout}"]


def test_flags_of_the_whole_are_in_its_own_help(desk: Desk) -> None:
    desk.write("train.py", PARTS)
    outline = desk.outline(str(desk.place / "train.py"), python=sys.executable, run_help=True)
    assert not [note for note in outline.notes if "does not have" in note]
    assert "--lr" in outline.command and outline.command.index("--lr") < outline.command.index("fit")


def test_epochs_are_searched_only_where_somebody_wants_it(desk: Desk) -> None:
    """Nothing is told after each of them, so none ends early, and the best trial would be the longest."""
    desk.write(
        "train.py", TINY.replace("args =", 'parser.add_argument("--epochs", type=int, default=5)\nargs =')
    )
    assert set(desk.study("train.py").space) == {"lr"}
    assert "# epochs = { ordinal = [5, 10, 20, 50, 100], start = 5 }" in desk.draft("train.py")
    other = TINY.replace('"--lr"', '"--alpha-mix"')
    desk.write(
        "train.py", other.replace("args =", 'parser.add_argument("--epochs", type=int, default=5)\nargs =')
    )
    assert set(desk.study("train.py").space) == {"alpha_mix"}, "a guess is better than the length of trials"
