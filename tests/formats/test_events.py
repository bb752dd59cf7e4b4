"""Models with events: read, lumped, simulated and written; solutions by hand."""

import json
from fractions import Fraction as Q
from math import exp

import numpy as np
import pytest
from test_sbml_semantics import (
    A,
    compartment,
    event,
    math,
    model,
    parameter,
    reaction,
    read,
    rule,
    species,
    start,
)

import symlump as sl
from symlump import formats
from symlump.errors import FailureError, FileFormatError, InputError, MethodError, SimulationError
from symlump.formats.events import Event
from symlump.formats.flat import Call
from symlump.formats.model import Model

DECAY = reaction("A", ["A"])
AT_ONE = ("<geq/>", "time", 1)
TWICE = {"A": ("*", 2, "A")}
B = species("B")


def solution(text, times=(0, 0.5, 1.5, 2.5)):
    """The solution of a document."""
    return read(text, functions=True).simulate(times)


def test_an_event_in_terms_of_variables_and_numbers():
    text = model(A, B, parameter("k", 3), parameter("v"), rule("v", ("*", "k", "A")), DECAY,
        event(("<gt/>", "v", 2), {"B": ("+", "v", "k")}, delay="k", priority="B"))  # fmt: skip
    (found,) = read(text).events
    assert str(found) == "e: when 3*A > 2 (after 3) (priority B), B = 3*A + 3"
    assert found.variables == ("A", "B")
    assert "do not merge 'A', 'B', which it reads or sets" in read(text).notes[-1]
    (letters,) = read(text, parameters="symbolic").events
    assert str(letters) == "e: when k*A > 2 (after k) (priority B), B = k*A + k"
    assert letters.variables == ("k", "A", "B")


def test_what_an_event_sets_is_a_variable():
    text = model(A, compartment(attributes='size="2"'), parameter("k", 3),
        reaction(("*", "k", "A"), ["A"]), event(AT_ONE, {"k": 5}))  # fmt: skip
    assert str(read(text).ode) == "A' = -1/2*A*k\nk' = 0"
    # Its value is no constant to divide by, or to put in.
    text = text.replace("times", "divide")
    assert str(read(text, functions=True, constants="values").ode) == "A' = -1/2*k/A\nk' = 0"


def test_concentrations_when_an_event_changes_a_size(tmp_path):
    text = model(A, DECAY, event(AT_ONE, {"c": 4}))
    ours = read(text, functions=True)
    assert ours.ode.variables == ("A_amount", "c")
    assert np.allclose(
        solution(text)["A_amount"], 1 * np.exp([0, -0.5, -1 - 0.5 / 4, -1 - 1.5 / 4])
    )
    # A concentration that is set is one in the size from before.
    both = model(A, DECAY, event(AT_ONE, {"c": 4, "A": 3}))
    assert solution(both, [0, 1, 2])["A_amount"] == pytest.approx([1, 3, 3 * exp(-1 / 4)])
    ruled = model(
        A, parameter("p", 1), rule("c", ("+", "p", 1)), DECAY, event(AT_ONE, {"p": 3, "A": 3})
    )
    assert solution(ruled, [0, 1])["A_amount"][1] == pytest.approx(6)
    for refused in (
        event(AT_ONE, {"A": 3}, delay=1) + event(AT_ONE, {"c": 4}, name="f"),
        event(AT_ONE, {"A": 3}) + event(AT_ONE, {"c": 4}, name="f"),
    ):
        with pytest.raises(
            FileFormatError, match="m.xml.*'e' sets the concentration 'A'.*two times"
        ):
            read(model(A, DECAY, refused), functions=True)
    late = event(("<geq/>", "time", 1.5), {"A": 3}, delay=0.5, late=True) + event(
        AT_ONE, {"c": 4}, name="f"
    )
    assert solution(model(A, DECAY, late), [0, 2])["A_amount"][1] == pytest.approx(12)


def test_a_concentration_with_a_rate_of_its_own_jumps_with_the_size():
    text = model(A, rule("A", 1, "rate"), event(AT_ONE, {"c": 4}))
    assert solution(text, [0, 1, 2])["A"] == pytest.approx([1, 0.5, 1.5])
    both = model(A, rule("A", 1, "rate"), event(AT_ONE, {"c": 4, "A": 2}))
    assert solution(both, [0, 1, 2])["A"] == pytest.approx([1, 0.5, 1.5])
    with pytest.raises(FileFormatError, match="'A' from values at two times"):
        read(model(A, rule("A", 1, "rate"), event(AT_ONE, {"c": 4}, delay=1)))


def test_a_dose_now_and_later():
    dose = {"A": ("+", "A", 1)}
    now = [1, exp(-0.5), exp(-1.5) + exp(-0.5), exp(-2.5) + exp(-1.5)]
    assert np.allclose(solution(model(A, DECAY, event(AT_ONE, dose)))["A"], now)
    # The value that it had at the trigger, or when it is set.
    given = [1, exp(-0.5), exp(-1.5), (exp(-1) + 1) * exp(-0.5)]
    assert np.allclose(solution(model(A, DECAY, event(AT_ONE, dose, delay=1)))["A"], given)
    given[3] = exp(-2.5) + exp(-0.5)
    assert np.allclose(
        solution(model(A, DECAY, event(AT_ONE, dose, delay=1, late=True)))["A"], given
    )


def test_what_a_trigger_was_before():
    low = ("<lt/>", "A", 2)  # true from the beginning
    assert solution(model(A, DECAY, event(low, TWICE)), [0, 1])["A"][0] == 1
    assert solution(model(A, DECAY, event(low, TWICE, initial="false")), [0, 1])["A"][0] == 2


def test_an_event_that_must_stay_true():
    brief = ("<and/>", AT_ONE, ("<lt/>", "time", 1.5))
    for persistent, value in (("true", 3), ("false", 1)):
        text = model(A, reaction(0, ["A"]), event(brief, {"A": 3}, delay=1, persistent=persistent))
        assert solution(text, [0, 1, 2.1])["A"][2] == value


def test_priorities_and_events_that_trigger_events():
    first = event(AT_ONE, {"A": ("*", 3, "A")}, name="one", priority=1)
    second = event(AT_ONE, {"A": ("+", 5, "A")}, name="two", priority=2, late=True)
    text = model(A, reaction(0, ["A"]), first, second)
    assert solution(text, [0, 1])["A"][1] == 3  # computed at the trigger: 5 + 1, then 3·1
    late = model(A, reaction(0, ["A"]), first.replace('Time="true"', 'Time="false"'), second)
    assert solution(late, [0, 1])["A"][1] == 18
    chain = event(("<gt/>", "A", 15), {"A": 0}, name="three")
    assert solution(late.replace("</listOfEvents>", f"{chain}</listOfEvents>"), [0, 1])["A"][1] == 0


def test_nothing_short_is_missed_and_nothing_goes_on_forever():
    blink = ("<and/>", ("<gt/>", "time", 7), ("<lt/>", "time", 7.05))
    assert solution(model(A, reaction(0, ["A"]), event(blink, TWICE)), [0, 100])["A"][1] == 2
    ping = event(("<gt/>", "A", 0), {"A": -1}, initial="false")
    pong = event(("<lt/>", "A", 0), {"A": 1}, name="f")
    with pytest.raises(FailureError, match="endlessly at time 0"):
        solution(model(A, reaction(0, ["A"]), ping, pong))
    back = model(A, reaction(0, ["A"]), event(AT_ONE, TWICE, delay=("-", "A")))
    with pytest.raises(FailureError, match="event e has the delay -1 at time 1"):
        solution(back)
    with pytest.raises(InputError, match="'Euler' is not a method"):
        read(back).simulate([0, 1], method="Euler")


def two_events(operator, first, delay, second):
    """A → B at rate A; A = 3 at ``first`` + ``delay``, and B = 1 at ``second``."""
    dose = event((f"<{operator}/>", "time", first), {"A": 3}, delay=delay)
    reset = event((f"<{operator}/>", "time", second), {"B": 1}, name="g")
    a, b = (species(name, f'initialConcentration="{k}"') for name, k in (("A", 1), ("B", 0)))
    return model(a, b, reaction("A", ["A"], ["B"]), dose, reset)


@pytest.mark.parametrize("operator", ["gt", "geq"])
@pytest.mark.parametrize(
    ("first", "delay", "second"),
    [(0.55, 0.4, 0.95), (0.1, 0.2, 0.3), (0.1, 0.7, 0.8), (0.7, 0.1, 0.8), (1.1, 1.1, 2.2)]
    + [(0.55, 0.4, 0.95 + k * 2.0**-53) for k in (-40, -7, -5, -4, -3, -2, 1, 2, 3, 4, 5, 7, 40)],
)
def test_events_a_few_floats_apart(operator, first, delay, second, recwarn):
    # What decays between the two is less than rounding: A = 3·exp(second − t), B = 1 + 3 − A.
    times = [0, second / 2, 3]
    found = solution(two_events(operator, first, delay, second), times)
    half, end = exp(-second / 2), 3 * exp(second - 3)
    assert found["A"] == pytest.approx([1, half, end], abs=1e-8)
    assert found["B"] == pytest.approx([0, 1 - half, 4 - end], abs=1e-8)
    assert not recwarn.list


@pytest.mark.parametrize("method", ["BDF", "Radau", "RK45", "DOP853"])
def test_events_a_float_apart_in_every_solver(method):
    found = read(two_events("gt", 0.55, 0.4, 0.95), functions=True).simulate([0, 3], method)
    assert found["A"][1] == pytest.approx(3 * exp(-2.05), abs=1e-8)


@pytest.mark.parametrize("gap", [1, 3, 4])
@pytest.mark.parametrize("delayed_is_first", [True, False])
def test_events_a_few_floats_apart_keep_their_order(gap, delayed_is_first):
    due = 0.5 + 0.5
    other = due + gap * 2.0**-52 if delayed_is_first else due - gap * 2.0**-53
    text = model(A, reaction(0, ["A"]), event(("<geq/>", "time", 0.5), {"A": 3}, delay=0.5),
        event(("<geq/>", "time", other), {"A": 5}, name="g"))  # fmt: skip
    early, late = sorted((due, other))
    found = solution(text, [0, early, late, 2])["A"]
    assert found.tolist() == ([1, 3, 5, 5] if delayed_is_first else [1, 5, 3, 3])


@pytest.mark.parametrize("start_", [1.0, 0.7, 0.3, 0.1, -0.2, -3.3])
@pytest.mark.parametrize(("slope", "operator"), [(-1, "<geq/>"), (1, "<gt/>"), (1, "<geq/>")])
def test_a_change_that_rounding_could_undo_is_no_trap(start_, slope, operator):
    """At the time of a change, computed anew, a state may be what it was before: the step goes on."""
    text = model(
        *(parameter("p", start_), parameter("q", 0), rule("p", slope, "rate")),
        event((operator, "p", 1 if slope > 0 else start_), {"q": ("+", "q", 1)}),
    )
    found = read(text).simulate([0, 5], max_steps=2000)
    assert found["p"][-1] == pytest.approx(start_ + 5 * slope)
    at_first = {"<geq/>": start_ >= 1, "<gt/>": start_ > 1}[operator]
    assert found["q"][-1] == (slope > 0 and not at_first)


def test_more_events_than_steps_end_in_an_error():
    """An event every hundredth: a solver that starts anew has not made a step yet to tell the length of."""
    every = ("<geq/>", ("-", "time", "p"), 0.01)
    text = model(parameter("p", 0), event(every, {"p": "time"}))
    read_ = read(text, functions=True)
    for steps in range(20, 40):
        with pytest.raises(
            SimulationError, match=f"{steps} steps since time 0, (the last|as where)"
        ):
            read_.simulate([0, 5], max_steps=steps)


def test_times_that_are_nearly_one_are_one_float_apart():
    text = model(A, DECAY, event(AT_ONE, {"A": 3}))
    found = solution(text, [0, 0.3, 0.1 + 0.2, 1, 2])["A"]
    assert found == pytest.approx([1, exp(-0.3), exp(-0.3), 3, 3 * exp(-1)], abs=1e-8)


def test_a_solution_that_leaves_every_bound_ends_in_an_error(recwarn):
    blow = model(A, rule("A", ("*", "A", "A"), "rate"), event(("<gt/>", "time", 3), {"A": 0}))
    with pytest.raises(FailureError, match="stopped at time 1: its steps no longer move"):
        solution(blow, [0, 2])
    assert not recwarn.list


def test_a_stiff_start_far_from_zero_is_no_failure():
    fast = rule("A", ("*", 10**12, ("-", 2, "A")), "rate")  # a float at 10000 is 2 time constants
    found = solution(model(A, fast, event(("<geq/>", "time", 10000), {"A": 3})), [0, 10001])
    assert found["A"] == pytest.approx([1, 2])


def planted():
    """x1 and x2 lump; the event reads z, and sets k."""
    parts = [species(name, f'initialAmount="{k}"') for k, name in enumerate(("x1", "x2", "z"), 1)]
    flows = [reaction(("*", "k", name), [name], ["z"], name=f"r{name}") for name in ("x1", "x2")]
    return model(*parts, parameter("k", 1), *flows, event(("<gt/>", "z", 4), {"k": ("/", "k", 4)}))


@pytest.mark.parametrize("method", [sl.Forward(), sl.Backward()])
def test_quotients_have_the_solutions_of_the_original(method, tmp_path):
    ours = read(planted())
    if isinstance(method, sl.Backward):  # x1 and x2 stay equal
        ours = Model(ours.name, ours.ode, ours.initial_values | {"x2": Q(1)}, events=ours.events)
    initial = ours.initial_partition()
    assert str(initial) == "{0, 1}, {2}, {3}; 3"
    lumping = sl.lump(ours.ode, method, initial)
    small = ours.quotient(lumping)
    assert len(small.ode) == 3 and small.events == ours.events
    times = np.linspace(0, 4, 9)
    full, reduced = ours.simulate(times), small.simulate(times)
    assert full["k"][-1] == reduced["k"][-1] == 0.25
    expected = full["x1"] + full["x2"] if isinstance(method, sl.Forward) else full["x1"]
    assert np.allclose(reduced["y1"], expected, atol=1e-8)
    formats.write(small, tmp_path / "small.xml")
    again = formats.read(tmp_path / "small.xml")
    assert (again.ode, again.events) == (small.ode, small.events)
    with pytest.raises(FileFormatError, match=r"events \('e'\), which only SBML"):
        formats.write(small, tmp_path / "small.ode")


def test_a_lumping_that_merges_what_an_event_reads_has_no_quotient():
    text = model(A, B, DECAY, reaction("B", ["B"], name="s"), event(("<lt/>", "A", 0.5), {"B": 2}))
    ours = read(text)
    assert len(ours.initial_partition("one")) == 2
    with pytest.raises(MethodError, match="'A' is merged, and an event reads or sets it"):
        ours.quotient(sl.lump(ours.ode, sl.Forward()))
    alone = sl.lump(ours.ode, sl.Constrained(["A", "B"]))
    assert ours.quotient(alone).events == ours.events
    with pytest.raises(MethodError, match="'B', which is not a row by itself"):
        ours.quotient(sl.lump(ours.ode, sl.Constrained(["A"])))


def test_constants_are_put_into_events():
    text = model(A, B, species("C"), DECAY, event(("<lt/>", "A", "B"), {"C": ("+", "B", "C")}))
    small = formats.substitute_constants(read(text))
    assert small.ode.variables == ("A", "C")  # C does not move by itself, but is set
    assert str(small.events[0]) == "e: when A < 1, C = 1 + C"


def test_every_operator_is_written_and_read_back(tmp_path):
    x = "x"
    one = Q(1)
    calls = [
        Call(op, (x,))
        for op in [
            "exp",
            "ln",
            "log10",
            "log2",
            "sqrt",
            "abs",
            "floor",
            "ceil",
            "factorial",
            "sin",
            "acos",
            "atanh",
            "sec",
        ]
    ]
    calls += [
        Call(op, (x, one))
        for op in ["root", "log", "^", "/", "max", "min", "rem", "quotient", "-", "*", "+"]
    ]
    calls += [Call("-", (x,)), Call("pi"), Call("time"), Call("sign", (x,)), Call("sqr", (x,))]
    calls += [Call("mod", (x, one)), Call("piecewise", (x, Call("<=", (x, one)), one))]
    conditions = [Call("not", (Call("==", (x, one)),)), Call("implies", (Call("<", (x, one)),) * 2)]
    conditions += [Call("xor", (Call("!=", (x, one)), Call(">=", (x, one))))]
    ode = sl.ODE.from_text("x' = 1")
    names = [f"x{k}" for k in range(len(calls))]
    system = sl.ODE.from_text("x' = 1; " + "; ".join(f"{name}' = 0" for name in names))
    late = Call("and", (Call(">=", (Call("time"), Q(1, 4))), *conditions))
    events = (Event("e", late, dict(zip(names, calls, strict=True))),)
    values = {name: Q(1, 4) for name in system.variables}
    ours = Model("m", system, values, events=events)
    formats.write(ours, tmp_path / "m.xml")
    again = formats.read(tmp_path / "m.xml")
    with np.errstate(all="ignore"):
        assert np.allclose(
            ours.simulate([0, 2]).states, again.simulate([0, 2]).states, equal_nan=True
        )
    with pytest.raises(FileFormatError, match="cannot hold the function wonder"):
        formats.write(Model("m", ode, {"x": Q(0)}, events=(Event("e", Call("wonder", (x,))),)),
                      tmp_path / "m.xml")  # fmt: skip


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([event(AT_ONE, {"Q": 1})], "an event sets 'Q', which is not defined"),
        ([event(AT_ONE, {"r": 1})], "an event sets 'r', which is not defined"),
        ([event(AT_ONE, {"v": 1}), parameter("v"), rule("v", 1)], "'v', which has a rule"),
        ([event(AT_ONE, {"v": 1}), '<parameter id="v" constant="true"/>'], "'v', which is constant"),
        ([event(AT_ONE), event(AT_ONE)], "two symbols are called 'e'"),
        ([event(("<gt/>", "q", 1)), parameter("q")], "'q' is not defined or has no value, in event 'e'"),
        ([event(AT_ONE).replace("initialValue", "wonder")], "'wonder' of <trigger>"),
        ([event(AT_ONE).replace('initialValue="true"', "")], "does not say whether initialValue"),
        ([event(AT_ONE, {"A": 1}).replace("</listOfEventAss", f'<eventAssignment variable="A">'
          f"{start('A', 1).split('>', 1)[1].split('</init')[0]}</eventAssignment></listOfEventAss")],
         "'A', which it sets twice"),
    ],
)  # fmt: skip
def test_refusals(parts, message):
    with pytest.raises(FileFormatError, match=message):
        read(model(A, DECAY, *parts))


def test_level_2_has_the_defaults_of_its_time():
    text = model(A, DECAY, event(("<lt/>", "A", 2), TWICE))
    text = text.replace("level3/version1/core", "level2/version4").replace(
        'level="3" version="1"', 'level="2" version="4"'
    )
    for said in (' initialValue="true"', ' persistent="true"', ' useValuesFromTriggerTime="true"'):
        text = text.replace(said, "")
    (found,) = read(text).events
    assert found.initial_value and found.persistent and found.values_from_trigger


def test_what_has_no_mathematics_is_not_there():
    nothing = '<event id="f" useValuesFromTriggerTime="true"/>'
    empty = event(AT_ONE, {"A": 1, "B": 2}, delay=1, priority=2)
    for place, value in (("<priority>", 2), ("<delay>", 1), ('"A">', 1)):
        empty = empty.replace(f"{place}{math(value)}", place)
    ours = read(model(A, B, DECAY, empty, nothing))
    assert [str(found) for found in ours.events] == ["e: when time() >= 1, B = 2"]
    assert ours.notes[:2] == (
        "an event sets 'A' to nothing: it stays",
        "event 'f' has no trigger: it never happens",
    )


def test_commands_of_a_model_with_events(tmp_path, capsys):
    from symlump.cli.main import main

    path = tmp_path / "m.xml"
    path.write_text(planted())
    assert main(["show", str(path), "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)["events"]
    assert shown["text"] == "e: when z > 4, k = k/4" and shown["variables"] == ["z", "k"]
    assert main(["lump", str(path), "--method", "forward", "-o", f"{tmp_path}/small.xml"]) == 0
    assert "hold across events where they are exact" in capsys.readouterr().out
    assert formats.read(tmp_path / "small.xml").events == read(planted()).events
    assert main(["hierarchy", str(path), "--json"]) == 0
    levels = json.loads(capsys.readouterr().out)["levels"]
    assert [level["across_events"] for level in levels] == [False, False, False]
    assert main(["hierarchy", str(path)]) == 0
    assert (
        "hold between events only, as they merge what events read or set: "
        in capsys.readouterr().out
    )
    linear = ["--method", "constrained", "--observable", "z"]
    assert main(["lump", str(path), *linear, "-o", f"{tmp_path}/rows.xml"]) == 0
    assert "k" in formats.read(tmp_path / "rows.xml").ode.variables
    assert main(["sweep", str(path), "--method", "forward", "--eps", "0", "--horizon", "1"]) == 2
    assert "this model has events" in capsys.readouterr().err
    assert main(["sweep", str(path), *linear, "--eps", "0"]) == 0
    assert main(["lump", str(path), "--method", "forward", "-o", f"{tmp_path}/small.ode"]) == 2
    assert "which only SBML" in capsys.readouterr().err
