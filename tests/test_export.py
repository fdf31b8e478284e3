"""Exported files, read back with the programs they are for."""

from __future__ import annotations

import csv
import datetime
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from taut.curves import Reports
from taut.errors import InputError, StudyError
from taut.export import csv_text, export
from taut.trial import TrialRecord

START = 1767225600.0  # 2026-01-01, midnight UTC
RECORDS = [
    TrialRecord(
        number=0,
        state="complete",
        params={"lr": 0.1, "optim": "sgd", "layers": 2, "nesterov": True, "shape": [8, 4]},
        values={"loss": 0.30000000000000004},
        attempts=1,
        worker=0,
        started=START,
        finished=START + 1.5,
        spent=1.5,
    ),
    TrialRecord(
        number=1,
        state="failed",
        params={
            "lr": 1e-05,
            "optim": 'a,"b"\nü',
            "momentum": 0.5,
            "layers": 3,
            "nesterov": False,
            "shape": None,
        },
        values={},
        attempts=3,
        worker=12,
        started=START + 0.25,
        finished=START + 60.250001,
        spent=100.5,
        error='Traceback:\n  File "train.py", line 3\nValueError: no, "really"',
    ),
    TrialRecord(
        number=4,
        state="running",
        params={"lr": 1, "optim": "adam", "layers": 1, "nesterov": True, "shape": []},
        values={},
        attempts=1,
        worker=3,
        started=START + 2,
        finished=None,
    ),
    TrialRecord(
        number=5,
        state="complete",
        params={"lr": 0.2, "optim": "adam", "layers": 1, "nesterov": True, "shape": [1]},
        values={"accuracy": 0.9, "loss": -1.0},
        attempts=1,
        worker=3,
        started=START + 3,
        finished=START + 4,
        spent=1.0,
    ),
]

REPORTS = {
    "loss": Reports(
        np.array([0, 0, 1, 99]),
        np.array([1.0, 2.0, 1.0, 1.0]),
        np.array([0.9, 0.5, 0.8, 0.7]),
        np.array([START, START + 1, START + 2, START + 3]),
    ),
    "accuracy": Reports(np.array([5]), np.array([0.5]), np.array([0.25]), np.array([START + 3.5])),
}

CSV = (
    "number,state,attempts,worker,started,finished,duration,spent,"
    "params.lr,params.optim,params.momentum,params.layers,params.nesterov,params.shape,"
    "values.accuracy,values.loss,error\n"
    "0,complete,1,0,2026-01-01T00:00:00.000000Z,2026-01-01T00:00:01.500000Z,1.5,1.5,"
    '0.1,sgd,,2,true,"[8, 4]",,0.30000000000000004,\n'
    "1,failed,3,12,2026-01-01T00:00:00.250000Z,2026-01-01T00:01:00.250001Z,60.000001,100.5,"
    '1e-05,"a,""b""\nü",0.5,3,false,null,,,'
    '"Traceback:\n  File ""train.py"", line 3\nValueError: no, ""really"""\n'
    "4,running,1,3,2026-01-01T00:00:02.000000Z,,,0.0,1,adam,,1,true,[],,,\n"
    "5,complete,1,3,2026-01-01T00:00:03.000000Z,2026-01-01T00:00:04.000000Z,1.0,1.0,"
    "0.2,adam,,1,true,[1],0.9,-1.0,\n"
)


def test_csv(tmp_path: Path) -> None:
    path = export(RECORDS, "csv", tmp_path / "trials.csv")
    assert path == tmp_path / "trials.csv"
    assert path.read_bytes().decode() == CSV == csv_text(RECORDS)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["error"] for row in rows] == ["", RECORDS[1].error, "", ""]
    assert float(rows[0]["values.loss"]) == 0.1 + 0.2
    assert os.listdir(tmp_path) == ["trials.csv"]


def test_gpu_hours_are_a_column_where_they_are_known() -> None:
    lines = csv_text(RECORDS, {0: 0.25, 5: 1.5}).splitlines()
    assert lines[0].startswith(
        "number,state,attempts,worker,started,finished,duration,spent,gpu_hours,params.lr"
    )
    rows = list(csv.DictReader(csv_text(RECORDS, {0: 0.25, 5: 1.5}).splitlines(keepends=True)))
    assert [row["gpu_hours"] for row in rows] == ["0.25", "", "", "1.5"]


def test_pandas_reads_the_csv(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(
        export(RECORDS, "csv", tmp_path / "t.csv"),
        parse_dates=["started", "finished"],
        float_precision="round_trip",
    )
    assert frame["params.nesterov"].tolist() == [True, False, True, True]
    assert frame["started"][0] == pandas.Timestamp("2026-01-01", tz="UTC")
    assert (frame["finished"] - frame["started"]).dt.total_seconds().tolist()[:2] == [1.5, 60.000001]
    assert frame["values.loss"].tolist()[0] == 0.1 + 0.2


@pytest.mark.parametrize("to", ["csv", "parquet", "sqlite"])
def test_no_trials_make_an_empty_table(tmp_path: Path, to: str) -> None:
    if to == "parquet":
        pytest.importorskip("pyarrow")
    path = export([], to, tmp_path / "empty")
    columns = ["number", "state", "attempts", "worker", "started", "finished", "duration", "spent", "error"]
    if to == "csv":
        assert path.read_text() == ",".join(columns) + "\n"
    elif to == "parquet":
        from pyarrow import parquet

        assert (parquet.read_table(path).column_names, parquet.read_table(path).num_rows) == (columns, 0)
    else:
        assert rows(path, "SELECT count(*) FROM trials") == [(0,)]


def test_parquet(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = parquet.read_table(export(RECORDS, "parquet", tmp_path / "trials.parquet"))
    assert ",".join(table.column_names) == CSV.partition("\n")[0]
    time = arrow.timestamp("us", tz="UTC")
    assert [str(field.type) for field in table.schema] == [
        *("int64", "string", "int64", "int64", str(time), str(time), "double", "double"),
        *("double", "string", "double", "int64", "bool", "string"),
        *("double", "double", "string"),
    ]
    assert table["number"].to_pylist() == [0, 1, 4, 5]
    assert table["duration"].to_pylist() == [1.5, 60.000001, None, 1.0]
    assert table["spent"].to_pylist() == [1.5, 100.5, 0.0, 1.0]
    midnight = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    assert table["finished"].to_pylist()[:3] == [
        midnight + datetime.timedelta(seconds=1.5),
        midnight + datetime.timedelta(seconds=60, microseconds=250001),
        None,
    ]
    assert table["params.lr"].to_pylist() == [0.1, 1e-05, 1.0, 0.2]
    assert table["params.momentum"].to_pylist() == [None, 0.5, None, None]
    assert table["params.nesterov"].to_pylist() == [True, False, True, True]
    assert table["params.shape"].to_pylist() == ["[8, 4]", "null", "[]", "[1]"]
    assert table["values.loss"].to_pylist() == [0.30000000000000004, None, None, -1.0]
    assert table["error"].to_pylist() == [None, RECORDS[1].error, None, None]
    assert os.listdir(tmp_path) == ["trials.parquet"]


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([1, 2], "int64", [1, 2]),
        ([1, 0.5], "double", [1.0, 0.5]),
        ([1, True], "string", ["1", "true"]),
        ([1, None], "string", ["1", "null"]),
        (["a", 1], "string", ['"a"', "1"]),
        ([2**70, 1], "string", [str(2**70), "1"]),
        ([2**60, 0.5], "string", [str(2**60), "0.5"]),
    ],
)
def test_parquet_types(tmp_path: Path, values: list[Any], kind: str, expected: list[Any]) -> None:
    pytest.importorskip("pyarrow")
    from pyarrow import parquet

    records = [record(n, {"p": value}) for n, value in enumerate(values)]
    column = parquet.read_table(export(records, "parquet", tmp_path / "t"))["params.p"]
    assert (str(column.type), column.to_pylist()) == (kind, expected)


def test_sqlite(tmp_path: Path) -> None:
    path = export(RECORDS, "sqlite", tmp_path / "a b?#%.db", reports=REPORTS)
    assert os.listdir(tmp_path) == ["a b?#%.db"]
    assert rows(path, "SELECT * FROM trials ORDER BY number") == [
        (0, "complete", 0, 1, "2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:01.500000Z", 1.5, 1.5, None),
        (
            *(1, "failed", 12, 3, "2026-01-01T00:00:00.250000Z", "2026-01-01T00:01:00.250001Z", 60.000001),
            *(100.5, RECORDS[1].error),
        ),
        (4, "running", 3, 1, "2026-01-01T00:00:02.000000Z", None, None, 0.0, None),
        (5, "complete", 3, 1, "2026-01-01T00:00:03.000000Z", "2026-01-01T00:00:04.000000Z", 1.0, 1.0, None),
    ]
    params: dict[int, dict[str, Any]] = {}
    for number, name, value in rows(path, "SELECT number, name, value FROM params"):
        params.setdefault(number, {})[name] = json.loads(value)
    assert params == {record.number: record.params for record in RECORDS}
    assert rows(path, "SELECT value FROM params WHERE number = 4 AND name = 'lr'") == [("1",)]
    assert rows(path, 'SELECT number, metric, value FROM "values" ORDER BY number, metric') == [
        (0, "loss", 0.30000000000000004),
        (5, "accuracy", 0.9),
        (5, "loss", -1.0),
    ]
    # Trial 99 was not exported, so neither are its reports.
    assert rows(
        path, "SELECT number, metric, step, value, time FROM reports ORDER BY number, metric, step"
    ) == [
        (0, "loss", 1.0, 0.9, "2026-01-01T00:00:00.000000Z"),
        (0, "loss", 2.0, 0.5, "2026-01-01T00:00:01.000000Z"),
        (1, "loss", 1.0, 0.8, "2026-01-01T00:00:02.000000Z"),
        (5, "accuracy", 0.5, 0.25, "2026-01-01T00:00:03.500000Z"),
    ]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    assert rows(path, "PRAGMA foreign_key_check") == []
    seconds = "SELECT CAST(strftime('%s', started) AS INTEGER) FROM trials WHERE number = 0"
    assert rows(path, seconds) == [(int(START),)]


def test_sqlite_has_no_reports_table_unless_asked(tmp_path: Path) -> None:
    path = export(RECORDS, "sqlite", tmp_path / "t.db")
    tables = rows(path, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    assert tables == [("params",), ("trials",), ("values",)]


def test_columns_follow_the_definition_order() -> None:
    """A conditional parameter first met later still stands where its rows have it."""
    records = [
        record(0, {"a": 1, "d": 4}),
        record(1, {"a": 1, "b": 2, "c": 3, "d": 4}),
        record(2, {"z": 0, "a": 1}),
    ]
    header = csv_text(records).splitlines()[0]
    assert header.split(",")[8:-2] == ["params.z", "params.a", "params.b", "params.c", "params.d"]


def test_a_record_without_its_start(tmp_path: Path) -> None:
    lost = TrialRecord(0, "waiting", {}, {}, 1, -1, float("nan"), None, "its worker died")
    assert csv_text([lost]).splitlines()[1] == "0,waiting,1,-1,,,,0.0,its worker died"
    assert rows(export([lost], "sqlite", tmp_path / "t"), "SELECT started FROM trials") == [(None,)]


@pytest.mark.parametrize("to", ["csv", "parquet", "sqlite"])
def test_an_existing_file_is_kept(tmp_path: Path, to: str) -> None:
    if to == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / "t"
    path.write_text("precious")
    with pytest.raises(InputError) as caught:
        export(RECORDS, to, path)
    assert str(caught.value) == f"{path} exists; choose another path, or replace it (--force, overwrite=True)"
    assert path.read_text() == "precious"
    before = path.stat().st_ino
    export(RECORDS, to, path, overwrite=True)
    assert path.stat().st_ino != before and path.read_bytes() != b"precious"
    assert os.listdir(tmp_path) == ["t"]


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv"
    monkeypatch.setattr("os.fsync", lambda fd: path.write_text("precious"))
    with pytest.raises(InputError, match="exists"):
        export(RECORDS, "csv", path)
    assert (os.listdir(tmp_path), path.read_text()) == (["t.csv"], "precious")


def test_a_dangling_link_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="exists"):
        export(RECORDS, "csv", path)
    assert path.is_symlink()


@pytest.mark.parametrize(
    ("to", "name", "message"),
    [
        (
            *("optuna", "t"),
            "to: a study for Optuna is more than its trials; write it with `taut export --to optuna`, or taut.integrations.optuna.export_study",
        ),
        (
            *("sqlit", "t"),
            "to: 'sqlit' is not a format of export; use csv, parquet or sqlite; did you mean 'sqlite'?",
        ),
        ("xls", "t", "to: 'xls' is not a format of export; use csv, parquet or sqlite"),
        ("csv", "no/t", "{}/no is not a directory; make it first, or choose another path"),
        ("csv", ".", "{0} is a directory; give the name of a file, such as {0}/trials.csv"),
    ],
)
def test_wrong_input(tmp_path: Path, to: str, name: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        export(RECORDS, to, tmp_path / name)
    assert str(caught.value) == message.format(tmp_path)
    assert os.listdir(tmp_path) == []


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError) as caught:
        export(RECORDS, "parquet", tmp_path / "t")
    assert str(caught.value) == (
        "to: parquet needs pyarrow, which is not installed: pip install pyarrow, or use csv or sqlite"
    )
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("to", ["csv", "parquet", "sqlite"])
def test_a_write_that_fails_leaves_nothing(tmp_path: Path, to: str) -> None:
    """A limit on the size of files stands for a full disk."""
    if to == "parquet":
        pytest.importorskip("pyarrow")
    script = """
import resource, signal, sys
from pathlib import Path
from test_export import record
from taut.errors import StudyError
from taut.export import export
if sys.argv[1] == "parquet":
    import pyarrow.parquet
records = [record(n, {"lr": n / 7, "name": f"{n * 7919 % 10007}"}) for n in range(5000)]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
try:
    export(records, sys.argv[1], Path(sys.argv[2]), overwrite=True)
except StudyError as error:
    print(error)
"""
    tests, source = Path(__file__).parent, Path(sys.modules["taut"].__file__ or "").parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{tests}", "PYTHONDONTWRITEBYTECODE": "1"}
    (tmp_path / "t").write_text("precious")
    for name in ("t", "new"):
        command = [sys.executable, "-c", script, to, str(tmp_path / name)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.startswith(f"{tmp_path / name} cannot be written: "), done
        assert os.listdir(tmp_path) == ["t"]
    assert (tmp_path / "t").read_text() == "precious"


def test_a_folder_that_cannot_be_written() -> None:
    if not Path("/proc/self").is_dir():
        pytest.skip("needs /proc, where nobody can make a file")
    with pytest.raises(
        StudyError, match=r"^/proc/t\.csv cannot be written: .+; choose another path, or make room$"
    ):
        export(RECORDS, "csv", Path("/proc/t.csv"))


def test_the_file_is_as_readable_as_any(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        for to in ("csv", "sqlite"):
            assert export(RECORDS, to, tmp_path / to).stat().st_mode & 0o777 == 0o644
    finally:
        os.umask(before)


def record(number: int, params: dict[str, Any]) -> TrialRecord:
    return TrialRecord(number, "complete", params, {"loss": float(number)}, 1, 0, START, START + 1)


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    base = sqlite3.connect(path)
    try:
        return base.execute(query).fetchall()
    finally:
        base.close()
