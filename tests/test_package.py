"""What a stranger meets first."""

import configparser
import subprocess
import sys
from pathlib import Path

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
    rooms = ["ode", "proof", "lumping", "network", "compression"]
    for path in (ROOT / "symlump").rglob("*.py"):
        text = path.read_text()
        # The checker must run alone, so it stays one file.
        assert text.count("\n") <= (455 if path.name == "check.py" else 400), path
        room = path.relative_to(ROOT / "symlump").parts[0]
        if room in rooms[:1]:
            assert "symlump.lumping" not in text.replace(">>> ", ""), path
        if room in rooms[:3]:
            assert "from symlump.network" not in text, path
        if room in rooms[:4]:
            assert "from symlump.compression" not in text, path
        if room in rooms:
            assert "from symlump.cli" not in text and "from symlump.bench" not in text, path
