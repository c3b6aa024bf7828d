"""The file of ``streamdet track --explain``: JSON lines, a header first and then one object per frame.

Frames count from 0 in decode order, times are presentation times in s, boxes are x1, y1, x2, y2 in px of the image.
Every track has a serial number from birth, and an id once it is confirmed; serials and ids are never used again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from pydantic import TypeAdapter, ValidationError

from streamdet.errors import InputError
from streamdet.result import Result
from streamdet.sinks.sink import TrackSink

if TYPE_CHECKING:
    from trackers.association import Association
    from trackers.decisions import Decisions

Box = tuple[float, float, float, float]
Outcome = Literal["chosen", "over", "rival"]


@dataclass(frozen=True, slots=True)
class Header:
    """The first line: the format's version, the `source` as the user wrote it, the `tracker`'s kind and its `settings`.

    `rate_hz` is the frame rate that the tracker was created with.
    """

    streamdet_explain: Literal[1] = field(default=1, kw_only=True)
    source: str
    tracker: str
    rate_hz: float
    settings: dict[str, bool | int | float]


class DetectionRow(NamedTuple):
    """A detection; pairs and births refer to it by its index in the list of the frame, its row."""

    box: Box
    score: float
    class_name: str


class TrackRow(NamedTuple):
    """A track that existed before the frame: `id` is null while it is tentative, `box` is the predicted one.

    `unseen_s` is the time since its last detection, 0 when a detection of this frame was chosen for it.
    """

    serial: int
    id: int | None
    box: Box
    unseen_s: float


class PairRow(NamedTuple):
    """A track and a detection that a stage compared.

    `overlap` is the IoU, of widened boxes where a tracker widens them. The `outcome` is ``chosen``; ``over``: the cost
    was not below the limit; or ``rival``: it was, but the track or the detection was chosen in another pair.
    """

    serial: int
    detection: int
    overlap: float
    cost: float
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class AssociationRecord:
    """One association stage, over what the stages before it left unmatched; chosen pairs cost less than `limit`."""

    name: str
    limit: float
    pairs: list[PairRow]


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One frame: its detections, the tracks from before it, and the decisions of the tracker.

    `begun` lists serials of new tracks with the row of their detection, `confirmed` serials with the id that each was
    given, `ended` serials of tracks that were given up, `same` pairs of ids that the frame shows to be one object,
    `swapped` those that it shows to be exchanged, with the time in s since when.
    """

    frame: int
    time_s: float
    detections: list[DetectionRow]
    tracks: list[TrackRow]
    stages: list[AssociationRecord]
    begun: list[tuple[int, int]]
    confirmed: list[tuple[int, int]]
    ended: list[int]
    same: list[tuple[int, int]] = field(default_factory=list)
    swapped: list[tuple[int, int, float]] = field(default_factory=list)


class ExplainSink(TrackSink):
    """Writes the file, a frame at a time; the results must carry decisions.

    Raises InputError unless `path` ends in .jsonl and can be written.
    """

    content = "the explanation"

    def __init__(self, path: Path, header: Header) -> None:
        if path.suffix.lower() != ".jsonl":
            raise InputError(f"{self.content} is written as .jsonl, not {path.suffix or 'without an ending'}: {path}")
        super().__init__(path)
        self._run = header

    def _head(self) -> str:
        return to_line(self._run)

    def _rows(self, result: Result) -> str:
        return to_line(frame_record(result, self._run.rate_hz))


def frame_record(result: Result, rate_hz: float) -> FrameRecord:
    """Return the record of a frame that was tracked at `rate_hz`; raises ValueError for a result without decisions."""
    if result.decisions is None:
        raise ValueError("expected a result with decisions, found one of a tracker that does not explain")
    decisions, found, amendments = result.decisions, result.detections, result.tracks.amendments
    names = [result.class_names[class_id] for class_id in found.class_ids.tolist()]
    ids = [track_id or None for track_id in decisions.ids.tolist()]
    unseen = decisions.unseen.copy()
    for association in decisions.associations:
        unseen[association.pairs.rows[association.chosen]] = 0
    return FrameRecord(
        frame=result.frame.index,
        time_s=round(float(result.frame.time), 4),
        detections=[*map(DetectionRow, _rounded(found.boxes, 1), _rounded(found.scores, 3), names)],
        tracks=[
            *map(TrackRow, decisions.serials.tolist(), ids, _rounded(decisions.boxes, 1), _rounded(unseen / rate_hz, 3))
        ],
        stages=[_association(association, decisions) for association in decisions.associations],
        begun=decisions.begun.tolist(),
        confirmed=decisions.confirmed.tolist(),
        ended=decisions.ended.tolist(),
        same=[amendment.ids for amendment in amendments if amendment.since_s is None],
        swapped=[(*amendment.ids, amendment.since_s) for amendment in amendments if amendment.since_s is not None],
    )


def to_line(record: Header | FrameRecord) -> str:
    """Return `record` as one line of JSON."""
    return json.dumps(_fields(record), ensure_ascii=False, separators=(",", ":"), default=_fields) + "\n"


def _association(stage: Association, decisions: Decisions) -> AssociationRecord:
    outcomes = np.where(stage.chosen, "chosen", np.where(stage.cost < stage.limit, "rival", "over"))
    serials, rows = decisions.serials[stage.pairs.rows], stage.pairs.columns
    columns = serials.tolist(), rows.tolist(), _rounded(stage.pairs.iou, 3), _rounded(stage.cost, 4), outcomes.tolist()
    return AssociationRecord(stage.name, round(stage.limit, 4), [*map(PairRow, *columns)])


def _rounded(values: Any, digits: int) -> list[Any]:
    # As float64: a rounded float32 would be written with all the digits of its nearest float64.
    rounded: list[Any] = np.round(np.asarray(values, np.float64), digits).tolist()
    return rounded


def _fields(record: Any) -> dict[str, Any]:
    # Not `dataclasses.asdict`, which copies every row.
    return {item.name: getattr(record, item.name) for item in fields(record)}


_HEADER, _FRAME = TypeAdapter(Header), TypeAdapter(FrameRecord)


class ExplainFile:
    """Reads the file, as often as needed and a frame at a time, also when the run was cut off in the middle of a line.

    `header` is the first line. Raises InputError when the file cannot be read or is of another kind.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warning: str | None = None
        """Why the rest of the file was left out, known once the frames were read; None for a file that is whole."""
        try:
            with path.open("rb") as file:
                first = file.readline()
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from None
        try:
            self.header = _HEADER.validate_json(first)
        except ValidationError:
            raise InputError(
                f"expected a file that streamdet track --explain wrote, found {_shown(first)} in {path}"
            ) from None

    def frames(self) -> Iterator[FrameRecord]:
        """Yield the frames up to the first line that is broken or incomplete, and set `warning` there."""
        with self.path.open("rb") as file:
            file.readline()
            for number, line in enumerate(file, 2):
                record = _parsed(line)
                if record is None:
                    what = "was not written to its end" if not line.endswith(b"\n") else "is broken"
                    self.warning = f"line {number} of {self.path} {what}: told is what the lines before it hold"
                    return
                yield record


def _parsed(line: bytes) -> FrameRecord | None:
    """Return the frame in `line`, None for a line that is no consistent frame."""
    try:
        record = _FRAME.validate_json(line)
    except ValidationError:
        return None
    return record if _consistent(record) else None


def _consistent(record: FrameRecord) -> bool:
    """Return whether all tracks and detections that are referred to are in the record."""
    pairs = [pair for stage in record.stages for pair in stage.pairs]
    rows = {pair.detection for pair in pairs} | {row for _, row in record.begun}
    known, begun = {track.serial for track in record.tracks}, {serial for serial, _ in record.begun}
    before = {pair.serial for pair in pairs} | set(record.ended)
    named = {serial for serial, _ in record.confirmed}
    return rows <= set(range(len(record.detections))) and before <= known and named <= known | begun


def _shown(line: bytes) -> str:
    return repr(line[:40].decode("utf-8", "replace").strip()) if line.strip() else "an empty line"
