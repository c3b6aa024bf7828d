"""Checks a data set while a bar shows how far, and prints what is in it and what is wrong with it."""

from __future__ import annotations

import numpy as np
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from streamdet.cli.console import stderr, stdout
from streamdet.cli.table import table
from streamdet.data.check import SPLITS, DataReport, Finding, check
from streamdet.data.spec import DataSpec, Split
from streamdet.types import Float32Array

_NAMED = 20  # files that are named before the rest is only counted


def checked(spec: DataSpec) -> DataReport:
    """Return what `check` finds, and show how far it is on a terminal."""
    with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        task = progress.add_task("checking images", total=len(spec.train) + len(spec.val))
        return check(spec, lambda: progress.advance(task))


def print_data_report(report: DataReport) -> None:
    """Print images, objects and sizes of both splits, then what is wrong, and name what is left out because of it."""
    stdout.print(_contents(report))
    found = {split: list(report.findings(split)) for split in SPLITS}
    if any(found.values()):
        stdout.print(_faults(found))
    broken = [each for split in SPLITS for each in found[split] if each.kind in ("broken image", "unreadable")]
    for finding in broken[:_NAMED]:
        stdout.print(f"left out: {finding.path}: {finding.detail}", markup=False, soft_wrap=True)
    if len(broken) > _NAMED:
        stdout.print(f"left out: {len(broken) - _NAMED} more")


def _contents(report: DataReport) -> Table:
    rows = table("", *SPLITS, left=("",))
    counts = {split: report.objects_by_class(split).tolist() for split in SPLITS}
    rows.add_row("images", *(str(len(report.images(split))) for split in SPLITS))
    rows.add_row("  usable", *(str(len(report.usable(split))) for split in SPLITS))
    rows.add_row("  longer side, px", *(_spread(report.image_sides_px(split)) for split in SPLITS))
    rows.add_row("objects", *(str(sum(counts[split])) for split in SPLITS))
    rows.add_row("  root of area, px", *(_spread(report.object_sides_px(split)) for split in SPLITS))
    for class_id, name in enumerate(report.spec.class_names):
        rows.add_row(f"  {escape(name)}", *(_count(report, split, counts[split][class_id]) for split in SPLITS))
    return rows


def _count(report: DataReport, split: Split, objects: int) -> str:
    """Return the number of objects, marked where a class has none: it can neither be learned nor scored."""
    return f"[yellow]{objects}[/]" if not objects and report.images(split) else str(objects)


def _faults(found: dict[Split, list[Finding]]) -> Table:
    rows = table("found", *SPLITS, "for example", left=("found", "for example"))
    examples = {each.kind: each for split in reversed(SPLITS) for each in reversed(found[split])}
    for kind, example in sorted(examples.items()):
        counts = (str(sum(each.kind == kind for each in found[split])) for split in SPLITS)
        rows.add_row(kind, *counts, escape(f"{example.path}: {example.detail}".removesuffix(": ")))
    return rows


def _spread(values: Float32Array) -> str:
    """Return smallest, median and largest of the `values`."""
    if not len(values):
        return "-"
    return " / ".join(f"{value:.0f}" for value in (values.min(), np.median(values), values.max()))
