"""What is said about ids, in scenes whose reasons are known.

Costs are 1 - IoU * score with both boxes 40 px wide: boxes d px apart have an IoU of (40 - d) / (40 + d).
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from streamdet.explain.record import ExplainFile, ExplainSink
from streamdet.explain.situation import Moment
from streamdet.explain.story import Passages
from streamdet.rows import Amendment
from tests.explain.scene import Scene, header, recorded, story, tracked

A = (100.0, 0.9)
B = (120.0, 0.9)
NOBODY: list[tuple[float, float]] = []


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "explained.jsonl"


def test_a_birth_names_its_score_and_the_track_that_did_not_fit(path: Path) -> None:
    """30 px apart: 1 - 10 / 70 * 0.9 = 0.871."""
    assert story(recorded(path, [[A], [A], [A, (130, 0.9)], [A, (130, 0.9)]]), 2) == [
        "frame 2 (0.20 s): began with a person detection of score 0.90; new tracks begin at a score of 0.40; "
        "no track fitted it:",
        "id 1 (overlap 0.14): cost 0.87, above the limit of 0.85",
        "frame 3 (0.30 s): matched again at cost 0.10 and was given its id 2",
        "frame 3 (0.30 s): there to the end of the record",
    ]


def test_in_the_first_frame_ids_are_given_at_once(path: Path) -> None:
    assert story(recorded(path, [[A]]), 1) == [
        "frame 0 (0.00 s): began with a person detection of score 0.90 and was given its id 1 at once; "
        "new tracks begin at a score of 0.40; no track was near",
        "frame 0 (0.00 s): there to the end of the record",
    ]


def test_a_limit_relative_to_other_scores_is_told_as_a_score(path: Path) -> None:
    """0.85 of the mean of three detections of 0.9, 0.9 and 0.6: 0.68."""
    scene: Scene = [[A], [A], [(100, 0.6), (400, 0.7)], [A, (400, 0.7)]]
    began = story(recorded(path, scene, "streamsort"), 2)[0]
    assert "score 0.70; new tracks begin at a score of 0.68, 0.85 of the mean of what is tracked;" in began


@pytest.mark.parametrize(
    ("person", "reason"),
    [
        ((110.0, 0.2), "(score 0.20, overlap 0.60) was too weak to bring back what is hidden, 0.25 is the least"),
        ((110.0, 0.05), "(score 0.05, overlap 0.60) was too weak to count, 0.10 is the least"),
        ((130.0, 0.5), "(score 0.50, overlap 0.14) cost 0.93, above the limit of 0.85; it began id 2"),
        ((190.0, 0.9), "(score 0.90) was 90 px away, without overlap; it began id 2"),
    ],
)
def test_what_a_hidden_track_did_not_take(path: Path, person: tuple[float, float], reason: str) -> None:
    """30 px away a score of 0.5 costs 1 - 10 / 70 * 0.5 = 0.929."""
    told = story(recorded(path, [[A], [A], NOBODY, [person], [person]]), 1)[2]
    when, _, text = told.partition(": ")
    assert when in ("frame 3 (0.30 s)", "frames 3 to 4 (0.30 to 0.40 s), as in 3")
    assert text == f"hidden; the only detection nearby {reason}"


def test_a_weak_detection_has_a_limit_of_its_own(path: Path) -> None:
    """Weak ones cost 1 - IoU: 1 - 10 / 70 = 0.857."""
    lines = story(recorded(path, [[A], [A], [(130, 0.2)]]), 1)
    assert lines[1] == (
        "frame 2 (0.20 s): hidden; the only detection nearby (score 0.20, overlap 0.14) "
        "cost 0.86, above the limit of 0.50 for weak detections"
    )


def test_what_is_left_over_is_told_to_be(path: Path) -> None:
    """16 % overlap of the widened boxes, which counts four times."""
    lines = story(recorded(path, [[A], [A], NOBODY, NOBODY, [(135, 0.9)]], "streamsort"), 1)
    assert lines[2] == (
        "frame 4 (0.40 s): found again by a detection that was left over after 0.30 s, "
        "score 0.90, cost 0.35 under the limit of 0.77"
    )


def test_a_rival_is_named_with_both_costs(path: Path) -> None:
    """At 104: 1 - 36 / 44 * 0.9 = 0.264 for the one at 100, 1 - 24 / 56 * 0.9 = 0.614 for the one at 120."""
    lines = story(recorded(path, [[A, B], [A, B], [(104, 0.9)], [A, B]]), 2)
    assert lines[1:3] == [
        "frame 2 (0.20 s): hidden; the only detection nearby (score 0.90, overlap 0.43) went to id 1 at cost 0.26, "
        "here it cost 0.61",
        "frame 3 (0.30 s): found again after 0.20 s, score 0.90, cost 0.10 under the limit of 0.85",
    ]


def test_who_lost_a_detection_by_little_may_have_switched(path: Path) -> None:
    """At 109: 1 - 31 / 49 * 0.9 = 0.431 against 1 - 29 / 51 * 0.9 = 0.488."""
    lines = story(recorded(path, [[A, B], [A, B], [(109, 0.9)], [A, B]]), 2)
    assert "went to id 1 at cost 0.43, here it cost 0.49" in lines[1]
    assert lines[3] == (
        "frame 3 (0.30 s): may have switched with id 1: while it was hidden, a detection that fitted both went there"
    )
    winner = story(recorded(path, [[A, B], [A, B], [(109, 0.9)], [A, B]]), 1)
    assert winner[1] == ("frame 2 (0.20 s): close call: id 2 wanted the same detection, cost 0.49 against 0.43 here")


def test_several_candidates_stand_below_each_other(path: Path) -> None:
    others: Scene = [[A, (60, 0.9), (140, 0.9)]] * 2
    lines = story(recorded(path, [*others, [(70, 0.9), (132, 0.9)]]), 1)
    assert lines[1:4] == [
        "frame 2 (0.20 s): hidden; 2 detections nearby, none for it:",
        "one (score 0.90, overlap 0.14) cost 0.87, above the limit of 0.85; it went to id 2 at cost 0.46",
        "one (score 0.90, overlap 0.11) cost 0.90, above the limit of 0.85; it went to id 3 at cost 0.40",
    ]


def test_an_end_names_the_time_allowed(path: Path) -> None:
    assert story(recorded(path, [[A], [A], *[NOBODY] * 25]), 1)[1:] == [
        "frames 2 to 22 (0.20 to 2.20 s), as in 2: hidden; no detection nearby",
        "frame 22 (2.20 s): ended: unseen for 2.10 s, longer than the 2.00 s allowed (track_buffer_s)",
    ]


def test_the_end_of_the_record_is_no_end_of_the_track(path: Path) -> None:
    assert story(recorded(path, [[A], [A], NOBODY, NOBODY]), 1)[-1] == (
        "frame 3 (0.30 s): hidden for the last 0.20 s of the record"
    )


def test_who_goes_on_under_a_new_id_is_suspected_on_both_sides(path: Path) -> None:
    file = recorded(path, [[A], [A], *[NOBODY] * 3, [(190, 0.9)], [(190, 0.9)], *[NOBODY] * 20])
    assert story(file, 1)[-1] == "frame 22 (2.20 s): may go on as id 2, begun from a detection nearby"
    assert story(file, 2)[1:3] == [
        "id 1 (hidden for 0.40 s) was expected 90 px away, without overlap",
        "frame 5 (0.50 s): may be the same object as id 1, hidden at that time",
    ]


def test_an_amendment_is_told_of_both_ids(path: Path) -> None:
    """Hidden for 0.3 s and back 39 px beside its place: 1 % overlap is too little for a match, and near enough."""
    scene: Scene = [[A]] * 6 + [NOBODY] * 3 + [[(139, 0.78)]] * 8
    file = recorded(path, scene, "streamsort")
    assert "frame 14 (1.40 s): amended: id 2 is the same object" in story(file, 1)
    assert "frame 14 (1.40 s): amended: id 1 is the same object" in story(file, 2)


def test_a_swap_is_told_of_both_ids_with_the_frame_since_when(path: Path) -> None:
    results = tracked([[A, (300, 0.9)]] * 8)
    swap = Amendment("swapped", (2, 1), 0.3)
    results[6] = replace(results[6], tracks=replace(results[6].tracks, amendments=(swap,)))
    with ExplainSink(path, header()) as sink:
        for result in results:
            sink.write(result)
    for track_id, other in ((1, 2), (2, 1)):
        line = f"frame 6 (0.60 s): amended: exchanged with id {other} since frame 3 (0.30 s)"
        assert line in story(ExplainFile(path), track_id)


def test_a_file_without_swaps_is_read(path: Path) -> None:
    """Earlier versions wrote none."""
    told = story(recorded(path, [[A]] * 4), 1)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({k: v for k, v in line.items() if k != "swapped"}) + "\n" for line in lines))
    assert story(ExplainFile(path), 1) == told


def test_a_track_that_was_pushed_aside_may_have_switched(path: Path) -> None:
    """109 is nearly as far from 120 (0.488) as from 100 (0.431), which has nothing else; 120 gets 140 (0.7)."""
    file = recorded(path, [[A, B], [A, B], [(109, 0.9), (140, 0.9)]])
    assert story(file, 2)[1] == (
        "frame 2 (0.20 s): may have switched with id 1: the detection that fitted best (cost 0.49) went to id 1 "
        "(cost 0.43), and this track took another (cost 0.70)"
    )
    assert story(file, 1)[1] == (
        "frame 2 (0.20 s): may have switched with id 2: it took (cost 0.43) the detection that fitted id 2 best "
        "(cost 0.49), and id 2 took another (cost 0.70)"
    )


def test_a_detection_that_clearly_fits_another_is_no_doubt(path: Path) -> None:
    """105 costs 0.3 from 100 and 0.588 from 120."""
    assert len(story(recorded(path, [[A, B], [A, B], [(105, 0.9), (140, 0.9)]]), 2)) == 2


def test_two_who_could_be_exchanged_are_a_close_call(path: Path) -> None:
    """9.5 px apart each, 1 - 30.5 / 49.5 * 0.9 = 0.445; the other way round 10.5 px, 0.474."""
    assert story(recorded(path, [[A, B], [A, B], [(109.5, 0.9), (110.5, 0.9)]]), 1)[1] == (
        "frame 2 (0.20 s): close call with id 2: both cost 0.89 together, the other way round 0.95"
    )


def test_well_apart_there_is_no_doubt(path: Path) -> None:
    """8 px and 12 px apart: the other way round costs 0.23 more."""
    assert len(story(recorded(path, [[A, B], [A, B], [(108, 0.9), (112, 0.9)]]), 1)) == 2


def test_a_second_detection_of_the_same_object_is_a_close_call(path: Path) -> None:
    """Both 4 px away: 1 - 36 / 44 * 0.9 = 0.264 and 1 - 36 / 44 * 0.85 = 0.305."""
    assert story(recorded(path, [[A], [A], [(96, 0.9), (104, 0.85)]]), 1)[1] == (
        "frame 2 (0.20 s): close call: another detection fitted nearly as well, cost 0.30 against 0.26"
    )


def test_what_goes_on_is_told_once_as_it_was_when_it_was_closest() -> None:
    passages = Passages()
    for number, weight in ((3, 0.2), (4, 0.1), (6, 0.3), (20, 0.0)):
        passages.extend("doubt", Moment(number, 2 * number, number / 10), f"weight {weight}", weight=weight)
    assert [(passage.when, passage.text) for passage in passages.told] == [
        ("3 of frames 6 to 12 (0.30 to 0.60 s), as in 8", "weight 0.1"),
        ("frame 40 (2.00 s)", "weight 0.0"),
    ]


def test_a_record_that_begins_later_says_so(path: Path) -> None:
    """As after a restart from a saved state: the track was there before the first frame."""
    head, *lines = recorded(path, [[A]] * 4).path.read_text().splitlines(keepends=True)
    path.write_text("".join([head, *lines[2:]]))
    assert story(ExplainFile(path), 1) == [
        "frame 2 (0.20 s): was tracked already when the record began",
        "frame 3 (0.30 s): there to the end of the record",
    ]
