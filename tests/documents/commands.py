"""Looks up command lines of documents in the help that their programs print: subcommands, options, targets of make."""

import io
import os
import re
import runpy
import shlex
import sys
import tomllib
import warnings
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ("streamdet", "python", "torchrun", "make", "pip", "pytest")

_STREAMDET = ROOT / "streamdet" / "__main__.py"
_COMMENT = re.compile(r"(?:^|\s)#")
_OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
# Rows of a help, which may be framed: the name of a command; the name of an argument, if any, then an option's names.
_COMMAND_ROW = re.compile(r"^[^\w-]*([a-z][\w-]*)  ", re.MULTILINE)
_OPTION_ROW = re.compile(r"^[^\w-]*(?:[A-Z][\w-]* )?(-[\w-]+(?:[ ,/]+-[\w-]+)*)", re.MULTILINE)
_STYLE = re.compile(r"\x1b\[[\d;]*m")


def complaints(script: str) -> Iterator[str]:
    """Yield a sentence for everything that the lines of `script` name and that does not exist.

    Options in a comment, or in a line that begins with one, may be of any program of this repository. Brackets round
    what may be left out do not count.
    """
    for line in script.replace("\\\n", " ").splitlines():
        command, *comment = _COMMENT.split(line, maxsplit=1)
        if command.startswith("--"):
            command, comment = "", [command]
        yield from _unknown(_OPTION.findall("".join(comment)), _every_option(), "any program")
        for part in command.split("&&"):
            yield from _of_command([word.strip("[]") for word in shlex.split(part)])


def _of_command(words: list[str]) -> Iterator[str]:
    match words:
        case []:
            pass
        case ["streamdet", *arguments]:
            yield from _of_arguments(_STREAMDET, arguments)
        case ["python", "-m", module, *arguments]:
            yield from _of_arguments(_file_of(module), arguments)
        case ["python", script, *arguments]:
            yield from _of_arguments(ROOT / script, arguments)
        case ["torchrun", *arguments] if "-m" in arguments:
            yield from _of_command(["python", *arguments[arguments.index("-m") :]])
        case ["make", *arguments]:
            yield from _of_make(arguments)
        case ["pip", "install", "-c", constraints, package]:
            yield from _of_pip(constraints, package)
        case ["pytest", *paths]:
            yield from (f"there is no {path}" for path in paths if not (ROOT / path).exists())
        case [program, *_]:
            yield f"expected one of the programs {', '.join(PROGRAMS)}, found {program}"


def _of_arguments(program: Path, arguments: list[str]) -> Iterator[str]:
    if not program.is_file():
        yield f"there is no {program}"
        return
    path: list[str] = []
    options = _options(program)
    while (commands := _commands(program, *path)) and arguments and not arguments[0].startswith("-"):
        name, *arguments = arguments
        if name not in commands:
            yield f"expected one of the commands {', '.join(sorted(commands))}, found {name}"
            return
        path.append(name)
        options |= _options(program, *path)
    given = [word.partition("=")[0] for word in arguments if word.startswith("-")]
    yield from _unknown(given, options, " ".join([_name(program), *path]))


def _of_make(arguments: list[str]) -> Iterator[str]:
    makefile, installer = ((ROOT / name).read_text() for name in ("Makefile", "scripts/install_torch.py"))
    for word in arguments:
        name, assigns, _ = word.partition("=")
        if assigns and not re.search(rf"\b{name}\b", makefile + installer):
            yield f"make knows no variable {name}"
        if not assigns and word != "…" and not re.search(rf"^{name}:", makefile, re.MULTILINE):
            yield f"make knows no target {name}"


def _of_pip(constraints: str, package: str) -> Iterator[str]:
    """Check ``pip install -c CONSTRAINTS .[EXTRA,...]``; the closing bracket is gone by now."""
    if not (ROOT / constraints).is_file():
        yield f"there is no {constraints}"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    folder, _, named = package.partition("[")
    if folder != ".":
        yield f"expected the package in this folder, found {folder}"
    yield from (f"there is no extra {extra}" for extra in named.split(",") if extra not in extras)


def _unknown(options: Iterable[str], known: set[str], program: str) -> Iterator[str]:
    yield from (f"{option} is no option of {program}" for option in options if option not in known)


def _file_of(module: str) -> Path:
    """Return what ``python -m MODULE`` runs."""
    place = ROOT / module.replace(".", "/")
    return place / "__main__.py" if place.is_dir() else place.with_suffix(".py")


def _name(program: Path) -> str:
    return program.parent.name if program.stem == "__main__" else program.name


def _commands(program: Path, *path: str) -> set[str]:
    """Return the names of the commands under the one that `path` leads to."""
    _, _, rows = _help(program, *path).partition(" Commands ")
    return set(_COMMAND_ROW.findall(rows))


def _options(program: Path, *path: str) -> set[str]:
    rows = _OPTION_ROW.findall(_help(program, *path))
    return {"--help"} | {option for row in rows for option in re.split(r"[ ,/]+", row)}


@cache
def _every_option() -> set[str]:
    """Return the options of the command line, with all of its commands, of the trackers and of the benchmarks."""
    programs = [ROOT / "trackers" / "__main__.py", *(ROOT / "benchmarks").glob("*.py")]
    return _all_options(_STREAMDET).union(*map(_options, programs))


def _all_options(program: Path, *path: str) -> set[str]:
    below = (_all_options(program, *path, name) for name in _commands(program, *path))
    return _options(program, *path).union(*below)


@cache
def _help(program: Path, *path: str) -> str:
    """Return what a program in a file prints, run in this process, when it is asked for help."""
    printed = io.StringIO()
    with (
        patch.dict(os.environ, COLUMNS="300"),  # no row is broken
        patch.object(sys, "argv", [str(program), *path, "--help"]),
        patch.object(sys, "path", [*sys.path]),
        redirect_stdout(printed),
        warnings.catch_warnings(action="ignore"),  # a library may warn of a program that is run by a test
    ):
        try:
            runpy.run_path(str(program), run_name="__main__")
        except SystemExit as ended:
            assert not ended.code, f"{program} {' '.join(path)} has no help"
    return _STYLE.sub("", printed.getvalue())
