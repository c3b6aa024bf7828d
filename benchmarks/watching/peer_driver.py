"""Runs `yolo track` on a camera, with the python of an environment that has ultralytics.

    python -P benchmarks/watching/peer_driver.py URL MODEL.pt SECONDS_PER_IMAGE SECONDS

Every image takes the detector at least SECONDS_PER_IMAGE. A line is printed for each result: ``seen``, the number in
its picture, and ``time.monotonic()``.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

# At the end: the environment's own modules come first.
sys.path.append(str(Path(__file__).resolve().parents[2]))
os.environ["YOLO_OFFLINE"] = "true"

from ultralytics import YOLO
from ultralytics.models.yolo.detect import DetectionPredictor

from tests.live.counter import mark_in


def main() -> None:
    url, model, least_s, seconds = sys.argv[1:]
    _slow_down(float(least_s))
    end_s = None
    for result in YOLO(model, task="detect").track(source=url, stream=True, verbose=False, device="cpu"):
        now_s = time.monotonic()
        end_s = end_s or now_s + float(seconds)
        number = mark_in(result.orig_img)
        if number is not None:
            print("seen", number, f"{now_s:.6f}", flush=True)
        if now_s > end_s:
            # Its threads would go on to read.
            os._exit(0)


def _slow_down(least_s: float) -> None:
    infer = DetectionPredictor.inference

    def slow(*args: Any, **keywords: Any) -> Any:
        due_s = time.monotonic() + least_s
        rows = infer(*args, **keywords)
        time.sleep(max(due_s - time.monotonic(), 0))
        return rows

    DetectionPredictor.inference = slow


if __name__ == "__main__":
    main()
