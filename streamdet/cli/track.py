"""``streamdet track``: a run from a source to a video, a track file or a window, or several into a folder."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from streamdet.cli.console import fail, stderr, table, warn
from streamdet.cli.findings import Findings
from streamdet.cli.interrupt import Interrupt
from streamdet.cli.outputs import Outputs, result_name
from streamdet.cli.progress import RunProgress, RunReport
from streamdet.errors import InputError, StreamdetError
from streamdet.explain.record import Header
from streamdet.files import EMBEDDED_MODEL, WEIGHTS_SUFFIXES
from streamdet.options import TrackOptions
from streamdet.output_file import require_distinct
from streamdet.pipeline.pipeline import Pipeline
from streamdet.pipeline.run import Run
from streamdet.pipeline.runs import Runs
from streamdet.result import Result
from streamdet.scheduler.threads import StageTime
from streamdet.video.location import SCENE_SCHEME, RenderedUrl, files_at, locate, videos_in

if TYPE_CHECKING:
    from streamdet.cli.score import RunScore

CLOSE_TIMEOUT_S = 2.0  # how long a read that does not return may hold up the end of the process
FOLDER = Path("runs", "track")
RESULTS = ".mp4", ".txt"  # what is written of each of several sources


def run(options: TrackOptions) -> int:
    """Track, write and show as the options say, and print what was done; returns the exit code."""
    sources = [each for source in options.sources for each in videos_in(source) or [source]]
    if sources == list(options.sources) and len(sources) == 1:
        given = {"--out": options.out, "--tracks": options.tracks, "--explain": options.explain}
        written = {name: Path(path) for name, path in (given | {"--state": options.state}).items() if path}
        require_distinct(_files_read(sources, options), written)
        return track_one(options).exit_code
    return track_several(sources, options)


def _files_read(sources: Sequence[str], options: TrackOptions) -> dict[str, list[Path]]:
    """Return the files that a run of `sources` reads, by what names them on the command line."""
    model, truth = options.model or EMBEDDED_MODEL, options.truth
    return {
        "SOURCE": [path for source in sources for path in files_at(source)],
        "--model": [Path(f"{model}{suffix}") for suffix in ("", *WEIGHTS_SUFFIXES)],
        "--tracker": [Path(options.tracker)],
        "--reid": [Path(options.reid)] if options.reid else [],
        "--truth": [truth / "gt" / "gt.txt", truth / "seqinfo.ini"] if truth else [],
    }


def track_one(options: TrackOptions) -> RunReport:
    """Track one source; prints and returns what the run did."""
    (source,) = options.sources
    with Pipeline.from_options(options) as pipeline, _score(options) as score:
        draws = options.show or options.out is not None or options.tracks is None
        run = pipeline.run_with(source, replace(options, draw=draws, explains=options.explain is not None))
        try:
            # A signal may not end the process while files are open, also when they are being closed.
            with Interrupt(run.stop, run.cancel, live=run.live) as interrupt:
                report = _write_one(run, options, score)
            if score:
                score.print()
        finally:
            run.close(CLOSE_TIMEOUT_S)
    report.exit_code = interrupt.exit_code
    return report


def _write_one(run: Run, options: TrackOptions, score: RunScore | None) -> RunReport:
    """Write the results of `run` as they come; prints and returns what it did."""
    # Outputs come last: nothing given wrong before may cost the user an earlier result of the same name.
    outputs = _outputs(run, options)
    report, findings = RunReport(outputs.paths, is_paced=options.every == "auto"), Findings()
    try:
        # Files are closed before threads are waited for: a read that hangs must not keep a video unfinished.
        with outputs, RunProgress(options) as progress, report.measuring(run) as writing:
            progress.add(run)
            for result in timed(run, writing):
                findings.add(result)
                if score:
                    score.write(result)
                if not outputs.write(result):
                    run.stop()
    finally:
        report.print([*run.warnings, *outputs.warnings, *findings.warnings(options)])
    return report


def timed(results: Iterator[Result], stage: StageTime) -> Iterator[Result]:
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


def _outputs(run: Run, options: TrackOptions) -> Outputs:
    header = None
    if options.explain:
        tracker = run.tracker
        settings = asdict(tracker.config.settings)
        header = Header(run.source.id, tracker.config.kind, tracker.rate_hz, settings)
    explain = (options.explain, header) if options.explain and header else None
    return Outputs(run.source, options.out, options.tracks, options, show=options.show, explain=explain)


@dataclass(slots=True)
class _Job:
    """One source: its run, the files written under `name` in the folder, what it found, and the error that ended it."""

    run: Run
    name: str
    options: TrackOptions
    outputs: Outputs | None = None
    findings: Findings = field(default_factory=Findings)
    error: BaseException | None = None

    def write(self, result: Result, folder: Path) -> None:
        """Write one result; raises StreamdetError. Live sources are watched, but not recorded."""
        self.findings.add(result)
        if self.run.live:
            return
        if self.outputs is None:
            video, tracks = (folder / f"{self.name}{ending}" for ending in RESULTS)
            self.outputs = Outputs(self.run.source, video, tracks, self.options, show=False)
        self.outputs.write(result)

    def close(self) -> None:
        """Complete the files; keeps the error if that fails."""
        if self.outputs:
            try:
                with self.outputs:
                    pass
            except StreamdetError as error:
                self.error = self.error or error


def track_several(sources: Sequence[str], options: TrackOptions) -> int:
    """Track all sources and print a table with a row for each; returns the exit code, 1 if one failed."""
    for name in ("tracks", "explain", "state", "truth", "show"):
        if getattr(options, name):
            raise InputError(f"expected one source for --{name}, found {len(sources)}")
    with Pipeline.from_options(options) as pipeline:
        runs = pipeline.runs_with(sources, replace(options, draw=True))
        folder = _folder(options.out)
        jobs = dict(zip(runs.all, _jobs(runs.all, options), strict=True))
        named = {f"{job.name}{ending}": folder / f"{job.name}{ending}" for job in jobs.values() for ending in RESULTS}
        require_distinct(_files_read(sources, options), named)
        since_s = time.perf_counter()
        try:
            with Interrupt(runs.stop, runs.cancel, live=all(run.live for run in jobs)) as interrupt:
                try:
                    with RunProgress(options) as progress:
                        _write(runs, jobs, folder, progress)
                finally:
                    for job in jobs.values():
                        job.close()
        finally:
            runs.close(CLOSE_TIMEOUT_S)
    _report(list(jobs.values()), options, folder, time.perf_counter() - since_s)
    return interrupt.exit_code or int(any(job.error for job in jobs.values()))


def _write(runs: Runs, jobs: dict[Run, _Job], folder: Path, progress: RunProgress) -> None:
    """Write the results of all runs as they come; a run whose results cannot be written is cancelled."""
    shown: set[Run] = set()
    try:
        for run, result in runs:
            if run not in shown:
                shown.add(run)
                progress.add(run)
            try:
                jobs[run].write(result, folder)
            except StreamdetError as error:
                jobs[run].error = error
                run.cancel()
            for finished in [each for each in shown if each.finished]:
                shown.remove(finished)
                progress.remove(finished)
    except ExceptionGroup:
        for run, job in jobs.items():
            job.error = job.error or run.error


def _jobs(runs: Sequence[Run], options: TrackOptions) -> list[_Job]:
    """Give each run a name after its source; one that has been given before gets -2, -3 and so on."""
    given: Counter[str] = Counter()
    jobs: list[_Job] = []
    for run in runs:
        stem = name = result_name(run.source_id)
        while given[name]:
            given[stem] += 1
            name = f"{stem}-{given[stem]}"
        given[name] += 1
        jobs.append(_Job(run, name, options))
    return jobs


def _folder(out: Path | None) -> Path:
    """Return the folder for results, `out` or the first new one of runs/track, runs/track-2 and so on."""
    try:
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            return out
        FOLDER.parent.mkdir(exist_ok=True)
        for number in itertools.count(1):
            folder = FOLDER if number == 1 else FOLDER.with_name(f"{FOLDER.name}-{number}")
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder
        raise AssertionError("numbers do not end")
    except OSError as error:
        raise InputError(f"expected a folder for the results, but {out or FOLDER} is none: {error.strerror}") from None


def _report(jobs: Sequence[_Job], options: TrackOptions, folder: Path, elapsed_s: float) -> None:
    rows = table("source", "frames", "tracks", "dropped", "", left=("source", ""))
    for job in jobs:
        written_with = job.outputs.warnings if job.outputs else []
        for message in [*job.run.warnings, *written_with, *job.findings.warnings(options)]:
            warn(message)
        stats = job.run.stats
        written = ", ".join(path.name for path in job.outputs.paths) if job.outputs else "nothing written"
        outcome = "[red]failed[/]" if job.error else escape(written)
        counts = (str(stats.results), str(job.findings.tracks), str(stats.dropped))
        rows.add_row(escape(job.run.source_id), *counts, outcome)
    stderr.print(rows)
    for job in jobs:
        if job.error:
            fail(str(job.error), StreamdetError.exit_code)
    frames = sum(job.run.stats.results for job in jobs)
    stderr.print(
        f"{frames} frames of {len(jobs)} sources in {elapsed_s:.1f} s, {frames / max(elapsed_s, 1e-9):.1f} fps; "
        f"results in {folder}",
        markup=False,
        soft_wrap=True,
    )
