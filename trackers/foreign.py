"""Settings in the words of other projects: BoxMOT's files of trackers, and keys of SORT, OC-SORT and ultralytics.

A BoxMOT file has no tracker_type, its name says which; each of its values is a mapping with a type, a default and a
range. A file for a tracker that only they have is read for the nearest one here, if that has settings of its meaning.
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

# The nearest tracker here to one that only other projects have.
NEAREST = {
    "boosttrack": "streamsort",
    "deepocsort": "ocsort",
    "deepsort": "botsort",
    "fasttrack": "bytetrack",
    "hybridsort": "ocsort",
    "imprassoc": "botsort",
    "occluboost": "streamsort",
    "sfsort": "bytetrack",
    "strongsort": "botsort",
    "tracktrack": "botsort",
}
# Those of them whose files are read, and their keys that have no meaning, or another one, for the nearest tracker.
_OTHERS = {
    "deepocsort": frozenset(
        [
            "alpha_fixed_emb",
            "appearance_thresh",
            "aw_off",
            "aw_param",
            "cmc_off",
            "embedding_off",
            "gmc_method",
            "model",
            "proximity_thresh",
            "w_association_emb",
            "with_reid",
        ]
    ),
    "fasttrack": frozenset(
        [
            "active_occ_to_lost_thresh",
            "dampen_motion_occ",
            "enlarge_bbox_occ",
            "init_iou_suppress",
            "occ_cover_thresh",
            "occ_reappear_window",
            "reset_pos_offset_occ",
            "reset_velocity_offset_occ",
        ]
    ),
    "tracktrack": frozenset(
        [
            "angle_weight",
            "conf_weight",
            "iou_weight",
            "lost_match_thr",
            "match_thresh",  # of a weighted sum of costs
            "min_track_len",
            "penalty_p",
            "penalty_q",
            "reduce_step",
            "reid_weight",
            "tai_thr",
        ]
    ),
}


def translated(
    options: Mapping[str, Any], name: str, settings: Mapping[str, Collection[str]]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return `options`, those in the file called `name`, in our words, and sentences that say what was not taken over.

    `settings` are the keys of each kind of tracker. A key that is known neither here nor there stays as it is.
    """
    values = {key: _default(value) for key, value in options.items()}
    if "tracker_type" not in values and any(value is not options[key] for key, value in values.items()):
        values["tracker_type"] = name
    notes: list[str] = []
    stated, foreign = values.get("tracker_type"), frozenset[str]()
    if isinstance(stated, str) and stated in _OTHERS:
        foreign, values["tracker_type"] = _OTHERS[stated], NEAREST[stated]
        notes.append(f"{stated} is not known here, and its settings are taken for {NEAREST[stated]}, the nearest one")
    kind = values.get("tracker_type")
    own = settings.get(kind, ()) if isinstance(kind, str) else ()
    ours: dict[str, Any] = {}
    left_out: list[str] = []
    for key, value in values.items():
        other, meant = (key, value) if key in own else _renamed(key, value)
        if key not in foreign and other in own and (other == key or other not in values):
            ours[other] = meant
        elif key in foreign or (own and (key in _UNUSED or other in own or other in _UNUSED)):
            left_out.append(key)
        else:
            ours[key] = value
    if left_out:
        are, have = ("is", "it has") if len(left_out) == 1 else ("are", "they have")
        notes.append(f"{', '.join(left_out)} {are} left out: {have} no meaning for {kind} here")
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
