"""What is wrong in a document is found, and examples have what they need."""

from pathlib import Path
from textwrap import indent

import pytest
from sybil.example import SybilFailure

import streamdet
from streamdet.errors import InputError
from tests.documents.blocks import blocks, quoted_commands, unfenced_code

TRACK = """\
import streamdet

for result in streamdet.track("street.mp4"):
    print({expression})
"""
MODULE = """\
class Shelf:
    '''Holds books.

    ```python
    print(missing)
    ```
    '''

    def add(self):
        '''Add one.

        ```text
        Ulysses
        ```
        '''
""".replace("'''", '"""')


def document(folder: Path, text: str, name: str = "a.md") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def fenced(language: str, code: str) -> str:
    return f"Some words.\n\n```{language}\n{code}\n```\nMore of them.\n"


def evaluate(path: Path) -> None:
    (block,) = blocks(path)
    block.evaluate()


def test_an_attribute_that_is_not_there(workplace: Path) -> None:
    evaluate(document(workplace, fenced("python", TRACK.format(expression="result.frame.time"))))
    with pytest.raises(AttributeError, match="time_s"):
        evaluate(document(workplace, fenced("python", TRACK.format(expression="result.frame.time_s"))))


def test_docstrings_count(workplace: Path) -> None:
    python, text = blocks(document(workplace, MODULE, "a.py"))
    assert [(python.line, python.parsed), (text.line, text.parsed)] == [(4, "print(missing)\n"), (12, "Ulysses\n")]
    with pytest.raises(NameError, match="'missing' is not defined"):
        python.evaluate()


def test_a_block_stands_alone(workplace: Path) -> None:
    first, second = blocks(document(workplace, fenced("python", "a = 1") + fenced("python", "print(a)")))
    first.evaluate()
    with pytest.raises(NameError, match="'a' is not defined"):
        second.evaluate()


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("streamdet track a.mp4 --modle b.pt", "--modle is no option of streamdet track"),
        ("streamdet track a.mp4 --modle=b.pt", "--modle is no option of streamdet track"),
        ("streamdet track a.mp4 \\\n    --modle b.pt", "--modle is no option of streamdet track"),
        ("streamdet explain a.jsonl [--model M]", "--model is no option of streamdet explain"),
        ("streamdet tarck a.mp4", "expected one of the commands .*track.*, found tarck"),
        ("streamdet eval box a.yaml", "expected one of the commands det, mot, found box"),
        ("streamdet doctor && streamdet docktor", "expected one of the commands .*doctor.*, found docktor"),
        ("streamdet train a.yaml  # goes on with --resum", "--resum is no option of any program"),
        ("python -m trackers a.txt --otu b.txt", "--otu is no option of trackers"),
        ("python -m streamdet track a.mp4 --modle b.pt", "--modle is no option of streamdet track"),
        ("python benchmarks/pipeline.py a.pt a.mp4 --ruonds 2", "--ruonds is no option of pipeline.py"),
        ("python benchmarks/none.py", "there is no .*benchmarks/none.py"),
        ("torchrun --nproc-per-node 4 -m streamdet train --epohcs 3", "--epohcs is no option of streamdet train"),
        ("make rnu", "make knows no target rnu"),
        ("make run SORCE=a.mp4", "make knows no variable SORCE"),
        ("pytest tests/none", "there is no tests/none"),
        ("yolo track a.mp4", "expected one of the programs streamdet, .*, found yolo"),
    ],
)
def test_a_command_that_names_what_is_not_there(tmp_path: Path, line: str, complaint: str) -> None:
    with pytest.raises(SybilFailure, match=complaint):
        evaluate(document(tmp_path, fenced("sh", line)))


@pytest.mark.parametrize("quoted", ["`streamdet track --modle M`", "``streamdet\ntrack --modle M``", "`--modle`"])
def test_a_command_in_a_sentence(tmp_path: Path, quoted: str) -> None:
    text = f"Say {quoted}, not `streamdet track --model M` and `--model`.\n"
    wrong, *right = quoted_commands(document(tmp_path, text + fenced("text", "`--none`")))
    with pytest.raises(SybilFailure, match="--modle is no option"):
        wrong.evaluate()
    assert [command.parsed for command in right] == ["streamdet track --model M", "--model"]
    for command in right:
        command.evaluate()


def test_a_data_file_that_cannot_be_used(workplace: Path) -> None:
    evaluate(document(workplace, fenced("yaml", "train: images/train\nnames: [person]")))
    with pytest.raises(InputError, match="nowhere: expected a folder of images"):
        evaluate(document(workplace, fenced("yaml", "train: nowhere\nnames: [person]")))


@pytest.mark.parametrize("language", ["", "bash", "python no-run"])
def test_a_block_of_no_known_language(tmp_path: Path, language: str) -> None:
    with pytest.raises(SybilFailure, match=f"expected a block of python, sh, yaml, text, found '{language}'"):
        evaluate(document(tmp_path, fenced(language, "1 / 0")))


@pytest.mark.parametrize("code", ["Words:\n\n    print()\n", "\n>>> print()\n", "Words::\n"])
def test_code_outside_of_a_fence(tmp_path: Path, code: str) -> None:
    assert len(unfenced_code(document(tmp_path, fenced("python", "if a:\n\n    b") + code))) == 1
    docstring = indent(f'"""Begins.\n\n{code}"""', "    ")
    assert len(unfenced_code(document(tmp_path, f"def f():\n{docstring}\n", "a.py"))) == 1


def test_examples_have_weights_and_something_to_track(workplace: Path) -> None:
    results = list(streamdet.track("street.mp4", model="yolov8n.pt", classes=["person", "car"]))
    assert len(results) == 6
    assert all(len(result.tracks.ids) for result in results)
