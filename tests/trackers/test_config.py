"""Trackers by name, with settings of their own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from trackers.botsort import BotSortConfig
from trackers.bytetrack import ByteTrack, ByteTrackConfig
from trackers.config import TRACKERS, parse_config, read_config
from trackers.ocsort import OcSortConfig
from trackers.types import Config


def test_a_buffer_in_frames_is_no_setting_of_a_tracker_without_a_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True, slots=True)
    class Bare(Config):
        """One setting."""

        reach: float = 0.5

    monkeypatch.setitem(TRACKERS, "bare", (ByteTrack, Bare))
    with pytest.raises(ValueError, match="track_buffer is not a setting of bare"):
        parse_config({"tracker_type": "bare", "track_buffer": 30})


def boxmot(path: Path, **values: Any) -> Path:
    """Write a file as BoxMOT has them: of each key its type, default and range."""
    rows = {key: {"type": "uniform", "default": value, "range": [value, value]} for key, value in values.items()}
    path.write_text(yaml.safe_dump(rows))
    return path


def test_a_file_of_boxmot_is_read_by_its_name(tmp_path: Path) -> None:
    path = boxmot(tmp_path / "bytetrack.yaml", min_conf=0.1, track_thresh=0.6, match_thresh=0.9, track_buffer=30)
    config = read_config(path)
    expected = ByteTrackConfig(track_low_thresh=0.1, track_high_thresh=0.6, match_thresh=0.9, track_buffer_s=1.0)
    assert (config.kind, config.settings, config.notes) == ("bytetrack", expected, ())


def test_keys_of_boxmot_are_told_when_they_mean_nothing_here(tmp_path: Path) -> None:
    values = {"det_thresh": 0.5, "max_age": 60, "min_hits": 2, "iou_thresh": 0.25, "delta_t": 6, "inertia": 0.1}
    path = boxmot(tmp_path / "ocsort.yaml", **values, use_byte=True, min_conf=0.2, asso_func="giou", Q_xy_scaling=0.01)
    config = read_config(path)
    assert config.settings == OcSortConfig(
        track_high_thresh=0.5,
        track_buffer_s=2.0,
        min_hits=2,
        match_thresh=0.75,
        direction_s=0.2,
        momentum_weight=0.1,
        weak_stage=True,
        track_low_thresh=0.2,
    )
    left_out = "Q_xy_scaling, asso_func are left out: they have no meaning for ocsort here"
    assert config.notes == (f"{path}: {left_out}",)


def test_camera_motion_of_boxmot_is_found_by_our_name(tmp_path: Path) -> None:
    config = read_config(boxmot(tmp_path / "botsort.yaml", cmc_method="sof", fuse_first_associate=False))
    assert config.image_options == {"gmc_method": "sparseOptFlow"}
    assert config.settings == BotSortConfig(fuse_score=False)


def test_keys_that_ultralytics_has_for_all_trackers_are_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("tracker_type: ocsort\ntrack_high_thresh: 0.3\nnew_track_thresh: 0.3\ntrack_buffer: 15\n")
    config = read_config(path)
    assert config.settings == OcSortConfig(track_high_thresh=0.3, track_buffer_s=0.5)
    assert config.notes == (f"{path}: new_track_thresh is left out: it has no meaning for ocsort here",)


def test_a_file_of_deepocsort_is_read_for_ocsort(tmp_path: Path) -> None:
    path = tmp_path / "deepocsort.yaml"
    path.write_text(
        "tracker_type: deepocsort\ntrack_high_thresh: 0.25\ntrack_low_thresh: 0.1\nnew_track_thresh: 0.25\n"
        "track_buffer: 30\nmatch_thresh: 0.8\nfuse_score: True\ndelta_t: 6\ninertia: 0.3\nuse_byte: True\n"
        "gmc_method: none\nproximity_thresh: 0.5\nappearance_thresh: 0.8\nwith_reid: False\nmodel: auto\n"
        "alpha_fixed_emb: 0.95\n"
    )
    config = read_config(path)
    expected = OcSortConfig(
        track_high_thresh=0.25,
        track_buffer_s=1.0,
        match_thresh=0.8,
        direction_s=0.2,
        momentum_weight=0.3,
        weak_stage=True,
        track_low_thresh=0.1,
    )
    assert (config.kind, config.settings, config.image_options) == ("ocsort", expected, {})
    keys = "new_track_thresh, fuse_score, gmc_method, proximity_thresh, appearance_thresh, with_reid, model"
    assert config.notes == (
        f"{path}: deepocsort is not known here, and its settings are taken for ocsort, the nearest one",
        f"{path}: {keys}, alpha_fixed_emb are left out: they have no meaning for ocsort here",
    )


def test_a_file_of_deepocsort_of_boxmot_is_read_for_ocsort(tmp_path: Path) -> None:
    values = {"det_thresh": 0.5, "max_age": 60, "min_hits": 3, "iou_thresh": 0.3, "delta_t": 3, "inertia": 0.2}
    path = boxmot(tmp_path / "deepocsort.yaml", **values, asso_func="iou", w_association_emb=0.75, aw_off=False)
    config = read_config(path)
    assert config.settings == OcSortConfig(
        track_high_thresh=0.5,
        track_buffer_s=2.0,
        min_hits=3,
        match_thresh=0.7,
        direction_s=0.1,
        momentum_weight=0.2,
    )
    assert config.notes[1].startswith(f"{path}: asso_func, aw_off, w_association_emb are left out: ")


def test_a_file_of_fasttrack_is_read_for_bytetrack(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "tracker_type: fasttrack\ntrack_high_thresh: 0.25\ntrack_low_thresh: 0.1\nnew_track_thresh: 0.3\n"
        "track_buffer: 60\nmatch_thresh: 0.8\nfuse_score: False\nenlarge_bbox_occ: 1.1\ninit_iou_suppress: 0.7\n"
    )
    config = read_config(path)
    expected = ByteTrackConfig(
        track_high_thresh=0.25,
        track_low_thresh=0.1,
        new_track_thresh=0.3,
        track_buffer_s=2.0,
        match_thresh=0.8,
        fuse_score=False,
    )
    assert (config.kind, config.settings) == ("bytetrack", expected)
    assert config.notes[1].endswith(
        "mine.yaml: enlarge_bbox_occ, init_iou_suppress are left out: they have no meaning for bytetrack here"
    )


def test_a_file_of_tracktrack_is_read_for_botsort(tmp_path: Path) -> None:
    """Its limit on a cost is that of a weighted sum, and not taken for that of an overlap."""
    path = tmp_path / "mine.yaml"
    path.write_text(
        "tracker_type: tracktrack\ntrack_high_thresh: 0.6\ntrack_low_thresh: 0.25\nnew_track_thresh: 0.7\n"
        "track_buffer: 30\nmatch_thresh: 0.7\ntai_thr: 0.55\ngmc_method: orb\nwith_reid: True\nmodel: a.onnx\n"
    )
    config = read_config(path)
    expected = BotSortConfig(track_high_thresh=0.6, track_low_thresh=0.25, new_track_thresh=0.7, track_buffer_s=1.0)
    assert (config.kind, config.settings) == ("botsort", expected)
    assert config.image_options == {"gmc_method": "orb", "with_reid": True, "model": "a.onnx"}
    assert config.notes[1].startswith(f"{path}: match_thresh, tai_thr are left out: ")


@pytest.mark.parametrize(
    ("name", "nearest"), [("strongsort", "botsort"), ("hybridsort", "ocsort"), ("boosttrack", "streamsort")]
)
def test_a_tracker_that_is_not_here_is_one_sentence(tmp_path: Path, name: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=f"{name}.yaml: tracker_type '{name}' is not known; .* here is '{nearest}'$"):
        read_config(boxmot(tmp_path / f"{name}.yaml", max_age=30))
    with pytest.raises(ValueError, match=f"found '{name}'; the nearest one here is '{nearest}'$"):
        read_config(name)


@pytest.mark.parametrize("name", ["deepocsort", "fasttrack", "tracktrack"])
def test_a_key_that_the_other_tracker_has_not_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.yaml").write_text(f"tracker_type: {name}\nreach: 3\n")
    with pytest.raises(ValueError, match="reach is not a setting of "):
        read_config(tmp_path / "a.yaml")


def test_a_key_that_nobody_knows_is_still_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="reach is not a setting of ocsort"):
        read_config(boxmot(tmp_path / "ocsort.yaml", reach=30))
