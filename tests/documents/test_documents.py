"""What documents and docstrings show is so: their code runs, and their command lines name what there is."""

from pathlib import Path

import pytest
from sybil import Example

from tests.documents.blocks import blocks, quoted_commands, sources, unfenced_code
from tests.documents.commands import ROOT

SOURCES = sources()


def name(example: Example) -> str:
    return f"{Path(example.path).relative_to(ROOT)}:{example.line}"


@pytest.mark.parametrize("block", [block for path in SOURCES for block in blocks(path)], ids=name)
def test_a_block_is_right(block: Example, workplace: Path) -> None:
    block.evaluate()


def test_commands_in_sentences_exist() -> None:
    quoted = [command for path in SOURCES for command in quoted_commands(path)]
    assert len(quoted) > 50
    for command in quoted:
        command.evaluate()


def test_no_block_is_left_out() -> None:
    for path in SOURCES:
        fences = sum(line.strip().startswith("```") for line in path.read_text(encoding="utf-8").splitlines())
        assert fences == 2 * len(blocks(path)), path


def test_code_is_fenced() -> None:
    assert {str(path): found for path in SOURCES if (found := unfenced_code(path))} == {}
