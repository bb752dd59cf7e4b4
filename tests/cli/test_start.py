"""The command line answers at once: what is not needed is not imported. Nothing is timed here."""

import json
import os
import subprocess
import sys

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from test_lump_command import TREE

from symlump.bench.start import StartRow
from symlump.cli.main import main
from symlump.lumping.refinement.components import strong_components
from symlump.lumping.refinement.field import SmallRows
from symlump.ode.distinct import distinct

HEAVY = ("torch", "sympy", "scipy", "networkx", "matplotlib", "mpmath", "rich", "pandas", "onnx")


def imported(tmp_path, *arguments):
    """The heavy modules of a run, and how many there are that are not NumPy's, whose number changes."""
    (tmp_path / "tree.ode").write_text(TREE)
    code = (
        "import json, sys\n"
        "from symlump.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        f"found = [m for m in {HEAVY!r} if m in sys.modules]\n"
        "others = [m for m in sys.modules if m.split('.')[0] != 'numpy']\n"
        "print(json.dumps([found, len(others)]), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout, done.stderr
    return json.loads(done.stderr.splitlines()[-1])


@pytest.mark.parametrize(
    ("arguments", "most"),
    [
        (["--help"], 150),
        (["lump", "tree.ode", "--method", "forward"], 255),
        (["lump", "tree.ode", "--method", "backward", "--initial", "values", "-o", "s.ode"], 255),
        (["show", "tree.ode"], 220),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_nothing_heavy_is_imported(tmp_path, arguments, most):
    found, count = imported(tmp_path, *arguments)
    assert found == [] and count <= most


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=25))
def test_components_are_those_of_networkx(edges):
    graph = nx.DiGraph()
    graph.add_nodes_from(range(10))
    graph.add_edges_from(edges)
    found = list(strong_components({node: list(graph[node]) for node in graph}))
    assert {tuple(c) for c in found} == {
        tuple(sorted(c)) for c in nx.strongly_connected_components(graph)
    }
    place = {node: number for number, component in enumerate(found) for node in component}
    assert all(place[b] <= place[a] for a, b in graph.edges)  # what is needed comes first


def test_a_long_chain_of_components():
    count = 50_000
    found = list(strong_components({i: [i + 1] if i + 1 < count else [] for i in range(count)}))
    assert found == [[i] for i in reversed(range(count))]


@given(st.integers(0, 2**32 - 1))
def test_small_rows_are_those_of_scipy(seed):
    generator = np.random.default_rng(seed)
    height, width, count = generator.integers(1, [6, 6, 20])
    rows = np.sort(generator.integers(0, height, count))
    columns = generator.integers(0, width, count)  # repeated entries too, and empty rows
    data = generator.integers(0, 2**31, count)
    indptr = np.searchsorted(rows, np.arange(height + 1))
    own = SmallRows(data, columns, indptr, (int(height), int(width)))
    scipys = sparse.csr_array((data, columns, indptr), shape=(height, width))
    x, y = generator.integers(0, 2**16, width), generator.integers(0, 2**16, height)
    assert (own @ x).tolist() == (scipys @ x).tolist()
    assert (own.transposed() @ y).tolist() == (scipys.T @ y).tolist()
    assert own.transposed().shape == scipys.T.shape
    chosen = generator.integers(0, height, 4)
    assert (own[chosen] @ x).tolist() == (scipys[chosen] @ x).tolist()


@given(st.lists(st.integers(-(2**63), 2**63 - 1)), st.sampled_from(["int64", "object"]))
def test_distinct_values(values, dtype):
    array = np.array(values, dtype=dtype)
    assert distinct(array).tolist() == sorted(set(values))
    assert distinct(array).dtype == array.dtype


def test_bench_start(capsys, monkeypatch):
    monkeypatch.setattr(
        "symlump.bench.start._watched", lambda arguments: (float(len(arguments)), 12.0)
    )
    assert main(["bench", "start", "--quick", "--json"]) == 0
    help_, lump, compress, _ = json.loads(capsys.readouterr().out)
    assert help_["measured"] == 1.5 and help_["reached"] and lump["measured"] == 3.0
    assert compress["measured"] == 0.0 and compress["seconds_more"] and compress["peak"] == 12.0
    assert main(["bench", "start"]) == 0
    assert "1.5 ×" in capsys.readouterr().out
    assert not StartRow("a", 13.0, "pass", 1.0, 1.0, 12.0).reached
