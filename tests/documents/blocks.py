"""Finds the code of documents and docstrings: fenced blocks, and commands that a sentence quotes.

A block is fenced, in a docstring too, names its language and stands alone: ``python`` is run, the commands of ``sh``
are looked up, ``yaml`` is read as a data file, ``text`` is only shown.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from sybil import Document, Example, Region
from sybil.document import PythonDocStringDocument
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer
from sybil.typing import Evaluator, Parser

from streamdet.data.dataset import read_dataset
from tests.documents.commands import PROGRAMS, ROOT, complaints

_fences = RawFencedCodeBlockLexer(re.compile(r"(?P<language>.*)\n"))
_python = PythonEvaluator()
_QUOTED = re.compile(rf"(`+)((?:(?:{'|'.join(PROGRAMS)})\s|--)[^`]+)\1")
# What looks like code: indented after an empty line, a prompt, or what the two colons of rST announce.
_UNFENCED = re.compile(r"\n *\n {4,}\S.*|^ *>>>.*|^.*::$", re.MULTILINE)


class Docstrings(PythonDocStringDocument):
    """The docstrings of a module, which is not imported for their sake."""

    def __init__(self, text: str, path: str) -> None:
        super().__init__(text, path)
        self.evaluators.clear()


def sources() -> list[Path]:
    """Return the documents, and the modules whose docstrings count."""
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    modules = [module for package in ("streamdet", "trackers", "demo") for module in (ROOT / package).rglob("*.py")]
    return sorted([*documents, ROOT / "benchmarks" / "RESULTS.md", *modules])


def blocks(path: Path) -> list[Example]:
    """Return the fenced blocks of a document, or of the docstrings of a module."""
    return _examples(path, _parse_blocks)


def quoted_commands(path: Path) -> list[Example]:
    """Return the command lines and options that stand between backticks in a sentence."""
    return _examples(path, _parse_quoted)


def unfenced_code(path: Path) -> list[str]:
    """Return what looks like code and stands in no fence, where nobody would try it."""
    text = path.read_text(encoding="utf-8")
    texts = [text] if path.suffix == ".md" else _docstrings(ast.parse(text))
    return [code.strip() for text in texts for code in _UNFENCED.findall(_without_blocks(text))]


def _docstrings(module: ast.Module) -> list[str]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return [ast.get_docstring(node) or "" for node in ast.walk(module) if isinstance(node, documented)]


def _examples(path: Path, parser: Parser) -> list[Example]:
    kind = Docstrings if path.suffix == ".py" else Document
    return list(kind.parse(str(path), parser).examples())


def _parse_blocks(document: Document) -> Iterator[Region]:
    for region in _fences(document):
        region.parsed = region.lexemes["source"]
        region.evaluator = _LANGUAGES.get(region.lexemes["language"], _refuse)
        yield region


def _parse_quoted(document: Document) -> Iterator[Region]:
    for found in _QUOTED.finditer(_without_blocks(document.text)):
        yield Region(found.start(), found.end(), " ".join(found[2].split()), _look_up)


def _without_blocks(text: str) -> str:
    """Return `text` with spaces in place of its fenced blocks."""
    for region in _fences(Document(text, "")):
        text = text[: region.start] + " " * (region.end - region.start) + text[region.end :]
    return text


def _run(example: Example) -> None:
    """Run the block as a module of its own, so that its classes can be imported by name while it runs."""
    module = sys.modules["example"] = ModuleType("example")
    example.namespace = module.__dict__
    try:
        _python(example)
    finally:
        del sys.modules["example"]


def _look_up(example: Example) -> str | None:
    return "\n".join(complaints(example.parsed)) or None


def _read(example: Example) -> None:
    path = Path("data.yaml")
    path.write_text(example.parsed)
    read_dataset(path)


def _show(example: Example) -> None:
    pass


def _refuse(example: Example) -> str:
    return f"expected a block of {', '.join(_LANGUAGES)}, found {example.region.lexemes['language']!r}"


_LANGUAGES: dict[str, Evaluator] = {"python": _run, "sh": _look_up, "yaml": _read, "text": _show}
