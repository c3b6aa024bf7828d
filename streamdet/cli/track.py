"""``streamdet track``: a run from a source to a video, a track file or a window, or several into a folder."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from streamdet.cli.interrupt import Interrupt
from streamdet.cli.outputs import Outputs
from streamdet.cli.progress import RunProgress
from streamdet.cli.run_report import RunReport
from streamdet.explain.record import Header
from streamdet.options import TrackOptions
from streamdet.pipeline.pipeline import Pipeline
from streamdet.pipeline.run import Run
from streamdet.result import Result
from streamdet.scheduler.threads import StageTime
from streamdet.video.location import SCENE_SCHEME, RenderedUrl, locate, videos_in

if TYPE_CHECKING:
    from streamdet.cli.score import SceneScore

# What a read that does not return may hold up the end of the process for.
CLOSE_TIMEOUT_S = 3.0


def run(options: TrackOptions) -> int:
    """Track, write and show as the options say, and print what was done; returns the exit code."""
    sources = [each for source in options.sources for each in videos_in(source) or [source]]
    if sources == list(options.sources) and len(sources) == 1:
        return track_one(options).exit_code
    from streamdet.cli.track_several import track_several  # only here: a run of one source needs none of it

    return track_several(sources, options)


def track_one(options: TrackOptions) -> RunReport:
    """Track one source; prints and returns what the run did."""
    (source,) = options.sources
    with Pipeline.of(options) as pipeline, _scene_score(options) as score:
        draws = options.show or options.out is not None or options.tracks is None
        run = pipeline.run_of(source, replace(options, draw=draws, explains=options.explain is not None))
        try:
            # Outputs come last: nothing given wrong before may cost the user an earlier result of the same name.
            outputs = _outputs(run, options)
            report = RunReport(outputs.paths, is_paced=options.every == "auto")
            try:
                # Files are closed before threads are waited for: a read that hangs must not keep a video unfinished.
                with (
                    outputs,
                    RunProgress(options) as progress,
                    Interrupt([run], live=run.live) as interrupt,
                    report.measuring(run) as writing,
                ):
                    progress.add(run)
                    for result in timed(run, writing):
                        if score:
                            score.write(result)
                        if not outputs.write(result):
                            interrupt.stop()
            finally:
                report.print([*run.source.warnings, *outputs.warnings])
            if score:
                score.print()
        finally:
            run.close(CLOSE_TIMEOUT_S)
    report.exit_code = interrupt.exit_code
    return report


def timed(results: Iterator[Result], stage: StageTime) -> Iterator[Result]:
    """Yield `results`, and account what the caller does with each of them as `stage`."""
    for result in results:
        since_s = time.perf_counter()
        yield result
        stage.busy_s += time.perf_counter() - since_s
        stage.items += 1


def _scene_score(options: TrackOptions) -> AbstractContextManager[SceneScore | None]:
    """Return what scores the run: a scene of which every frame is used knows the truth."""
    location = locate(options.sources[0])
    is_scene = isinstance(location, RenderedUrl) and location.scheme == SCENE_SCHEME
    if not is_scene or options.every != 1:
        return nullcontext()
    from streamdet.cli.score import SceneScore  # only here: it loads what renders scenes

    return SceneScore(options.sources[0], options.classes)


def _outputs(run: Run, options: TrackOptions) -> Outputs:
    header = None
    if options.explain:
        tracker = run.tracker
        settings = asdict(tracker.config.settings)
        header = Header(run.source.id, tracker.config.kind, tracker.rate_hz, settings)
    explain = (options.explain, header) if options.explain and header else None
    return Outputs(run.source, options.out, options.tracks, show=options.show, explain=explain)
