"""What a track file says of its run: the source, the model and the options that its rows came from."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal

import streamdet
from streamdet.fields import Options, option_fields
from streamdet.files import EMBEDDED_MODEL
from streamdet.options import DetectOptions, ModelOptions, SourceOptions, TrackerOptions
from streamdet.result import Result
from streamdet.types import VideoInfo

_RECORDED = (ModelOptions, SourceOptions, DetectOptions, TrackerOptions)  # what decides which tracks come out


@dataclass(frozen=True, slots=True)
class TracksHeader:
    """The run behind a track file; None stands for what is unknown.

    - `streamdet_tracks` is the version of the format, `version` that of streamdet.
    - `source` is the name of the source without passwords, `width` and `height` are in px, `rate_hz` is the nominal
      frame rate, `frame_count` the declared number of frames.
    - `clock` says what the times of the rows are: presentation times, in s, of the source.
    - `received_at` is the time of day, in UTC, at which the first frame of a live source was received.
    - `model` is the file of the model as the user wrote it, or ``embedded``.
    - `class_names[class_id]` is the name of a class.
    - `options` are those that decide which tracks come out.
    """

    streamdet_tracks: Literal[1] = field(default=1, init=False)
    version: str = field(default=streamdet.__version__, init=False)
    source: str | None = None
    width: int | None = None
    height: int | None = None
    rate_hz: float | None = None
    frame_count: int | None = None
    live: bool | None = None
    clock: Literal["presentation"] = field(default="presentation", init=False)
    received_at: str | None = None
    model: str | None = None
    class_names: tuple[str, ...] | None = None
    options: dict[str, Any] | None = None

    @classmethod
    def from_source(cls, source_id: str, info: VideoInfo, options: Options) -> TracksHeader:
        """Return the header of a run with `options` over the source of that id and `info`, before its first result."""
        names = [name for part in _RECORDED if isinstance(options, part) for name in option_fields(part)]
        values = {name: getattr(options, name) for name in names}
        model = values.pop("model") or EMBEDDED_MODEL if "model" in values else None
        return cls(
            source=source_id,
            width=info.width,
            height=info.height,
            rate_hz=None if info.frame_rate is None else float(info.frame_rate),
            frame_count=info.frame_count,
            live=info.live,
            model="embedded" if model == EMBEDDED_MODEL else None if model is None else str(model),
            options=values,
        )

    def completed(self, first: Result) -> TracksHeader:
        """Return the header with what the `first` result of the run adds."""
        height, width = first.frame.image.shape[:2]
        return replace(
            self,
            source=self.source or first.frame.source_id,
            width=self.width or width,
            height=self.height or height,
            received_at=_time_of_day(first.frame.received_at) if self.live else None,
            class_names=tuple(first.class_names),
        )

    def to_json(self) -> str:
        """Return the header as one line of JSON, without the line end."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return json.dumps(values, ensure_ascii=False, default=str)


def _time_of_day(monotonic_s: float) -> str:
    """Return the time of day, ISO 8601 in UTC, at which ``time.monotonic()`` was `monotonic_s`."""
    age_s = time.monotonic() - monotonic_s
    return datetime.fromtimestamp(time.time() - age_s, UTC).isoformat(timespec="milliseconds")
