"""Where the example models are, and ERODE's own answers among them."""

import json
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "models"


def example(name: str) -> Path:
    """The path of an example model; the test is skipped where there is none."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip("the example models are not here")
    return path


def manifest() -> list[dict[str, str]]:
    path = FOLDER / "MANIFEST.json"
    return json.loads(path.read_text())["models"] if path.exists() else []


def read_answer_blocks(path: Path) -> list[frozenset[str]]:
    """The blocks that the comments of a model reduced by ERODE list."""
    lines = path.read_text().splitlines()
    blocks: list[set[str]] = []
    for line in lines:
        if re.search(r"//\s*(Singleton block|Representative of block)", line):
            blocks.append(set())
        elif blocks and (member := re.fullmatch(r"\s*//\s*\t\s*(\w+)\s*", line)):
            blocks[-1].add(member[1])
    return [frozenset(block) for block in blocks]
