"""Times one of this project's trackers in a separate process, called as `peer_trackers.py` calls a peer.

    python -m benchmarks.tracking.clock NAME DETECTIONS.npz FRAMES

Prints name, frames, median ms, p99 ms and number of ids, as that script does.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from trackers.config import read_config

IMAGE_SIZE = (1920, 1080)  # of the crowds; the peers get the same size


def main() -> None:
    name, path, frames = sys.argv[1:]
    detections = np.load(path)["det"]
    tracker = read_config(name).build(frame_rate=30)
    times_ms, ids = [], set()
    for t in range(int(frames)):
        rows = detections[detections[:, 0] == t][:, 1:].copy()
        since = time.perf_counter()
        tracks = tracker.update(rows[:, :4], rows[:, 4], rows[:, 5], image_size=IMAGE_SIZE)
        times_ms.append(1e3 * (time.perf_counter() - since))
        ids.update(tracks.ids.tolist())
    steady = times_ms[int(frames) // 10 :]
    print(f"{name},{frames},{np.median(steady):.3f},{np.percentile(steady, 99):.3f},{len(ids)}")


if __name__ == "__main__":
    main()
