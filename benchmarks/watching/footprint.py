"""What a process takes of the machine, as Linux tells it (proc(5))."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple


class Footprint(NamedTuple):
    """The threads and open descriptors of a process, and its resident memory in MB (10^6 bytes)."""

    threads: int
    descriptors: int
    memory_mb: float


def footprint(process_id: int | str = "self") -> Footprint:
    """Return what a process takes now, this one by default."""
    folder = Path("/proc", str(process_id))
    status = (folder / "status").read_text()
    fields = dict(re.findall(r"^(\w+):\s+(\d+)", status, re.MULTILINE))
    return Footprint(
        int(fields["Threads"]), sum(1 for _ in (folder / "fd").iterdir()), int(fields["VmRSS"]) * 1024 / 1e6
    )
