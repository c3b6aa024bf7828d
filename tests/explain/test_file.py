"""The file: what is written is what was decided, and a file that is damaged is read as far as it goes."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from streamdet.errors import InputError, OutputError
from streamdet.explain.record import ExplainFile, ExplainSink, frame_record, to_line
from streamdet.explain.situation import ScoreLimits, Situation
from streamdet.explain.story import read_lives, tell
from tests.explain.scene import RATE_HZ, Scene, detections, header, recorded, tracked
from trackers.config import TRACKERS
from trackers.streamsort import StreamSort

TWO: Scene = [[(100, 0.9), (120, 0.8)], [(102, 0.9), (124, 0.8)], [(104, 0.9)], [], [(106, 0.9), (126, 0.8)]]

people = st.lists(
    st.tuples(st.integers(0, 30).map(lambda step: 6.0 * step), st.sampled_from((0.2, 0.5, 0.9))), max_size=4
)
scenes = st.lists(people, min_size=1, max_size=12)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "explained.jsonl"


def test_a_line_holds_what_was_decided(path: Path) -> None:
    """At 102 and 124: 1 - 38 / 42 * 0.9, 1 - 36 / 44 * 0.8; crosswise 1 - 22 / 58 * 0.9, 1 - 16 / 64 * 0.8."""
    first, _, second, *_ = recorded(path, TWO).path.read_text().splitlines()
    assert json.loads(first)["streamdet_explain"] == 1
    record = json.loads(second)
    assert (record["frame"], record["time_s"]) == (1, 0.1)
    assert record["detections"][1] == [[124.0, 100.0, 164.0, 200.0], 0.8, "person"]
    assert record["tracks"] == [[1, 1, [100.0, 100.0, 140.0, 200.0], 0.0], [2, 2, [120.0, 100.0, 160.0, 200.0], 0.0]]
    assert [stage["name"] for stage in record["stages"]] == ["strong", "weak", "tentative"]
    strong = record["stages"][0]
    assert strong["limit"] == 0.85
    assert sorted(strong["pairs"]) == [
        [1, 0, 0.905, 0.1857, "chosen"],
        [1, 1, 0.25, 0.8, "rival"],
        [2, 0, 0.379, 0.6586, "rival"],
        [2, 1, 0.818, 0.3455, "chosen"],
    ]


def test_unseen_time_counts_up_to_the_frame(path: Path) -> None:
    records = list(recorded(path, TWO).frames())
    assert [record.tracks[1].unseen_s for record in records[1:]] == [0.0, 0.1, 0.2, 0.0]


def test_what_is_read_and_written_again_is_the_same(path: Path) -> None:
    file = recorded(path, TWO, "streamsort")
    assert [to_line(file.header), *map(to_line, file.frames())] == path.read_text().splitlines(keepends=True)
    assert file.header == header("streamsort")
    assert file.warning is None


def test_a_frame_is_on_disk_before_the_next_one_comes(path: Path) -> None:
    with ExplainSink(path, header()) as sink:
        for count, result in enumerate(tracked(TWO), 2):
            sink.write(result)
            assert path.read_bytes().count(b"\n") == count


@pytest.mark.parametrize("tracker", TRACKERS)
def test_explaining_changes_no_track(tracker: str) -> None:
    random = np.random.default_rng(0)
    scene = [[(float(left), 0.9) for left in random.integers(0, 600, 8)] for _ in range(30)]
    for told, untold in zip(tracked(scene, tracker), tracked(scene, tracker, explains=False), strict=True):
        for name in ("ids", "boxes", "scores", "class_ids", "detection_index"):
            assert_array_equal(getattr(told.tracks, name), getattr(untold.tracks, name))
        assert untold.decisions is None


@pytest.mark.parametrize("tracker", TRACKERS)
@settings(max_examples=15)
@given(scene=scenes)
def test_every_track_that_was_reported_has_a_life_and_a_story(tracker: str, scene: Scene) -> None:
    results = tracked(scene, tracker)
    records = [frame_record(result, RATE_HZ) for result in results]
    lives = read_lives(records)
    seen = [set(result.tracks.ids[result.tracks.detection_index >= 0].tolist()) for result in results]
    assert set(lives.by_id) >= set().union(*seen)
    for track_id, life in lives.by_id.items():
        frames = [index for index, ids in enumerate(seen) if track_id in ids]
        assert life.last.frame == frames[-1]
        assert life.first.frame <= frames[0]
        assert life.frames == frames[0] - life.first.frame + len(frames)
        passages = tell(header(), records, lives, life)
        assert passages[0].text.startswith("began with a person detection")
        assert passages[-1].last == (life.ended or lives.last)


@settings(max_examples=30)
@given(scene=scenes)
def test_relative_scores_are_those_of_the_tracker(scene: Scene) -> None:
    """What the reader takes for the mean score is what the tracker had in its table."""
    tracker, limits = StreamSort(frame_rate=RATE_HZ), ScoreLimits(header("streamsort"))
    for number, result in enumerate(tracked(scene, "streamsort")):
        state = tracker.state()
        confirmed = state["ids"] > 0
        hits, votes = state["hits"][confirmed].sum(), state["votes"][confirmed].sum()
        limits.follow(Situation(number, frame_record(result, RATE_HZ), {}))
        assert limits.mean == (pytest.approx(votes / hits, abs=1e-3) if hits else None)
        found = detections(scene[number])
        size = (float(result.frame.image.shape[1]), float(result.frame.image.shape[0]))
        tracker.update(found.boxes, found.scores, found.class_ids, image_size=size)


@pytest.mark.parametrize(
    ("damage", "frames", "what"),
    [
        (lambda text: text[:-20], 4, "line 6 of {path} was not written to its end"),
        (lambda text: text[:-1], 5, None),
        (lambda text: text.replace('{"frame":2', '{"frame":"x"'), 2, "line 4 of {path} is broken"),
        (lambda text: text.replace('"begun":[]', '"begun":[[9,7]]', 1), 1, "line 3 of {path} is broken"),
        (lambda text: text.replace('"ended":[]', '"ended":[9]', 1), 0, "line 2 of {path} is broken"),
        (lambda text: text + "\x00\x00\x00", 5, "line 7 of {path} was not written to its end"),
    ],
)
def test_a_damaged_file_is_read_as_far_as_it_goes(
    path: Path, damage: Callable[[str], str], frames: int, what: str | None
) -> None:
    text = recorded(path, TWO).path.read_text()
    path.write_text(damage(text))
    file = ExplainFile(path)
    assert [record.frame for record in file.frames()] == list(range(frames))
    assert file.warning == (what and f"{what.format(path=path)}: told is what the lines before it hold")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty line"),
        (b"1,1,10.13,20.00\n", "'1,1,10.13,20.00'"),
        (b'{"frame":0,"time_s":0.0,"tracks":[]}\n', '\'{"frame":0,'),
        (b'{"streamdet_explain":2,"source":"a","tracker":"b","rate_hz":1,"settings":{}}\n', '\'{"streamdet_explain":2'),
        (b"\xff\xfe\x00\n", "'"),
    ],
)
def test_another_file_is_refused_in_one_sentence(path: Path, content: bytes, found: str) -> None:
    path.write_bytes(content)
    with pytest.raises(InputError) as failure:
        ExplainFile(path)
    assert str(failure.value).startswith(f"expected a file that streamdet track --explain wrote, found {found}")
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(("name", "reason"), [("none.jsonl", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(InputError, match=f"cannot read .*: {reason}"):
        ExplainFile(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("video.mp4", r"the explanation is written as \.jsonl, not \.mp4"),
        ("explained", r"the explanation is written as \.jsonl, not without an ending"),
        ("none/x.jsonl", "expected a place to write the explanation, but .* is none: the folder"),
    ],
)
def test_places_that_cannot_be_written_are_refused(tmp_path: Path, name: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        ExplainSink(tmp_path / name, header())
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_one_sentence(path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    path.symlink_to("/dev/full")
    message = "writing the explanation to .* failed: No space left on device"
    with pytest.raises(OutputError, match=message), ExplainSink(path, header()) as sink:
        sink.write(tracked(TWO)[0])


def test_a_result_without_reasons_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="of a tracker that does not explain"):
        frame_record(tracked(TWO, explains=False)[0], RATE_HZ)
