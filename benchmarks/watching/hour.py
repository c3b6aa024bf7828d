"""How steady ``streamdet serve`` is over an hour: its threads, descriptors and memory, once a minute."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml
from rich.table import Table

from benchmarks.bars import Bar
from benchmarks.tracking.process import ROOT
from benchmarks.watching.cameras import Cameras
from benchmarks.watching.clips import Clip
from benchmarks.watching.figures import growth
from benchmarks.watching.footprint import Footprint, footprint

CAMERAS = 4
MOST_GROWTH_MB = 5.0  # in an hour
COUNTS = "results", "dropped", "reconnects"
SETTLED_MIN = 10  # minutes after which nothing is to grow


def hour(clip: Clip, model: str | None, minutes: int) -> tuple[Table, list[Bar]]:
    """Serve four cameras for `minutes`; return the figures by minute, and the bars."""
    table = Table("minute", "threads", "descriptors", "memory, MB", *COUNTS, box=None)
    prints: dict[int, Footprint] = {}
    with Cameras(clip, ["steady"] * CAMERAS) as cameras, _serving(cameras.urls, model) as (process, url):
        began_s = time.monotonic()
        for minute in range(1, minutes + 1):
            time.sleep(max(began_s + 60 * minute - time.monotonic(), 0))
            found = prints[minute] = footprint(process.pid)
            # A page is asked for after the look, so that the threads that answer it have ended before the next one.
            counts = _counts(url)
            cells = found.threads, found.descriptors, f"{found.memory_mb:.1f}", *counts.values()
            table.add_row(str(minute), *map(str, cells))
            print(f"minute {minute}: {found}, {counts}", file=sys.stderr, flush=True)
    settled = {minute: each for minute, each in prints.items() if minute >= min(SETTLED_MIN, minutes // 2)}
    first, last = settled[min(settled)], settled[max(settled)]
    megabytes = growth([60 * minute for minute in settled], [each.memory_mb for each in settled.values()])
    return table, [
        Bar(f"threads, minute {max(settled)} over {min(settled)}", last.threads - first.threads, "≤", 0),
        Bar(f"descriptors, minute {max(settled)} over {min(settled)}", last.descriptors - first.descriptors, "≤", 0),
        Bar(f"memory from minute {min(settled)} on, MB an hour", 3600 * megabytes, "<", MOST_GROWTH_MB),
    ]


@contextmanager
def _serving(urls: list[str], model: str | None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run ``streamdet serve`` during the block; yield its process and the address of its page."""
    cameras = {f"camera-{number}": {"source": url} for number, url in enumerate(urls, 1)}
    site = {"server": {"port": 0}, "device": "cpu", "cameras": cameras} | ({"model": model} if model else {})
    with TemporaryDirectory() as folder:
        file = Path(folder, "site.yaml")
        file.write_text(yaml.safe_dump(site), encoding="utf-8")
        command = [sys.executable, "-m", "streamdet", "serve", str(file)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        try:
            assert process.stdout is not None
            match = re.search(r"http://\S+/", process.stdout.readline())
            assert match, "the server does not say where it listens"
            yield process, match[0]
        finally:
            process.terminate()
            process.wait()


def _counts(url: str) -> dict[str, int]:
    """Return the `COUNTS` over all cameras, from the metrics of the server at `url`."""
    with urllib.request.urlopen(f"{url}metrics", timeout=20) as response:
        text = response.read().decode()
    found = {}
    for name in COUNTS:
        values = re.findall(rf"^streamdet_camera_{name}_total{{.*}} (\S+)$", text, re.MULTILINE)
        found[name] = round(sum(map(float, values)))
    return found
