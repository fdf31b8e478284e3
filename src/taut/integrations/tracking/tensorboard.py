"""Trials as runs of TensorBoard: a directory for each, with its curves and, for the HParams page, its parameters."""

from __future__ import annotations

import io
import os
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from tensorboard.summary.writer.record_writer import RecordWriter

from taut.errors import InputError
from taut.integrations.tracking.runs import Point, Run, Tracker

__all__ = ["TensorBoard"]


class TensorBoard(Tracker):
    """A log directory for ``tensorboard --logdir``; `place` is made if need be.

    What is written of a run follows from the study alone. So a file that is there either begins what is to stand in it, and the
    rest is appended, which a TensorBoard that looks on takes in; or it is replaced.
    """

    def __init__(self, place: str | None, study: str) -> None:
        super().__init__(place, study)
        self._root = Path(place or f"{study}.tensorboard")
        if self._root.exists() and not self._root.is_dir():
            raise InputError(f"{self._root} is a file; give a directory, for tensorboard --logdir")

    def write(self, run: Run) -> bool:
        folder = self._root / str(run.trial.number)
        file = folder / f"events.out.tfevents.{int(run.trial.started)}.{run.key}"
        wanted = _records(run)
        there = file.read_bytes() if file.exists() else b""
        if there == wanted:
            return False
        if there and wanted.startswith(there):
            with file.open("ab") as stream:
                stream.write(wanted[len(there) :])
            return True
        folder.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".{file.name}.part")
        draft.write_bytes(wanted)
        os.replace(draft, file)
        for other in folder.glob(f"events.out.tfevents.*.{run.key}"):  # of an attempt that came to nothing
            if other != file:
                other.unlink()
        return True


def _records(run: Run) -> bytes:
    """The event file of a run: its parameters, its curves, and how it ended."""
    stream = io.BytesIO()
    writer = RecordWriter(stream)

    def add(event: Event) -> None:
        writer.write(event.SerializeToString(deterministic=True))

    begun = run.trial.started
    add(Event(wall_time=begun, file_version="brain.Event:2"))
    start = SessionStartInfo(group_name=run.name, start_time_secs=begun)
    for name, value in run.params.items():
        if isinstance(value, bool):
            start.hparams[name].bool_value = value
        elif isinstance(value, str):
            start.hparams[name].string_value = value
        else:
            start.hparams[name].number_value = value
    add(_session(begun, metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start)))
    for point in run.points:
        add(_scalars(point))
    if run.result is not None:
        add(_scalars(run.result))
    if run.ended:
        status = Status.Value("STATUS_FAILURE" if run.trial.state == "failed" else "STATUS_SUCCESS")
        ended = run.trial.finished or begun
        end = SessionEndInfo(status=status, end_time_secs=ended)
        add(_session(ended, metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end)))
    return stream.getvalue()


def _session(time: float, tag: str, content: HParamsPluginData) -> Event:
    """What the HParams page reads of a run. TensorBoard's own functions for this want TensorFlow."""
    content.version = metadata.PLUGIN_DATA_VERSION
    told = SummaryMetadata.PluginData(
        plugin_name=metadata.PLUGIN_NAME, content=content.SerializeToString(deterministic=True)
    )
    value = Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=told), tensor=metadata.NULL_TENSOR)
    return Event(wall_time=time, summary=Summary(value=[value]))


def _scalars(point: Point) -> Event:
    values = [Summary.Value(tag=name, simple_value=value) for name, value in point.values.items()]
    return Event(wall_time=point.time, step=point.place, summary=Summary(value=values))
