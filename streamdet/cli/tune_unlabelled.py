"""``streamdet tune --unlabelled``: adapts a tracker to videos without labels and writes it as a YAML file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.table import Table

import streamdet
from streamdet.cli.console import stderr, stdout, warn
from streamdet.cli.options import TuneOptions
from streamdet.cli.progress import RunProgress, load_pipeline, waiting
from streamdet.errors import InputError
from streamdet.options import ModelOptions, RunOptions
from streamdet.output_file import require_distinct
from streamdet.pipeline.pipeline import Pipeline
from streamdet.tracking.config import read_tracker
from streamdet.tune.footage import USUAL_RATE_HZ, Footage, read_footage
from streamdet.tune.tuning import require_writable, write_tracker
from streamdet.tune.unlabelled import HARDER, Adaptation, Comparison, adapt
from streamdet.video.location import files_at


def run(options: TuneOptions) -> None:
    """Detect in the videos, adapt the tracker, write it, and print what changed and by how much it gained."""
    config = read_tracker(options.tracker)
    require_writable(options.out)
    read = [path for source in options.sources for path in files_at(source)]
    require_distinct({"SOURCE": read, "--tracker": [Path(options.tracker)]}, {"--out": [options.out]})
    footage = [*footage_of(options)]
    with waiting("comparing settings"):
        adaptation = adapt(config, footage, jobs=options.jobs)
    write_tracker(options.out, adaptation.config, _comment(adaptation, options))
    _report(adaptation)
    stderr.print("wrote ", options.out, sep="")


def only_detections(options: TuneOptions) -> bool:
    """Return whether no source needs a model."""
    return all(map(_is_detections, options.sources))


def _is_detections(source: str) -> bool:
    return source.lower().endswith(".txt")


def footage_of(options: TuneOptions) -> Iterator[Footage]:
    """Yield the footage of each source; a model is loaded if one is a video."""
    videos = [source for source in options.sources if not _is_detections(source)]
    for source in options.sources:
        if _is_detections(source):
            found, note = read_footage(Path(source), options.fps)
            if note:
                warn(note)
            yield found
    if videos:
        with load_pipeline(ModelOptions(model=options.model, device=options.device, arch=options.arch)) as pipeline:
            yield from (_detected(pipeline, source, options) for source in videos)


def _detected(pipeline: Pipeline, source: str, options: TuneOptions) -> Footage:
    """Return the footage of a video: what the model detects in it, and the camera's motion as the tracker takes it."""
    settings = RunOptions(classes=options.classes, size=options.size, fps=options.fps, tracker=options.tracker)
    with pipeline.run_with(source, settings) as tracking, RunProgress(tracking.options) as progress:
        if tracking.live:
            raise InputError(f"expected a video file or folder of images to tune on, found a camera: {source}")
        progress.add(tracking)
        frames, motions = [], []
        for result in tracking:
            frames.append(result.detections)
            motions.append(result.camera_motion)
        rate = float(tracking.source.info.frame_rate or USUAL_RATE_HZ)
    for message in tracking.warnings:
        warn(message)
    return Footage.detected(source, rate, frames, motions)


def _comment(adaptation: Adaptation, options: TuneOptions) -> list[str]:
    """Return the lines of the comment in the written file: how it was found, and by how much it gained."""
    return [
        f"Found by streamdet tune {streamdet.__version__} --unlabelled on {', '.join(options.sources)}:",
        *(f"  {_sentence(comparison)}" for comparison in adaptation.comparisons),
    ]


def _sentence(comparison: Comparison) -> str:
    gains = ", ".join(f"{found.mean():+.2f} with {way}" for way, found in comparison.gains.items())
    changes = ", ".join(_changes(comparison))
    return f"{changes}: HOTA against the tracker's own labels {gains}, {_verdict(comparison)}"


def _changes(comparison: Comparison) -> list[str]:
    return [f"{setting} {old:g} > {new:g}" for setting, (old, new) in comparison.changes.items()]


def _verdict(comparison: Comparison) -> str:
    return "adopted" if comparison.adopted else "refused"


def _report(adaptation: Adaptation) -> None:
    """Print what was compared, and what of it was adopted."""
    table = Table("looser", "settings", box=None, pad_edge=False, header_style="bold")
    ways = [way for way in HARDER if any(way in each.gains for each in adaptation.comparisons)]
    for heading in (*(f"HOTA with {way}" for way in ways), ""):
        table.add_column(heading, justify="right")
    for each in adaptation.comparisons:
        gains = [f"{found.mean():+.2f}" for found in each.gains.values()]
        table.add_row(each.loosened, "\n".join(_changes(each)), *gains, _verdict(each))
    stdout.print(table)
    if not any(each.adopted for each in adaptation.comparisons):
        stdout.print("nothing gained clearly: the settings are as before")
