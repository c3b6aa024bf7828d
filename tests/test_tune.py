"""Tuning: what it finds in a scene with a known best, that it repeats, and what it says about bad input."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from operator import add
from pathlib import Path

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import create_trial

from streamdet.errors import InputError, MissingExtraError, OutputError
from streamdet.options import TrackerOptions
from streamdet.tracking.config import read_tracker
from streamdet.tune.search import Scorer, Trial, search, search_space
from streamdet.tune.sequences import LabelledSequence, read_labelled
from streamdet.tune.tuning import tune, write_tracker
from trackers.botsort import BotSortConfig
from trackers.config import TRACKERS, TrackerConfig, parse_config
from trackers.types import Config

LENGTH = 24
STRICT = TrackerConfig("botsort", BotSortConfig(track_high_thresh=0.6, new_track_thresh=0.6), {"with_reid": False})


def write_scene(folder: Path, seed: int, *, first_labelled: int = 1, people: int = 3) -> Path:
    """Write a sequence of people on parallel lanes, seen with confidence 0.3 to 0.4, among noise below 0.2."""
    rng = np.random.default_rng(seed)
    truth, detections = [], []
    for frame in range(1, LENGTH + 1):
        for person in range(people):
            box = f"{5 * frame + 10 * person:g},{200 * person:g},40,80"
            if frame >= first_labelled:
                truth.append(f"{frame},{person + 1},{box},1,-1,-1,-1")
            detections.append(f"{frame},-1,{box},{rng.uniform(0.3, 0.4):.3f},-1,-1,-1")
        x, y = rng.uniform(0, 2000, 2)
        detections.append(f"{frame},-1,{x:.1f},{y + 900:.1f},40,80,{rng.uniform(0.05, 0.2):.3f},-1,-1,-1")
    for name, lines in (("gt/gt.txt", truth), ("det/det.txt", detections)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("\n".join(lines) + "\n")
    (folder / "seqinfo.ini").write_text(f"[Sequence]\nname={folder.name}\nframeRate=10\nseqLength={LENGTH}\n")
    return folder


@pytest.fixture
def mot(tmp_path: Path) -> Path:
    """A folder of two sequences, A and B."""
    for seed, name in enumerate("AB"):
        write_scene(tmp_path / "mot" / name, seed)
    return tmp_path / "mot"


@pytest.fixture
def scene(mot: Path) -> list[LabelledSequence]:
    return read_labelled(mot)


def trials_of(scene: list[LabelledSequence], count: int, *, seed: int = 0, jobs: int = 1) -> list[Trial]:
    with Scorer(jobs) as scorer:
        return list(islice(search(STRICT, scene, scorer, seed=seed), count))


def settings_of(trial: Trial) -> BotSortConfig:
    settings = trial.config.settings
    assert isinstance(settings, BotSortConfig)
    return settings


def test_finds_the_thresholds_that_the_scene_asks_for(scene: list[LabelledSequence]) -> None:
    """Everyone is seen with 0.3 to 0.4: thresholds of 0.6 follow nobody, those between 0.2 and 0.3 all of them."""
    tuning = tune(STRICT, scene, trials=30)
    assert tuning.start.hota == 0
    assert tuning.best.hota > 99
    best = settings_of(tuning.best)
    assert max(best.new_track_thresh, best.track_high_thresh) < 0.35
    assert {score.id_switches for score in tuning.best.scores.sequences.values()} == {0}


def test_the_first_trial_is_the_present_settings(scene: list[LabelledSequence]) -> None:
    (trial,) = trials_of(scene, 1)
    assert trial.number == 0
    assert trial.config == STRICT


def test_settings_that_cannot_be_beaten_stay(scene: list[LabelledSequence]) -> None:
    """Equal scores change nothing: what comes out is exactly what went in."""
    config = parse_config({"tracker_type": "bytetrack", "track_high_thresh": 0.2512345, "new_track_thresh": 0.25})
    tuning = tune(config, scene, trials=5)
    assert tuning.start.hota == 100
    assert tuning.best is tuning.start
    assert tuning.best.config == config


def test_a_seed_repeats_the_search_whatever_the_number_of_jobs(scene: list[LabelledSequence]) -> None:
    alone, together = trials_of(scene, 12), trials_of(scene, 12, jobs=2)
    assert alone == together
    assert trials_of(scene, 3, seed=1) != alone[:3]


def test_every_trial_keeps_the_constraints_of_the_settings(scene: list[LabelledSequence]) -> None:
    """The low threshold may not exceed the high one; what contradicts that is drawn again and counts for nothing."""
    trials = trials_of(scene, 20)
    assert [trial.number for trial in trials] == list(range(20))
    tried = [settings_of(trial) for trial in trials]
    assert all(settings.track_low_thresh <= settings.track_high_thresh for settings in tried)


@dataclass(frozen=True, slots=True)
class EveryKind(Config):
    """A setting of every kind."""

    track_high_thresh: float = 0.5
    track_buffer_s: float = 9.0
    fuse_score: bool = True
    class_aware: bool = False
    proximity_thresh: float = 0.5
    overlap: float = 0.25
    hits: int = 4
    coast_s: float = 0.6
    off_s: float = 0.0


def test_ranges_follow_from_the_kind_of_setting() -> None:
    assert search_space(EveryKind(), highest_score=0.8) == {
        "track_high_thresh": FloatDistribution(0, 0.8),
        "track_buffer_s": FloatDistribution(0.2, 9.0, log=True),
        "fuse_score": CategoricalDistribution([False, True]),
        "overlap": FloatDistribution(0, 1),
        "hits": IntDistribution(1, 12),
        "coast_s": FloatDistribution(0.6 / 3, 0.6 * 3, log=True),
    }


@pytest.mark.parametrize("kind", sorted(TRACKERS))
def test_every_tracker_starts_inside_its_ranges(kind: str) -> None:
    settings = parse_config({"tracker_type": kind}).settings
    space = search_space(settings, highest_score=0.1)
    assert space
    for name, present in space.items():
        create_trial(params={name: getattr(settings, name)}, distributions={name: present}, value=0)


def test_the_other_half_is_scored_but_not_tuned_on(scene: list[LabelledSequence]) -> None:
    """Of 24 frames the first half has 13, the second 11, and in each are 3 people."""
    tuning = tune(STRICT, scene[:1], half="train", trials=30)
    assert tuning.held_out is not None
    before, after = tuning.held_out
    assert before.combined.hota == 0
    assert after.combined.hota > 95
    assert tuning.start.scores.combined.false_negatives == 13 * 3
    assert before.combined.false_negatives == 11 * 3


def test_a_half_without_labels_is_no_check_and_nothing_to_tune_on(tmp_path: Path) -> None:
    scene = read_labelled(write_scene(tmp_path / "A", 0, first_labelled=14))
    assert tune(STRICT, scene, half="val", trials=1).held_out is None
    with pytest.raises(InputError, match="expected labels in frames 1 to 13 of sequence A, found none"):
        tune(STRICT, scene, half="train", trials=1)


def test_time_is_a_limit_too(scene: list[LabelledSequence]) -> None:
    assert tune(STRICT, scene, trials=60, timeout_s=0).trials == 1


def interrupt_at(number: int) -> Callable[[Trial], None]:
    def on_trial(trial: Trial) -> None:
        if trial.number == number:
            raise KeyboardInterrupt

    return on_trial


def test_an_interrupt_keeps_the_best_so_far(scene: list[LabelledSequence]) -> None:
    expected = max(trials_of(scene, 6), key=lambda trial: trial.hota)
    assert expected.hota > 0
    tuning = tune(STRICT, scene, on_trial=interrupt_at(5))
    assert (tuning.interrupted, tuning.trials, tuning.best) == (True, 6, expected)


def test_an_interrupt_before_the_first_score_is_passed_on(
    scene: list[LabelledSequence], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Scorer, "score", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tune(STRICT, scene)


def test_ctrl_c_on_the_command_line_writes_the_best_so_far(mot: Path, tmp_path: Path) -> None:
    """The terminal interrupts all processes of the group, those that score as well."""
    script = (
        "import os, signal, sys\n"
        "from streamdet.cli import app, tune\n"
        "def update(progress, trial):\n"
        "    if trial.number == 2: os.killpg(0, signal.SIGINT)\n"
        "tune._TuneProgress.update = update\n"
        "app.main()\n"
    )
    out = tmp_path / "mine.yaml"
    command = [sys.executable, "-c", script, "tune", str(mot), "--out", str(out), "--jobs", "2"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    ended = subprocess.run(command, capture_output=True, text=True, start_new_session=True, env=environment)
    assert ended.returncode == 130, ended.stderr
    assert "Traceback" not in ended.stderr
    assert "in 3 trials" in out.read_text()
    assert read_tracker(str(out)).kind == TrackerOptions.tracker


def test_what_is_written_loads_as_what_was_found(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    write_tracker(path, STRICT, ["Tuned on one: scene", "#"])
    assert read_tracker(str(path)) == STRICT
    assert path.read_text().startswith("# Tuned on one: scene\n# #\ntracker_type: botsort\n")


def test_the_command_writes_a_tracker_and_says_what_it_gained(
    streamdet: Callable[..., str], mot: Path, tmp_path: Path
) -> None:
    start, out = tmp_path / "start.yaml", tmp_path / "mine.yaml"
    write_tracker(start, STRICT, [])
    options = ["--tracker", start, "--half", "train", "--trials", 20, "--jobs", 1, "--detections", "det.txt"]
    printed = streamdet("tune", mot, "--out", out, *options, code=0)
    assert "second halves, not tuned on" in printed
    assert "new_track_thresh" in printed
    assert f"wrote {out}" in printed
    comment = [line for line in out.read_text().splitlines() if line.startswith("#")]
    assert "in 20 trials, seed 0" in comment[0]
    assert comment[1] == "# Tuned on first halves of A, B:"
    assert comment[2].startswith("#   before HOTA 0.00  MOTA 0.00  IDF1 0.00")
    assert comment[3].startswith("#   after  HOTA 9") or comment[3].startswith("#   after  HOTA 100")
    assert read_tracker(str(out)).image_options == {"with_reid": False}


@pytest.mark.parametrize(
    ("damage", "options", "named"),
    [
        pytest.param("rm -r {mot}/A {mot}/B", "", "SEQUENCE/gt/gt.txt", id="no sequence"),
        pytest.param("rm {mot}/A/det/det.txt", "", "expected one file of detections", id="no detections"),
        pytest.param("cp {mot}/A/det/det.txt {mot}/A/det/b.txt", "", "found b.txt, det.txt", id="which detections"),
        pytest.param("true", "--detections yolo.txt", "A/det/yolo.txt", id="no such detections"),
        pytest.param("true", "--detections {mot}", "mot/A.txt", id="no such file in the folder"),
        pytest.param("echo 1,-1,0,0,9,9,193.7 >{mot}/A/det/det.txt", "", "found 193.7", id="other scores"),
        pytest.param("echo 1,-1,0 >{mot}/A/det/det.txt", "", "det.txt, line 1: expected", id="malformed detections"),
        pytest.param("echo 0 1 0 0 0 1 0 >{mot}/A/gmc.txt", "", "expected 24 frames of camera motion", id="short gmc"),
        pytest.param("sed -i s/10/x/ {mot}/A/seqinfo.ini", "", "expected frameRate", id="no frame rate"),
        pytest.param("echo 1,1,0,0,9,9 >{mot}/A/gt/gt.txt", "", "gt.txt, line 1: expected", id="malformed labels"),
        pytest.param("true", "--sequences A,C", "found 'C'", id="unknown sequence"),
        pytest.param("true", "--tracker botsrt", "did you mean 'botsort'", id="unknown tracker"),
        pytest.param("true", "--out {mot}/none/mine.yaml", "none/mine.yaml", id="no folder to write to"),
        pytest.param("true", "--out {mot}", "but it is no file", id="a folder to write to"),
        pytest.param("ln {mot}/A/gt/gt.txt {mot}/mine", "--out {mot}/mine", "is read as SOURCE", id="labels"),
        pytest.param("ln -s {mot}/A/det/det.txt {mot}/mine", "--out {mot}/mine", "as --detections", id="detections"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(
    streamdet: Callable[..., str], mot: Path, tmp_path: Path, damage: str, options: str, named: str
) -> None:
    subprocess.run(damage.format(mot=mot), shell=True, check=True)
    out = tmp_path / "mine.yaml"
    printed = streamdet("tune", mot, "--out", out, *options.format(mot=mot).split(), code=2)
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1
    assert named in printed
    assert not out.exists()


def rewrite(path: Path, column: int, change: Callable[[float], float]) -> None:
    """Change a column of a MOT file."""
    rows = [line.split(",") for line in path.read_text().splitlines()]
    for row in rows:
        row[column] = f"{change(float(row[column])):g}" if column else str(int(change(int(row[0]))))
    path.write_text("".join(",".join(row) + "\n" for row in rows))


def test_percentages_are_taken_for_scores_and_that_is_said(
    streamdet: Callable[..., str], mot: Path, tmp_path: Path
) -> None:
    expected = [sequence.detections for sequence in read_labelled(mot)]
    for name in "AB":
        rewrite(mot / name / "det" / "det.txt", 6, lambda score: 100 * score)
    printed = streamdet("tune", mot, "--out", tmp_path / "mine.yaml", "--trials", 1, "--jobs", 1, code=0)
    assert printed.startswith(f"warning: {mot}/A/det/det.txt: confidences up to ")
    assert printed.count("are taken for percentages, and divided by 100\n") == 2
    for found, shares in zip(read_labelled(mot), expected, strict=True):
        np.testing.assert_allclose(found.detections.scores, shares.scores)


def test_frame_numbers_that_are_time_stamps_score_as_frames_do(mot: Path) -> None:
    """After a hundred empty frames, or after a billion."""
    config = TrackerConfig("botsort", BotSortConfig(track_high_thresh=0.25, new_track_thresh=0.25), {})
    scores = []
    for empty in (100, 10**9):
        for name in "AB":
            write_scene(mot / name, ord(name))
            for path in ("gt/gt.txt", "det/det.txt"):
                rewrite(mot / name / path, 0, partial(add, empty))
            seqinfo = (mot / name / "seqinfo.ini").read_text()
            (mot / name / "seqinfo.ini").write_text(seqinfo.replace(f"={LENGTH}", f"={2 * empty}"))
        scores.append(tune(config, read_labelled(mot), trials=2).start.scores)
    assert scores[0].combined.hota > 50
    assert scores[0] == scores[1]


def test_a_tracker_that_cannot_be_written_leaves_the_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "mine.yaml"
    write_tracker(out, STRICT, ["earlier"])
    earlier = out.read_bytes()

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full_disk)
    with pytest.raises(OutputError, match=r"mine\.yaml failed: No space left"):
        write_tracker(out, STRICT, ["later"])
    assert out.read_bytes() == earlier
    assert list(tmp_path.iterdir()) == [out]


def test_the_modules_are_imported_without_optuna() -> None:
    script = "import sys; sys.modules['optuna'] = None; import streamdet.cli.tune"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_without_optuna_the_extra_is_named(scene: list[LabelledSequence], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'streamdet\[tune\]'"):
        tune(STRICT, scene)
