import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import symlump as sl
from symlump.errors import PartitionError, VariableError

labels = st.lists(st.integers(0, 4), min_size=6, max_size=6)


@given(labels, labels)
def test_meet_and_join_are_the_lattice_operations(a, b):
    p, q = sl.Partition(a), sl.Partition(b)
    meet, join = p.meet(q), p.join(q)
    assert meet <= p <= join and meet <= q <= join
    for i in range(6):
        for j in range(6):
            together = p.labels[i] == p.labels[j] and q.labels[i] == q.labels[j]
            assert (meet.labels[i] == meet.labels[j]) == together
    assert join.meet(p) == p and meet.join(p) == p  # absorption


@given(labels)
def test_numbering_does_not_matter(a):
    p = sl.Partition(a)
    assert p == sl.Partition([9 - v for v in a]) and hash(p) == hash(sl.Partition(p.labels))
    assert sorted(np.concatenate(p.blocks).tolist()) == list(range(6))
    assert [int(b[0]) for b in p.blocks] == p.representatives.tolist()


def test_from_names():
    import sympy

    x, y, z = sympy.symbols("x y z")
    ode = sl.PolynomialODE.from_sympy({x: x, y: y, z: z})
    assert sl.Partition.from_names(ode, [["x"]]).named(ode.variables) == (("x",), ("y", "z"))
    assert sl.Partition.from_names(ode, [[x, z], [y]]).labels.tolist() == [0, 1, 0]
    with pytest.raises(PartitionError, match="'x' is in two blocks"):
        sl.Partition.from_names(ode, [["x"], ["x", "y"]])
    with pytest.raises(VariableError, match="'w' is not a variable"):
        sl.Partition.from_names(ode, [["w"]])
    with pytest.raises(PartitionError, match="list of names"):
        sl.Partition.from_names(ode, ["xy"])
    with pytest.raises(PartitionError, match="has 2 elements"):
        sl.lump(ode, sl.Forward(), sl.Partition([0, 0]))
