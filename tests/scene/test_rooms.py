"""The rooms of the scene import downwards alone, read from the sources."""

import re
from pathlib import Path

import pytest

SCENE = Path(__file__).resolve().parents[2] / "streamdet" / "scene"
# From the top; modules that stand in no room are above all of them.
ROOMS = ("scene", "traffic", "street", "people", "vehicles", "figures", "light", "view")


def upward(scene: Path) -> list[str]:
    """Return every import below `scene` that does not lead to the same room or a lower one."""
    found = []
    for file in sorted(scene.rglob("*.py")):
        names = re.findall(r"^\s*from streamdet\.scene\.([\w.]+) import", file.read_text(), re.MULTILINE)
        room = ROOMS.index("scene" if file.parent == scene else file.relative_to(scene).parts[0])
        rooms = [name.split(".")[0] if "." in name else "scene" for name in names]
        found += [f"{file.name}: {name}" for name, other in zip(names, rooms, strict=True) if ROOMS.index(other) < room]
    return found


def test_imports_between_rooms_go_down() -> None:
    assert upward(SCENE) == []


@pytest.mark.parametrize("name", ["street.plan", "people.person", "settings"])
def test_an_import_upwards_is_found(tmp_path: Path, name: str) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "sprite.py").write_text(f"def f():\n    from streamdet.scene.{name} import anything")
    assert upward(tmp_path) == [f"sprite.py: {name}"]
