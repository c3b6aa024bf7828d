"""Tuning without labels: the labels that a tracker makes for itself, and which settings it may change."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import streamdet as package
from streamdet.cli.app import main
from streamdet.cli.options import TuneOptions
from streamdet.cli.tune_unlabelled import footage_of
from streamdet.errors import InputError
from streamdet.evaluate.mot import MotScores, SequenceScores, combine, measure, trackeval_metrics
from streamdet.evaluate.sequences import MotSequence
from streamdet.tracking.config import read_tracker
from streamdet.tune.footage import Footage, consistent, read_footage
from streamdet.tune.sequences import LabelledSequence, mot_table
from streamdet.tune.unlabelled import Comparison, adapt, windows_of
from trackers.config import TrackerConfig, parse_config
from trackers.mot import MotRows, write_tracks
from trackers.offline import track_frames
from trackers.types import IntArray

RATE_HZ = 10.0
LENGTH = 300
DEFAULT = parse_config({"tracker_type": "streamsort"})


def rows(ids: IntArray, frames: IntArray, boxes: Sequence[tuple[float, ...]], scores: list[float]) -> MotRows:
    order = np.argsort(frames, kind="stable")
    found = MotRows(frames, ids, np.array(boxes), np.array(scores), np.zeros_like(ids))
    return found.select(order)


def walkers(score: Callable[[int, int], float], length: int = LENGTH) -> MotRows:
    """People on lanes of their own: a new one in each every 4 s, who is seen with ``score(person, age)``."""
    ids, frames, boxes, scores = [], [], [], []
    for frame in range(1, length + 1):
        for lane in range(4):
            turn, age = divmod(frame + 9 * lane, 40)
            if age < 36:
                x = 20 + 6 * age
                ids.append(4 * turn + lane + 1)
                frames.append(frame)
                boxes.append((x, 150 * lane, x + 40, 150 * lane + 90))
                scores.append(score(ids[-1], age))
    return rows(np.array(ids), np.array(frames), boxes, scores)


def footage(truth: MotRows, name: str = "people", length: int = LENGTH) -> Footage:
    """What a detector saw of people: their boxes without ids."""
    return Footage(name, length, RATE_HZ, truth._replace(ids=np.full_like(truth.ids, -1)))


def hota(config: TrackerConfig, seen: Footage, truth: MotRows) -> float:
    """The score of a tracker, online, against the true tracks."""
    tracks = track_frames(config.build(seen.frame_rate), seen.detections)
    table = mot_table("truth", truth)
    labels = type(table)(
        Path(__file__), table.lines, table.frames, table.ids, table.boxes, np.ones((len(truth.ids), 4))
    )
    sequence = MotSequence("people", seen.length, "MOT15", labels, mot_table("tracks", tracks))
    return combine({"people": measure(sequence, trackeval_metrics())}).combined.hota


def sure(person: int, age: int) -> float:
    """The score of a detector that sees everyone alike."""
    return 0.9


def hesitant(person: int, age: int) -> float:
    """The score of one that sees people, but for every fourth of them, from their second second on as well as they are.

    Before that they score 0.78 of that, which is too little to begin a track by default.
    """
    return 0.9 if age >= 20 or person % 4 == 0 else 0.68


def counted(labelled: LabelledSequence) -> MotRows:
    """The labels that count."""
    table = labelled.truth.boxes
    boxes = np.hstack([table.boxes[:, :2], table.boxes[:, :2] + table.boxes[:, 2:]])
    everything = MotRows(table.frames, table.ids, boxes, np.ones(len(table)), np.zeros_like(table.ids))
    return everything.select(table.extra[:, 0] > 0)


def test_the_labels_of_a_perfect_scene_are_the_truth() -> None:
    """But for the box that each person begins with: a track is one when it is matched a second time."""
    truth = walkers(sure)
    labels = counted(footage(truth).labelled(DEFAULT))
    begins = np.isin(np.arange(len(truth.ids)), np.unique(truth.ids, return_index=True)[1]) & (truth.frames > 1)
    truth = truth.select(~begins)
    assert labels.frames.tolist() == truth.frames.tolist()
    order = [np.lexsort([each.boxes[:, 1].round(-1), each.frames]) for each in (labels, truth)]
    np.testing.assert_allclose(labels.boxes[order[0]], truth.boxes[order[1]], atol=3)
    pairs = {*zip(labels.ids[order[0]].tolist(), truth.ids[order[1]].tolist(), strict=True)}
    assert len(pairs) == len(np.unique(truth.ids)) == len(np.unique(labels.ids))


def test_tracks_are_consistent_if_both_directions_agree() -> None:
    """Of 10 boxes of person 1 both have 10, of person 2 the other has 7, and person 3 is two people there."""

    def people(*spans: tuple[int, int, int, int]) -> MotRows:
        places = [(name, lane, frame) for name, lane, first, last in spans for frame in range(first, last + 1)]
        ids, lanes, frames = np.array(places).T
        return rows(ids, frames, [(0, 100 * lane, 40, 100 * lane + 80) for lane in lanes], [1.0] * len(ids))

    one = people((1, 1, 1, 10), (2, 2, 1, 10), (3, 3, 1, 10))
    other = people((7, 1, 1, 10), (8, 2, 1, 7), (9, 3, 1, 5), (10, 3, 6, 10))
    assert {*one.ids[consistent(one, other)].tolist()} == {1}
    assert {*other.ids[consistent(other, one)].tolist()} == {7}
    assert consistent(one, one).all()
    nothing = one.select(slice(0))
    assert not consistent(one, nothing).any()
    assert consistent(nothing, one).shape == (0,)


def test_time_and_the_camera_are_reversed_together() -> None:
    """A camera that pans, zooms and stops: twice reversed is as before, and a point comes back to where it was."""
    rng = np.random.default_rng(0)
    motion = np.eye(2, 3) + rng.uniform(-0.1, 0.1, (LENGTH, 2, 3)) * (1, 1, 100)
    motion[0] = np.eye(2, 3)
    there = Footage("people", LENGTH, RATE_HZ, walkers(sure), motion)
    back = there.backwards()
    assert back.camera_motion is not None
    point = np.array([3.0, 4.0, 1.0])
    for frame in (1, 17, LENGTH - 1):  # into frame `frame` + 1, and back from it
        moved = np.append(motion[frame] @ point, 1)
        np.testing.assert_allclose(back.camera_motion[LENGTH - frame] @ moved, point[:2])
    again = back.backwards()
    assert again.camera_motion is not None
    np.testing.assert_allclose(again.camera_motion, motion)
    assert again.detections.frames.tolist() == there.detections.frames.tolist()
    assert back.detections.frames.tolist() == (LENGTH + 1 - there.detections.frames[::-1]).tolist()


def test_a_threshold_that_is_too_high_for_the_detector_is_lowered() -> None:
    """Its scores begin lower than the default expects; against the true tracks the new threshold is better too."""
    truth = walkers(hesitant)
    seen = footage(truth)
    adaptation = adapt(DEFAULT, [seen])
    begin = adaptation.comparisons[0]
    assert (begin.setting, begin.old, begin.new, begin.adopted) == ("new_track_thresh", 0.85, 0.697, True)
    assert hota(adaptation.config, seen, truth) > hota(DEFAULT, seen, truth) + 5


def test_where_nothing_gains_the_settings_stay() -> None:
    adaptation = adapt(DEFAULT, [footage(walkers(sure))])
    assert adaptation.config == DEFAULT
    assert [each.gain for each in adaptation.comparisons] == [0, 0]
    assert not any(each.adopted for each in adaptation.comparisons)


def test_the_number_of_processes_changes_nothing() -> None:
    seen = [footage(walkers(hesitant), name) for name in "ab"]
    assert adapt(DEFAULT, seen, jobs=2).config == adapt(DEFAULT, seen).config


def test_what_a_tracker_does_not_have_is_left_out() -> None:
    """SORT begins tracks from every detection that it uses, and the thresholds of BoT-SORT may not cross."""
    seen = [footage(walkers(sure))]
    sort = parse_config({"tracker_type": "sort"})
    assert [each.setting for each in adapt(sort, seen).comparisons] == ["track_high_thresh"]
    tight = parse_config({"tracker_type": "botsort", "track_low_thresh": 0.24})
    assert [each.setting for each in adapt(tight, seen).comparisons] == ["new_track_thresh"]


@pytest.mark.parametrize(
    ("gains", "adopted"),
    [
        pytest.param([1.0] * 5, True, id="everywhere"),
        pytest.param([1.0, 0.5, 1.5, 1.0, 2.0], True, id="more or less"),
        pytest.param([1.0] * 4, False, id="too few windows"),
        pytest.param([0.1] * 9, False, id="too little"),
        pytest.param([6.0, -1.0, -1.0, -1.0, 2.0], False, id="by one window"),
        pytest.param([0.0] * 9, False, id="nothing"),
        pytest.param([-1.0] * 9, False, id="a loss"),
    ],
)
def test_only_a_gain_beyond_doubt_is_adopted(gains: list[float], adopted: bool) -> None:
    def scores(values: list[float]) -> MotScores:
        found = [SequenceScores(value, 0, 0, 0, 0, 0, 0, 0, 0) for value in [*values, float(np.mean(values))]]
        return MotScores(dict(zip("abcdefghi", found[:-1], strict=False)), found[-1])

    before, after = scores([50.0] * len(gains)), scores([50.0 + gain for gain in gains])
    assert Comparison("new_track_thresh", 0.85, 0.7, before, after).adopted is adopted


def test_windows_cover_the_footage() -> None:
    """30 s are six windows of 5 s; what has no labels that count is left out."""
    whole = footage(walkers(sure)).labelled(DEFAULT).tracked(DEFAULT)
    found = windows_of(whole, RATE_HZ)
    spans = ["1 to 50", "51 to 100", "101 to 150", "151 to 200", "201 to 250", "251 to 300"]
    assert [window.name for window in found] == [f"people, frames {span}" for span in spans]
    assert {window.length for window in found} == {50}
    for name in ("ground_truth", "tracks"):
        frames = [50 * place + getattr(window, name).frames for place, window in enumerate(found)]
        assert np.concatenate(frames).tolist() == getattr(whole, name).frames.tolist()
    whole.ground_truth.extra[whole.ground_truth.frames <= 100, 0] = 0
    assert [window.name for window in windows_of(whole, RATE_HZ)] == [window.name for window in found[2:]]


def test_detections_come_with_what_their_sequence_says(tmp_path: Path) -> None:
    sequence = tmp_path / "A"
    (sequence / "det").mkdir(parents=True)
    path = sequence / "det" / "det.txt"
    write_tracks(path, walkers(sure, 50))
    assert read_footage(path)[0].frame_rate == 30
    (sequence / "seqinfo.ini").write_text("[Sequence]\nframeRate=10\n")
    (sequence / "gmc.txt").write_text("".join(f"{index} 1 0 {index} 0 1 0\n" for index in range(50)))
    found, note = read_footage(path)
    assert (found.frame_rate, found.length, note) == (10, 50, None)
    assert found.camera_motion is not None
    assert found.camera_motion[7].tolist() == [[1, 0, 7], [0, 1, 0]]
    assert read_footage(path, 25.0)[0].frame_rate == 25


def test_camera_motion_that_cannot_be_reversed_is_refused() -> None:
    seen = replace(footage(walkers(sure)), camera_motion=np.zeros((LENGTH, 2, 3)))
    with pytest.raises(InputError, match=r"people: .*inverse"):
        adapt(DEFAULT, [seen])


@pytest.fixture
def streamdet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run ``streamdet tune`` in this process; checks its exit code and returns what it printed to stderr and stdout."""

    def run(*arguments: object, code: int) -> str:
        monkeypatch.setattr(sys, "argv", ["streamdet", "tune", *map(str, arguments)])
        monkeypatch.setattr("streamdet.cli.app.end_at_once", lambda: None)
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        assert ended.value.code == code, captured.err
        return captured.err + captured.out

    return run


def test_the_command_writes_a_tracker_and_says_what_it_changed(streamdet: Callable[..., str], tmp_path: Path) -> None:
    source, out = tmp_path / "people.txt", tmp_path / "mine.yaml"
    write_tracks(source, walkers(hesitant))
    printed = streamdet("--unlabelled", source, "--fps", "10", "--jobs", 1, "--out", out, code=0)
    assert f"wrote {out}" in printed
    changed = next(line for line in printed.splitlines() if line.startswith("new_track_thresh"))
    assert changed.split()[1:3] == ["0.85", "0.697"]
    assert changed.endswith("adopted")
    assert read_tracker(str(out)) == adapt(read_tracker("streamsort"), [read_footage(source, 10.0)[0]]).config
    assert out.read_text().startswith("# Found by streamdet tune")
    assert "#   new_track_thresh 0.85 > 0.697: HOTA against the tracker's own labels +" in out.read_text()


def test_videos_are_detected_as_they_are_tracked(tiny_weights: Path, tmp_path: Path) -> None:
    video = "scene://street?seed=1&seconds=1&fps=5&size=96x64"
    options = TuneOptions(
        sources=(video,), unlabelled=True, out=tmp_path / "mine.yaml", model=tiny_weights, device="cpu"
    )
    (found,) = footage_of(options)
    expected = list(package.track(video, model=tiny_weights, device="cpu"))
    assert (found.name, found.length, found.frame_rate) == (video, 5, 5)
    counts = np.bincount(found.detections.frames, minlength=6)[1:].tolist()
    assert counts == [len(result.detections) for result in expected]
    assert sum(counts) > 0
    np.testing.assert_array_equal(found.detections.boxes, np.concatenate([each.detections.boxes for each in expected]))
    np.testing.assert_array_equal(
        found.detections.scores, np.concatenate([each.detections.scores for each in expected])
    )
    assert found.camera_motion is not None
    for motion, result in zip(found.camera_motion, expected, strict=True):
        still = result.camera_motion is None
        np.testing.assert_array_equal(motion, np.eye(2, 3) if still else result.camera_motion)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        pytest.param("{short}", "expected at least 25 s of video to tune on, found 5.0 s in", id="too short"),
        pytest.param("{empty}", "expected at least 25 s of video to tune on, found 0.0 s in", id="no detections"),
        pytest.param("{few}", "expected at least 10 objects that are tracked alike", id="too few objects"),
        pytest.param("{folder}/none.txt", "expected a text file at {folder}/none.txt", id="no file"),
        pytest.param("{short} --half val", "expected --unlabelled or --half, found both", id="half"),
        pytest.param("{short} --sequences a", "expected --unlabelled or --sequences, found both", id="sequences"),
        pytest.param("{short} --detections a", "expected --unlabelled or --detections, found both", id="detections"),
        pytest.param("{short} --out {short}", "is read as SOURCE", id="source as output"),
    ],
)
def test_bad_input_is_one_sentence(streamdet: Callable[..., str], tmp_path: Path, words: str, named: str) -> None:
    truth = walkers(sure)
    places = {name: tmp_path / f"{name}.txt" for name in ("short", "empty", "few")}
    write_tracks(places["short"], walkers(sure, 50))
    write_tracks(places["empty"], truth.select(slice(0)))
    write_tracks(places["few"], truth.select(truth.ids % 4 == 1))
    out = tmp_path / "mine.yaml"
    words = words.format(**places, folder=tmp_path)
    printed = streamdet("--unlabelled", "--fps", 10, "--jobs", 1, "--out", out, *words.split(), code=2)
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1
    assert named.format(folder=tmp_path) in printed
    assert not out.exists()


def test_several_sources_need_the_word(streamdet: Callable[..., str], tmp_path: Path) -> None:
    printed = streamdet("a", "b", "--out", tmp_path / "mine.yaml", code=2)
    assert printed == "error: expected one MOT folder, or --unlabelled, found 2 sources\n"
