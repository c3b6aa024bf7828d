"""What is wrong with MOT files and folders is said in one sentence, with the line."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamdet.errors import InputError
from streamdet.evaluate.sequences import half_window, read_sequences

from .scene import lane, write_rows, write_sequence

FRAMES = range(1, 11)


@pytest.fixture
def mot(tmp_path: Path) -> Path:
    """A folder of two good sequences, A and B, and their tracks."""
    for name in "AB":
        write_sequence(tmp_path / "mot" / name, 10, lane(1, 0, FRAMES, 1, 1, 1))
        write_rows(tmp_path / "tracks" / f"{name}.txt", lane(1, 0, FRAMES, 1))
    return tmp_path


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ("tracks/B.txt", "expected the tracks of sequence B at .*B.txt, found no such file"),
        ("mot/A/gt/gt.txt", "expected a MOT text file at .*gt.txt, found: No such file"),
        ("mot/A/seqinfo.ini", "expected seqLength, the number of frames, in .*seqinfo.ini, found no such file"),
    ],
)
def test_a_missing_file_is_named(mot: Path, missing: str, sentence: str) -> None:
    (mot / missing).unlink()
    with pytest.raises(InputError, match=sentence):
        read_sequences(mot / "mot", mot / "tracks")


@pytest.mark.parametrize("text", ["", "[Sequence]\n", "[Sequence]\nseqLength=many\n", "[Sequence]\nseqLength=0\n", "x"])
def test_a_sequence_without_its_length(mot: Path, text: str) -> None:
    (mot / "mot" / "A" / "seqinfo.ini").write_text(text)
    with pytest.raises(InputError, match=r"^expected seqLength, the number of frames, in .*, found .+$"):
        read_sequences(mot / "mot", mot / "tracks")


def test_folders_that_are_not_there_or_hold_nothing(mot: Path) -> None:
    with pytest.raises(InputError, match=r"expected a MOT ground truth folder at .*nowhere, found none"):
        read_sequences(mot / "nowhere", mot / "tracks")
    with pytest.raises(InputError, match=r"expected SEQUENCE/gt/gt.txt in .*tracks, found no sequence"):
        read_sequences(mot / "tracks", mot / "tracks")


def test_an_unknown_sequence_names_the_nearest(mot: Path) -> None:
    write_sequence(mot / "mot" / "MOT17-02", 10, [])
    with pytest.raises(InputError, match=r"found 'MOT17-2'; did you mean 'MOT17-02'\?"):
        read_sequences(mot / "mot", mot / "tracks", names=["MOT17-2"])


def test_one_tracks_file_for_two_sequences(mot: Path) -> None:
    with pytest.raises(InputError, match=r"expected a folder of SEQUENCE.txt for 2 sequences, found .*A.txt"):
        read_sequences(mot / "mot", mot / "tracks" / "A.txt")
    (alone,) = read_sequences(mot / "mot", mot / "tracks" / "A.txt", names=["A"])
    assert alone.name == "A"


def test_a_class_that_mot_does_not_define(mot: Path) -> None:
    write_sequence(mot / "mot" / "A", 10, [(1, 1, 0, 0, 9, 9, 1, 14, 1)])
    with pytest.raises(InputError, match="line 1: expected a MOTChallenge class from 1 to 13 in column 8, found 14"):
        read_sequences(mot / "mot", mot / "tracks")


def test_the_columns_decide_about_the_benchmark(data: Path, mot: Path) -> None:
    expected = {"MOT15": {"MOT15"}, "MOT17": {"MOT17"}}
    for benchmark, rules in expected.items():
        for folder in (data / "mot" / benchmark).iterdir():
            write_rows(mot / "real" / f"{folder.name}.txt", [])
        assert {s.benchmark for s in read_sequences(data / "mot" / benchmark, mot / "real")} == rules


@given(length=st.integers(3, 5000))
def test_the_halves_are_the_whole(length: int) -> None:
    train, val = half_window(length, "train"), half_window(length, "val")
    assert (train[0], val[0], val[1]) == (1, train[1] + 1, length)
    assert train[1] == length // 2 + 1


def test_the_second_half_is_renumbered_and_keeps_its_lines(mot: Path) -> None:
    (sequence,) = read_sequences(mot / "mot", mot / "tracks", "val", ["A"])
    assert sequence.length == 4
    for table in (sequence.ground_truth, sequence.tracks):
        np.testing.assert_array_equal(table.frames, [1, 2, 3, 4])
        np.testing.assert_array_equal(table.lines, [7, 8, 9, 10])


def test_tracks_that_fit_neither_numbering_of_the_half(mot: Path) -> None:
    tracks = write_rows(mot / "t.txt", lane(1, 0, range(1, 6), 1))
    with pytest.raises(InputError, match=r"from 1 to 4 \(the half alone\) or up to 10 .*, found the last in frame 5"):
        read_sequences(mot / "mot", tracks, "val", ["A"])
