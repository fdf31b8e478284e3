"""How numbers are read from report lines, stdout and files."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path

import pytest

from taut.definition import Results
from taut.errors import InputError
from taut.resultfiles import read_csv, read_json
from taut.resultlines import hf_rows, metric_name, pattern_rows, report_rows
from taut.results import Collector, Sources, Tail


def collector(directory: Path, results: Results) -> Collector:
    return Sources(results).collect(directory, directory / "report.jsonl", directory / "stdout")


# --- lines ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "step", "values"),
    [
        (
            "{'loss': 1.25, 'grad_norm': 0.5, 'learning_rate': 5e-05, 'epoch': 0.5}",
            0.5,
            {"loss": 1.25, "grad_norm": 0.5, "learning_rate": 5e-05},
        ),
        (
            "{'eval_loss': 0.75, 'eval_runtime': 2.0, 'epoch': 1.0}",
            1.0,
            {"eval_loss": 0.75, "eval_runtime": 2.0},
        ),
        ("{'loss': '1.25', 'epoch': '0.5'}", 0.5, {"loss": 1.25}),
        (" 10%|#  | 1/10 {'loss': 2, 'step': 7}  ", 7.0, {"loss": 2.0}),
        ("{'train_loss': 0.5}", None, {"train_loss": 0.5}),
    ],
)
def test_hugging_face(line: str, step: float | None, values: dict[str, float]) -> None:
    (row,) = hf_rows(line)
    assert (row.step, row.values) == (step, values)


def test_hugging_face_prints_nan_and_inf_bare() -> None:
    (row,) = hf_rows("{'loss': nan, 'grad_norm': inf, 'low': -inf, 'epoch': 1.0}")
    assert math.isnan(row.values["loss"])
    assert (row.values["grad_norm"], row.values["low"]) == (math.inf, -math.inf)


@pytest.mark.parametrize(
    "line",
    [
        "no dict",
        "{'loss': __import__('os').getpid()}",
        "{1: 2}",
        "{'a', 'b'}",
        "}{",
        "{'loss': }",
        "{" * 5000 + "}" * 5000,
        "{'name': 'x'}",
    ],
)
def test_what_is_no_trainer_dict_is_skipped(line: str) -> None:
    assert list(hf_rows(line)) == []


def test_regular_expression() -> None:
    rows = pattern_rows(r"epoch (?P<step>\d+):.* loss=(?P<loss>\S+)(?: acc=(?P<acc>[\d.]+%))?")
    (row,) = rows("epoch 3: loss=0.25, acc")
    assert (row.step, row.values) == (3.0, {"loss": 0.25})  # the comma behind the number is no trouble
    (row,) = rows("epoch 4: loss=1e-3 acc=95.5%")
    assert (row.step, row.values) == (4.0, {"loss": 1e-3, "acc": 95.5})
    assert list(rows("nothing")) == []
    (row,) = rows("epoch 5: loss=bad")
    assert row.odd == {"loss": "bad"}


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (
            "loss=(",
            "results.stdout: 'loss=(' is not a regular expression: missing ), unterminated subpattern at "
            r"position 5; write for instance 'eval_loss=(?P<eval_loss>\S+)', "
            r"or 'hf' for the Hugging Face Trainer",
        ),
        (
            r"loss=(\S+)",
            r"results.stdout: 'loss=(\S+)' has no named group for a metric; write for instance "
            r"'eval_loss=(?P<eval_loss>\S+)'",
        ),
        (
            r"(?P<step>\d+)",
            r"results.stdout: '(?P<step>\d+)' has no named group for a metric; write for instance "
            r"'eval_loss=(?P<eval_loss>\S+)'",
        ),
    ],
)
def test_wrong_regular_expressions(pattern: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        Sources(Results(stdout=pattern))
    assert str(caught.value) == message


def test_report_lines() -> None:
    (row,) = report_rows('{"step": 2, "eval": {"loss": 0.5, "top.5": 1}, "note": "x", "curve": [1]}')
    assert (row.step, row.values, row.odd) == (2.0, {"eval_loss": 0.5, "eval_top_5": 1.0}, {"note": "x"})
    with pytest.raises(ValueError, match="'nonsense' is not a JSON object"):
        list(report_rows("nonsense\n"))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("eval/loss", "eval_loss"),
        ("eval.loss", "eval_loss"),
        ("top-5", "top_5"),
        ("5th", "_5th"),
        (" loss ", "loss"),
    ],
)
def test_metric_names_are_identifiers(text: str, name: str) -> None:
    assert metric_name(text) == name and name.isidentifier()


# --- files ---------------------------------------------------------------------------------------


def test_json_object(tmp_path: Path) -> None:
    path = tmp_path / "all_results.json"
    path.write_text('{"eval": {"loss": 0.5}, "epoch": 3, "model": "x"}')
    (row,) = read_json(path)
    assert (row.step, row.values, row.odd) == (3.0, {"eval_loss": 0.5}, {"model": "x"})


def test_json_lines_with_a_torn_end(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text('{"step": 1, "loss": 2}\n\n{"step": 2, "loss": 1}\n{"step": 3, "lo')
    assert [(row.step, row.values) for row in read_json(path)] == [(1.0, {"loss": 2.0}), (2.0, {"loss": 1.0})]


def test_trainer_state(tmp_path: Path) -> None:
    path = tmp_path / "trainer_state.json"
    state = {
        "best_metric": 0.4,
        "global_step": 20,
        "log_history": [
            {"loss": 1.5, "epoch": 1.0, "step": 10},
            {"eval_loss": 0.5, "epoch": 1.0, "step": 10},
            {"eval_loss": 0.4, "epoch": 2.0, "step": 20},
        ],
    }
    path.write_text(json.dumps(state))
    rows = [(row.step, row.values) for row in read_json(path)]
    assert rows == [
        (None, {"best_metric": 0.4, "global_step": 20.0}),
        (1.0, {"loss": 1.5}),
        (1.0, {"eval_loss": 0.5}),
        (2.0, {"eval_loss": 0.4}),
    ]


@pytest.mark.parametrize("text", ["", "[1, 2", "loss 3", '{"a": 1}\n{"b"\n{"c": 2}'])
def test_json_that_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    if text == "":
        assert read_json(path) == []
    else:
        with pytest.raises(ValueError, match="is neither JSON nor JSON lines"):
            read_json(path)


def test_csv_with_empty_cells(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("Epoch, train_loss, val/loss\n0, 1.5,\n0, , 1.25\n1, 0.5, nan\n")
    rows = read_csv(path)
    assert [row.step for row in rows] == [0.0, 0.0, 1.0]
    assert [row.values for row in rows[:2]] == [{"train_loss": 1.5}, {"val_loss": 1.25}]
    assert math.isnan(rows[2].values["val_loss"])


def test_csv_without_a_step_counts_rows(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("loss\n3\n2\n")
    assert [(row.step, row.values) for row in read_csv(path)] == [(1.0, {"loss": 3.0}), (2.0, {"loss": 2.0})]


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is not None, reason="tensorboard is installed")
def test_tensorboard_without_its_reader() -> None:
    with pytest.raises(InputError) as caught:
        Sources(Results(tensorboard="runs"))
    assert str(caught.value) == (
        "results.tensorboard: the reader of TensorBoard's files is not installed: pip install tensorboard, "
        "or let the script report its numbers (taut.report, json, csv or stdout)"
    )


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    writer = pytest.importorskip("torch.utils.tensorboard").SummaryWriter(tmp_path / "runs" / "a")
    for step in range(3):
        writer.add_scalar("eval/loss", 1.0 / (step + 1), step)
    writer.close()
    from taut.resultfiles import read_tensorboard

    rows = read_tensorboard(tmp_path / "runs")
    assert [row.step for row in rows] == [0.0, 1.0, 2.0]
    assert rows[1].values == {"eval_loss": 0.5}


# --- the tail and the collector ------------------------------------------------------------------


def test_tail_leaves_a_torn_line_for_later(tmp_path: Path) -> None:
    path = tmp_path / "out"
    tail = Tail(path)
    assert list(tail.lines()) == []
    path.write_bytes(b"one\ntw")
    assert list(tail.lines()) == ["one"]
    assert list(tail.lines()) == []
    with path.open("ab") as file:
        file.write(b"o\nbar 1\rbar 2\r\n\xff\nrest")
    assert list(tail.lines()) == ["two", "bar 1", "bar 2", "\ufffd"]
    assert list(tail.lines(final=True)) == ["rest"]
    assert list(tail.lines(final=True)) == []


def test_tail_of_a_file_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "out"
    tail = Tail(path)
    path.write_text("a long first line\n")
    assert list(tail.lines()) == ["a long first line"]
    path.write_text("new\n")
    assert list(tail.lines()) == ["new"]


def test_tail_at_every_cut(tmp_path: Path) -> None:
    data = '{"step": 1, "loss": 0.5}\n{"step": 2, "löss": 1}\n'.encode()
    for cut in range(len(data) + 1):
        path = tmp_path / str(cut)
        tail = Tail(path)
        path.write_bytes(data[:cut])
        got = list(tail.lines())
        path.write_bytes(data)
        assert got + list(tail.lines()) == data.decode().splitlines()


def test_the_last_value_counts_and_reports_outrank_files(tmp_path: Path) -> None:
    told = collector(tmp_path, Results(stdout="hf", json="r.json"))
    (tmp_path / "stdout").write_text("{'loss': 3.0, 'epoch': 1}\n{'loss': 2.0, 'lr': 1, 'epoch': 2}\n")
    (tmp_path / "report.jsonl").write_text('{"acc": 0.5, "step": 1}\n{"acc": 0.25}\n')
    assert [row.step for row in told.news()] == [1.0, 2.0, 1.0]
    (tmp_path / "r.json").write_text('{"loss": 1.0, "acc": 0.75}')
    assert told.finish() == []
    assert told.values == {"loss": 1.0, "lr": 1.0, "acc": 0.25}


def test_a_file_of_an_earlier_attempt_is_no_result(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text('{"loss": 1.0}')
    told = collector(tmp_path, Results(json="r.json"))
    told.finish()
    assert told.values == {}
    assert told.missing("loss").endswith("\njson: r.json is from an earlier attempt")


ADVICE = (
    ". Report it with taut.report({0}=...), as a JSON line in the file $TAUT_REPORT, "
    "or say in [results] where it stands (stdout, json, csv)"
)


def test_missing_metrics_say_what_was_found(tmp_path: Path) -> None:
    told = collector(tmp_path, Results(stdout=r"x=(?P<x>\d+)", json="r.json", csv="m.csv"))
    (tmp_path / "report.jsonl").write_text('{"eval_los": 1, "n": 2, "acc": "good"}\noops\n')
    (tmp_path / "m.csv").write_text("")
    told.finish()
    notes = (
        "\n$TAUT_REPORT: 'oops' is not a JSON object"
        "\ncsv: m.csv: has no header line"
        "\njson: r.json was not written"
        "\nstdout: no line matched 'x=(?P<x>\\d+)'"
    )
    assert told.missing("eval_loss") == (
        "eval_loss was not reported; found eval_los, n; did you mean 'eval_los'?"
        + ADVICE.format("eval_loss").removeprefix(".")
        + notes
    )
    assert told.missing("acc").startswith("acc was reported as 'good', which is not a number. Report it with")


def test_nothing_reported(tmp_path: Path) -> None:
    told = collector(tmp_path, Results())
    told.finish()
    assert told.missing("loss") == "loss was not reported, and no other metric was" + ADVICE.format("loss")
