"""Another distribution's `trackers`: importing streamdet says what happened and what mends it, in one sentence."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
REINSTALL = "pip install --force-reinstall --no-deps streamdet"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder where the beginning of our two packages is installed."""
    for file in ("streamdet/__init__.py", "streamdet/installation.py", "trackers/__init__.py", "trackers/types.py"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


def install_other(site: Path) -> None:
    """Install another project's distribution trackers, as pip does: over what is there."""
    (site / "trackers" / "core").mkdir(parents=True, exist_ok=True)
    (site / "trackers" / "__init__.py").write_text("raise ImportError('supervision is missing')\n")
    (site / "trackers-2.6.1.dist-info").mkdir()
    (site / "trackers-2.6.1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: trackers\nVersion: 2.6.1\n"
    )


def uninstall_other(site: Path) -> None:
    """Remove it again, as pip does, with the file that was ours."""
    shutil.rmtree(site / "trackers-2.6.1.dist-info")
    (site / "trackers" / "__init__.py").unlink()


def warned(*path: Path, script: str = "import streamdet") -> str:
    """Return what a new interpreter warns of, after which it must go on."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    command = [sys.executable, "-S", "-c", f"{script}; print('done')"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=path[0])
    assert ended.stdout == "done\n"
    return ended.stderr


def test_our_own_is_silent_and_takes_no_time(site: Path) -> None:
    script = "import sys, streamdet; assert not {'trackers', 'importlib.metadata'} & set(sys.modules)"
    assert warned(site, script=script) == ""


def test_another_project_that_was_installed_over_ours(site: Path) -> None:
    install_other(site)
    sentence = "expected the package trackers of streamdet, found it damaged by the project trackers: "
    assert f"RuntimeWarning: {sentence}pip uninstall -y trackers && {REINSTALL}\n" in warned(site)


def test_another_project_that_was_removed_again(site: Path) -> None:
    install_other(site)
    uninstall_other(site)
    assert f"found it damaged, as when another project of that name was removed: {REINSTALL}\n" in warned(site)
    shutil.rmtree(site / "trackers")
    assert f"found none: {REINSTALL}\n" in warned(site)


def test_another_project_ahead_on_the_path(site: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    install_other(other)
    place = other / "trackers"
    assert f"found that of the project trackers in {place}: pip uninstall trackers\n" in warned(other, site)
    shutil.rmtree(other / "trackers-2.6.1.dist-info")
    assert f"found another one in {place}: rename it, or take {other} off the import path\n" in warned(other, site)


def test_a_module_made_by_hand_is_left_alone(site: Path) -> None:
    make = "sys.modules['trackers'] = types.ModuleType('trackers')"
    assert warned(site, script=f"import sys, types; {make}; import streamdet") == ""


def test_a_command_that_needs_ours_ends_with_the_sentence(tmp_path: Path) -> None:
    install_other(tmp_path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    command = [sys.executable, "-m", "streamdet", "track", "scene://street?seconds=1&fps=2&size=192x108"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("error: expected the package trackers of streamdet, found that of")
    doctor = subprocess.run(
        [*command[:3], "doctor"], env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert doctor.returncode == 1
    (row,) = [line for line in doctor.stdout.splitlines() if "import trackers" in line]
    assert row.startswith("fail")
