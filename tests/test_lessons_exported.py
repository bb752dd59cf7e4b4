"""The lessons as HTML, and as PDF through TeX where that is installed: all compiles, no letter is lost."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
exporters = pytest.importorskip("nbconvert.exporters", reason="nbconvert is not installed")

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MISSING = [name for name in ("xelatex", "pandoc") if shutil.which(name) is None]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_lesson_is_a_page(path):
    html, _ = exporters.HTMLExporter().from_filename(str(path))
    cells = nbformat.read(path, as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    pictures = sum("image/png" in output.get("data", {}) for output in outputs)
    assert re.search(r"<h1[^>]*>" + path.stem[:2] + " ", html) and html.count("<img") == pictures


def everything():
    """One notebook with the text of all lessons, and all that their cells printed or set as formulas."""
    text, outputs = [], []
    for path in NOTEBOOKS:
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                text.append(cell.source)
            for output in cell.get("outputs", []):
                pictures = [kind for kind in output.get("data", {}) if kind.startswith("image/")]
                if not pictures:
                    outputs.append(output)
    made = nbformat.v4.new_code_cell("pass", outputs=outputs)
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("\n\n".join(text)), made])


@pytest.mark.skipif(bool(MISSING), reason=f"{' and '.join(MISSING)} not installed")
@pytest.mark.filterwarnings("ignore")
def test_tex_compiles_every_formula_and_prints_every_letter(tmp_path):
    exporter = exporters.LatexExporter(template_file=str(FOLDER / "pdf.tex.j2"))
    source, _ = exporter.from_notebook_node(everything())
    (tmp_path / "lessons.tex").write_text(source, encoding="utf-8")
    command = ["xelatex", "-interaction=nonstopmode", "lessons.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True)
    log = (tmp_path / "lessons.log").read_text(encoding="utf-8", errors="replace")
    assert done.returncode == 0, re.findall(r"^! .*(?:\n.*){4}", log, re.M)
    assert (tmp_path / "lessons.pdf").stat().st_size > 50_000
    assert re.findall(r"Missing character: .*", log) == []
    assert re.findall(r"Overfull \\hbox \((\d{2,})\.", log) == []


def test_the_command_of_the_page_names_the_template():
    page = (FOLDER.parent / "docs" / "lessons" / "index.md").read_text(encoding="utf-8")
    assert "--to pdf --template-file notebooks/pdf.tex.j2" in page
