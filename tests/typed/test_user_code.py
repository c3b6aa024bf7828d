"""A user's own code passes a strict type checker, and wrong code does not."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import streamdet

CODE = Path(__file__).with_name("user_code.py")
ROOT = CODE.parents[2]


@pytest.mark.timeout(600)
def test_the_code_of_a_user_is_typed(tmp_path: Path) -> None:
    """As an installed package is seen, without the settings of this project; ignored errors have to be there."""
    shutil.copy(CODE, tmp_path)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", CODE.name]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    checked = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert checked.stdout == "Success: no issues found in 1 source file\n", checked.stdout + checked.stderr


def test_that_code_uses_every_public_name() -> None:
    nodes = list(ast.walk(ast.parse(CODE.read_text())))
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    used |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    assert set(streamdet.__all__) - used == set()
