"""Settings in the words of other projects: BoxMOT's files of trackers, and keys of SORT, OC-SORT and ultralytics.

A BoxMOT file has no tracker_type, its name says which; each of its values is a mapping with a type, a default and a
range.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

FRAMES_HZ = 30  # the rate at which other projects count times in frames
# Our key of another project's, and what turns the value into ours.
_SAME: dict[str, str] = {
    "cmc_method": "gmc_method",
    "det_thresh": "track_high_thresh",
    "fuse_first_associate": "fuse_score",
    "inertia": "momentum_weight",
    "max_age": "track_buffer",
    "min_conf": "track_low_thresh",
    "track_thresh": "track_high_thresh",
    "use_byte": "weak_stage",
}
_LEAST_IOU = ("asso_threshold", "iou_thresh", "iou_threshold")  # 1 less the cost that match_thresh limits
_SPAN = "delta_t"  # in frames
_METHODS = {"sof": "sparseOptFlow"}
# Keys that some trackers of other projects have, and ours of the same name have no use for.
_UNUSED = frozenset(
    [
        "Q_s_scaling",
        "Q_xy_scaling",
        "asso_func",
        "frame_rate",
        "fuse_score",
        "max_obs",
        "new_track_thresh",
        "nr_classes",
        "per_class",
        "track_low_thresh",
    ]
)


def translated(
    options: Mapping[str, Any], name: str, settings: Mapping[str, Collection[str]]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return `options`, those in the file called `name`, in our words, and a sentence for each key that was left out.

    `settings` are the keys of each kind of tracker. A key that is known neither here nor there stays as it is.
    """
    values = {key: _default(value) for key, value in options.items()}
    if "tracker_type" not in values and any(value is not options[key] for key, value in values.items()):
        values["tracker_type"] = name
    kind = values.get("tracker_type")
    own = settings.get(kind, ()) if isinstance(kind, str) else ()
    ours: dict[str, Any] = {}
    notes: list[str] = []
    for key, value in values.items():
        other, meant = (key, value) if key in own else _renamed(key, value)
        if other in own and (other == key or other not in values):
            ours[other] = meant
        elif own and (key in _UNUSED or other in own or other in _UNUSED):
            notes.append(f"{key} is left out: it has no meaning for {kind} here")
        else:
            ours[key] = value
    return ours, tuple(notes)


def _default(value: Any) -> Any:
    return value["default"] if isinstance(value, Mapping) and "default" in value else value


def _renamed(key: str, value: Any) -> tuple[str, Any]:
    """Return the key and the value in our words, as they are if there are none."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if key in _LEAST_IOU and is_number:
        return "match_thresh", 1 - value
    if key == _SPAN and is_number:
        return "direction_s", value / FRAMES_HZ
    other = _SAME.get(key, key)
    return other, _METHODS.get(value, value) if other == "gmc_method" and isinstance(value, str) else value
