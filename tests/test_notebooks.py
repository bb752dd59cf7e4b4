"""Every notebook runs from top to bottom, its outputs are kept in the file, and its exercises can be solved."""

import copy
import re
from pathlib import Path

import numpy as np
import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
SHARED = Path(__file__).resolve().parents[2] / "shared"
EMPTY = "answer = ...  #"


def test_there_are_notebooks():
    assert NOTEBOOKS


def public_files(folder):
    """What lesson 13 asks for, where there are third-party files; else an empty folder."""
    network = SHARED / "networks" / "mnist-net_256x2.onnx"
    images = SHARED / "data" / "mnist_digits.npz"
    if network.is_file() and images.is_file():
        (folder / network.name).symlink_to(network)
        with np.load(images) as held:
            np.savez(folder / "mnist.npz", x_test=held["images"], y_test=held["labels"])
    return folder


def solutions(cells):
    """Positions of the hidden solutions; before each a check cell and one line of text."""
    titles = [re.fullmatch(r"Solution to exercise (\d+) \(unfold\)", cell.source) for cell in cells]
    found = [i + 1 for i, title in enumerate(titles) if title]
    assert [int(title[1]) for title in titles if title] == list(range(1, len(found) + 1))
    for i in found:
        metadata = cells[i].metadata
        assert metadata.tags == ["hide-cell"]
        assert metadata.jupyter.source_hidden and metadata.jupyter.outputs_hidden
        assert cells[i - 2].source.startswith(EMPTY)
        assert cells[i - 2].outputs[0].text.startswith("Fill in your answer above")
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_exercises_have_checks_and_folded_solutions(path):
    cells = nbformat.read(path, as_version=4).cells
    exercises = sum(cell.source.startswith("**Exercise ") for cell in cells)
    assert exercises == len(solutions(cells)) >= 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_slides_leave_exercises_out(path):
    """Each heading starts a slide; what belongs to exercises is on none."""
    exercising = False
    for cell in nbformat.read(path, as_version=4).cells:
        exercising = exercising or cell.source.startswith("**Exercise ")
        kind = cell.metadata.get("slideshow", {}).get("slide_type")
        heading = cell.cell_type == "markdown" and cell.source.startswith("#")
        assert kind == ("skip" if exercising else "slide" if heading else None)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_pictures_have_a_text_instead(path):
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                assert len(output.metadata["image/png"]["alt"]) > 15


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_runs(path, tmp_path, monkeypatch):
    monkeypatch.setenv("SYMLUMP_DATA", str(public_files(tmp_path)))
    notebook = nbformat.read(path, as_version=4)
    kept = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.outputs]
    assert kept, "outputs are kept so that the lesson reads well on a code host"
    checks = []
    for i in reversed(solutions(notebook.cells)):  # each check takes the solution, and refuses None
        text = notebook.cells[i - 2].source
        right = copy.deepcopy(notebook.cells[i - 2])
        right.source = text.replace(EMPTY, "answer = solution  #", 1)
        wrong = copy.deepcopy(notebook.cells[i - 2])
        text = text.replace(EMPTY, "answer = None  #", 1)
        wrong.source = f"try:\n    exec({text!r})\nexcept Exception:\n    pass\nelse:\n    1 / 0"
        notebook.cells[i + 1 : i + 1] = [right, wrong]
        checks.append(right)
    nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    for cell in checks:
        assert "".join(output.text for output in cell.outputs) == "Right.\n"
