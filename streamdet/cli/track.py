"""``streamdet track``: one run from a source to a video, a track file or a window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from streamdet.cli.interrupt import Interrupt
from streamdet.cli.outputs import Outputs
from streamdet.cli.progress import RunProgress
from streamdet.cli.run_report import RunReport
from streamdet.detect.detector import Detector
from streamdet.errors import InputError
from streamdet.explain.record import Header
from streamdet.options import TrackOptions
from streamdet.pace import RealTime
from streamdet.pipeline import follow
from streamdet.refinement import Refinement
from streamdet.result import Result
from streamdet.stages import Stages
from streamdet.tracking.frame_tracker import FrameTracker, load_tracker
from streamdet.types import UInt8Array
from streamdet.video.location import SCENE_SCHEME, RenderedUrl, locate
from streamdet.video.source import Source, open_source

if TYPE_CHECKING:
    from streamdet.cli.scene_score import SceneScore


def run(options: TrackOptions) -> RunReport:
    """Track, write and show as the options say; prints and returns what the run did."""
    if len(options.sources) > 1:
        raise InputError(f"expected one source, found {len(options.sources)}: {', '.join(options.sources)}")
    stride = 1 if options.every == "auto" else options.every
    reopen = partial(
        open_source, options.sources[0], stride=stride, max_frames=options.max_frames, decode=options.decode
    )
    with reopen() as source, _scene_score(options) as score:
        detector = _load_detector(options)
        tracker = _load_tracker(options, source, detector)
        refinement = Refinement(source, reopen) if options.refine else None
        pace = RealTime(live=source.info.live) if options.every == "auto" else None
        # Outputs come last: nothing given wrong above this line may cost the user an earlier result of the same name.
        explain = (options.explain, _header(source, tracker)) if options.explain else None
        outputs = Outputs(source, options.out, options.tracks, show=options.show, explain=explain)
        report = RunReport(outputs.paths, pace)
        try:
            with (
                # Files are closed before threads are joined: a read that is blocked must not keep a video unfinished.
                Stages() as stages,
                outputs,
                RunProgress(source.info, options.max_frames, stride) as progress,
                Interrupt(source, stages, refinement) as interrupt,
                report.measuring(stages),
            ):
                results = follow(source, detector, tracker, stages, pace)
                if refinement:
                    results = stages.spawn(refinement(progress.first_pass(results)), name="refine", depth=2)
                drawn = stages.spawn(_draw(results, outputs.draws), name="draw", depth=2)
                for result, image in stages.timed(drawn, name="write"):
                    progress.update(result, stages.dropped)
                    if score:
                        score.write(result)
                    if not outputs.write(result, image):
                        interrupt.stop()
        finally:
            report.print([*source.warnings, *outputs.warnings])
        if score:
            score.print()
    report.exit_code = interrupt.exit_code
    return report


def _scene_score(options: TrackOptions) -> AbstractContextManager[SceneScore | None]:
    """Return what scores the run: a scene of which every frame is used knows the truth."""
    location = locate(options.sources[0])
    is_scene = isinstance(location, RenderedUrl) and location.scheme == SCENE_SCHEME
    if not is_scene or options.every != 1:
        return nullcontext()
    from streamdet.cli.scene_score import SceneScore  # only here: it loads what renders scenes

    return SceneScore(options.sources[0], options.classes)


def _load_detector(options: TrackOptions) -> Detector:
    return Detector(
        options.model,
        device=options.device,
        backend=options.backend,
        size=options.size,
        conf=options.conf,
        iou=options.iou,
        classes=options.classes,
        half=options.precision == "half",
        batch=options.batch,
    )


def _load_tracker(options: TrackOptions, source: Source, detector: Detector) -> FrameTracker:
    explains = options.explain is not None
    tracker = load_tracker(options.tracker, source.info.frame_rate, reid=options.reid, explains=explains)
    if options.state:
        tracker.remember(Path(options.state), detector.class_names, live=source.info.live)
    return tracker


def _header(source: Source, tracker: FrameTracker) -> Header:
    return Header(source.id, tracker.config.kind, tracker.rate_hz, asdict(tracker.config.settings))


def _draw(results: Iterable[Result], draws: bool) -> Iterator[tuple[Result, UInt8Array | None]]:
    for result in results:
        yield result, result.draw() if draws else None
