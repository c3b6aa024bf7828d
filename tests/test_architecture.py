"""Who may import whom: read from the sources, imports inside functions included, TYPE_CHECKING ones excepted."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Parts from the top; a part imports parts of lower rows, and itself.
LAYERS = (
    {"__main__"},
    {"cli"},
    {"demo"},
    {"bench", "labelling", "serve"},
    {"pipeline"},
    {"explain", "train"},
    {"pictures", "sinks"},
    {"doctor"},
    {"result", "tune", "export", "headroom", "plots", "scene"},
    {"video", "detect", "tracking", "draw", "evaluate"},
    {"scheduler", "camera_motion", "appearance"},
    {"inference"},
    {"models"},
    {"data"},
    {"letterbox", "boxes", "options", "page_options", "trails"},
    {"fields", "files", "machine", "output_file", "types", "yaml_file"},
    {"masks", "rows"},
    {"arrays", "pixels", "values"},
    {"errors"},
    {"streamdet"},
    {"installation"},
)
RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}
# What only some parts may import.
RESERVED = {
    "av": {"video", "doctor"},
    "models": {"cli", "export", "inference", "train"},
    "trackers": {"tracking", "doctor", "evaluate", "pipeline", "tune"},
}
FORBIDDEN = {
    "letterbox": {"torch", "av"},
    "boxes": {"torch", "av"},
    "scheduler": {"torch", "cv2", "av"},
    "options": {"torch", "cv2", "av", "cyclopts"},
    "types": {"torch", "av"},
    "trackers": {"torch", "cv2", "av", "streamdet"},
}
# The chapters of the renderer, from the top; one imports later ones alone.
SCENE = (
    *("dataset", "scene", "painter", "shapes", "traffic", "backdrop", "paths", "vehicles", "hulls", "furniture"),
    *("people", "ground", "figures", "light", "camera", "plan", "pose", "truth"),
)
LONGEST_CHAPTER = 300  # lines of a file
HEAVY = {"av", "cv2", "gradio", "pydantic", "streamdet.scene", "torch"}


def violations(root: Path) -> list[str]:
    """Return a sentence for every import under `root` that breaks a rule."""
    return [sentence for file in modules(root) for sentence in _violations_of(file.relative_to(root), file.read_text())]


def modules(root: Path) -> list[Path]:
    """Return the files of the packages under `root`."""
    return [file for package in ("streamdet", "trackers", "demo") for file in sorted((root / package).rglob("*.py"))]


def _violations_of(file: Path, source: str) -> Iterator[str]:
    part = _part(".".join(file.with_suffix("").parts))
    if part not in RANK and part != "trackers":
        yield f"{file}: {part} has no row in LAYERS"
        return
    for line, module in _imports(ast.parse(source), file.parent.parts):
        imported = _part(module)
        if not _allowed(part, imported, module):
            yield f"{file}:{line}: {part} must not import {module}"


def _part(module: str) -> str:
    """Return the part of a dotted name: below ``streamdet`` the second name, else the first."""
    names = [name for name in module.split(".") if name != "__init__"]
    return names[1] if names[0] == "streamdet" and len(names) > 1 else names[0]


def _allowed(part: str, imported: str, module: str) -> bool:
    forbidden = FORBIDDEN.get(part, set())
    if imported in forbidden or module.split(".")[0] in forbidden:
        return False
    if imported == part:
        return True
    if part not in RESERVED.get(imported, {part}):
        return False
    if module.startswith("streamdet."):
        # A name that is no part is one of the public names, which reach up to the pipeline.
        return RANK.get(part, len(LAYERS)) < RANK.get(imported, RANK["pipeline"])
    return imported not in RANK or RANK[part] < RANK[imported]


def _imports(tree: ast.AST, package: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """Yield line and full dotted name of all that `tree`, a module inside `package`, imports when it runs."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            origin = ".".join(filter(None, (base, node.module)))
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            yield from _imports(ast.Module(node.orelse, []), package)
        else:
            yield from _imports(node, package)


def upward(scene: Path) -> list[str]:
    """Return every import below the folder `scene` that does not lead to a later chapter of it."""
    found = []
    for file in sorted(scene.glob("[!_]*.py")):
        names = [module.split(".") for _, module in _imports(ast.parse(file.read_text()), ("streamdet", "scene"))]
        later = SCENE[SCENE.index(file.stem) + 1 :]
        found += [f"{file.name}: {name[2]}" for name in names if name[1:2] == ["scene"] and name[2] not in later]
    return found


def loaded_by(script: str) -> set[str]:
    """Return which heavy modules a fresh interpreter has loaded after `script`, also when it ends by SystemExit."""
    return HEAVY & modules_after(script)


def modules_after(script: str) -> set[str]:
    """Return all modules that a fresh interpreter has loaded after `script`."""
    report = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", report + script]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return set(run.stderr.split())


def test_the_sources_keep_the_rules() -> None:
    assert violations(ROOT) == []


@pytest.mark.parametrize(
    ("file", "source", "expected"),
    [
        ("streamdet/video/source.py", "from streamdet.pipeline import track", ":1: video must not import "),
        ("streamdet/video/source.py", "def f():\n    import streamdet.detect.tasks", ":2: video must not import "),
        ("streamdet/video/source.py", "from ..cli import app", ":1: video must not import streamdet.cli.app"),
        ("streamdet/video/source.py", "from streamdet import sinks", ":1: video must not import streamdet.sinks"),
        ("streamdet/video/source.py", "from streamdet import Detector", ":1: video must not import streamdet.Detector"),
        ("streamdet/errors.py", "from streamdet.types import Frame", ":1: errors must not import "),
        ("streamdet/__init__.py", "from streamdet.types import Frame", ":1: streamdet must not import "),
        ("streamdet/pipeline.py", "from streamdet.models.table import ModelSpec", ":1: pipeline must not import "),
        ("streamdet/bench.py", "import trackers.botsort", ":1: bench must not import trackers.botsort"),
        ("streamdet/pipeline.py", "import demo.app", ":1: pipeline must not import demo.app"),
        ("streamdet/sinks/csv.py", "try:\n    import av.video\nexcept ImportError: pass", ":2: sinks must not import "),
        ("streamdet/types.py", "import torch", ":1: types must not import torch"),
        ("demo/app.py", "from streamdet.cli import app", ":1: demo must not import streamdet.cli.app"),
        ("trackers/kalman.py", "from streamdet.errors import InputError", ":1: trackers must not import "),
        ("trackers/kalman.py", "import cv2", ":1: trackers must not import cv2"),
        (
            "streamdet/types.py",
            "if TYPE_CHECKING:\n    import os\nelse:\n    import av",
            ":4: types must not import av",
        ),
        ("streamdet/novelty.py", "", ": novelty has no row in LAYERS"),
    ],
)
def test_an_offence_is_found(tmp_path: Path, file: str, source: str, expected: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(source)
    (sentence,) = violations(tmp_path)
    assert sentence.startswith(file + expected)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("streamdet/types.py", "if TYPE_CHECKING:\n    import torch\n    from streamdet.pipeline import track"),
        ("streamdet/cli/track.py", "from streamdet.pipeline import track\nimport demo.app"),
        ("streamdet/inference/torch.py", "from streamdet.models.weights import Network\nfrom . import session"),
        ("streamdet/video/source.py", "import av, streamdet\nfrom streamdet.errors import InputError"),
        ("demo/app.py", "import gradio\nfrom streamdet import track"),
    ],
)
def test_what_is_allowed_is_not_reported(tmp_path: Path, file: str, source: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(source)
    assert violations(tmp_path) == []


def test_every_layer_names_parts_that_exist() -> None:
    parts = {_part(".".join(file.relative_to(ROOT).with_suffix("").parts)) for file in modules(ROOT)}
    assert parts - {"trackers"} == set(RANK)


def test_a_file_is_a_chapter() -> None:
    lines = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in modules(ROOT)}
    assert {file: count for file, count in lines.items() if count > LONGEST_CHAPTER} == {}
    assert set(SCENE) == {file.stem for file in (ROOT / "streamdet" / "scene").glob("[!_]*.py")}


def test_chapters_of_the_scene_import_later_ones() -> None:
    assert upward(ROOT / "streamdet" / "scene") == []


@pytest.mark.parametrize("name", ["people", "scene", "figures"])
def test_an_import_of_an_earlier_chapter_is_found(tmp_path: Path, name: str) -> None:
    (tmp_path / "figures.py").write_text(f"def f():\n    from streamdet.scene.{name} import anything")
    (tmp_path / "painter.py").write_text("from streamdet.scene.figures import anything")
    assert upward(tmp_path) == [f"figures.py: {name}"]


def test_importing_streamdet_is_light() -> None:
    assert loaded_by("import streamdet; dir(streamdet)") == set()


@pytest.mark.parametrize("command", [[], ["track"], ["train"], ["eval", "det"]])
def test_help_is_light(command: list[str]) -> None:
    words = ["streamdet", *command, "--help"]
    assert loaded_by(f"import runpy; sys.argv = {words}; runpy.run_module('streamdet', run_name='__main__')") == set()


def test_what_is_loaded_is_seen() -> None:
    assert loaded_by("import streamdet.scene, cv2; sys.exit()") == {"cv2", "streamdet.scene"}


READ_MP4 = """
from fractions import Fraction
import numpy as np
import streamdet.cli.track
from streamdet.types import VideoInfo
from streamdet.video.sink import VideoSink
from streamdet.video.source import open_source
with VideoSink({path!r}, info=VideoInfo(64, 48, Fraction(25), None, live=False)) as sink:
    sink.write(np.zeros((48, 64, 3), np.uint8), 0, Fraction(1, 25))
assert next(open_source({path!r})).index == 0
"""


def test_what_renders_scenes_is_loaded_for_a_scene_only(tmp_path: Path) -> None:
    def scene_modules(script: str) -> set[str]:
        return {module for module in modules_after(script) if module.startswith("streamdet.scene")}

    assert scene_modules(READ_MP4.format(path=str(tmp_path / "a.mp4"))) == set()
    assert scene_modules("import streamdet.cli.score, streamdet.cli.evaluate, streamdet.cli.train") == set()
    assert scene_modules("import streamdet; streamdet.open_source('scene://street')") != set()
