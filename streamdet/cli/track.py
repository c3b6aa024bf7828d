"""``streamdet track``: a run from a source to videos, track files or a window; `several` has more than one source."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from streamdet.cli.findings import Findings
from streamdet.cli.interrupt import Interrupt
from streamdet.cli.outputs import Outputs, files_read, image_names
from streamdet.cli.places import Places, require_agreement, require_apart
from streamdet.cli.progress import RunProgress, Sightings, load_pipeline, waiting
from streamdet.cli.report import RunReport, say
from streamdet.cli.several import track_several
from streamdet.errors import InputError
from streamdet.explain.record import Header
from streamdet.options import TrackOptions
from streamdet.output_file import require_distinct
from streamdet.pipeline.run import Run
from streamdet.result import Result
from streamdet.scheduler.threads import StageTime
from streamdet.sinks.formats import require_task
from streamdet.video.location import SCENE_SCHEME, RenderedUrl, address_name, locate, videos_in

if TYPE_CHECKING:
    from streamdet.cli.score import RunScore

CLOSE_TIMEOUT_S = 2.0  # how long a read that does not return may hold up the end of the process


def run(options: TrackOptions) -> int:
    """Track, write and show as the options say, and print what was done; returns the exit code."""
    sources = [each for source in options.sources for each in videos_in(source) or [source]]
    if sources == list(options.sources) and len(sources) == 1:
        written = {"--out": options.out, "--tracks": options.tracks}
        single = {"--explain": options.explain, "--state": options.state, "--crops": options.crops}
        written |= {name: (Path(path),) for name, path in single.items() if path}
        require_distinct(files_read(sources, options), written)
        places = Places.named(options)
        require_apart(places, options.sources[0])
        if options.skip_existing and not places.all:
            raise InputError("expected --out, --tracks or --crops with --skip-existing: results in runs get new names")
        if options.skip_existing and places.finished:
            say(f"{', '.join(map(str, places.all))}: finished by an earlier run")
            return 0
        require_agreement([places], options)
        return track_one(options).exit_code
    return track_several(sources, options, CLOSE_TIMEOUT_S)


def track_one(options: TrackOptions) -> RunReport:
    """Track one source; prints and returns what the run did."""
    (source,) = options.sources
    with load_pipeline(options) as pipeline, _score(options) as score:
        require_task(options.tracks, pipeline.session.card.task)
        draws = options.show or bool(options.out) or not (options.tracks or options.crops)
        with waiting(f"opening {address_name(source)}"):
            run = pipeline.run_with(source, replace(options, draw=draws, explains=options.explain is not None))
        try:
            # A signal may not end the process while files are open, also when they are being closed.
            with Interrupt(run.stop, run.cancel, live=run.live) as interrupt:
                report = _write_one(run, options, score, interrupt)
            if score:
                score.print()
        finally:
            run.close(CLOSE_TIMEOUT_S)
    report.exit_code = interrupt.exit_code
    return report


def _write_one(run: Run, options: TrackOptions, score: RunScore | None, interrupt: Interrupt) -> RunReport:
    """Write the results of `run` as they come; prints and returns what it did."""
    # Outputs come last: nothing given wrong before may cost the user an earlier result of the same name.
    outputs = _outputs(run, options, interrupt)
    report, findings = RunReport(is_paced=options.every == "auto", is_live=run.live), Findings()
    try:
        # Files are closed before threads are waited for: a read that hangs must not keep a video unfinished.
        with outputs, RunProgress(options) as progress, report.measuring(run) as writing:
            progress.add(run)
            sightings = Sightings(run) if run.live and not (outputs.paths or options.show) else None
            for result in _timed(run, writing):
                findings.add(result)
                progress.count(run, len(result.tracks))
                if sightings:
                    sightings.add(result)
                if score:
                    score.write(result)
                if not outputs.write(result):
                    run.stop()
        if not interrupt.exit_code:
            outputs.finish()
    finally:
        report.written = outputs.written
        warnings = [*run.warnings, *outputs.warnings, *findings.warnings(options)]
        report.print(str(findings), warnings, verbose=options.verbose)
    return report


def _timed(results: Iterator[Result], stage: StageTime) -> Iterator[Result]:
    """Yield `results`, and account what the caller does with each of them as `stage`."""
    for result in results:
        since_s = time.perf_counter()
        yield result
        stage.busy_s += time.perf_counter() - since_s
        stage.items += 1


def _score(options: TrackOptions) -> AbstractContextManager[RunScore | None]:
    """Return what scores the run against the labels that it was given, or against the truth of a rendered scene."""
    location = locate(options.sources[0])
    is_scene = isinstance(location, RenderedUrl) and location.scheme == SCENE_SCHEME
    if options.truth is not None and options.every != 1:
        raise InputError("expected --truth or --every, found both: labels are scored frame by frame")
    if options.every != 1 or not (options.truth or is_scene):
        return nullcontext()
    from streamdet.cli.score import FolderTruth, RenderedTruth, RunScore

    truth = FolderTruth(options.truth) if options.truth else RenderedTruth(options.sources[0])
    return RunScore(truth, options.classes)


def _outputs(run: Run, options: TrackOptions, interrupt: Interrupt) -> Outputs:
    header = None
    if options.explain:
        tracker = run.tracker
        settings = asdict(tracker.config.settings)
        header = Header(run.source.id, tracker.config.kind, tracker.rate_hz, settings)
    images = image_names(options.sources[0])
    return Outputs(run.source, Places.named(options), options, images=images, header=header, stopped=interrupt.received)
