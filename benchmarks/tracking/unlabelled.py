"""The gain of tuning without labels, on footage that the tuning did not see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.tracking.sequences import ALL_FRAMES, Excerpt, SequenceSet, excerpts
from streamdet.evaluate.mot import Measurements, combine, measure, trackeval_metrics
from streamdet.tune.footage import Footage
from streamdet.tune.unlabelled import LOOSER, Adaptation, Comparison, adapt
from trackers.config import DEFAULT_TRACKER, TrackerConfig, parse_config
from trackers.offline import track_frames

DEFAULT = parse_config({"tracker_type": DEFAULT_TRACKER})
RULES = (ALL_FRAMES, "every 3rd")  # of `benchmarks.tracking.sequences.KEPT`


def tuned(sets: Mapping[str, SequenceSet]) -> Table:
    """Return a table of HOTA at the defaults and tuned without labels, by set, with all frames and with some of them.

    Each half of a set, every second sequence or half of the only one, is scored with what was tuned on the other half.
    """
    title = "Tuned without labels: HOTA"
    table = Table("", "frames", "default", "tuned", "gain", *LOOSER, title=title, box=SIMPLE_HEAD)
    progress = Console(stderr=True)
    for name, rule in track([*product(sets, RULES)], "tuning", console=progress, transient=True):
        table.add_row(name, rule, *_tuned(excerpts(sets[name], rule)))
    return table


def _tuned(found: list[Excerpt]) -> list[str]:
    """Return the cells of one row of the table."""
    first, second = _halves(found)
    before: dict[str, Measurements] = {}
    after: dict[str, Measurements] = {}
    adaptations = []
    for seen, unseen in ((first, second), (second, first)):
        adaptations.append(adapt(DEFAULT, [_footage(excerpt) for excerpt in seen]))
        for excerpt in unseen:
            key = f"{excerpt.part.name} {excerpt.part.first}"
            before[key] = _measured(excerpt, DEFAULT)
            after[key] = _measured(excerpt, adaptations[-1].config)
    old, new = combine(before).combined.hota, combine(after).combined.hota
    verdicts = [_verdicts(adaptations, each) for each in LOOSER]
    return [f"{old:.2f}", f"{new:.2f}", f"{new - old:+.2f}", *verdicts]


def _verdicts(adaptations: list[Adaptation], loosened: str) -> str:
    """Return whether both halves led to looser settings, and the gains by their own labels."""
    found = [next(each for each in adaptation.comparisons if each.loosened == loosened) for adaptation in adaptations]
    return ", ".join(f"{'looser' if each.adopted else 'as before'} ({_gains(each)})" for each in found)


def _gains(comparison: Comparison) -> str:
    return " ".join(f"{found.mean():+.1f}" for found in comparison.gains.values())


def _halves(found: list[Excerpt]) -> tuple[list[Excerpt], list[Excerpt]]:
    if len(found) > 1:
        return found[::2], found[1::2]
    (whole,) = found
    middle = (whole.part.first + whole.part.last) // 2
    return [_cut(whole, whole.part.first, middle)], [_cut(whole, middle + 1, whole.part.last)]


def _cut(whole: Excerpt, first: int, last: int) -> Excerpt:
    frames = whole.frames[(whole.frames >= first) & (whole.frames <= last)]
    return replace(whole, part=replace(whole.part, first=first, last=last), frames=frames)


def _footage(excerpt: Excerpt) -> Footage:
    part = excerpt.part
    motion = None if part.camera_motion is None else excerpt.camera_motion
    return Footage(part.name, len(excerpt.frames), excerpt.rate_hz, excerpt.detections, motion)


def _measured(excerpt: Excerpt, config: TrackerConfig) -> Measurements:
    part = excerpt.part
    tracker = config.build(part.frame_rate)
    rows = track_frames(tracker, part.detections, frames=excerpt.frames.tolist(), camera_motion=part.camera_motion)
    return measure(excerpt.with_tracks(rows), trackeval_metrics())
