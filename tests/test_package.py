"""What a stranger meets first."""

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import networkx as nx

import symlump

ROOT = Path(__file__).resolve().parents[1]


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_import_does_not_import_torch_or_sympy():
    code = (
        "import sys, symlump; print([m for m in ('torch', 'sympy', 'scipy') if m in sys.modules])"
    )
    assert run_python(code) == "[]"


def test_reducing_a_system_does_not_import_torch():
    code = (
        "import sys, sympy, symlump as sl; x = sympy.Symbol('x');"
        "sl.lump(sl.PolynomialODE.from_sympy({x: -x}), sl.Forward()); print('torch' in sys.modules)"
    )
    assert run_python(code) == "False"


def test_every_public_name_loads():
    for name in symlump.__all__:
        assert getattr(symlump, name).__doc__, name
    assert dir(symlump) == sorted(symlump.__all__)


def test_all_metadata_is_in_setup_cfg():
    assert "[project]" not in (ROOT / "pyproject.toml").read_text()
    metadata = configparser.RawConfigParser()
    metadata.read(ROOT / "setup.cfg")
    extras = set(metadata["options.extras_require"])
    assert {"test", "docs", "notebook", "fast", "onnx", "sbml", "dask"} <= extras


def test_files_stay_small_and_rooms_point_one_way():
    rooms = ["ode", "proof", "lumping", "network", "compression", "tolerances"]
    for path in (ROOT / "symlump").rglob("*.py"):
        text = path.read_text()
        # The checker must run alone, so it stays one file.
        assert text.count("\n") <= (1500 if path.name == "check.py" else 400), path
        room = path.relative_to(ROOT / "symlump").parts[0]
        if room == "enclosures":
            for above in rooms[1:]:
                assert f"from symlump.{above}" not in text, path
        if room in rooms[:1]:
            assert "symlump.lumping" not in text.replace(">>> ", ""), path
        if room in rooms[:3]:
            assert "from symlump.network" not in text, path
        if room in rooms[:4]:
            assert "from symlump.compression" not in text, path
        if room in rooms[:5]:
            assert "from symlump.tolerances" not in text, path
        if room in rooms:
            assert "from symlump.cli" not in text and "from symlump.bench" not in text, path


def test_folders_of_a_room_do_not_import_in_circles():
    """Between folders the imports at the top of files form no circle, and few files are in one place."""
    package, graph = ROOT / "symlump", nx.DiGraph()
    for path in package.rglob("*.py"):
        home = path.parent.relative_to(ROOT).parts
        assert len(list(path.parent.glob("*.py"))) <= 20, path.parent
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("symlump."):
                parts = tuple(str(node.module).split("."))
                there = parts if ROOT.joinpath(*parts).is_dir() else parts[:-1]
                # What is at the top of a room is used by its folders and uses them, file by file.
                if len(home) == len(there) == 3 and home != there:
                    graph.add_edge(home, there)
    assert nx.is_directed_acyclic_graph(graph), list(nx.simple_cycles(graph))


def test_modules_do_not_import_in_circles():
    graph = nx.DiGraph()
    for path in (ROOT / "symlump").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("symlump."):
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    is_module = (ROOT / whole.replace(".", "/")).with_suffix(".py").exists()
                    graph.add_edge(name, whole if is_module else node.module)
    assert nx.is_directed_acyclic_graph(graph), list(nx.simple_cycles(graph))


def test_test_files_have_different_names():
    """Test modules are imported by their bare names, so two of one name hide each other."""
    found = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(found) == len(set(found))
