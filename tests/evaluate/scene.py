"""Writes small MOT folders with known content."""

from collections.abc import Iterable
from pathlib import Path

Row = tuple[float, ...]


def lane(identity: int, x: float, frames: Iterable[int], *tail: float) -> list[Row]:
    """Return rows of a 20 x 40 px box that stands at `x`; boxes 100 px apart never overlap."""
    return [(frame, identity, x, 50.0, 20.0, 40.0, *tail) for frame in frames]


def write_rows(path: Path, rows: Iterable[Row]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(",".join(f"{value:g}" for value in row) + "\n" for row in rows))
    return path


def write_sequence(folder: Path, length: int, rows: Iterable[Row]) -> Path:
    """Write ``gt/gt.txt`` and ``seqinfo.ini``."""
    write_rows(folder / "gt" / "gt.txt", rows)
    (folder / "seqinfo.ini").write_text(f"[Sequence]\nname={folder.name}\nframeRate=10\nseqLength={length}\n")
    return folder
