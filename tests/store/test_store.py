"""Systems in Parquet files: what is written is read back, and what a stranger wrote is looked at first."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from threading import Event

import numpy as np
import pytest

import symlump as sl
from symlump.errors import (
    FailureError,
    FileFormatError,
    InputError,
    MethodError,
    MissingExtraError,
    OutOfMemoryError,
    OutputError,
    PartitionError,
)

duckdb = pytest.importorskip("duckdb", reason="systems on disk need DuckDB, of the extra store")

from symlump.formats import source  # noqa: E402
from symlump.store import engine, writing  # noqa: E402
from symlump.store.chains import convert_chain  # noqa: E402

TEXT = "x' = -2*x*y^2 + y; y' = x/3 - y + 1; z' = 2; w' = -w"


@pytest.fixture
def model():
    ode = sl.ODE.from_text(TEXT)
    values = {"x": Fraction(1, 3), "y": Fraction(0), "z": Fraction(-2), "w": Fraction(5)}
    return sl.Model("m", ode, values, (("x", "w"), ("y", "z")))


def test_a_model_comes_back(tmp_path, model):
    store = sl.write_store(tmp_path / "s", model)
    assert store == sl.read_store(tmp_path / "s")
    assert store.model() == model
    assert (store.variables, store.terms, store.monomials, store.factors) == (4, 7, 5, 5)
    with pytest.raises(PartitionError, match="is not a quotient"):
        store.partition()


def test_maps_parameters_and_floats_come_back(tmp_path):
    step = sl.ODE.from_text("x+ = x/2 + k; y+ = 3", parameters=["k"])
    again = sl.write_store(tmp_path / "map", step).model().ode
    assert again == step and again.discrete and again.parameters == ("k",)
    floats = sl.PolynomialODE.from_terms(
        ["x"],
        np.array([0]),
        np.array([0]),
        sl.ode.exact.ExactArray.from_floats([0.1]),
        step.monomials.select(np.array([0])).relabel(np.zeros(3, dtype=int))[0],
    )
    assert sl.write_store(tmp_path / "floats", floats).model().ode == floats


def test_chunks_of_any_size_are_one_system(tmp_path, model, monkeypatch):
    ode = model.ode
    values = ode.coefficients.as_integers()
    columns = (ode.rows, ode.columns, values.numerators, values.denominators)
    table = ode.monomials
    for at_once in (1, 2, 1000):
        monkeypatch.setattr(writing, "_AT_ONCE", at_once)
        store = sl.write_store(
            tmp_path / str(at_once),
            ([c[k : k + 1] for c in columns] for k in range(ode.terms)),
            ode.variables,
            [(table.owners, table.variables, table.powers)],
            parts=[[0], [1, 1], [0]],
        )
        assert store.model().ode == ode
        assert store.model().initial_partition().labels.tolist() == [0, 1, 1, 0]
    assert len(sl.read_store(tmp_path / "1").files("terms")) == ode.terms


def test_names_are_made_where_only_their_number_is_given(tmp_path):
    store = sl.write_store(tmp_path / "s", [([0, 1], [1, 0], [2, 3])], 2, discrete=True)
    assert str(store.model().ode) == "x1⁺ = 2*x2\nx2⁺ = 3*x1"


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (([([0], [0])], 1), InputError, "tuple of arrays of one length"),
        (([([0], [0, 1], [1])], 2), InputError, "tuple of arrays of one length"),
        (([([0], [0], [0.5])], 1), InputError, "arrays of integers"),
        (([([0], [0], [1])], None), MethodError, "need variables="),
        (([([2], [0], [1])], 2), FileFormatError, "a row is 2, and 1 is the last"),
        (([([0], [7], [1])], 2), FileFormatError, "a monomial is 7, and 1 is the last"),
        (([([0], [0], [1], [0])], 2), FileFormatError, "a denominator is 0, and 1 is the least"),
        (([([0], [0], [2**62])], 2), FileFormatError, "numerator is 4611686018427387904"),
        (([([0], [0], [1])], ["a", "a"]), FileFormatError, "two have one name"),
        ((sl.ODE.from_text("x' = exp(x)"),), MethodError, "contains exp"),
        ((sl.ODE.from_text("x' = x/10^40"),), MethodError, "of 133 bits"),
        ((sl.ODE.from_text("x' = x"), 1), MethodError, "a system has its own"),
    ],
)
def test_what_is_no_system_leaves_nothing(tmp_path, arguments, error, said):
    with pytest.raises(error, match=said):
        sl.write_store(tmp_path / "s", *arguments)
    assert not list(tmp_path.iterdir())


def test_parts_and_variables_are_as_many(tmp_path):
    for parts in ([[0]], [[0, 1, 2]], [[0, 1], [2]]):
        with pytest.raises(InputError, match="than"):
            sl.write_store(tmp_path / "s", [([0], [0], [1])], 2, parts=parts)
    with pytest.raises(InputError, match="counted from 0; there is -1"):
        sl.write_store(tmp_path / "s", [([0], [0], [1])], 2, parts=[[0, -1]])


def test_nothing_is_overwritten(tmp_path, model):
    sl.write_store(tmp_path / "s", model)
    with pytest.raises(OutputError, match="exists"):
        sl.write_store(tmp_path / "s", model)
    with pytest.raises(OutputError, match="no folder"):
        sl.write_store(tmp_path / "t" / "s", model)


def test_killed_while_writing(tmp_path):
    """No folder of that name, whenever the process ends."""
    code = (
        "import os, signal, sys, symlump as sl\n"
        "def chunks():\n"
        "    yield [0], [0], [1]\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "sl.write_store(sys.argv[1], chunks(), 1)\n"
    )
    target = tmp_path / "s"
    done = subprocess.run(
        [sys.executable, "-c", code, str(target)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == -signal.SIGKILL
    assert not target.exists()
    assert sl.write_store(target, [([0], [0], [1])], 1).terms == 1


def change(path, table, sql):
    """Write the file of a table again as a query of it."""
    old = path / table / "000001.parquet"
    new = path / table / "new.parquet"
    duckdb.execute(f"copy ({sql.format(f'read_parquet({str(old)!r})')}) to {str(new)!r}")
    new.rename(old)


@pytest.mark.parametrize(
    ("table", "sql", "said"),
    [
        ("terms", "select * from {} limit 3", "has 3 rows, and 7 are announced"),
        (
            "terms",
            "select * exclude (row) from {}",
            "column row of type BIGINT; in 000001.parquet there is none",
        ),
        ("terms", "select * replace (row::integer as row) from {}", "its type is INTEGER"),
        ("terms", "select * replace (nullif(row, 0) as row) from {}", "rows have no row"),
        ("terms", "select * replace (row - 1 as row) from {}", "a row is -1, and 0 is the least"),
        ("monomials", "select * replace (variable + 9 as variable) from {}", "a variable is"),
        ("monomials", "select * replace (0::bigint as power) from {}", "a power is 0"),
        ("variables", "select * replace (0::bigint as variable) from {}", "two have one number"),
        ("variables", "select * replace ('' as name) from {}", "two have one name"),
        ("variables", "select * replace (0::bigint as denominator) from {}", "no fraction"),
        ("variables", "select * replace (true as parameter) from {}", "equation of a parameter"),
        (
            "variables",
            "select * replace (name || chr(27) || '[31m' as name) from {}",
            "4 names hold",
        ),
        ("variables", "select * replace (name || chr(10) as name) from {}", "names hold control"),
        ("variables", "select * replace (name || chr(8232) as name) from {}", "ends of lines"),
        (
            "variables",
            "select * replace (part - 1 as part) from {}",
            "a negative part; the first is 0",
        ),
        (
            "variables",
            f"select * replace ({2**62} as numerator) from {{}}",
            "no fraction of numbers",
        ),
    ],
)
def test_tables_of_strangers(tmp_path, model, table, sql, said):
    path = tmp_path / "s"
    sl.write_store(path, model)
    change(path, table, sql)
    with pytest.raises(FileFormatError, match=said) as caught:
        sl.read_store(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("format", "something", "is not a store"),
        ("version", 2, "version 2"),
        ("kind", "pde", "ode or map"),
        ("terms", -1, "'terms' is a whole number"),
        ("terms", 7.0, "'terms' is a whole number"),
        ("variables", 10**20, "'variables' is a whole number"),
        ("monomials", None, "'monomials' is a whole number"),
        ("monomials", 2**40 - 1, "monomials, and 5 factors and 7 terms"),
        ("terms", True, "'terms' is a whole number"),
        ("name", 7, 'a "name", of up to 1000'),
        ("name", "a\x1b[31m", 'a "name", of up to 1000'),
        ("name", "\ud800", 'a "name", of up to 1000'),
        ("name", "a" * 1001, 'a "name", of up to 1000'),
    ],
)
def test_heads_of_strangers(tmp_path, model, key, value, said):
    path = tmp_path / "s"
    store = sl.write_store(path, model)
    (path / "store.json").write_text(json.dumps({**store.head(), key: value}))
    with pytest.raises(FileFormatError, match=said):
        sl.read_store(path)


def test_a_head_that_says_something_twice(tmp_path, model):
    path = tmp_path / "s"
    sl.write_store(path, model)
    text = (path / "store.json").read_text()
    (path / "store.json").write_text(text.replace("{", '{"terms": 3, ', 1))
    with pytest.raises(FileFormatError, match="is not a store"):
        sl.read_store(path)


def test_names_that_a_head_may_not_hold_are_cleaned(tmp_path):
    ode = sl.ODE.from_text("x' = -x")
    sl.write_store(tmp_path / "s", ode, name="a\nb" + "c" * 2000)
    assert sl.read_store(tmp_path / "s").name == "a b" + "c" * 997


@pytest.mark.parametrize(
    ("number", "kind"), [("1.5::double", "DOUBLE"), ("'7'", "VARCHAR"), ("3::integer", "INTEGER")]
)
def test_every_file_has_types_of_its_own(tmp_path, number, kind):
    """Read together, the engine would convert the second file to the types of the first."""
    sl.write_store(tmp_path / "s", [([0], [0], [1])], 1)
    head = json.loads((tmp_path / "s" / "store.json").read_text()) | {"terms": 2}
    (tmp_path / "s" / "store.json").write_text(json.dumps(head))
    new = tmp_path / "s" / "terms" / "000002.parquet"
    row = (
        f"0::bigint as row, 0::bigint as monomial, {number} as numerator, 1::bigint as denominator"
    )
    duckdb.execute(f"copy (select {row}) to '{new}'")
    with pytest.raises(FileFormatError, match=f"BIGINT; in 000002.parquet its type is {kind}"):
        sl.read_store(tmp_path / "s")
    duckdb.execute(f"copy ({'select ' + row.replace(number, '41::bigint')}) to '{new}'")
    assert str(sl.read_store(tmp_path / "s").model().ode) == "x1' = 42*x1"


def test_statistics_of_strangers_are_not_believed(tmp_path):
    """One byte of the data inverted: statistics go on to say that all is well."""
    ode = sl.ODE.from_text("x' = -x + y; y' = -y + z; z' = 2*x")
    store = sl.write_store(tmp_path / "s", ode)
    (path,) = store.files("terms")
    data = bytearray(path.read_bytes())
    data[40] ^= 255
    path.write_bytes(data)
    asked = (
        f"select {what} from read_parquet('{path}')" for what in ("max(row)", "max(xor(row, 0))")
    )
    try:
        assert [duckdb.execute(sql).fetchone() for sql in asked] == [(2,), (65282,)]
    except duckdb.Error:  # what is compressed, as by DuckDB 1.3, is found damaged when unpacked
        expected = "a file is damaged"
    else:
        expected = "a row is 65282, and 2 is the last"
    with pytest.raises(FileFormatError, match=expected):
        sl.read_store(tmp_path / "s")


def test_damaged_files(tmp_path, model):
    """Any byte changed: an error of the format, or a system that is read."""
    store = sl.write_store(tmp_path / "s", model)
    refused = 0
    for table in ("terms", "variables"):
        (path,) = store.files(table)
        whole = path.read_bytes()
        chance = random.Random(0)
        for _ in range(10):
            data = bytearray(whole)
            for _ in range(3):
                data[chance.randrange(len(data))] ^= chance.randrange(1, 256)
            path.write_bytes(data)
            try:
                sl.read_store(tmp_path / "s")
            except FileFormatError:
                refused += 1
        path.write_bytes(whole)
    assert refused > 5


def test_what_the_engine_says_is_an_error_of_ours(tmp_path):
    class Connection:
        def execute(self, sql):
            raise getattr(duckdb, sql)("Failed: No space left on device")

    db = engine.Engine(Connection(), tmp_path, ThreadPoolExecutor(1))
    for kind in ("TransactionException", "IOException", "ConversionException", "InternalException"):
        with pytest.raises(FailureError):
            db.run(kind)
    for kind in ("InvalidInputException", "Error"):
        with pytest.raises(InputError):
            db.run(kind)
    said = "failed to offload data block: the limit of 'temp_directory' was reached"
    with (
        pytest.raises(FailureError, match="^the disk is too small for the working files: failed"),
        engine.engine_errors(),
    ):
        raise duckdb.OutOfMemoryException(said)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_signal_while_work_is_handed_over_ends_it(tmp_path, when):
    """It may come in the middle of ``submit``, when nothing is known of the work but by the thread."""
    interrupted, ended = Event(), []

    class Connection:
        def execute(self, sql):
            ended.append(interrupted.wait(timeout=20))

        def interrupt(self):
            interrupted.set()

    class Thread(ThreadPoolExecutor):
        signals = 1

        def submit(self, work):
            if self.signals and when == "before":
                self.signals = 0
                raise KeyboardInterrupt
            future = super().submit(work)
            if self.signals:
                self.signals = 0
                while when == "after" and not future.running():
                    pass
                raise KeyboardInterrupt
            return future

    with Thread(1) as thread:
        db = engine.Engine(Connection(), tmp_path, thread)
        with pytest.raises(KeyboardInterrupt):
            db.run("a query that takes hours")
        assert ended == ([True] if when == "after" else [])
        interrupted.set()
        db.run("the next one")
    assert len(ended) == (2 if when == "after" else 1)


def test_a_store_that_may_only_be_read(tmp_path, model, monkeypatch):
    """What is needed to read it is made where temporary files are."""
    (tmp_path / "in").mkdir()
    sl.write_store(tmp_path / "in" / "s", model)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(engine.tempfile, "tempdir", str(tmp_path / "temporary"))
    allowed = os.access
    monkeypatch.setattr(
        engine.os, "access", lambda p, mode: str(p) != str(tmp_path / "in") and allowed(p, mode)
    )
    make = engine.Path.mkdir

    def mkdir(path, *rest, **named):
        assert path.parent != tmp_path / "in"
        make(path, *rest, **named)

    monkeypatch.setattr(engine.Path, "mkdir", mkdir)
    store = sl.read_store(tmp_path / "in" / "s")
    assert sl.lump_store(store, sl.Forward(), tmp_path / "q", place="disk").blocks == 4
    assert sl.lump_store(store, sl.Forward(), place="disk").blocks == 4


def test_folders_of_strangers(tmp_path, model):
    path = tmp_path / "s"
    with pytest.raises(FileFormatError, match="cannot be read"):
        sl.read_store(path)
    sl.write_store(path, model)
    (path / "terms" / "000001.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(FileFormatError):
        sl.read_store(path)
    shutil.rmtree(path / "terms")
    with pytest.raises(FileFormatError, match="no folder terms"):
        sl.read_store(path)
    for text in ("[" * 100_000, "{}", "\xff", " " * (1 << 21)):
        (path / "store.json").write_text(text, encoding="latin-1")
        with pytest.raises(FileFormatError, match="is not a store"):
            sl.read_store(path)


def test_names_of_folders_are_no_patterns(tmp_path, model):
    path = tmp_path / "it's [a] *=1"
    path.mkdir()
    assert sl.write_store(path / "s", model).model() == model


def test_what_does_not_fit_is_said(tmp_path, model):
    store = sl.write_store(tmp_path / "s", model)
    large = sl.Store(store.path, "m", False, 10**7, 10**7, 10**7, 10**8)
    with pytest.raises(OutOfMemoryError, match="needs about .* in memory, and there are 1.86 GiB"):
        large.model("2GB")


@pytest.mark.parametrize("given", ["much", "2 G i", "100MB", "-1GB", "1iB"])
def test_sizes_that_are_none(tmp_path, model, given):
    with pytest.raises(MethodError, match="memory"):
        sl.write_store(tmp_path / "s", model, memory=given)


def test_without_the_engine(tmp_path, model, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingExtraError, match=r"symlump\[store\]"):
        sl.write_store(tmp_path / "s", model)


CHAINS = [
    "STATES 2\nTRANSITIONS 2\n1 2 3\n2 1 1/2\n",
    "ctmc\n0 1 0.25\n1 2 0.75\n\n2 0 1\n2 2 5",
    "3 4\n0 1 1\n1 2 0.5\n1 0 0.5\n2 2 1\n",
    "2 3\n0 0 -3\n0 1 3\n1 0 0\n",
    "# Transitions (CTMC)\n3 4\n0 1 1\n1 2 0.5\n1 0 0.5 back\n2 2 1\n",
    "STATES 3\nTRANSITIONS 1\n1 2 1\n",
    "dtmc\n0 1 1/3\n0 1 2/3\n1 0 1\n",
    "STATES 2\nTRANSITIONS 3\n1 2 3\n2 1 1/2\n",
    "STATES 2\nTRANSITIONS 2\n1 2 3\n2 3 1/2\n",
    "STATES 2\nTRANSITIONS 2\n1 2 3\n2 1 -2\n",
    "2 2\n0 0 -3\n0 1 2\n",
    "STATES 2\nTRANSITIONS 2\n1 2 3\n2 1 1/0\n",
    "",
    "x",
]


@pytest.mark.parametrize("chain", [None, "dtmc", "ctmc"])
@pytest.mark.parametrize("text", CHAINS)
def test_a_chain_piece_by_piece_is_the_chain(tmp_path, text, chain, monkeypatch):
    """The same system as in memory, or an error where that has one."""
    monkeypatch.setattr(source, "PIECE", 40)  # the head is in the first
    file = tmp_path / "c.tra"
    file.write_text(text)
    try:
        model = sl.read(file, chain=chain)
    except FileFormatError:
        with pytest.raises(FileFormatError, match=r"c\.tra"):
            convert_chain(file, tmp_path / "s", chain=chain)
        assert [path.name for path in tmp_path.iterdir()] == ["c.tra"]
        return
    store, notes = convert_chain(file, tmp_path / "s", chain=chain)
    assert store.model().ode == model.ode
    assert store.model().initial_values == model.initial_values
    assert len(notes) == sum("taken as" in n or "actions" in n for n in model.notes)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_chain_is_read_from_a_pipe(tmp_path):
    text = CHAINS[0]
    (tmp_path / "c.tra").write_text(text)
    pipe = tmp_path / "pipe.tra"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(pipe.write_text, text)
        store, _ = convert_chain(pipe, tmp_path / "s")
    assert store.model().ode == sl.read(tmp_path / "c.tra").ode


def test_lines_of_errors_are_those_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "PIECE", 64)
    lines = [f"{k % 9} {k % 7} 1" for k in range(100)]
    lines[70] = "1 2 x"
    file = tmp_path / "c.tra"
    file.write_text("\n".join(["ctmc", *lines]))
    with pytest.raises(FileFormatError, match=r"c\.tra:72:1: expected 'from to probability'"):
        convert_chain(file, tmp_path / "s")


def test_chains_larger_than_memory_are_refused_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr("symlump.formats.chains.tra.available_memory", lambda: 2_000_000)
    file = tmp_path / "c.tra"
    file.write_text("STATES 3000\nTRANSITIONS 1\n1 2 1\n")
    with pytest.raises(FileFormatError, match=r"c\.tra:1:8: 3000 states take .* symlump convert"):
        sl.read(file)
    assert convert_chain(file, tmp_path / "s")[0].variables == 3000


def test_a_limit_of_memory_in_words():
    assert engine.memory_bytes("350MiB") == engine.LEAST_MEMORY
    with pytest.raises(MethodError, match="350 MiB or more"):
        engine.memory_bytes("300MB")


@pytest.mark.skipif(sys.platform != "linux", reason="limits of addresses are Linux's")
def test_a_limit_of_addresses_is_heeded(tmp_path):
    """Under ulimit -v code and the reserves of threads count, and the engine takes a share of the rest."""
    code = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2 * 10**9, 2 * 10**9))\n"
        "from pathlib import Path; from symlump.memory import available_memory, memory_limit\n"
        "from symlump.store.engine import engine\n"
        "assert memory_limit() < 1_600_000_000 and available_memory() < 1_950_000_000\n"
        "with engine(Path(sys.argv[1]), 16 * 10**9) as db:\n"
        "    (size,) = db.one(\"select current_setting('memory_limit')\")\n"
        "    rows = db.number('select count(*) from (select distinct hash(range) from range(2000000))')\n"
        "print(size, rows)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    size, unit, rows = done.stdout.split()
    assert unit == "MiB" and 400 < float(size) < 800 and rows == "2000000"


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select variable, block + 5 as block from {}", "a block is 6, and 1 is the last"),
        ("select variable, -block - 1 as block from {}", "a block is -2, and 0 is the least"),
        ("select variable, null::bigint as block from {}", "3 rows have no block"),
        ("select variable + 10 as variable, block from {}", "a variable is 12, and 2 is the last"),
        ("select 0::bigint as variable, block from {}", "a variable is in two blocks"),
        ("select * from {} where block = 0", "1 of the 2 variables of the quotient are blocks"),
        ("select * from {} where variable > 0", "a variable is 2, and 1 is the last"),
        ("select * from {} limit 0", "0 of the 2 variables of the quotient are blocks"),
    ],
)
def test_partitions_of_strangers(tmp_path, sql, said):
    store = sl.write_store(tmp_path / "s", sl.ODE.from_text("a' = -a; b' = -b; c' = -2*c"))
    for place in ("memory", "disk"):
        path = tmp_path / place
        sl.lump_store(store, sl.Backward(), path, place=place)
        assert sl.read_store(path).partition() == sl.Partition(np.array([0, 0, 1]))
        change(path, "blocks", sql)
        with pytest.raises(FileFormatError, match=said):
            sl.read_store(path)
