"""The documentation builds without a warning."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_documentation_builds(tmp_path):
    for module in ("sphinx", "myst_parser", "numpydoc"):
        pytest.importorskip(module)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "docs", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.html")}
    assert {"index.html", "learn/theory.html", "look-up/api.html"} <= pages
    commands = (tmp_path / "look-up" / "command-line.html").read_text()
    assert "symlump lump" in commands and "exit codes" in commands
