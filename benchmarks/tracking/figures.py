"""Figures of peers that were measured elsewhere, and the bars that follow from them."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.bars import Bar


class Figures(NamedTuple):
    """HOTA, MOTA and IDF1 in percent, and the number of id switches."""

    hota: float
    mota: float
    idf1: float
    id_switches: int

    def text(self, digits: int) -> str:
        """Return ``HOTA/MOTA/IDF1/switches``, the first three with `digits` decimals."""
        return f"{self.hota:.{digits}f}/{self.mota:.{digits}f}/{self.idf1:.{digits}f}/{self.id_switches}"


BEST_PEER = "boxmot_bot gmc.txt"
# Second halves of MOT17-02, 04, 05, 10, YOLOX-X detections, without appearance; BoxMOT 25, ultralytics 8.4.190.
QUOTED_ONLINE = {
    BEST_PEER: Figures(69.25, 78.70, 81.55, 111),
    "boxmot_bot": Figures(68.74, 78.17, 80.54, 165),
    "ultra_bot 0.6/0.7": Figures(68.43, 78.11, 79.92, 159),
    "BoxMOT OccluBoost gmc.txt": Figures(67.08, 75.13, 78.20, 237),
}
QUOTED_REFINED = {f"{BEST_PEER} interpolated": Figures(70.51, 81.04, 82.61, 90)}
# HOTA that the default tracker must reach, by set.
LEAST_HOTA = {
    "MOT17": 70.9,
    "MOT17, no camera motion": 69.5,
    "KITTI YOLOX": 70.1,
    "KITTI YOLOv3": 75.4,
    "KITTI RRC": 81.8,
    "SportsMOT": 66.0,
    "vtest": 58.2,
}
# HOTA of the best peer, by the frames that are kept.
DROPPED_HOTA = {"50 % at random": 69.91, "every 3rd": 68.61, "every 6th": 67.82}
DROPPED_MARGIN = 0.5


def online_bars(found: Figures) -> list[Bar]:
    """Return the bars for online tracking of all frames."""
    return [
        Bar("online HOTA", found.hota, "≥", 69.6),
        Bar("online MOTA", found.mota, ">", QUOTED_ONLINE[BEST_PEER].mota),
        Bar("online IDF1", found.idf1, "≥", 82.0),
    ]


def refined_bars(found: Figures) -> list[Bar]:
    """Return the bars for refined tracks of all frames."""
    return [Bar("refined HOTA", found.hota, "≥", 71.0)]


def dropped_bar(rule: str, found: Figures) -> Bar:
    """Return the bar for tracking the frames that `rule` keeps."""
    return Bar(f"HOTA, {rule} kept", found.hota, "≥", DROPPED_HOTA[rule] + DROPPED_MARGIN)
