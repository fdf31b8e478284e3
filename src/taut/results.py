"""How a command's numbers come back: what it reported, printed, or left in files.

Everything is read as *rows*: values of metrics, with the step that they belong to if there is one.
The report file and stdout are read while the command runs (`Collector.news`), files when it has
ended (`Collector.finish`). A metric's value is the last one seen; where several sources name the same
metric the more deliberate one counts: `$TAUT_REPORT`, then json, csv, stdout, tensorboard.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from taut.errors import InputError, nearest
from taut.resultfiles import has_tensorboard, read_csv, read_json, read_tensorboard
from taut.resultlines import Row, hf_rows, pattern_rows, report_rows

if TYPE_CHECKING:
    from taut.definition import Results

__all__ = ["Collector", "Sources", "Tail"]

LineParser = Callable[[str], Iterable[Row]]
_LONGEST_LINE = 1 << 20
_CHUNK = 1 << 20


class Tail:
    """Reads the lines that a file has gained since the last look; it need not exist yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""

    def lines(self, final: bool = False) -> Iterator[str]:
        """New complete lines. A torn last line is left for later unless this is the `final` look.

        Progress bars end their lines with a carriage return; it counts as an end of line too.
        """
        try:
            size = os.stat(self._path).st_size
        except OSError:
            size = 0
        if size < self._offset:  # the command began its file anew
            self._offset, self._rest = 0, b""
        if size > self._offset and (file := self._open()):
            with file:
                file.seek(self._offset)
                while chunk := file.read(_CHUNK):
                    self._offset += len(chunk)
                    *lines, self._rest = (self._rest + chunk).replace(b"\r", b"\n").split(b"\n")
                    if len(self._rest) > _LONGEST_LINE:  # no report; do not gather it for ever
                        self._rest = b""
                    yield from (line.decode(errors="replace") for line in lines if line.strip())
        if final and self._rest.strip():
            rest, self._rest = self._rest, b""
            yield rest.decode(errors="replace")

    def _open(self) -> BinaryIO | None:
        """The file, unless the trial has made something of it that cannot be read: then it holds no lines."""
        try:
            return open(self._path, "rb")
        except OSError:
            return None


class Sources:
    """The `[results]` table, checked once and used for each attempt.

    Raises `InputError` for a regular expression that is invalid or has no named group, and for
    tensorboard without its reader.
    """

    def __init__(self, results: Results) -> None:
        self.results = results
        self.stdout: LineParser | None = None
        if results.stdout == "hf":
            self.stdout = hf_rows
        elif results.stdout is not None:
            self.stdout = pattern_rows(results.stdout)
        if results.tensorboard is not None and not has_tensorboard():
            raise InputError(
                "the reader of TensorBoard's files is not installed: pip install tensorboard, "
                "or let the script report its numbers (taut.report, json, csv or stdout)",
                ("results", "tensorboard"),
            )

    def collect(self, directory: Path, report: Path, stdout: Path) -> Collector:
        """A collector for one attempt that is about to start in `directory`."""
        return Collector(self, directory, report, stdout)


class Collector:
    """What one attempt has told so far."""

    def __init__(self, sources: Sources, directory: Path, report: Path, stdout: Path) -> None:
        results = sources.results
        self._results = results
        self._lines: dict[str, tuple[Tail, LineParser]] = {}
        if sources.stdout is not None:
            self._lines["stdout"] = (Tail(stdout), sources.stdout)
        self._lines["$TAUT_REPORT"] = (Tail(report), report_rows)
        self._files: dict[str, tuple[Path, Callable[[Path], list[Row]]]] = {}
        if results.tensorboard is not None:
            self._files["tensorboard"] = (directory / results.tensorboard, read_tensorboard)
        if results.csv is not None:
            self._files["csv"] = (directory / results.csv, read_csv)
        if results.json is not None:
            self._files["json"] = (directory / results.json, read_json)
        # A file that an earlier attempt left behind is no result of this one.
        self._before = {path: _fingerprint(path) for path, _ in self._files.values()}
        self._last: dict[str, dict[str, float]] = {}
        self._odd: dict[str, str] = {}
        self._problems: list[str] = []

    def news(self, final: bool = False) -> list[Row]:
        """Rows with a step that the report file and stdout gained since the last call."""
        found: list[Row] = []
        for source, (tail, parse) in self._lines.items():
            for line in tail.lines(final):
                try:
                    rows = list(parse(line))
                except ValueError as error:
                    self._problems.append(f"{source}: {error}")
                    continue
                found += self._keep(source, rows)
        return found

    def finish(self) -> list[Row]:
        """Rows with a step found after the command's end, from every source."""
        found = self.news(final=True)
        for source, (path, read) in self._files.items():
            name = getattr(self._results, source)
            now = _fingerprint(path)
            if now is None:
                self._problems.append(f"{source}: {name} was not written")
            elif now == self._before[path]:
                self._problems.append(f"{source}: {name} is from an earlier attempt")
            else:
                try:
                    found += self._keep(source, read(path))
                except (ValueError, OSError) as error:
                    self._problems.append(f"{source}: {name}: {error}")
        if "stdout" in self._lines and "stdout" not in self._last:
            self._problems.append(f"stdout: no line matched '{self._results.stdout}'")
        return found

    @property
    def values(self) -> dict[str, float]:
        """The last value of each metric."""
        merged: dict[str, float] = {}
        for source in ("tensorboard", "stdout", "csv", "json", "$TAUT_REPORT"):
            merged.update(self._last.get(source, {}))
        return merged

    def missing(self, metric: str) -> str:
        """Why there is no value of `metric`, and how one could come back."""
        if metric in self._odd:
            text = f"{metric} was reported as {self._odd[metric]!r}, which is not a number"
        elif names := sorted(self.values):
            shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
            text = f"{metric} was not reported; found {shown}{nearest(metric, names)}"
        else:
            text = f"{metric} was not reported, and no other metric was"
        text += (
            f"{'' if text.endswith('?') else '.'} Report it with taut.report({metric}=...), as a JSON line "
            "in the file $TAUT_REPORT, "
            "or say in [results] where it stands (stdout, json, csv)"
        )
        for problem in dict.fromkeys(self._problems[:5]):
            text += f"\n{problem}"
        return text

    def _keep(self, source: str, rows: Iterable[Row]) -> list[Row]:
        last = self._last.setdefault(source, {})
        stepped: list[Row] = []
        for row in rows:
            last.update(row.values)
            self._odd.update(row.odd)
            if row.step is not None and row.values:
                stepped.append(row)
        if not last:
            del self._last[source]
        return stepped


def _fingerprint(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is written; for a directory, when one of its files is."""
    try:
        status = path.stat()
    except OSError:
        return None
    mark = (status.st_ino, status.st_mtime_ns, status.st_size)
    if not path.is_dir():
        return mark
    inner = [_fingerprint(Path(entry.path)) for entry in sorted(os.scandir(path), key=lambda e: e.name)]
    return (*mark, *(number for part in inner if part is not None for number in part))
