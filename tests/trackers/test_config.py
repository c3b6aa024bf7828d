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
    left_out = "is left out: it has no meaning for ocsort here"
    assert config.notes == (f"{path}: Q_xy_scaling {left_out}", f"{path}: asso_func {left_out}")


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


@pytest.mark.parametrize("name", ["strongsort", "deepocsort", "hybridsort", "boosttrack"])
def test_a_tracker_that_is_not_here_is_one_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}.yaml: tracker_type '{name}' is not known; "):
        read_config(boxmot(tmp_path / f"{name}.yaml", max_age=30))


def test_a_key_that_nobody_knows_is_still_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="reach is not a setting of ocsort"):
        read_config(boxmot(tmp_path / "ocsort.yaml", reach=30))
