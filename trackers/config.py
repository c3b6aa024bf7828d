"""Trackers by name, with settings from a mapping or a YAML file."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from trackers.botsort import BotSort, BotSortConfig
from trackers.bytetrack import ByteTrack, ByteTrackConfig
from trackers.foreign import NEAREST, translated
from trackers.ocsort import OcSort, OcSortConfig
from trackers.sort import Sort, SortConfig
from trackers.streamsort import StreamSort, StreamSortConfig
from trackers.tracker import Tracker
from trackers.types import Config

TRACKERS: dict[str, tuple[Any, type[Config]]] = {
    "streamsort": (StreamSort, StreamSortConfig),
    "botsort": (BotSort, BotSortConfig),
    "bytetrack": (ByteTrack, ByteTrackConfig),
    "ocsort": (OcSort, OcSortConfig),
    "sort": (Sort, SortConfig),
}
DEFAULT_TRACKER = "streamsort"
# Settings that concern the image: accepted here, applied by the caller. A tracker that is not listed takes none.
IMAGE_KEYS = dict.fromkeys(("streamsort", "botsort"), ("gmc_method", "with_reid", "model"))
MAX_SHOWN = 80  # characters of a value in an error message
TRACK_BUFFER_RATE_HZ = 30  # ultralytics' track_buffer counts frames at this rate


@dataclass(frozen=True, slots=True)
class TrackerConfig:
    """A `kind` of tracker, which is a key of `TRACKERS`, its `settings`, and its options that concern the image.

    `notes` are a sentence for each key of the file that was left out.
    """

    kind: str
    settings: Config
    image_options: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    def build(self, frame_rate: float) -> Tracker:
        """Return a new tracker for a video of the nominal `frame_rate` in Hz."""
        tracker: Tracker = TRACKERS[self.kind][0](self.settings, frame_rate=frame_rate)
        return tracker


def read_config(name_or_path: str | Path) -> TrackerConfig:
    """Return the configuration that `name_or_path` names: a key of `TRACKERS` at its defaults, or a YAML file.

    The file has our keys, or those of ultralytics or BoxMOT (`trackers.foreign`). Raises ValueError, with the path in
    front, for a file that cannot be read and as `parse_config` does.
    """
    if str(name_or_path) in TRACKERS:
        return parse_config({"tracker_type": str(name_or_path)})
    path = Path(name_or_path)
    if not os.path.isfile(path):  # noqa: PTH113  # Path.is_file raises OSError for a name of 300 letters
        named = str(name_or_path)
        raise ValueError(f"expected a tracker's name or YAML file, found {shown(named)}{_instead(path.stem)}")
    try:
        options, notes = translated(_read(path), path.stem, {kind: _keys(kind) for kind in TRACKERS})
        return replace(parse_config(options), notes=tuple(f"{path}: {note}" for note in notes))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def parse_config(options: Mapping[str, Any]) -> TrackerConfig:
    """Return the configuration in `options`, a tracker file's keys and values, those of ultralytics' files included.

    Raises ValueError, naming the key, for an unknown tracker or key and for a value of another type or out of range.
    """
    kind = options.get("tracker_type")
    if not isinstance(kind, str) or kind not in TRACKERS:
        raise ValueError(f"tracker_type {shown(kind)} is not known{_instead(kind)}")
    settings = TRACKERS[kind][1]
    defaults = {item.name: item.default for item in fields(settings)}
    image_keys, known = IMAGE_KEYS.get(kind, ()), _keys(kind)
    for key in options:
        if key not in known:
            raise ValueError(f"{key} is not a setting of {kind}{closest(str(key), known)}")
    values = {key: checked(key, value, defaults[key]) for key, value in options.items() if key in defaults}
    if "track_buffer" in options:
        if "track_buffer_s" in options:
            raise ValueError("expected track_buffer_s (seconds) or track_buffer (frames at 30 Hz), found both")
        values["track_buffer_s"] = checked("track_buffer", options["track_buffer"], 0.0) / TRACK_BUFFER_RATE_HZ
    return TrackerConfig(kind, settings(**values), {key: options[key] for key in image_keys if key in options})


def _instead(kind: object) -> str:
    """Return the end of an error message: what to use for a `kind` of tracker that is not known."""
    if isinstance(kind, str) and kind in NEAREST:
        return f"; the nearest one here is {NEAREST[kind]!r}"
    return closest(shown(kind), TRACKERS)


def _keys(kind: str) -> list[str]:
    """Return the keys of a file for a tracker of this `kind`."""
    own = [item.name for item in fields(TRACKERS[kind][1])]
    return ["tracker_type", *["track_buffer"] * ("track_buffer_s" in own), *own, *IMAGE_KEYS.get(kind, ())]


def checked(key: str, value: Any, default: Any) -> Any:
    """Return `value` if it is a bool or a number as `default` is; raises ValueError, naming `key`, otherwise."""
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ValueError(f"{key} must be true or false, got {shown(value)}")
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{key} must be a number, got {shown(value)}")
    return value


def shown(value: object) -> str:
    """Return `value` for an error message: as `repr` writes it, cut before it is formatted, since it may be large."""
    short = reprlib.Repr()
    short.maxlevel, short.maxstring, short.maxother = 3, MAX_SHOWN, MAX_SHOWN
    return short.repr(value)[:MAX_SHOWN]


def closest(name: str, known: Mapping[str, object] | list[str]) -> str:
    """Return the end of an error message: ``; did you mean X?``, the known name nearest to `name`, or all of them."""
    near = get_close_matches(name[:MAX_SHOWN], known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(sorted(known))}"


def _read(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file; raises ValueError for a file that holds none."""
    from trackers.yaml_file import read_yaml  # imported here because only YAML files need PyYAML

    options = read_yaml(path)
    if not isinstance(options, dict):
        raise ValueError(f"expected settings of a tracker, a key and a value each, found {shown(options)}")
    return options
