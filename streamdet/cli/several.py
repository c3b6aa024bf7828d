"""``streamdet track`` with several sources: one model, the results of each in a folder, and a table of them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.markup import escape

from streamdet.cli.console import fail, stderr, table, warn
from streamdet.cli.findings import Findings
from streamdet.cli.interrupt import Interrupt
from streamdet.cli.outputs import Outputs, files_read, image_names, picture_ending
from streamdet.cli.places import Places, distinct_names, require_agreement, require_apart, result_name
from streamdet.cli.progress import RunProgress, load_pipeline
from streamdet.cli.report import found, pace, say
from streamdet.errors import InputError, StreamdetError
from streamdet.options import TrackOptions
from streamdet.output_file import require_distinct
from streamdet.pipeline.run import Run
from streamdet.pipeline.runs import Runs
from streamdet.result import Result
from streamdet.video.location import address_name

FOLDER = Path("runs", "track")


@dataclass(slots=True)
class _Job:
    """One source: its run, the places of its results, what it found, and the error that ended it."""

    run: Run
    places: Places
    options: TrackOptions
    outputs: Outputs | None = None
    findings: Findings = field(default_factory=Findings)
    error: BaseException | None = None

    def write(self, result: Result, stopped: Callable[[], bool]) -> None:
        """Write one result; raises StreamdetError. Live sources without an end are recorded only in segments."""
        self.findings.add(result)
        if self.run.live and self.options.segment_s is None:
            return
        if self.outputs is None:
            images = image_names(self.run.source_id)
            self.outputs = Outputs(self.run.source, self.places, self.options, images=images, stopped=stopped)
        self.outputs.write(result)

    def close(self, *, stopped: bool) -> None:
        """Complete the files, which end early if the run was `stopped` or failed; keeps the error if that fails."""
        self.error = self.error or self.run.error
        if self.outputs is None:
            return
        try:
            with self.outputs:
                pass
        except StreamdetError as error:
            self.error = self.error or error
        if not (stopped or self.error):
            self.outputs.finish()


def track_several(sources: Sequence[str], options: TrackOptions, close_timeout_s: float) -> int:
    """Track all sources and print a table with a row for each; returns the exit code, 1 if one failed."""
    _require_options_of_several(sources, options)
    names = distinct_names(result_name(address_name(source)) for source in sources)
    named = dict(zip(names, sources, strict=True))
    if options.out or options.crops:
        named = _without_earlier(named, options)
    if not named:
        return 0
    with load_pipeline(options) as pipeline:
        runs = pipeline.runs_with(named.values(), replace(options, draw=True))
        folder = _folder(*options.out)
        places = [_places(folder, name, source, options.crops) for name, source in named.items()]
        jobs = {run: _Job(run, each, options) for run, each in zip(runs.all, places, strict=True)}
        if options.segment_s is None and any(run.live for run in jobs):
            say("cameras are watched, and not recorded: --segment 10m records them in files of 10 minutes")
        since_s = time.perf_counter()
        try:
            with Interrupt(runs.stop, runs.cancel, live=all(run.live for run in jobs)) as interrupt:
                try:
                    with RunProgress(options) as progress:
                        _write(runs, jobs, progress, interrupt)
                finally:
                    for job in jobs.values():
                        job.close(stopped=interrupt.exit_code != 0)
        finally:
            runs.close(close_timeout_s)
    _report(list(jobs.values()), options, folder, time.perf_counter() - since_s)
    return interrupt.exit_code or int(any(job.error for job in jobs.values()))


def _require_options_of_several(sources: Sequence[str], options: TrackOptions) -> None:
    """Raise InputError for an option that needs a single source, or a folder that is not named."""
    for name in ("tracks", "explain", "state", "truth", "show"):
        if getattr(options, name):
            raise InputError(f"expected one source for --{name}, found {len(sources)}")
    if len(options.out) > 1:
        raise InputError(f"expected one folder for --out with several sources, found {len(options.out)}")
    if options.skip_existing and not options.out:
        raise InputError("expected a folder as --out with --skip-existing: results in runs get new names")


def _without_earlier(named: dict[str, str], options: TrackOptions) -> dict[str, str]:
    """Return the sources, by the names of their results, that are to be tracked into the folder of `options`.

    Raises InputError if a result would replace a source, or an earlier result that the user wants to keep.
    """
    if options.out:
        folder = _folder(*options.out)
        places = {name: _places(folder, name, source, options.crops) for name, source in named.items()}
    else:  # only the crops go to a folder that may exist
        places = {name: Places(crops=options.crops and options.crops / name) for name in named}
    written = {path.name: [path] for each in places.values() for path in each.all}
    require_distinct(files_read(list(named.values()), options), written)
    for name, source in named.items():
        require_apart(places[name], source)
    require_agreement(places.values(), options)
    if not options.skip_existing:
        return named
    wanted = {name: source for name, source in named.items() if not places[name].finished}
    done = len(named) - len(wanted)
    say(f"{done} of {len(named)} sources {'was' if done == 1 else 'were'} finished by an earlier run")
    return wanted


def _write(runs: Runs, jobs: dict[Run, _Job], progress: RunProgress, interrupt: Interrupt) -> None:
    """Write the results of all runs as they come; a run whose results cannot be written is cancelled."""
    shown: set[Run] = set()
    with suppress(ExceptionGroup):  # each run keeps its error
        for run, result in runs:
            if run not in shown:
                shown.add(run)
                progress.add(run)
            progress.count(run, len(result.tracks))
            try:
                jobs[run].write(result, interrupt.received)
            except StreamdetError as error:
                jobs[run].error = error
                run.cancel()
            for finished in [each for each in shown if each.finished]:
                shown.remove(finished)
                progress.remove(finished)
                jobs[finished].close(stopped=interrupt.exit_code != 0)


def _places(folder: Path, name: str, source: str, crops: Path | None) -> Places:
    """Return where the results of `source` go: to `folder`, and to a folder of their own in that of all `crops`."""
    pictures = folder / f"{name}{picture_ending(image_names(source))}"
    return Places((pictures,), (folder / f"{name}.txt",), crops=crops and crops / name)


def _folder(out: Path | None = None) -> Path:
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
        written = ", ".join(Path(each).name for each in job.outputs.written) if job.outputs else "nothing written"
        outcome = "[red]failed[/]" if job.error else escape(written)
        counts = (str(stats.results), str(len(job.findings.classes)), str(stats.dropped))
        rows.add_row(escape(job.run.source_id), *counts, outcome)
    frames = sum(job.run.stats.results for job in jobs)
    say(found(itertools.chain.from_iterable(job.findings.classes for job in jobs)))
    say(f"{pace(f'{frames} frames of {len(jobs)} sources', frames, elapsed_s)}, {folder}")
    stderr.print(rows)
    for job in jobs:
        if job.error:
            fail(str(job.error), StreamdetError.exit_code)
