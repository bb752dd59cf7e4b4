"""Files that other tools translate, and files for which there is only advice."""

import stat
import sys
import types

import pytest

import symlump as sl
from symlump.errors import FileFormatError, MissingExtraError
from symlump.formats import translated

RULES = """begin model
begin parameters
k 3
end parameters
begin molecule types
A()
end molecule types
begin seed species
A() 1
end seed species
begin reaction rules
A() -> 0 k
end reaction rules
end model
begin actions
writeFile({format=>"net"})
end actions
simulate({method=>"ode"})
"""
NETWORK = "begin species\n1 A() 1\nend species\nbegin reactions\n1 1 0 3\nend reactions\n"


class Antimony(types.ModuleType):
    """What is asked of the package; it knows one model."""

    def __init__(self):
        super().__init__("antimony")
        self.clearPreviousLoads = lambda: None
        self.getMainModuleName = lambda: "m"
        self.getLastError = lambda: "unexpected\n end"

    def loadAntimonyString(self, text):
        self.text = text
        return 0 if "->" in text else -1

    def getSBMLString(self, name):
        sl.write(sl.ODE.from_text("x' = -x"), self.path)
        return self.path.read_text()


def test_antimony_becomes_sbml(tmp_path, monkeypatch):
    path = tmp_path / "m.ant"
    path.write_text("model m\n x -> ; x\nend\n")
    monkeypatch.setitem(sys.modules, "antimony", None)
    with pytest.raises(
        MissingExtraError, match=r"m.ant: Antimony.*pip install 'symlump\[antimony\]'"
    ):
        sl.read(path)
    package = Antimony()
    package.path = tmp_path / "m.xml"
    monkeypatch.setitem(sys.modules, "antimony", package)
    model = sl.read(path)
    assert str(model.ode) == "x' = -x" and model.notes[0] == "translated into SBML by antimony"
    path.write_text("model m")
    with pytest.raises(FileFormatError, match="m.ant: antimony says: 'unexpected end'"):
        sl.read(path)
    path.write_text('model m\n import "/etc/passwd"\nend')
    with pytest.raises(FileFormatError, match="m.ant:2:1: other files"):
        sl.read(path)


def test_antimony_itself(tmp_path):
    pytest.importorskip("antimony")
    path = tmp_path / "m.ant"
    path.write_text(
        "model m\n A -> B; k*A\n k = 0.3; A = 2; B = 0\n at (time > 2): A = A + 1\nend\n"
    )
    model = sl.read(path)
    assert str(model.ode) == "A' = -3/10*A\nB' = 3/10*A"
    assert str(model.events[0]).endswith("when time() > 2, A = A + 1")


def bionetgen(tmp_path, monkeypatch, result):
    """A script in place of BioNetGen's, run by a shell in place of perl."""
    script = tmp_path / "BNG2.pl"
    script.write_text(f"cp $3 {tmp_path}/given; {result}")
    perl = tmp_path / "perl"
    perl.write_text('#!/bin/sh\nexec sh "$@"\n')
    perl.chmod(perl.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(translated, "_bionetgen", lambda: script)
    monkeypatch.setattr(translated.shutil, "which", lambda name: str(perl))
    (tmp_path / "m.bngl").write_text(RULES)
    return tmp_path / "m.bngl"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
def test_rules_become_a_network(tmp_path, monkeypatch):
    path = bionetgen(
        tmp_path, monkeypatch, f"printf '{NETWORK}' > $2/model.net".replace("\n", "\\n")
    )
    model = sl.read(path)
    assert str(model.ode) == "A()' = -3*A()" and "actions were not done" in model.notes[0]
    given = (tmp_path / "given").read_text()
    assert "simulate" not in given and "writeFile" not in given and "generate_network" in given
    path = bionetgen(tmp_path, monkeypatch, "echo ABORT: no such rule; exit 1")
    with pytest.raises(FileFormatError, match="m.bngl: BioNetGen says: 'ABORT: no such rule'"):
        sl.read(path)
    path = bionetgen(tmp_path, monkeypatch, "sleep 5")
    monkeypatch.setattr(translated, "SECONDS", 0.1)
    with pytest.raises(FileFormatError, match="no network in 0.1 s"):
        sl.read(path)


def test_rules_need_the_extra_and_a_model(tmp_path, monkeypatch):
    monkeypatch.setattr(translated, "_bionetgen", lambda: None)
    path = tmp_path / "m.bngl"
    path.write_text(RULES)
    with pytest.raises(MissingExtraError, match=r"m.bngl.*'symlump\[bngl\]'.*generate_network"):
        sl.read(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("simulate()", "1:1: expected 'begin model'"),
        ("\nbegin model\n", "2:1: 'begin model' is never"),
    ],
)
def test_what_is_no_model(text, message, tmp_path, monkeypatch):
    monkeypatch.setattr(translated, "_bionetgen", lambda: tmp_path)
    monkeypatch.setattr(translated.shutil, "which", lambda name: "perl")
    path = tmp_path / "m.bngl"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=message):
        sl.read(path)


@pytest.mark.parametrize(
    "suffix",
    [".cellml", ".omex", ".cps", ".pm", ".drn", ".nnet", ".h5", ".lab", ".sta", ".trew", ".m"],
)
def test_other_formats_are_told_what_to_export(suffix, tmp_path):
    path = tmp_path / f"m{suffix}"
    path.write_text("x")
    what = "(SBML|exporttrans|ONNX|read the chain|as text)"
    with pytest.raises(FileFormatError, match=f"m{suffix} is a?.*{what}"):
        sl.read(path)
    with pytest.raises(FileFormatError, match="unknown suffix"):
        sl.write(sl.ODE.from_text("x' = -x"), path)
