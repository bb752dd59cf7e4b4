"""What is read of a folder of model files."""

import json

import pytest

import symlump as sl
from symlump.bench.model_files import measure_folder
from symlump.cli.main import main
from symlump.errors import InputError


def test_read_and_refused(tmp_path, capsys):
    sl.write(sl.ODE.from_text("x' = -x"), tmp_path / "a.xml")
    sl.write(sl.ODE.from_text("x' = -x/(1 + x)"), tmp_path / "b.ode")
    for name in ("c.net", "d.net"):
        (tmp_path / name).write_text(f"begin {name[0]}\nend {name[0]}\n")
    (tmp_path / "notes.txt").write_text("")
    result = measure_folder(tmp_path)
    assert result.read == {"polynomial": 1, "with functions": 1}
    assert list(result.refused.values()) == [2]
    assert main(["bench", "files", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["read"] == {"polynomial": 1, "with functions": 1}
    assert main(["bench", "files", str(tmp_path)]) == 0
    assert "read: with functions" in capsys.readouterr().out
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="has no model files"):
        measure_folder(empty)
