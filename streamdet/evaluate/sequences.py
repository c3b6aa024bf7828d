"""The sequences in a MOT folder: their ground truth, paired with tracks.

The layout is that of MOTChallenge, ``SEQ/gt/gt.txt`` and ``SEQ/seqinfo.ini``; tracks are in ``SEQ.txt``.
"""

from __future__ import annotations

import configparser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from streamdet.errors import InputError, closest, shown
from trackers.mot import MotTable, read_mot

Half = Literal["train", "val"]
Benchmark = Literal["MOT15", "MOT17", "MOT20"]

# Columns after the box, and the classes, of MOT16, MOT17 and MOT20 (arXiv 1603.00831, table 2).
_FLAG_CLASS_VISIBILITY = 3
_CLASSES = range(1, 14)


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """The labels of one whole sequence of `length` frames; the rules of `benchmark` apply to its `boxes`.

    In memory these may be rotated ones, f64 (N, 5) as in `streamdet.types`.
    """

    name: str
    length: int
    benchmark: Benchmark
    boxes: MotTable


@dataclass(frozen=True, slots=True)
class MotSequence:
    """The ground truth and the tracks of a sequence, or of its half, of `length` frames that count from 1."""

    name: str
    length: int
    benchmark: Benchmark
    ground_truth: MotTable
    tracks: MotTable


def read_sequences(
    ground_truth: Path, tracks: Path, half: Half | None = None, names: Sequence[str] | None = None
) -> list[MotSequence]:
    """Return the sequences in `ground_truth` (all, or those in `names`) with their `tracks`, cut to `half`.

    Raises InputError when a folder or file is missing or malformed.
    """
    folders = sequence_folders(ground_truth, names)
    return [_read_sequence(folder, _tracks_file(tracks, folder.name, len(folders)), half) for folder in folders]


def sequence_folders(ground_truth: Path, names: Sequence[str] | None = None) -> list[Path]:
    """Return the sequence folders in `ground_truth` (all, or those in `names`), which may be a sequence itself.

    Raises InputError when there is none, or none with one of the `names`.
    """
    if not ground_truth.is_dir():
        raise InputError(f"expected a MOT ground truth folder at {ground_truth}, found none")
    candidates = [ground_truth.resolve()] if _is_sequence(ground_truth) else sorted(ground_truth.iterdir())
    folders = {folder.name: folder for folder in candidates if _is_sequence(folder)}
    if not folders:
        raise InputError(f"expected SEQUENCE/gt/gt.txt in {ground_truth}, found no sequence")
    for name in names or ():
        if name not in folders:
            raise InputError(
                f"expected a sequence of {ground_truth}, found {shown(name)}{closest(name, list(folders))}"
            )
    return [folder for name, folder in folders.items() if names is None or name in names]


def read_ground_truth(folder: Path) -> GroundTruth:
    """Return the labels of the sequence `folder`; raises InputError when they are missing or malformed."""
    length = _sequence_length(folder / "seqinfo.ini")
    with _value_error_as_input_error():
        boxes = read_mot(folder / "gt" / "gt.txt", length=length, extra_columns=1)
    return GroundTruth(folder.name, length, mot_benchmark(boxes, folder.name), boxes)


def read_tracks(path: Path, length: int) -> MotTable:
    """Return the tracks of a sequence of `length` frames in the MOT file `path`; raises InputError."""
    with _value_error_as_input_error():
        return read_mot(path, length=length)


def mot_benchmark(ground_truth: MotTable, name: str) -> Benchmark:
    """Return the benchmark whose rules apply to the `ground_truth` of the sequence `name`.

    Nine columns are those of MOT16, MOT17 and MOT20: the last three are flag, class and visibility. Any other number is
    MOT15, where the columns after the flag are world coordinates. MOT20, which has one more distractor class, is told
    by its name. Raises InputError for a class number that MOTChallenge does not define.
    """
    if ground_truth.extra.shape[1] != _FLAG_CLASS_VISIBILITY:
        return "MOT15"
    classes = ground_truth.extra[:, 1]
    with _value_error_as_input_error():
        ground_truth.require(np.isin(classes, _CLASSES), "a MOTChallenge class from 1 to 13 in column 8", classes)
    return "MOT20" if name.startswith("MOT20") else "MOT17"


def half_window(length: int, half: Half | None) -> tuple[int, int]:
    """Return the first and last frame of `half` of a sequence of `length` frames.

    The first ends with frame length // 2 + 1, as in CenterTrack (arXiv 2004.01177) and ByteTrack (arXiv 2110.06864).
    """
    split = length // 2 + 1
    return {None: (1, length), "train": (1, min(split, length)), "val": (split + 1, length)}[half]


@contextmanager
def _value_error_as_input_error() -> Iterator[None]:
    """Turn a ValueError of the readers of MOT files into an InputError."""
    try:
        yield
    except ValueError as error:
        raise InputError(str(error)) from None


def _is_sequence(folder: Path) -> bool:
    return (folder / "gt" / "gt.txt").is_file() or (folder / "seqinfo.ini").is_file()


def _tracks_file(tracks: Path, name: str, sequence_count: int) -> Path:
    if tracks.is_dir():
        tracks = tracks / f"{name}.txt"
    elif sequence_count > 1:
        raise InputError(f"expected a folder of SEQUENCE.txt for {sequence_count} sequences, found {tracks}")
    if not tracks.is_file():
        raise InputError(f"expected the tracks of sequence {name} at {tracks}, found no such file")
    return tracks


def _read_sequence(folder: Path, tracks_file: Path, half: Half | None) -> MotSequence:
    truth = read_ground_truth(folder)
    tracks = read_tracks(tracks_file, truth.length)
    first, last = half_window(truth.length, half)
    return MotSequence(
        truth.name,
        last - first + 1,
        truth.benchmark,
        truth.boxes.window(first, last),
        _tracks_window(tracks, first, last),
    )


def _tracks_window(tracks: MotTable, first: int, last: int) -> MotTable:
    """Return the tracks of frames `first` to `last`, renumbered from 1.

    The file may count its frames from 1 at `first`, or from the start of the sequence. The highest frame decides: it is
    at most the length of the window in the first case, and inside the window in the second. The ranges do not overlap,
    since the second half of a sequence begins after at least as many frames as it has.
    """
    highest = int(tracks.frames.max(initial=0))
    window_length = last - first + 1
    if highest <= window_length:
        return tracks
    if highest < first:
        raise InputError(
            f"expected frames of {tracks.path} from 1 to {window_length} (the half alone) or up to {last} "
            f"(the whole sequence), found the last in frame {highest}"
        )
    return tracks.window(first, last)


def _sequence_length(seqinfo: Path) -> int:
    """Return the number of frames that `seqinfo` gives."""
    found = sequence_property(seqinfo, "seqLength")
    if not found.isdecimal() or int(found) < 1:
        raise InputError(f"expected seqLength, the number of frames, in {seqinfo}, found {found}")
    return int(found)


def sequence_property(seqinfo: Path, name: str) -> str:
    """Return the property `name` in the file `seqinfo`, or a text for an error message that says why it is missing."""
    ini = configparser.ConfigParser(interpolation=None)
    try:
        found = ini["Sequence"][name] if ini.read(seqinfo, encoding="utf-8-sig") else "no such file"
    except (configparser.Error, UnicodeDecodeError, KeyError) as error:
        found = f"{type(error).__name__}: {error}"
    return " ".join(found.split())
