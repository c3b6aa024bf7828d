"""Prints what the commands that only look find: a model, scores, the state of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from rich.markup import escape
from rich.table import Table

from streamdet.cli.console import stdout
from streamdet.cli.options import MotOptions


def _table(*headings: str, left: Sequence[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="left" if heading in left else "right", overflow="fold")
    return table


def print_model(name: str) -> None:
    """Print the layers of a model and its size."""
    from streamdet.models.summary import describe

    model = describe(name)
    table = _table("#", "from", "repeats", "parameters", "module", "arguments", left=("module", "arguments"))
    for row in model.rows:
        sources = ", ".join(str(source) for source in row.sources)
        arguments = ", ".join(str(argument) for argument in row.args)
        table.add_row(str(row.index), sources, str(row.repeats), f"{row.parameters:,}", row.block, arguments)
    stdout.print(table)
    size = model.summary
    stdout.print(
        f"{model.name}: {size.layers} layers, {size.parameters:,} parameters, {size.gradients:,} gradients, "
        f"{size.gflops:.1f} GFLOPs at 640x640; {model.task}, {len(model.class_names)} classes, "
        f"strides {', '.join(str(stride) for stride in model.strides_px)}",
        soft_wrap=True,
    )


def print_mot_scores(options: MotOptions) -> None:
    """Print the scores per sequence and of all together."""
    from streamdet.evaluate.mot import SequenceScores, evaluate_mot

    scores = evaluate_mot(options.ground_truth, options.tracks, half=options.half, sequences=options.sequences)
    table = _table("sequence", "HOTA", "DetA", "AssA", "MOTA", "IDF1", "IDs", "Frag", "FP", "FN", left=("sequence",))
    for name, score in [*scores.sequences.items(), ("all", scores.combined)]:
        values = [getattr(score, field.name) for field in fields(SequenceScores)]
        table.add_row(name, *(f"{value:.2f}" if isinstance(value, float) else str(value) for value in values))
    stdout.print(table)


_MARKS = {"ok": "[green]ok[/]", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}


def print_diagnosis() -> bool:
    """Print every check with what it found and what to do about it; returns whether streamdet can work here."""
    from streamdet.doctor import diagnose

    checks = diagnose()
    table = _table("", "check", "found", "advice", left=("", "check", "found", "advice"))
    for check in checks:
        table.add_row(_MARKS[check.status], *(escape(text) for text in (check.name, check.found, check.advice)))
    stdout.print(table)
    return all(check.status != "fail" for check in checks)
