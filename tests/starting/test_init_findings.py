"""How a script tells its results is found in its source, and what was found reads what it prints."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from drafting import Desk

from taut.resultlines import pattern_rows
from taut.starting.findings import look, minimised, preference
from taut.starting.flags import Flag
from taut.starting.measuring import fidelity, measure
from taut.starting.sources import Source, sources

# What prints the three numbers of epoch 3: a step, a loss on held-out data and an accuracy.
PRINTS = [
    'print(f"step={epoch} val_loss={loss:.4f} val_accuracy={accuracy:.3f}")',
    'print(f"Epoch {epoch}/{total}: val_loss: {loss:.4f}, val_accuracy: {accuracy:.3f}")',
    'print("Epoch %d, val_loss %.4f (val_accuracy %.3f)" % (epoch, loss, accuracy))',
    'print("epoch {} | val_loss {:.4f} | val_accuracy {}".format(epoch, loss, accuracy))',
    'print("epoch", epoch, "val_loss", loss, "val_accuracy", accuracy)',
    'print("epoch: " + str(epoch) + " val_loss: " + str(loss) + " val_accuracy: " + str(accuracy))',
    'sys.stdout.write(f"it {epoch} - val_loss: {loss} - val_accuracy: {accuracy}\\n")',
]


@pytest.mark.parametrize("line", PRINTS)
def test_a_printed_line_is_read_by_the_pattern_that_is_made_of_it(line: str) -> None:
    code = f"import sys\nloss, accuracy, total = 0.25, 0.5, 9\nfor epoch in range(1, 4):\n    {line}\n"
    found = look([Source(Path("train.py"), ast.parse(code))])
    made = measure(found)
    assert (made.metric, made.minimize, made.first) == ("val_loss", True, 1)
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    rows = [row for each in printed.splitlines() for row in pattern_rows(made.results["stdout"])(each)]
    assert [row.step for row in rows] == [1.0, 2.0, 3.0]
    assert all(row.values == {"val_loss": 0.25, "val_accuracy": 0.5} for row in rows)


def test_a_last_line_without_a_step_is_read_by_the_same_pattern() -> None:
    code = 'for epoch in range(2):\n    print(f"step={epoch} val_loss={x}")\nprint(f"val_loss={x}")\n'
    made = measure(look([Source(Path("train.py"), ast.parse(code))]))
    rows = [
        row
        for line in ("step=1 val_loss=0.5", "val_loss=0.4")
        for row in pattern_rows(made.results["stdout"])(line)
    ]
    assert [(row.step, row.values["val_loss"]) for row in rows] == [(1.0, 0.5), (None, 0.4)]
    assert made.first == 0


def test_a_metric_is_not_found_within_a_longer_name() -> None:
    made = measure(look([Source(Path("t.py"), ast.parse('print("loss:", x)'))]))
    assert re.search(made.results["stdout"], "val_loss: 3") is None
    assert re.search(made.results["stdout"], "a loss: 3") is not None


@pytest.mark.parametrize(
    ("code", "metric", "minimize"),
    [
        ('print(f"train_loss={a} val_loss={b}")', "val_loss", True),
        ('print(f"train_loss={a}")\nprint(f"accuracy: {b}")', "accuracy", False),
        ('print("test loss", a)\nprint("val acc", b)', "val_acc", False),
        ('print({"eval_loss": a, "eval_f1": b})', "eval_loss", True),
        ('print(f"tokens_per_second={a}")', "tokens_per_second", False),
        ('print("perplexity:", a)', "perplexity", True),
    ],
)
def test_held_out_data_come_before_training_data_and_a_test_set_last(
    code: str, metric: str, minimize: bool
) -> None:
    made = measure(look([Source(Path("t.py"), ast.parse(code))]))
    assert (made.metric, made.minimize) == (metric, minimize)


def test_what_is_worse_than_held_out_data_is_said() -> None:
    made = measure(look([Source(Path("t.py"), ast.parse('print(f"train_loss={a}")'))]))
    assert any("not on training or test data" in line for line in made.said)


def test_reports_come_first(desk: Desk) -> None:
    path = desk.write(
        "train.py",
        """
        import taut
        for epoch in range(10):
            print(f"val_loss={1}")
            taut.report(step=epoch + 1, train_loss=2, eval_loss=3)
        """,
    )
    made = measure(look(sources(path)))
    assert (made.metric, made.results, made.counted, made.first) == ("eval_loss", {}, "epoch", 1)


def test_loggers_write_elsewhere() -> None:
    made = measure(look([Source(Path("t.py"), ast.parse('logger.info(f"val_loss={a}")'))]))
    assert not made.found
    assert "loggers write to standard error" in made.said[1]
    assert made.said[2] == "add at its end:   import taut; taut.report(loss=...)"


@pytest.mark.parametrize(("loop", "last"), [("range(1, n + 1)", 12), ("range(n)", 11)])
def test_a_whole_trial_ends_at_the_last_step_that_is_printed(loop: str, last: int) -> None:
    code = f'for epoch in {loop}:\n    print(f"epoch {{epoch}} val_loss {{x}}")\n'
    made = measure(look([Source(Path("t.py"), ast.parse(code))]))
    far = fidelity(made, [Flag("epochs", "--epochs", "int", 12)], {})
    assert far is not None and (far.most, far.sure) == (last, True)
    assert fidelity(made, [Flag("epochs", "--epochs", "int", 2)], {}) is None, "nothing to end early"
    given = fidelity(made, [Flag("epochs", "--epochs", "int", 12)], {"epochs": 30})
    assert given is not None and given.most == last + 18


def test_without_a_loop_in_sight_the_pruner_is_only_offered() -> None:
    code = 'def show(epoch):\n    print(f"epoch {epoch} val_loss {x}")\n'
    made = measure(look([Source(Path("t.py"), ast.parse(code))]))
    far = fidelity(made, [Flag("epochs", "--epochs", "int", 12)], {})
    assert far is not None and not far.sure and "The last one must be max" in far.doubt


@pytest.mark.parametrize("name", ["loss", "val_loss", "error", "RMSE", "word perplexity", "wer", "seconds"])
def test_smaller_is_better(name: str) -> None:
    assert minimised(name)


@pytest.mark.parametrize(
    "name", ["accuracy", "f1", "reward", "rewards_accuracies", "tokens_per_second", "score"]
)
def test_larger_is_better(name: str) -> None:
    assert not minimised(name)
    assert preference("val_" + name) < preference("train_" + name) < preference("test_" + name)
