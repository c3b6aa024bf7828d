"""``streamdet label``: tracks a video and writes draft labels of its frames."""

from __future__ import annotations

from collections.abc import Sequence

from streamdet.cli.console import stderr, warn
from streamdet.cli.interrupt import Interrupt
from streamdet.cli.options import LabelOptions
from streamdet.cli.places import result_name
from streamdet.cli.progress import RunProgress, load_pipeline
from streamdet.data.check import SPLITS
from streamdet.data.folder import LabelFolder, choose_split
from streamdet.errors import InputError
from streamdet.labelling import Draft, draft
from streamdet.options import ModelOptions, RunOptions
from streamdet.pipeline.run import Run
from streamdet.video.location import files_at
from streamdet.video.source import open_source


def run(options: LabelOptions) -> int:
    """Track, choose frames and write them with draft labels; returns the exit code.

    Ctrl-C during tracking ends it, and the frames so far are written; during writing it ends after the current frame.
    """
    _require_distinct(options)
    run_options = RunOptions(classes=options.classes, size=options.size, refine=True)
    with (
        load_pipeline(ModelOptions(model=options.model, device=options.device, arch=options.arch)) as pipeline,
        pipeline.run_with(options.source, run_options) as tracking,
    ):
        names = pipeline.class_names
        class_ids = pipeline.session.card.class_ids(options.classes or range(len(names)))
        folder = LabelFolder(options.out, [names[class_id] for class_id in class_ids])
        drafts, exit_code = _draft(options, tracking)
    drafts = [each.renumbered(class_ids) for each in drafts]
    exit_code = _write(options, drafts, folder) or exit_code
    _report(drafts, folder)
    return exit_code


def _require_distinct(options: LabelOptions) -> None:
    """Raise InputError if images of SOURCE are in a folder that images are written to, under whatever name.

    Those written would be read as well. Files that exist are never changed.
    """
    read = {path.parent for path in files_at(options.source)}
    for folder in (options.out / "images" / split for split in SPLITS):
        if folder.exists() and any(map(folder.samefile, read)):
            raise InputError(f"expected a folder of its own for --out, but {folder} is read as SOURCE")


def _draft(options: LabelOptions, run: Run) -> tuple[list[Draft], int]:
    """Return the drafts of the source, up to an interrupt if there is one, and the exit code."""
    has_times = run.source.info.frame_rate is not None
    try:
        with RunProgress(run.options) as progress, Interrupt(run.stop, run.cancel) as interrupt:
            progress.add(run)
            return draft(run, options.every, options.conf, has_times=has_times), interrupt.exit_code
    finally:
        for message in run.warnings:
            warn(message)


def _write(options: LabelOptions, drafts: Sequence[Draft], folder: LabelFolder) -> int:
    """Read the source again and write the frames of `drafts` with their labels; returns the exit code."""
    places = {each.frame_index: place for place, each in enumerate(drafts)}
    with open_source(options.source) as source, Interrupt(source.stop) as interrupt:
        name = result_name(source.id)
        for frame in source:
            if (place := places.pop(frame.index, None)) is not None:
                lines = drafts[place].lines(frame.image.shape[:2])
                folder.write(f"{name}_{frame.index:06d}", choose_split(place, len(drafts)), frame.image, lines)
            if not places:
                break
    return interrupt.exit_code


def _report(drafts: Sequence[Draft], folder: LabelFolder) -> None:
    objects = sum(len(each.boxes) for each in drafts)
    stderr.print(
        f"drafted {objects} objects in {len(drafts)} frames; wrote {folder.written} to {folder.path}",
        markup=False,
        soft_wrap=True,
    )
    if folder.left:
        stderr.print(f"{folder.left} label files were there already and stay as they are", markup=False)
    stderr.print(f"correct them, then: streamdet train {folder.data_file}", markup=False, soft_wrap=True)
