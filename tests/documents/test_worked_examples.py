"""The worked examples of CONTRIBUTING.md do what their texts say."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from streamdet.models.registry import BLOCKS
from streamdet.sinks.formats import TRACK_SINKS
from streamdet.video.location import RENDERERS
from tests.documents.blocks import blocks
from tests.documents.commands import ROOT
from trackers.config import TRACKERS


def printed_by(marker: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Run the example that holds `marker`, and return the lines that it prints."""
    (block,) = (block for block in blocks(ROOT / "CONTRIBUTING.md") if marker in block.parsed)
    block.evaluate()
    return capsys.readouterr().out.splitlines()


def test_a_tracker(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed_by("class Nearest(Tracker)", capsys)
    assert [line.split()[0] for line in lines] == ["0", "1", "2", "3", "4", "5"]
    # Detections of any score begin a track; from frame to frame most of them go on.
    ids = [set(json.loads(line.partition(" ")[2])) for line in lines]
    kept = sum(len(one & other) for one, other in pairwise(ids))
    assert kept > 0.6 * sum(map(len, ids[:-1])) > 50
    assert "nearest" in TRACKERS


def test_a_block(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # 64 x 96 px in cells of 8 px: 96 cells, each with a box and two scores.
    assert printed_by("class GhostConv(nn.Module)", capsys) == ["torch.Size([1, 6, 96])"]
    assert "GhostConv" in BLOCKS


def test_a_sink(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [line.split() for line in printed_by("class KittiSink(TrackSink)", capsys) if line]
    assert rows and {len(row) for row in rows} == {18}
    assert rows == [line.split() for line in (workplace / "street.kitti").read_text().splitlines()]
    assert {row[2] for row in rows} <= {"person", "bicycle", "car", "motorcycle", "bus", "truck"}
    assert ".kitti" in TRACK_SINKS


def test_a_source(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed_by("class BarsReader", capsys)
    assert lines == ["0 0.0 (240, 320, 3)", "1 0.04 (240, 320, 3)", "2 0.08 (240, 320, 3)"]
    assert "bars" in RENDERERS


def test_examples_leave_nothing_behind() -> None:
    assert not {"nearest", "GhostConv", ".kitti", "bars"} & {*TRACKERS, *BLOCKS, *TRACK_SINKS, *RENDERERS}
