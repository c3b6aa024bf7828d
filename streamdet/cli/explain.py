"""``streamdet explain``: the ids in a recorded run, or the story of one of them."""

from __future__ import annotations

from pathlib import Path

from rich.markup import escape

from streamdet.cli.console import stdout, table, warn
from streamdet.errors import InputError
from streamdet.explain.phrases import format_moment
from streamdet.explain.record import ExplainFile
from streamdet.explain.story import Lives, read_lives, tell


def print_lives(path: Path) -> None:
    """Print a row for every id."""
    file = ExplainFile(path)
    lives = _read(file)
    headings = ("id", "class", "first frame", "last frame", "seen", "weak", "gaps", "end")
    rows = table(*headings, left=("class", "end"))
    for number, life in sorted(lives.by_id.items()):
        counts = (str(count) for count in (life.frames, life.weak, life.gaps))
        spans = (f"{moment.frame} ({moment.time_s:.2f} s)" for moment in (life.first, life.last))
        rows.add_row(str(number), escape(life.label), *spans, *counts, life.ending)
    stdout.print(rows)
    stdout.print(f"{len(lives.by_id)} ids in {file.header.source}, tracker {file.header.tracker}", markup=False)


def print_story(path: Path, track_id: int) -> None:
    """Print the story of one id; raises InputError when the file has no such id."""
    file = ExplainFile(path)
    lives = _read(file)
    life = lives.by_id.get(track_id)
    if life is None:
        raise InputError(f"there is no id {track_id} in {path}{_nearest(track_id, lives)}")
    weak = f", {life.weak} of them by weak detections" if life.weak else ""
    span = f"from {format_moment(life.first)} to {format_moment(life.last)}"
    gaps = f"hidden and found again {life.gaps} {'time' if life.gaps == 1 else 'times'}"
    _say(f"id {track_id}: {life.label}, seen in {life.frames} frames {span}{weak}; {gaps}")
    for passage in tell(file.header, file.frames(), lives, life):
        _say(f"{passage.when}: {passage.text}")
        for detail in passage.details:
            _say(f"    {detail}")


def _read(file: ExplainFile) -> Lives:
    lives = read_lives(file.frames())
    if file.warning:
        warn(file.warning)
    return lives


def _nearest(track_id: int, lives: Lives) -> str:
    """Return the end of the error message for an unknown id, which names the two nearest known ones."""
    near = sorted(sorted(lives.by_id, key=lambda known: abs(known - track_id))[:2])
    return f"; the nearest are {' and '.join(map(str, near))}" if near else ": it holds no id at all"


def _say(sentence: str) -> None:
    stdout.print(sentence, markup=False, soft_wrap=True)
