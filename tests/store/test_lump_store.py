"""Lumping on disk: the partition, the quotient and the initial values of the engine in memory."""

import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_refine import systems, to_ode

import symlump as sl
from symlump.cli.main import main
from symlump.errors import FailureError, MethodError, OutputError, VariableError

pytest.importorskip("duckdb", reason="systems on disk need DuckDB, of the extra store")

import duckdb

from symlump.bench.store.chain import PlantedChain
from symlump.bench.store.measure import measure
from symlump.store import certificate, rounds, writing
from symlump.store import lump_store as verb
from symlump.store.engine import LEAST_MEMORY
from symlump.store.lump_store import estimate
from symlump.store.working import PRIME

METHODS = {"forward": sl.Forward(), "backward": sl.Backward()}
LEAST = LEAST_MEMORY


def compare(folder, model, method, initial="file", keep=()):
    """Lump on disk, with as little memory as possible, and in memory; the result on disk."""
    store = sl.write_store(folder / "s", model)
    found = sl.lump_store(
        store, method, folder / "q", initial=initial, keep=keep, memory=LEAST, place="disk"
    )
    model = store.model()
    lumping = sl.lump(model.ode, method, model.initial_partition(initial, observables=keep))
    small = found.quotient.model()
    assert found.quotient.partition() == lumping.partition
    assert small.ode == lumping.quotient
    assert found.blocks == len(lumping.partition) and found.place == "on disk"
    assert "exact" not in found.headline().replace("compared exactly", "")
    return found, lumping


@pytest.mark.parametrize("direction", METHODS)
@settings(max_examples=6)
@given(data=st.data())
def test_random_systems(direction, data, tmp_path_factory):
    system = data.draw(systems())
    n = len(system)
    parts = data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    ode = to_ode(system)
    blocks = sl.Partition(parts).named(ode.variables)
    model = sl.Model("m", ode, dict.fromkeys(ode.variables, Fraction(0)), blocks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "_AT_ONCE", 2)
        compare(tmp_path_factory.mktemp("random"), model, METHODS[direction])


MODELS = [
    ("partition/clue_ProteinPhosphorylation2.ode", "forward", "one"),
    ("partition/clue_ProteinPhosphorylation3.ode", "backward", "values"),
    ("partition/mln_ERODE_INPUT_out_arenasPLsynth2_100_0._ode", "forward", "file"),
    ("partition/mln_ERODE_INPUT_crn_out_arenasPLsynth2_100_0._ode", "backward", "file"),
]


@pytest.mark.parametrize(("file", "direction", "initial"), MODELS)
def test_models_of_others(tmp_path, shared, file, direction, initial):
    model = sl.read(shared / "models" / file)
    found, lumping = compare(tmp_path, model, METHODS[direction], initial)
    assert len(lumping.partition) < len(lumping.ode)
    if direction == "forward" or initial == "values":
        values = found.quotient.model().initial_values
        assert values == model.quotient(lumping).initial_values


def test_fractions_powers_constants_and_names(tmp_path):
    text = "a' = 1/3 - a^2*c + y1; b' = 1/3 - b^2*c + y1; c' = -c/7 + 2; y1' = 5/11*y1^3; d' = 0"
    ode = sl.ODE.from_text(text)
    for k, method in enumerate(METHODS.values()):
        folder = tmp_path / str(k)
        folder.mkdir()
        found, lumping = compare(folder, ode, method)
    assert found.quotient.model().ode.variables == ("Y1", "c", "y1", "d")
    assert lumping.partition.labels.tolist() == [0, 0, 1, 2, 3]


def test_parameters_and_what_is_kept_stay_alone(tmp_path):
    ode = sl.ODE.from_text("a' = k*a; b' = k*b; c' = l*c; d' = k*d", parameters=["k", "l"])
    found, lumping = compare(tmp_path, ode, sl.Backward(), keep=["d"])
    assert found.quotient.model().ode.parameters == ("k", "l")
    assert lumping.partition.labels.tolist() == [0, 0, 1, 2, 3, 4]
    with pytest.raises(VariableError, match="'e' is no variable"):
        sl.lump_store(found.store, sl.Backward(), keep=["e"], place="disk")


def test_initial_values(tmp_path):
    """Sums forward; backward what members share, and unknown where they do not."""
    ode = sl.ODE.from_text("a' = -a; b' = -b; c' = -2*c; d' = -2*d")
    half, third = Fraction(1, 2), Fraction(1, 3)
    model = sl.Model("m", ode, {"a": half, "b": third, "c": half, "d": half})
    store = sl.write_store(tmp_path / "s", model)
    for place in ("disk", "memory"):
        small = sl.lump_store(store, sl.Backward(), tmp_path / f"b{place}", place=place).quotient
        values = small.model().initial_values  # unknown is 0
        assert values["y2"] == (half if place == "disk" else 0)
        apart = sl.lump_store(
            store, sl.Backward(), tmp_path / f"v{place}", initial="values", place=place
        )
        assert list(apart.quotient.model().initial_values.values()) == [half, third, half]
    forward = sl.lump_store(store, sl.Forward(), tmp_path / "f", place="disk").quotient.model()
    assert list(forward.initial_values.values()) == [half + third, 1]
    with pytest.raises(MethodError, match="does not know the initial values"):
        unknown = sl.write_store(tmp_path / "u", ode)
        sl.lump_store(unknown, sl.Backward(), initial="values", place="disk")


def test_in_memory_where_it_fits(tmp_path):
    store = sl.write_store(tmp_path / "s", sl.ODE.from_text("a' = -a; b' = -b"))
    found = sl.lump_store(store, sl.Backward(), tmp_path / "q", memory="1GB")
    assert found.place == "in memory" and found.checked
    assert str(found) == "2 → 1 variables by backward equivalence, in memory: exact, proof checked"
    assert found.quotient.partition() == sl.Partition([0, 0])
    assert sl.lump_store(store, sl.Backward(), memory=LEAST, place="disk").quotient is None
    assert estimate(store, "1GB").fits


CERTIFIED = [
    "a' = k*a - a^2*c/6 + 4/6; b' = k*b - b^2*c/6 + 2/3; c' = -c/7; d' = 0",
    "a+ = k*a + c; b+ = k*b + c; c+ = a*b",
    "",
]


@pytest.mark.parametrize("direction", METHODS)
@pytest.mark.parametrize("text", CERTIFIED)
def test_a_certificate_in_one_pass(tmp_path, direction, text):
    """Written equation by equation, the checker accepts it: with functions of time, powers, any names."""
    system, names = (
        sl.ODE.from_text(text, ["k"]) if text else ODD,
        None if text else ["é", '"', "]"],
    )
    store = sl.write_store(tmp_path / "s", system, variables=names)
    path = tmp_path / "c.json"
    found = sl.lump_store(store, METHODS[direction], tmp_path / "q", place="disk", certificate=path)
    assert found.checked and found.certificate.startswith("accepted")
    assert str(found).endswith("on disk: exact, proof checked")
    verdict = sl.Certificate.read(path).check(store.model().ode)
    assert verdict.accepted and not verdict.coarsest
    data = json.loads(path.read_text(encoding="utf-8"))
    assert len(data["blocks"]) == found.blocks and ("time" in data) == ("+" in text[:3])
    lumping = sl.lump(store.model().ode, METHODS[direction])
    assert sorted(map(tuple, data["blocks"].values())) == sorted(lumping.blocks)


#: x' = -x of three variables, in chunks.
ODD = [([0, 1, 2], [0, 1, 2], [-1, -1, -1])]


def test_a_certificate_that_is_not_checked(tmp_path, monkeypatch, capsys):
    store = sl.write_store(tmp_path / "s", ODD, variables=3)
    with pytest.raises(MethodError, match="give it an output, too"):
        sl.lump_store(store, sl.Forward(), place="disk", certificate=tmp_path / "c.json")
    for name, value, said in (
        ("MAX_CHARACTERS", 10, "the checker reads"),
        ("_A_CHARACTER", 10**9, "of memory"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(certificate, name, value)
            path, quotient = tmp_path / f"{name}.json", tmp_path / name
            found = sl.lump_store(store, sl.Forward(), quotient, place="disk", certificate=path)
        assert (
            not found.checked
            and found.certificate.startswith("not checked")
            and said in found.certificate
        )
        assert "not checked independently" in str(found)
        assert sl.Certificate.read(path).check().accepted
    given = ["lump", str(store.path), "--method", "forward", "-o", str(tmp_path / "q")]
    assert main([*given, "--certificate", str(tmp_path / "c.json")]) == 0
    assert "c.json, accepted" in capsys.readouterr().out


def test_bad_luck_is_found_out(tmp_path, monkeypatch):
    """Values that separate nothing are followed by others; the exact comparison demands them."""
    store = sl.write_store(tmp_path / "s", sl.ODE.from_text("a' = -a + c^2; b' = -2*b; c' = a*b"))
    honest, calls = rounds._values, []

    def unlucky(work, seed):
        calls.append(1)
        if len(calls) > unlucky.until:
            return honest(work, seed)
        return work.db.table("s", "select variable, 0 as a, 0 as b from v")

    monkeypatch.setattr(rounds, "_values", unlucky)
    for method in METHODS.values():
        unlucky.until = len(calls) + 3
        found = sl.lump_store(store, method, place="disk")
        assert found.blocks == 3 and found.rounds >= 4
    unlucky.until = 10**9
    monkeypatch.setattr(verb, "_MAX_DRAWS", 3)
    with pytest.raises(FailureError, match="3 draws did not separate all variables"):
        sl.lump_store(store, sl.Forward(), place="disk")


MULTIPLES = [
    f"x' = {PRIME}*x; y' = 0",
    f"x' = {2**62 - 1}*x; y' = 0",
    f"x' = x/{PRIME} + {2**31}*x; y' = y/{PRIME}",
    f"x' = {PRIME}*x*z; y' = 0; z' = 0",
]


@pytest.mark.parametrize("text", MULTIPLES)
@pytest.mark.parametrize("direction", METHODS)
def test_coefficients_that_are_multiples_of_the_prime(tmp_path, text, direction):
    """No random number tells them from 0 modulo it; another prime does."""
    compare(tmp_path, sl.ODE.from_text(text), METHODS[direction])


def test_initial_values_of_a_quotient(tmp_path):
    """Large denominators are added exactly, or refused; equal fractions are equal in any terms."""
    ode = sl.ODE.from_text("x' = -x; y' = -y")
    values = {"x": Fraction(1, 3**31), "y": Fraction(1, 2)}
    store = sl.write_store(tmp_path / "s", sl.Model("m", ode, values))
    small = sl.lump_store(store, sl.Forward(), tmp_path / "q", place="disk").quotient.model()
    assert list(small.initial_values.values()) == [Fraction(1, 2) + Fraction(1, 3**31)]
    values = {"x": Fraction(1, 3**31), "y": Fraction(1, 5**26)}
    store = sl.write_store(tmp_path / "t", sl.Model("m", ode, values))
    with pytest.raises(FailureError, match="denominator of the initial values has 110 bits"):
        sl.lump_store(store, sl.Forward(), tmp_path / "r", place="disk")
    (file,) = store.files("variables")
    duckdb.execute(
        f"copy (select * replace (variable + 1 as numerator, 3 * variable + 3 as denominator) from "
        f"read_parquet('{file}')) to '{tmp_path / 'new.parquet'}'"
    )
    (tmp_path / "new.parquet").rename(file)
    store = sl.read_store(store.path)
    small = sl.lump_store(store, sl.Backward(), tmp_path / "r", place="disk").quotient.model()
    assert list(small.initial_values.values()) == [Fraction(1, 3)]


def test_unknown_initial_values_are_not_compared(tmp_path):
    store = sl.write_store(tmp_path / "s", [([0, 1], [0, 1], [1, 1])], 2)
    for place in ("memory", "disk"):
        with pytest.raises(MethodError, match="does not know the initial values"):
            sl.lump_store(store, sl.Backward(), initial="values", place=place)


def test_coefficients_that_the_engine_cannot_add(tmp_path):
    """Refused before the work, with the way out; the engine in memory has no such limit."""
    text = "; ".join(f"x{p}' = x{p}/{p}^10" for p in (53, 59, 61, 67))
    store = sl.write_store(tmp_path / "s", sl.ODE.from_text(text))
    with pytest.raises(FailureError, match="in memory there is no such limit"):
        sl.lump_store(store, sl.Backward(), tmp_path / "q", place="disk")
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    assert sl.lump_store(store, sl.Backward()).blocks == 4
    wide = sl.ODE.from_text("a' = 4000000000*a + b/3; b' = 4000000000*b + a/3")  # beyond 31 bits
    (tmp_path / "wide").mkdir()
    found, _ = compare(tmp_path / "wide", wide, sl.Forward())
    assert found.blocks == 1


def test_a_disk_that_is_too_small(tmp_path, monkeypatch):
    store = sl.write_store(tmp_path / "s", sl.ODE.from_text("a' = -a"))
    monkeypatch.setattr(verb.shutil, "disk_usage", lambda path: type("", (), {"free": 100}))
    with pytest.raises(FailureError, match="does not fit: in memory about .* of 100 bytes free"):
        sl.lump_store(store, sl.Forward(), place="disk")


@pytest.mark.parametrize(
    ("method", "options", "said"),
    [
        (sl.Forward(0.1), {}, "without a tolerance"),
        ("forward", {}, "without a tolerance"),
        (sl.Forward(), {"place": "cloud"}, "choose 'auto'"),
        (sl.Forward(), {"initial": "some", "place": "disk"}, "choose 'one'"),
    ],
)
def test_options_that_are_none(tmp_path, method, options, said):
    store = sl.write_store(tmp_path / "s", sl.ODE.from_text("a' = -a"))
    with pytest.raises(MethodError, match=said):
        sl.lump_store(store, method, **options)


@pytest.mark.parametrize("seed", [0, 1])
def test_planted_blocks_come_back_under_a_limit(tmp_path, seed):
    row = measure(10_000, tmp_path, LEAST + 20_000_000, seed)
    assert row.planted and row.blocks == PlantedChain(1000, seed).blocks == 10
    assert row.peak < LEAST and not list(tmp_path.iterdir())


def test_a_step_that_fails_is_said(tmp_path):
    (tmp_path / "chain").mkdir()
    with pytest.raises(FailureError, match="the step 'write' .* exists"):
        measure(10_000, tmp_path, "1GB")


def test_nothing_is_written_into_the_store(tmp_path, capsys):
    store = sl.write_store(tmp_path / "s", sl.ODE.from_text("a' = -a; b' = -b"))
    (tmp_path / "link").symlink_to(store.path)
    before = {p: p.read_bytes() for p in store.path.rglob("*") if p.is_file()}
    given = ["lump", str(store.path), "--method", "forward"]
    inside, certificate = str(tmp_path / "link" / "q"), str(store.path / "store.json")
    for wrong in (
        ["-o", inside],
        ["-o", inside + ".ode"],
        ["-o", str(tmp_path / "q"), "--certificate", certificate],
        ["-o", str(tmp_path / "q"), "--certificate", certificate, "--force"],
        ["--picture", str(store.path / "a.svg")],
    ):
        assert main([*given, *wrong]) == 2
        assert "would be written into" in capsys.readouterr().err
    for options in ({"output": inside}, {"output": tmp_path / "q", "certificate": certificate}):
        with pytest.raises(MethodError, match="would be written into .*, which is read"):
            sl.lump_store(store, sl.Forward(), **options)
    assert before == {p: p.read_bytes() for p in store.path.rglob("*") if p.is_file()}


def test_a_folder_is_new_and_has_a_name(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("x' = -x")
    (tmp_path / "there").mkdir()
    assert main(["convert", "a.txt", "--format", "equations", "there"]) == 1
    assert "there: it exists; give another name" in capsys.readouterr().err
    assert main(["convert", "a.txt", "--format", "equations", "-"]) == 2
    assert "a folder cannot go to standard output" in capsys.readouterr().err
    assert main(["convert", "a.txt", "--format", "equations", "s"]) == 0
    assert main(["lump", "s", "--method", "forward", "-o", "-"]) == 2
    with pytest.raises(OutputError, match="it exists; give another name"):
        sl.lump_store(sl.read_store("s"), sl.Forward(), "there")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "s", "there"]


def test_a_file_cannot_hold_unknown_initial_values(tmp_path, capsys):
    path = tmp_path / "s"
    store = sl.write_store(path, [([0, 1, 2], [0, 1, 2], [1, 1, 2])], 3)
    assert store.model().notes == ("initial values of 3 variables are not known, and stand as 0",)
    command = ["lump", str(path), "--method", "backward"]
    assert main([*command, "-o", str(tmp_path / "small.ode")]) == 2
    assert "does not know the initial values" in capsys.readouterr().err
    assert main([*command, "--initial", "values"]) == 2
    assert "does not know the initial values" in capsys.readouterr().err
    assert main(command) == 0
    assert "initial values of 3 variables are not known" in capsys.readouterr().out
    assert main([*command, "-o", str(tmp_path / "small")]) == 0
    assert "start" not in capsys.readouterr().out
    store = sl.write_store(tmp_path / "one", [([0], [0], [1])], 1)
    assert store.model().notes == ("initial values of 1 variable are not known, and stand as 0",)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_query_in_good_order(tmp_path, number):
    """The query would take hours; each run must end, though chance says which thread of the engine works."""
    code = (
        "import signal, sys\n"
        "from symlump.cli.main import main\n"
        "from symlump.store import lump_store\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may ignore it\n"
        "def prepare(db, store, direction):\n"
        "    print('begun', flush=True)\n"
        "    pairs = 'range(1000000000) a, range(1000) b'\n"
        "    db.number(f'select count(*) from {pairs} where hash(a.range + b.range) % 7 = 3')\n"
        "lump_store.prepare = prepare\n"
        "lump_store.Store.memory_needed = 2**60\n"
        "sys.exit(main(['lump', sys.argv[1], '--method', 'forward', '-o', sys.argv[2]]))\n"
    )
    path = tmp_path / "s"
    sl.write_store(path, sl.ODE.from_text("a' = -a; b' = -b"))
    for delay in (0, 0.5, 0.5):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(path), str(tmp_path / "q")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        with process:
            try:
                assert process.stdout.readline() == "begun\n", process.stderr.read()
                time.sleep(delay)
                process.send_signal(number)
                said = process.communicate(timeout=60)[1]
            finally:
                process.kill()
        assert process.returncode == 128 + number
        assert said.count("\n") == 1 and "not complete have been removed" in said
        assert [file.name for file in tmp_path.iterdir()] == ["s"]
