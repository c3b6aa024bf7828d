"""The process of the cameras: RTSP servers that play a clip in real time and note when they send which picture.

    python -m benchmarks.watching.server RATE_HZ CLIP.h264 SMALLER.h264 PLAY [PLAY ...]

Each PLAY, a name in `PLAYS`, makes a camera, which shows CLIP; SMALLER, of as many pictures, is for one that changes
its size. The first line that is printed has their addresses as JSON. Others have the number of a camera, a word, and
``time.monotonic()``: the word is the number of a picture that is about to be sent, "fault", or "well" when the cause of
the fault has gone. When the input ends, the last line tells the CPU time of the process and how long it took, in s.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

from benchmarks.watching.broadcast import Broadcast
from benchmarks.watching.plays import PLAYS
from tests.live.film import Film


def main() -> None:
    rate_hz, path, smaller_path, *plays = sys.argv[1:]
    reel, smaller = (Film.of(Path(each).read_bytes(), Fraction(rate_hz)) for each in (path, smaller_path))
    with ExitStack() as stack:
        broadcasts = [Broadcast(camera, reel, smaller, PLAYS[name]) for camera, name in enumerate(plays)]
        urls = [stack.enter_context(each.server).url for each in broadcasts]
        print(json.dumps(urls), flush=True)
        began_s, began_cpu_s = time.monotonic(), time.process_time()
        sys.stdin.read()
        print("cpu", time.process_time() - began_cpu_s, time.monotonic() - began_s, flush=True)


if __name__ == "__main__":
    main()
