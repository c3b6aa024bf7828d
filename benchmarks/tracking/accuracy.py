"""Scores of contestants on sets of sequences, over all frames and with dropped frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from statistics import fmean

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.bars import Bar
from benchmarks.tracking.figures import BEST_PEER, DROPPED_HOTA, Figures
from benchmarks.tracking.ours import Ours
from benchmarks.tracking.peer import Peer
from benchmarks.tracking.sequences import ALL_FRAMES, MOT17, SEQUENCES, SequenceSet, excerpts
from streamdet.evaluate.mot import SequenceScores, combine, measure, trackeval_metrics

Contestant = Ours | Peer
Run = tuple[Contestant, str, str]  # a contestant, the name of a set, and a rule of `KEPT`
Scores = Mapping[str, Figures]  # by sequence, and COMBINED
COMBINED = "combined"
LARGEST_LAG = 0.2  # HOTA of the default tracker behind the best on a set
LEAST_LEAD = 2.0  # and ahead of the best peer in the mean over the sets
HEADING = "HOTA/MOTA/IDF1/id switches"


def measured(
    sets: Mapping[str, SequenceSet], contestants: Sequence[Contestant], rules: Sequence[str]
) -> dict[Run, Scores]:
    """Return the scores of `contestants` on `sets` for each of `rules` of `KEPT`, in parallel on all cores."""
    runs = list(product(contestants, sets, rules))
    with ProcessPoolExecutor() as pool:
        scores = pool.map(_scores, *zip(*((who, sets[name], rule) for who, name, rule in runs), strict=True))
        progress = track(scores, "tracking", len(runs), console=Console(stderr=True), transient=True)
        return dict(zip(runs, progress, strict=True))


def _scores(contestant: Contestant, source: SequenceSet, rule: str) -> Scores:
    seen = excerpts(source, rule)
    sequences = [excerpt.with_tracks(rows) for excerpt, rows in zip(seen, contestant.track(seen), strict=True)]
    found = combine({sequence.name: measure(sequence, trackeval_metrics()) for sequence in sequences})
    return {name: _figures(scores) for name, scores in {**found.sequences, COMBINED: found.combined}.items()}


def _figures(scores: SequenceScores) -> Figures:
    return Figures(scores.hota, scores.mota, scores.idf1, scores.id_switches)


def accuracy_table(title: str, scores: Mapping[Run, Scores], quoted: Mapping[str, Figures]) -> Table:
    """Return a table of MOT17 `scores` over all frames, by sequence and combined, with `quoted` ones of peers below."""
    columns = [name.removeprefix("MOT17-") for name in SEQUENCES]
    table = Table("", *columns, COMBINED, title=f"{title}: {HEADING}", box=SIMPLE_HEAD)
    for (contestant, _, _), found in scores.items():
        by_sequence = (found[name].text(digits=1) for name in SEQUENCES)
        table.add_row(contestant.label, *by_sequence, found[COMBINED].text(digits=2))
    table.add_section()
    for label, figures in quoted.items():
        table.add_row(f"{label} (quoted)", *[""] * len(SEQUENCES), figures.text(digits=2))
    return table


def sets_table(scores: Mapping[Run, Scores]) -> Table:
    """Return a table of the combined HOTA by the frames kept and by set, with the mean over the sets."""
    contestants = list(dict.fromkeys(contestant for contestant, _, _ in scores))
    table = Table("", *(contestant.label for contestant in contestants), title="HOTA by set", box=SIMPLE_HEAD)
    for rule in dict.fromkeys(rule for _, _, rule in scores):
        frames = "" if rule == ALL_FRAMES else f", {rule}"
        for name in dict.fromkeys(name for _, name, _ in scores):
            found = (scores[contestant, name, rule][COMBINED].hota for contestant in contestants)
            table.add_row(f"{name}{frames}", *(f"{hota:.2f}" for hota in found))
        table.add_row(f"mean{frames}", *(f"{mean_hota(scores, contestant, rule):.2f}" for contestant in contestants))
        table.add_section()
    return table


def mean_hota(scores: Mapping[Run, Scores], contestant: Contestant, rule: str) -> float:
    """Return the mean over the sets of the combined HOTA of `contestant` on the frames that `rule` keeps."""
    return fmean(
        found[COMBINED].hota for (who, _, frames), found in scores.items() if (who, frames) == (contestant, rule)
    )


def lead_bars(scores: Mapping[Run, Scores], default: Contestant, peers: Sequence[Peer]) -> list[Bar]:
    """Return the bars for `default` beside all others: near the best on every set, ahead of `peers` in the mean."""
    others = dict.fromkeys(who for who, _, _ in scores if who != default)
    best = {run[1:]: max(scores[who, *run[1:]][COMBINED].hota for who in others) for run in scores if others}
    bars = [
        Bar(f"HOTA, {name}, {rule}", scores[default, name, rule][COMBINED].hota, "≥", round(hota - LARGEST_LAG, 2))
        for (name, rule), hota in best.items()
    ]
    for rule in dict.fromkeys(rule for _, _, rule in scores) if peers else ():
        least = max(mean_hota(scores, peer, rule) for peer in peers) + LEAST_LEAD
        bars.append(Bar(f"mean HOTA, {rule}", mean_hota(scores, default, rule), "≥", round(least, 2)))
    return bars


def dropped_table(scores: Mapping[Run, Scores]) -> Table:
    """Return a table of the MOT17 `scores` with dropped frames, all combined, with the quoted HOTA of the best peer."""
    table = Table("", *DROPPED_HOTA, title=f"Frames kept: {HEADING}", box=SIMPLE_HEAD)
    for contestant in dict.fromkeys(contestant for contestant, _, _ in scores):
        found = (scores[contestant, MOT17, rule][COMBINED] for rule in DROPPED_HOTA)
        table.add_row(contestant.label, *(figures.text(digits=2) for figures in found))
    table.add_section()
    table.add_row(f"{BEST_PEER} (quoted)", *(f"{hota:.2f}" for hota in DROPPED_HOTA.values()))
    return table
