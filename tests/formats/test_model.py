"""What a model says besides its system: initial partitions, and what becomes of it in a quotient."""

from fractions import Fraction as Q

import pytest
from hypothesis import given
from hypothesis import strategies as st

import symlump as sl
from symlump import formats
from symlump.errors import MethodError, PartitionError, VariableError
from symlump.formats.erode import read_erode
from symlump.formats.source import Source

TREE = """begin model tree
begin parameters
k = 3
end parameters
begin init
x1 = 1/3 x2 = 2/3 x3 = 1/3 x4
c = 5
end init
begin partition
{x3, x4}
end partition
begin ODE
d(x1) = -k*x1 + c*x3
d(x2) = -k*x2 + c*x3
d(x3) = x1 + x2 - x3
d(x4) = x1 + x2 - x4
d(c) = 0
end ODE
begin views
total = 2*x1 + 2*x2
uneven = x1 + 2*x2
first = x1
gap = x3 - x4
both = x3 + x4
product = x1*x2
end views
end model
"""


def tree(**options):
    model = read_erode(Source("tree.ode", TREE), parameters=options.get("parameters", "values"))
    return formats.substitute_constants(model) if "constants" in options else model


def blocks(model, *arguments, **options):
    partition = model.initial_partition(*arguments, **options)
    return {"".join(name[-1] for name in block) for block in partition.named(model.ode.variables)}


def test_initial_partitions():
    model = tree()
    assert blocks(model, "one") == {"1234c"}
    assert blocks(model) == blocks(model, "file") == {"12c", "34"}
    assert blocks(model, "values") == {"13", "2", "4", "c"}
    without = formats.Model("m", model.ode, model.initial_values)
    assert blocks(without, "file") == {"1234c"}


def test_symbolic_parameters_stay_alone():
    model = tree(parameters="symbolic")
    for kind in ("one", "file", "values"):
        lumping = sl.lump(model.ode, sl.Backward(), model.initial_partition(kind))
        assert ("k",) in lumping.blocks


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], {"1234c"}),
        (["x2"], {"134c", "2"}),
        (["total"], {"12", "34c"}),
        (["uneven"], {"1", "2", "34c"}),
        (["gap"], {"3", "4", "12c"}),
        (["both", "x1"], {"34", "1", "2c"}),
        (["total", "total", "uneven"], {"1", "2", "34c"}),
    ],
)
def test_observables_are_kept_apart(names, expected):
    assert blocks(tree(), "one", observables=names) == expected


def test_observables_refine_every_kind():
    assert blocks(tree(), "file", observables=["gap"]) == {"12c", "3", "4"}
    assert blocks(tree(), "values", observables=["x3"]) == {"1", "2", "3", "4", "c"}


def test_a_name_of_a_variable_and_a_view_is_both():
    model = read_erode(Source("a.ode", TREE.replace("first = x1", "x1 = x3 + x4")))
    assert blocks(model, "one", observables=["x1"]) == {"1", "2c", "34"}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nothing", "'nothing' is neither a variable nor an observable; variables: x1, x2"),
        ("", "'' is neither"),
        ("product", "'product' is not a linear combination"),
        ("c", "'c' is a constant that was replaced by its value"),
    ],
)
def test_unknown_observables(name, says):
    with pytest.raises(VariableError, match=says):
        tree(constants="values").initial_partition(observables=[name])


def test_unknown_kind():
    with pytest.raises(MethodError, match="initial='all': choose 'one', 'file' or 'values'"):
        tree().initial_partition("all")


def test_forward_quotient():
    model = tree()
    lumping = sl.lump(model.ode, sl.Forward(), model.initial_partition())
    assert lumping.blocks == (("x1", "x2"), ("x3",), ("x4",), ("c",))
    small = model.quotient(lumping)
    assert small.name == "tree" and small.ode is lumping.quotient
    assert small.initial_values == {"y1": 1, "x3": Q(1, 3), "x4": 0, "c": 5}
    assert small.partition == (("x3", "x4"), ("y1", "c"))
    assert small.observables == {
        "total": {"y1": 2},
        "gap": {"x3": 1, "x4": -1},
        "both": {"x3": 1, "x4": 1},
    }
    assert small.other_views == {}


def test_backward_quotient():
    model = tree()
    lumping = sl.lump(model.ode, sl.Backward(), model.initial_partition("one"))
    assert lumping.blocks == (("x1", "x2"), ("x3", "x4"), ("c",))
    with pytest.raises(
        MethodError, match='x1 and x2 .* start at 1/3 and 2/3.*initial="values".*--initial values'
    ):
        model.quotient(lumping)
    equal = read_erode(
        Source("a.ode", TREE.replace("x2 = 2/3 x3 = 1/3 x4", "x2 = 1/3 x3 = 1/3 x4 = 1/3"))
    )
    small = equal.quotient(sl.lump(equal.ode, sl.Backward(), equal.initial_partition("values")))
    assert small.initial_values == {"y1": Q(1, 3), "y2": Q(1, 3), "c": 5}
    assert small.partition == (("y2",), ("y1", "c"))
    assert small.observables == {
        "total": {"y1": 4},
        "uneven": {"y1": 3},
        "first": {"y1": 1},
        "gap": {},
        "both": {"y2": 2},
    }


def test_a_partition_that_a_block_crosses_is_left_out():
    model = read_erode(Source("a.ode", TREE.replace("{x3, x4}", "{x1, x3}")))
    lumping = sl.lump(model.ode, sl.Forward(), model.initial_partition("one"))
    assert ("x1", "x2") in lumping.blocks
    assert model.quotient(lumping).partition is None


def test_symbolic_parameters_and_dropped_constants_are_carried_over():
    model = tree(parameters="symbolic", constants="values")
    small = model.quotient(sl.lump(model.ode, sl.Forward(), model.initial_partition()))
    assert small.ode.parameters == ("k",) and small.initial_values["k"] == 3
    assert small.dropped == {"c": 5} and small.partition[-1] == ("k",)


def test_a_lumping_of_another_system():
    model = tree()
    other = tree(constants="values")
    with pytest.raises(PartitionError, match="another system, of 4 variables"):
        model.quotient(sl.lump(other.ode, sl.Forward()))
    # An equal system read a second time is the same.
    assert model.quotient(sl.lump(tree().ode, sl.Forward())).initial_values


@pytest.mark.parametrize("method", [sl.Forward(), sl.Backward()])
def test_quotients_are_written_and_read_back(tmp_path, method):
    model = tree(parameters="symbolic")
    lumping = sl.lump(model.ode, method, model.initial_partition("values"))
    small = model.quotient(lumping)
    formats.write(small, tmp_path / "small.ode")
    again = formats.read(tmp_path / "small.ode", parameters="symbolic")
    assert again.ode == small.ode and again.initial_values == small.initial_values
    assert again.observables == small.observables


@given(
    weights=st.lists(st.fractions(-3, 3, max_denominator=4), min_size=6, max_size=6),
    start=st.lists(st.fractions(0, 1, max_denominator=3), min_size=6, max_size=6),
    keep=st.booleans(),
)
def test_carried_views_have_the_same_value(weights, start, keep):
    """What the quotient shows at its initial state is what the model shows at its own."""
    lines = [f"x{i} -> x{(i + 1) % 6}, 1" for i in range(6)]
    text = "begin model m\nbegin init\n"
    text += "\n".join(f"x{i} = {value}" for i, value in enumerate(start))
    text += "\nend init\nbegin reactions\n" + "\n".join(lines) + "\nend reactions\nend model"
    model = read_erode(Source("m.ode", text))
    view = {f"x{i}": weight for i, weight in enumerate(weights)}
    model.observables["v"] = view
    observables = ["v"] if keep else []
    for method, kind in ((sl.Forward(), "one"), (sl.Backward(), "values")):
        initial = model.initial_partition(kind, observables=observables)
        small = model.quotient(sl.lump(model.ode, method, initial))
        if "v" not in small.observables:
            assert method == sl.Forward() and not keep
            continue
        carried = small.observables["v"]
        assert sum(small.initial_values[y] * c for y, c in carried.items()) == sum(
            model.initial_values[x] * c for x, c in view.items()
        )
