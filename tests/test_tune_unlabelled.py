"""Tuning without labels: the labels that a tracker makes for itself, and which settings it may change."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import streamdet as package
from streamdet.cli.options import TuneOptions
from streamdet.cli.tune_unlabelled import footage_of
from streamdet.errors import InputError
from streamdet.evaluate.mot import combine, measure, trackeval_metrics
from streamdet.evaluate.sequences import MotSequence
from streamdet.tracking.config import read_tracker
from streamdet.tune.footage import Footage, consistent, read_footage
from streamdet.tune.harder import LOST, STEPS, with_dropped_frames, with_lost_detections
from streamdet.tune.sequences import LabelledSequence, mot_table
from streamdet.tune.unlabelled import HARDER, Comparison, adapt
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


def turners(seen: float) -> tuple[MotRows, Footage]:
    """People who turn abruptly every 0.6 s, at 3 widths per second; and what a detector saw, a share `seen` of them."""
    rng = np.random.default_rng(0)
    ids, frames, boxes = [], [], []
    for person in range(40):
        turn, lane = divmod(person, 4)
        steps = np.where((np.arange(36) + rng.integers(6)) // 6 % 2, 13, -13)
        for age, x in enumerate(200 + 600 * (turn % 2) + np.cumsum(steps)):
            if 1 <= (frame := 40 * turn + age - 9 * lane) <= LENGTH:
                ids.append(person + 1)
                frames.append(frame)
                boxes.append((x, 150 * lane, x + 40, 150 * lane + 90))
    truth = rows(np.array(ids), np.array(frames), boxes, [0.9] * len(ids))
    return truth, footage(truth.select(rng.random(len(ids)) < seen))


def successors() -> MotRows:
    """On four lanes each person, 40 px wide, stands for 2 s; then one of another size stands 26 px beside."""
    places = [(lane, frame, divmod(frame + 9 * lane, 20)[0]) for lane in range(4) for frame in range(1, LENGTH + 1)]
    lanes, frames, turns = np.array(places).T
    other = turns % 2
    x, widths, heights = 100 + 26 * other, 40 + 16 * other, 90 - 10 * other
    boxes = np.stack([x, 150 * lanes, x + widths, 150 * lanes + heights], axis=1)
    return rows(100 * lanes + turns + 1, frames, [*map(tuple, boxes.tolist())], [0.9] * len(frames))


def with_settings(**settings: float) -> TrackerConfig:
    return replace(DEFAULT, settings=replace(DEFAULT.settings, **settings))


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
    """Its scores begin lower than the default expects; against the true tracks the new threshold is better too.

    Then a track begins with any detection that suffices to be matched first, and there is nothing left to loosen.
    """
    truth = walkers(hesitant)
    seen = footage(truth)
    adaptation = adapt(DEFAULT, [seen])
    assert adaptation.comparisons[0].changes == {"new_track_thresh": (0.85, 0.6)}
    assert adaptation.config == with_settings(new_track_thresh=0.6)
    assert hota(adaptation.config, seen, truth) > hota(DEFAULT, seen, truth) + 5
    assert [each.loosened for each in adapt(adaptation.config, [seen]).comparisons] == ["matches"]


def test_pairs_that_overlap_little_are_admitted_where_objects_turn_abruptly() -> None:
    """With 30 % of the detections missing, the default limit ends tracks at turns."""
    truth, seen = turners(seen=0.7)
    adaptation = adapt(DEFAULT, [seen])
    assert adaptation.config == with_settings(match_thresh=0.901, track_high_thresh=0.402)
    assert hota(adaptation.config, seen, truth) > hota(DEFAULT, seen, truth) + 2


def test_pairs_that_overlap_little_stay_refused_where_others_come_beside() -> None:
    """The looser limit would take each person for the one before."""
    truth = successors()
    seen = footage(truth)
    assert adapt(DEFAULT, [seen]).config == DEFAULT
    assert (
        hota(with_settings(match_thresh=0.901, track_high_thresh=0.402), seen, truth) < hota(DEFAULT, seen, truth) - 30
    )


def test_where_nothing_gains_the_settings_stay() -> None:
    adaptation = adapt(DEFAULT, [footage(walkers(sure))])
    assert adaptation.config == DEFAULT
    assert not any(gains.any() for each in adaptation.comparisons for gains in each.gains.values())
    assert not any(each.adopted for each in adaptation.comparisons)


def test_the_number_of_processes_changes_nothing() -> None:
    seen = [footage(walkers(hesitant))]
    assert adapt(DEFAULT, seen, jobs=2).config == adapt(DEFAULT, seen).config


def test_what_a_tracker_does_not_have_is_left_out() -> None:
    """SORT begins tracks from every detection that it uses, and the thresholds of BoT-SORT may not cross."""
    seen = [footage(walkers(sure))]
    sort = parse_config({"tracker_type": "sort"})
    assert [[*each.changes] for each in adapt(sort, seen).comparisons] == [["match_thresh", "track_high_thresh"]]
    tight = parse_config({"tracker_type": "botsort", "track_low_thresh": 0.24})
    assert [[*each.changes] for each in adapt(tight, seen).comparisons] == [["new_track_thresh"], ["match_thresh"]]


@pytest.mark.parametrize(
    ("dropped", "lost", "adopted"),
    [
        pytest.param([1.2, 1.0, 1.5, 1.1], [1.0, 1.3, 1.2, 0.9], True, id="everywhere"),
        pytest.param([4.0, 3.0, 5.0, 4.5], [0.5, -0.2, 0.4, 0.1], True, id="hardly with lost detections"),
        pytest.param([4.0, 3.0, 5.0, 4.5], [-0.5, -0.2, 0.4, 0.1], False, id="a loss with lost detections"),
        pytest.param([-0.5, -0.2, 0.4, 0.1], [4.0, 3.0, 5.0, 4.5], False, id="a loss with dropped frames"),
        pytest.param([0.9, 0.8, 0.9, 0.8], [0.9, 0.8, 0.9, 0.8], False, id="too little"),
        pytest.param([9.0, -2.0, 0.5, -1.0], [3.0, -1.0, 0.5, -0.5], False, id="by chance"),
        pytest.param([0.0] * 4, [0.0] * 4, False, id="nothing"),
    ],
)
def test_only_a_gain_beyond_doubt_is_adopted(dropped: list[float], lost: list[float], adopted: bool) -> None:
    gains = dict(zip(HARDER, map(np.array, (dropped, lost)), strict=True))
    assert Comparison("births", {"new_track_thresh": (0.85, 0.7)}, gains).adopted is adopted


def test_with_dropped_frames_nothing_is_tracked_or_expected_in_them() -> None:
    """The labels of the other frames stay, and a perfect scene is still tracked."""
    whole = footage(walkers(sure)).labelled(DEFAULT)
    found = with_dropped_frames([whole])
    frames = [range(1 + skipped, LENGTH + 1, step) for step, skipped in STEPS]
    for (version,), kept in zip(found, frames, strict=True):
        tracked = version.tracked(DEFAULT)
        for table in (tracked.ground_truth, tracked.tracks):
            assert {*(table.frames + kept.start - 1).tolist()} <= {*kept}
        labels = whole.truth.boxes
        assert len(tracked.ground_truth) == np.isin(labels.frames, kept).sum()
        assert combine({"people": measure(tracked, trackeval_metrics())}).combined.hota > 90


def test_frames_are_dropped_while_those_left_are_at_most_half_a_second_apart() -> None:
    """Trackers treat longer steps otherwise, as StreamSort, which then believes a first detection."""
    whole = footage(walkers(sure)).labelled(DEFAULT)
    usual, slow, slowest = (replace(whole, frame_rate=rate) for rate in (6.0, 5.9, 3.9))

    def steps(*sequences: LabelledSequence) -> list[list[int]]:
        return [[each.step for each in version] for version in with_dropped_frames(sequences)]

    assert steps(usual, usual) == [[2, 2], [2, 2], [3, 3], [3, 3]]
    assert steps(usual, slow) == [[2, 2], [2, 2]]
    assert steps(usual, slowest) == []


def test_footage_at_a_low_rate_is_judged_by_lost_detections_alone(
    streamdet: Callable[..., str], tmp_path: Path
) -> None:
    """From 3 frames per second none are dropped, and the table has no column for it."""
    source, out = tmp_path / "people.txt", tmp_path / "mine.yaml"
    write_tracks(source, walkers(hesitant))
    printed = streamdet("tune", "--unlabelled", source, "--fps", "3", "--jobs", 1, "--out", out, code=0)
    assert "HOTA with lost detections" in printed
    assert "dropped frames" not in printed + out.read_text()
    assert read_tracker(str(out)).settings == with_settings(new_track_thresh=0.6).settings


def test_lost_detections_are_chosen_at_random_and_always_alike() -> None:
    whole = footage(walkers(sure)).labelled(DEFAULT)
    count = len(whole.detections.frames)
    found, again = with_lost_detections([whole]), with_lost_detections([whole])
    for (version,), (same,), (share, _) in zip(found, again, LOST, strict=True):
        kept = version.detections
        assert len(kept.frames) == pytest.approx((1 - share) * count, rel=0.1)
        np.testing.assert_array_equal(kept.boxes, same.detections.boxes)
        assert {*map(tuple, kept.boxes)} <= {*map(tuple, whole.detections.boxes)}
        assert version.truth is whole.truth
    assert len({version.detections.boxes.tobytes() for (version,) in found}) == len(LOST)


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


def test_the_command_writes_a_tracker_and_says_what_it_changed(streamdet: Callable[..., str], tmp_path: Path) -> None:
    source, out = tmp_path / "people.txt", tmp_path / "mine.yaml"
    write_tracks(source, walkers(hesitant))
    printed = streamdet("tune", "--unlabelled", source, "--fps", "10", "--jobs", 1, "--out", out, code=0)
    assert f"wrote {out}" in printed
    changed = next(line for line in printed.splitlines() if line.startswith("births"))
    assert changed.split()[1:5] == ["new_track_thresh", "0.85", ">", "0.6"]
    assert changed.endswith("adopted")
    assert read_tracker(str(out)).settings == with_settings(new_track_thresh=0.6).settings
    assert out.read_text().startswith("# Found by streamdet tune")
    said = r"#   new_track_thresh 0\.85 > 0\.6: HOTA against the tracker's own labels "
    assert re.search(said + r"\+\d+\.\d\d with dropped frames, \+\d+\.\d\d with lost detections", out.read_text())


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
        pytest.param("{short} --trials 9", "expected --unlabelled or --trials, found both", id="trials"),
        pytest.param("{short} --seed 1", "expected --unlabelled or --seed, found both", id="seed"),
        pytest.param("{short} --timeout 5", "expected --unlabelled or --timeout, found both", id="timeout"),
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
    printed = streamdet("tune", "--unlabelled", "--fps", 10, "--jobs", 1, "--out", out, *words.split(), code=2)
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1
    assert named.format(folder=tmp_path) in printed
    assert not out.exists()


def test_several_sources_need_the_word(streamdet: Callable[..., str], tmp_path: Path) -> None:
    printed = streamdet("tune", "a", "b", "--out", tmp_path / "mine.yaml", code=2)
    assert printed == "error: expected one MOT folder, or --unlabelled, found 2 sources\n"
