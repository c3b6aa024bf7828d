"""The commands. Each imports its modules when it runs, so that ``--help`` is instant.

The docstring of a command is the text of its help.
"""

from __future__ import annotations

import errno
import math
import re
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn, TypeVar

from cyclopts import App, CycloptsError

import streamdet
from streamdet.cli.command import Command, command, error_message, with_lone_hyphens
from streamdet.cli.console import DEBUG, fail, stderr, stdout
from streamdet.cli.interrupt import end_at_once
from streamdet.cli.options import (
    BenchOptions,
    DemoOptions,
    EvalOptions,
    ExplainOptions,
    ExportOptions,
    InfoOptions,
    LabelOptions,
    MotOptions,
    PullOptions,
    SceneSetOptions,
    ServeOptions,
    TrainOptions,
    TuneOptions,
)
from streamdet.cli.words import translated
from streamdet.errors import DeviceError, InputError, StreamdetError, shown
from streamdet.files import EMBEDDED_MODEL
from streamdet.options import TrackOptions, WeightsOptions

# What is wrong with the name of a file, as opposed to its content or the disk.
_BAD_NAME = {errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EISDIR}
_NO_MEMORY = re.compile(r"bad_alloc|bad allocation|out of memory|can(no|')t allocate memory|map segment", re.IGNORECASE)
W = TypeVar("W", bound=WeightsOptions)

EXAMPLES = (
    ("Track a video into the folder runs", "streamdet track street.mp4"),
    ("See the first webcam, and keep its tracks", "streamdet track 0 --show --tracks tracks.csv"),
    ("Find people in all videos of a folder", "streamdet track videos --model yolov8n.pt --classes person"),
)
_EPILOGUE = "\n\n".join(
    (
        "Exit codes: 0 done, 1 failed while running, 2 wrong input, 75 a training that reached --minutes, and 128 + N "
        "ended by signal N: 130 by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP. A camera's run that a signal ends is done.",
        "Signals: the first Ctrl-C, SIGTERM or SIGHUP (the terminal is closed; nohup turns it off) ends a run in order "
        "with all files whole; the second discards the frames in flight. SIGPIPE: when the reader of the results "
        "on standard output is gone, the run ends with code 1; when that of the messages is gone, it goes on.",
        f"{DEBUG} shows the traceback of an error.",
    )
)
app = App(
    "streamdet",
    help="Real-time video detection and tracking.",
    version=f"streamdet {streamdet.__version__}",
    help_flags="--help",
    help_format="plaintext",
    help_epilogue=_EPILOGUE,
)
model_app = App("model", help="Look into models, and fetch published ones.", sort_key=math.inf)
eval_app = App("eval", help="Score finished output against ground truth.", sort_key=math.inf)


@command(app)
def track(options: TrackOptions) -> int:
    """Track what moves in SOURCE; without --out, --tracks or --show a file's results go to the folder runs."""
    from streamdet.cli.track import run

    end_at_once()  # until the pipeline runs
    return run(with_model(options))


@command(model_app)
def info(options: InfoOptions) -> None:
    """Print the layers, parameters, gradients and GFLOPs of MODEL."""
    from streamdet.cli.model import print_model

    print_model(options.model, options.arch)


@command(model_app)
def pull(options: PullOptions) -> None:
    """Download a free model that others have published, such as yolox-s; without a name, list them."""
    from streamdet.cli.pull import list_published, pull_model

    if options.model is None:
        list_published()
    else:
        pull_model(options.model, options.out)


@command(eval_app)
def mot(options: MotOptions) -> None:
    """Print HOTA, MOTA, IDF1 and id switches of TRACKS."""
    from streamdet.cli.score import print_mot_scores

    print_mot_scores(options)


@command(eval_app)
def det(options: EvalOptions) -> None:
    """Print the average precision of a model on labelled images, per class and size, by COCO's rules.

    Classes of the model and of the data are matched by name.
    """
    from streamdet.cli.evaluate import run

    end_at_once()
    run(with_model(options))


@command(app)
def tune(options: TuneOptions) -> int:
    """Search the settings of a tracker that score best (HOTA) on labelled sequences; Ctrl-C keeps the best so far.

    With --unlabelled limits are loosened where the same tracks are then found again in fewer frames and detections.
    """
    from streamdet.cli import tune, tune_unlabelled

    if not options.unlabelled:
        return tune.run(options)
    end_at_once()
    tune_unlabelled.run(options if tune_unlabelled.only_detections(options) else with_model(options))
    return 0


@command(app)
def train(options: TrainOptions) -> int:
    """Train a detector on labelled images; a training that was stopped or killed goes on with --resume.

    An evolution goes on when it is called again with the same --out.
    """
    from streamdet.cli.train import run

    return run(options)


@command(app)
def label(options: LabelOptions) -> int:
    """Draft labels for your own video by detector and tracker, for you to correct and streamdet train to learn from.

    Label files that are there already stay as they are.
    """
    from streamdet.cli.label import run

    end_at_once()  # as for track
    return run(with_model(options))


@command(app)
def scene(options: SceneSetOptions) -> None:
    """Render streets and write them with exact labels: a data set for streamdet train, for any task."""
    from streamdet.cli.scene import run

    run(options)


@command(app)
def explain(options: ExplainOptions) -> None:
    """List the ids in FILE, or say in words why one began, was lost, may have switched or ended.

    Frames count from 0.
    """
    from streamdet.cli.explain import print_lives, print_story

    if options.track_id is None:
        print_lives(options.file)
    else:
        print_story(options.file, options.track_id)


@command(app)
def export(options: ExportOptions) -> None:
    """Write MODEL for other runtimes: images uint8 (B, H, W, 3) RGB in, rows x1, y1, x2, y2, score, class out."""
    from streamdet.cli.model import export_model

    export_model(options)


@command(app)
def bench(options: BenchOptions) -> None:
    """Say how fast this machine detects and tracks, what limits it, and how many cameras it carries."""
    from streamdet.cli.bench import run

    run(with_model(options))


@command(app)
def doctor() -> int:
    """Say what this machine has, what is missing and how to get it."""
    from streamdet.cli.doctor import print_diagnosis

    return 0 if print_diagnosis() else 1


@command(app)
def serve(options: ServeOptions) -> int:
    """Watch cameras around the clock, by a site file or by their addresses, with a page of their state."""
    from streamdet.cli.serve import run

    return run(options)


@command(app)
def demo(options: DemoOptions) -> None:
    """Open a page on 127.0.0.1 that tracks uploaded videos and the browser's webcam."""
    from streamdet.cli.demo import serve as serve_demo

    serve_demo(with_model(options))


app.command(model_app)
app.command(eval_app)
app.register_install_completion_command(help="Let the shell complete commands and options: bash, zsh or fish.")


def with_model(options: W) -> W:
    """Return `options`, with the embedded model and a message about it on stderr when no model was given."""
    if options.model is not None:
        return options
    what = "the embedded one for person, bicycle, car, motorcycle, bus and truck"
    stderr.print(f"no --model given: using {what}", soft_wrap=True)
    return replace(options, model=EMBEDDED_MODEL)


def as_ours(words: Sequence[str]) -> list[str]:
    """Return the words of a command line with those of other programs translated; raises InputError."""
    path, apps, rest = app.parse_commands(words)
    called = apps[-1].default_command
    return [*path, *translated(rest, called.options)] if isinstance(called, Command) and called.options else [*words]


def run_command(words: Sequence[str]) -> int:
    """Run the command line `words` and return the exit code; raises InputError for wrong usage."""
    if not words:
        stdout.print(*(f"{aim}:\n    {line}" for aim, line in EXAMPLES), sep="\n", soft_wrap=True)
        stdout.print(
            "\nstreamdet --help lists all commands, streamdet track --help all options of that one.", soft_wrap=True
        )
        return 2
    try:
        called, bound, _ = app.parse_args(as_ours(with_lone_hyphens(words)), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise InputError(error_message(error)) from None
    code = called(*bound.args, **bound.kwargs)
    is_help_unasked = called == app.help_print and "--help" not in words
    return 2 if is_help_unasked else code or 0


def main() -> NoReturn:
    """Run the command line of the process and exit; the codes are told by the help."""
    try:
        code = run_command([word for word in sys.argv[1:] if word != DEBUG])
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    except Exception as error:
        code = fail(*_told(error))
    sys.exit(code)


def _told(error: Exception) -> tuple[str, int]:
    """Return the sentence that tells the user of `error`, and the exit code."""
    if not isinstance(error, DeviceError) and (reason := _lacking_memory(error)):
        return f"expected enough memory, found too little: {reason}", 1
    if isinstance(error, StreamdetError):
        return str(error), error.exit_code
    if isinstance(error, ImportError):
        return f"cannot import {error.name or 'a module'}: {error}; streamdet doctor says what is missing", 1
    if isinstance(error, OSError) and error.errno in _BAD_NAME and error.filename:
        return f"expected the name of a file that can be used, found {shown(error.filename)}: {error.strerror}", 2
    return f"unexpected {type(error).__name__}: {error} (run again with {DEBUG} for the traceback)", 1


def _lacking_memory(error: BaseException | None) -> str | None:
    """Return what a library said when it got no memory, if that is behind `error`, which may call a file broken."""
    while error is not None:
        if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
            return " ".join(str(error).split()) or type(error).__name__
        error = error.__cause__ or error.__context__
    return None
