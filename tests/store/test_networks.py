"""Reaction networks and equations to a store piece by piece: the same as read whole."""

import os
import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import symlump as sl
from symlump.cli.main import main
from symlump.errors import FailureError, FileFormatError, OutOfMemoryError

pytest.importorskip("duckdb", reason="systems on disk need DuckDB, of the extra store")

from symlump.formats import source
from symlump.formats.polynomials import NotInPiecesError
from symlump.store.networks import convert_network

ERODE = """begin model m
begin parameters
 k = 1/3
 l
 = 2.5e-1
end parameters
begin init
{init}
end init
begin partition
 {{S0, S1}}, {{S2}}
end partition
begin {section} // what happens
{lines}
end {section}
begin views
 v = S0 + 2*S1
end views
end model
"""
REACTIONS = (
    "S{0} + S{1} -> S{2} , k",
    "2 S{0} ->\n S{1} , 3 // twice",
    "S{0} -> S{0} + S{1} , arbitrary k*S{0}\n  * S{2}\n\n + l",
    "S{1}\n -> S{2} , l [name]",
    " -> S{2} ,\n k",
)
TERMS = ("k*S{0}", "S{1}^2*S{2}", "3/4", "(S{0} + S{1})*l", "2*S{2}")
NET = """begin parameters
 1 k 1/3
 2 l 2.5e-1
end parameters
begin species
{init}
end species
begin functions
 1 f() 2*k
end functions
begin reactions # what happens
{lines}
end reactions
begin groups
 1 G 1,2*2
end groups
"""
RATES = ("{0},{1} {2} k", "{0} {1},{1} 0.5*l # half", "0 {2} f", "{1},{1} 0 3*k", "{0} {2} _pi*k")


def network(kind, seed, species, count):
    """The text of a file with so many statements."""
    chance = random.Random(seed)

    def filled(patterns, first):
        drawn = [first + chance.randrange(species) for _ in range(3)]
        return chance.choice(patterns).format(*drawn)

    if kind == "net":
        init = "\n".join(f" {k + 1} S{k}() {k % 5}" for k in range(species))
        lines = "\n".join(f" {k + 1} {filled(RATES, 1)}" for k in range(count))
        return NET.format(init=init, lines=lines)
    init = "\n".join(f"S{k} = {k % 5}" for k in range(species))
    if kind == "reactions":
        lines = "\n".join(filled(REACTIONS, 0) for _ in range(count))
    else:
        lines = "\n".join(
            f"d(S{k}) = " + "\n + ".join(filled(TERMS, 0) for _ in range(1 + count // species))
            for k in range(species)
        )
    return ERODE.format(init=init, lines=lines, section=kind)


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(["reactions", "ODE", "net"]),
    seed=st.integers(0, 999),
    species=st.integers(3, 12),
    count=st.integers(0, 60),
    piece=st.sampled_from([20, 60, 300, 1 << 20]),
    parameters=st.sampled_from(["values", "symbolic"]),
)
def test_the_same_as_read_whole(kind, seed, species, count, piece, parameters, tmp_path_factory):
    folder = tmp_path_factory.mktemp("n")
    file = folder / ("m.net" if kind == "net" else "m.ode")
    file.write_text(network(kind, seed, species, count))
    model = sl.read(file, parameters=parameters)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "PIECE", piece)
        store, said = convert_network(file, folder / "s", parameters=parameters)
    found = store.model()
    assert (found.ode, found.initial_values) == (model.ode, model.initial_values)
    assert (found.partition, found.name) == (model.partition, model.name)
    assert (said.observables, said.notes) == (model.observables, model.notes)
    assert said.ode.terms == 0
    lumping = sl.lump(model.ode, sl.Backward())
    blocks = sl.lump_store(store, sl.Backward(), folder / "q", initial="one", place="disk")
    assert blocks.quotient.partition() == lumping.partition


def test_species_that_init_does_not_have(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "PIECE", 40)
    text = network("reactions", 0, 5, 40)
    file = tmp_path / "m.ode"
    file.write_text(text.replace("end reactions", "New -> Newer , k\nend reactions"))
    model = sl.read(file)
    store, said = convert_network(file, tmp_path / "s")
    assert store.model().ode == model.ode and said.notes == model.notes
    assert "New" in store.model().ode.variables


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("S1 -> S0 , 2", "S1 -> S0 , 2*)", ":2008:14: expected"),
        ("S1 -> S0 , 2", "S1 -> S0 , nothing", ":2008:12: the name 'nothing'"),
        ("S1 -> S0 , 2", "S1 -> 7.5 S0 , 2", ":2008:7: the multiplicity"),
        ("v = S0", "v = = S0", ":2501:5: expected"),
        ("S1 -> S0 , 2", "S1 -> S0 , \udcff", ":2008:12: byte 0xff is not"),
        ("S1 -> S0 , 2", "S1 -> S0 , \0", ":2008:12: a zero byte"),
        ("v = S0", "v = \udcff", ":2501:5: byte 0xff is not"),
    ],
)
def test_errors_say_the_line_of_the_file(tmp_path, monkeypatch, old, new, said):
    lines = ["begin model m", "begin init", "S0", "S1 = 1", "end init", "begin reactions"]
    lines += [f"S0 + S1 -> S1 , {k % 7 + 1}" for k in range(2001)]
    lines += ["S1 -> S0 , 2"] + ["S1 -> S0 , 3"] * 490
    lines += ["end reactions", "begin views", "v = S0", "end views", "end model"]
    file = tmp_path / "m.ode"
    file.write_bytes("\n".join(lines).replace(old, new).encode(errors="surrogateescape"))
    with pytest.raises(FileFormatError) as whole:
        sl.read(file)
    monkeypatch.setattr(source, "PIECE", 1000)
    with pytest.raises(FileFormatError) as pieces:
        convert_network(file, tmp_path / "s")
    assert str(pieces.value) == str(whole.value)
    assert said in str(whole.value)
    assert [path.name for path in tmp_path.iterdir()] == ["m.ode"]


@pytest.mark.parametrize(
    "lines",
    ["S0 -> S1 , k/l\nS0 -> S0 , k", "S0 -> S1 , 1 /* two\n lines */\nS1 -> S0 , 2"],
)
def test_what_has_to_be_read_whole_is(tmp_path, lines, capsys):
    file = tmp_path / "m.ode"
    file.write_text(ERODE.format(init="S0\nS1\nS2", section="reactions", lines=lines))
    with pytest.raises(NotInPiecesError):
        convert_network(file, tmp_path / "s", parameters="symbolic")
    assert main(["convert", str(file), str(tmp_path / "s"), "--parameters", "symbolic"]) == 0
    assert sl.read_store(tmp_path / "s").model().ode == sl.read(file, parameters="symbolic").ode


def test_a_section_inside_a_comment_is_none(tmp_path):
    file = tmp_path / "m.ode"
    hidden = "/*\nbegin reactions\nS0 -> S1 , 1\nend reactions\n*/\n"
    text = ERODE.format(init="S0\nS1\nS2", section="reactions", lines="S1 -> S0 , 2")
    file.write_text(text.replace("begin init", hidden + "begin init"))
    assert main(["convert", str(file), str(tmp_path / "s")]) == 0
    assert sl.read_store(tmp_path / "s").model().ode == sl.read(file).ode
    assert str(sl.read(file).ode.variables) == "('S0', 'S1', 'S2')"


def test_options_of_chains_are_refused_as_elsewhere(tmp_path, capsys):
    file = tmp_path / "m.ode"
    file.write_text(network("reactions", 0, 3, 2))
    assert main(["convert", str(file), str(tmp_path / "s"), "--chain", "ctmc"]) == 2
    assert "for Markov chains" in capsys.readouterr().err


def test_what_does_not_fit_is_said_before(tmp_path, monkeypatch, capsys):
    file = tmp_path / "m.ode"
    file.write_text(network("reactions", 0, 3, 2000))
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("symlump.store.engine.shutil.disk_usage", lambda path: usage)
    with pytest.raises(FailureError, match=r"s does not fit: to write it takes about .* KiB"):
        convert_network(file, tmp_path / "s")
    with pytest.raises(FailureError, match="does not fit"):
        sl.write_store(tmp_path / "s", sl.read(file))
    monkeypatch.setattr("symlump.memory.available_memory", lambda: 100_000)
    with pytest.raises(OutOfMemoryError, match="m.ode has .* to read it whole takes about .* KiB"):
        sl.read(file)


def test_a_lumping_that_cannot_fit_is_refused_before(tmp_path, monkeypatch, capsys):
    file = tmp_path / "m.ode"
    file.write_text(network("reactions", 0, 3, 20))
    monkeypatch.setattr("symlump.cli.lump_command._A_TERM", 2**50)
    assert main(["lump", str(file), "--method", "backward"]) == 1
    assert "terms in memory takes about" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="limits of addresses are Linux's")
def test_memory_does_not_grow_with_the_reactions(tmp_path):
    """The peak of a file of four times the reactions is about the same."""
    peaks = []
    for count in (100_000, 400_000):
        file = tmp_path / f"{count}.net"
        file.write_text(
            network("net", 0, 1000, 0).replace("happens\n", "happens\n" + "1 1,2 3 k\n" * count)
        )
        code = (
            "import sys; from symlump.memory import peak_memory; from symlump.formats import source\n"
            "from symlump.store.networks import convert_network; source.PIECE = 1 << 18\n"
            "convert_network(sys.argv[1], sys.argv[1] + '.store'); print(peak_memory())\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(file)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout))
    assert peaks[1] < peaks[0] + (24 << 20)


def test_blocks_keep_their_order(tmp_path):
    file = tmp_path / "m.ode"
    text = ERODE.format(init="S0\nS1\nS2", section="reactions", lines="S1 -> S0 , 2")
    file.write_text(text.replace("{S0, S1}, {S2}", "{S2}, {S1}"))
    model = sl.read(file)
    assert model.partition == (("S2",), ("S1",), ("S0",))
    assert convert_network(file, tmp_path / "s")[0].model().partition == model.partition
