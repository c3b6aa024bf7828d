"""The documentation builds as a site: links and references are right, and a page needs no other server."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents.commands import ROOT

FOREIGN = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*(?:src|href)=["']?(?:https?:)?//(?!localhost)""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    return folder


def test_links_across_the_checkout_lead_to_pages(site: Path) -> None:
    assert 'href="../contributing/"' in (site / "architecture" / "index.html").read_text()
    assert 'href="../architecture/"' in (site / "contributing" / "index.html").read_text()
    assert 'href="../../results/"' in (site / "how-to" / "better-tracks" / "index.html").read_text()


def test_the_reference_names_commands_and_classes(site: Path) -> None:
    commands = (site / "reference" / "command-line" / "index.html").read_text()
    assert all(f'id="streamdet-{name}"' in commands for name in ("track", "explain", "train", "eval-mot"))
    assert "--max-frames" in commands
    python = (site / "reference" / "python" / "index.html").read_text()
    assert "Weights, device and backend, loaded once" in python


def test_a_page_loads_nothing_from_other_servers(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 10
    assert [page for page in pages if FOREIGN.search(page.read_text())] == []


def test_a_link_to_a_missing_page_is_found(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("[gone](gone.md)")
    (tmp_path / "mkdocs.yml").write_text(
        f"INHERIT: {ROOT / 'mkdocs.yml'}\nsite_name: a\nhooks: []\nplugins: []\nnav: [index.md]\n"
    )
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "gone.md" in done.stderr
