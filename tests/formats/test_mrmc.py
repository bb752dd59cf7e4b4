"""Markov chains in .tra files."""

import io
import json
import re
from fractions import Fraction as Q

import pytest

import symlump as sl
from symlump.cli.main import main
from symlump.errors import FileFormatError, InputError
from symlump.formats.chains import read_tra, write_tra
from symlump.formats.model import Model
from symlump.formats.source import Source
from symlump.ode.polynomial import PolynomialODE


def chain(text, kind=None):
    return read_tra(Source("c.tra", text), chain=kind)


FLOW = "STATES 3\nTRANSITIONS 4\n1 2 0.5\n1 2 0.1\n\n2 3 1\n3 1 1/3\n"
CTMC = "STATES 4\nTRANSITIONS 6\n1 2 1\n1 3 1\n2 3 7\n2 4 2\n3 4 2\n4 1 1\n"


def test_probability_flows_from_row_to_column():
    read = chain(FLOW, "dtmc")
    assert read.name == "c"
    assert str(read.ode) == "S1⁺ = 1/3*S3\nS2⁺ = 3/5*S1\nS3⁺ = S2"
    assert read.initial_values == {"S1": 0, "S2": 0, "S3": 0}
    assert read.notes == (
        "transitions given more than once were added: 'S1 → S2'",
        "taken as probabilities, though some rows do not sum to 1: S1 (0.6), S3 (0.333333)",
    )
    assert chain("ctmc\n0 1 2\n1 0 1\n0 1 3\n").notes[0].endswith("were added: 'S0 → S1'")


def test_rates_leave_where_they_come_from():
    read = chain(CTMC)
    assert str(read.ode).split("\n")[:2] == ["S1' = -2*S1 + S4", "S2' = S1 - 9*S2"]
    assert "rows sum to 1 … 9: taken as rates" in read.notes[0]
    assert chain(CTMC, "ctmc").ode == read.ode and chain(CTMC, "ctmc").notes == ()
    assert chain(CTMC.replace("4 1 1\n", "4 1 1\n3 3 5\n").replace("S 6", "S 7")).ode == read.ode
    # As a chain in continuous time, {2, 3} lumps: both go on to 4 at rate 2.
    found = sl.lump(
        read.ode, sl.Forward(), sl.Partition.from_names(read.ode, [["S1"], ["S2", "S3"], ["S4"]])
    )
    assert found.blocks == (("S1",), ("S2", "S3"), ("S4",))
    assert len(sl.lump(chain(CTMC, "dtmc").ode, sl.Forward(), found.initial).partition) == 4


def test_sums_of_rows_tell_probabilities_from_rates():
    thirds = (
        "STATES 4\nTRANSITIONS 6\n"
        + "".join(f"1 {k} 0.333333\n" for k in (2, 3, 4))
        + "".join(f"{k} 1 1\n" for k in (2, 3, 4))
    )
    assert "S1⁺ = S2 + S3 + S4" in str(chain(thirds).ode)
    assert "all rows sum to 1: taken as probabilities" in chain(thirds).notes[0]
    generator = "STATES 2\nTRANSITIONS 4\n1 1 -3\n1 2 3\n2 1 1\n2 2 -1\n"
    read = chain(generator)
    assert str(read.ode) == "S1' = -3*S1 + S2\nS2' = 3*S1 - S2"
    assert "the whole matrix" in read.notes[0]
    assert chain(generator, "ctmc").ode == read.ode
    assert len(chain("STATES 2\nTRANSITIONS 0\n").ode) == 2


def test_rows_of_states_without_transitions_count():
    text = "STATES 4\nTRANSITIONS 3\n1 2 0.5\n1 3 0.5\n2 4 1\n"
    read = chain(text)
    assert str(read.ode) == "S1' = -S1\nS2' = 1/2*S1 - S2\nS3' = 1/2*S1\nS4' = S2"
    (note,) = read.notes
    assert "without transitions ('S3', 'S4'): taken as rates" in note and "--chain dtmc" in note
    known = chain(text, "dtmc")
    assert str(known.ode) == "S1⁺ = 0\nS2⁺ = 1/2*S1\nS3⁺ = 1/2*S1\nS4⁺ = S2"
    assert known.notes[0].endswith("do not sum to 1: S3 (0), S4 (0)")
    with pytest.raises(FileFormatError, match=r"rows do not sum to 1; write \.txt"):
        write_tra(known)
    many = chain("dtmc\n" + "".join(f"{k} {k + 1} 0.5\n" for k in range(10)))
    assert many.notes[0].endswith("S6 (0.5), S7 (0.5), 3 more")
    assert chain("dtmc\n0 1 0.99995\n1 0 1\n").notes == ()


def test_a_generator_is_one():
    rounded = "STATES 2\nTRANSITIONS 3\n1 1 -0.666667\n1 2 0.66666\n2 1 0\n"
    assert chain(rounded).ode.coefficients[0] == Q(-666667, 10**6)
    assert "rows sum to 0 … 0" in chain("STATES 2\nTRANSITIONS 1\n2 1 0\n").notes[0]
    bad = "STATES 2\nTRANSITIONS 3\n1 1 -3\n1 2 2\n2 1 1\n"
    for kind in (None, "ctmc"):
        with pytest.raises(FileFormatError, match=r"c\.tra: .* the row of S1 sums to -1, not 0"):
            chain(bad, kind)
        with pytest.raises(FileFormatError, match="the rate from S2 to S1 is negative, -1"):
            chain("STATES 2\nTRANSITIONS 2\n1 2 2\n2 1 -1\n", kind)
    with pytest.raises(FileFormatError, match="the probability from S1 to S1 is negative, -3"):
        chain(bad, "dtmc")
    one_row = "STATES 2\nTRANSITIONS 3\n1 1 -3\n1 2 3\n2 1 1\n"
    with pytest.raises(FileFormatError, match="the row of S2 sums to 1, not 0"):
        chain(one_row)
    with pytest.raises(
        FileFormatError, match=r"holds Markov chains: .* S1 sums to -2.*write \.ode"
    ):
        write_tra(sl.Model("m", sl.ODE.from_text("S1' = -2*S1; S2' = 0"), {"S1": Q(0), "S2": Q(0)}))


def test_what_would_be_read_as_rates_is_not_written():
    with pytest.raises(FileFormatError, match=r"its rows do not sum to 1; write \.txt"):
        write_tra(chain(FLOW, "dtmc"))
    for text in (CTMC, FLOW):
        model = chain(text, "ctmc")
        assert chain(write_tra(model)).ode == model.ode


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("STATES 2\nTRANSITIONS 1\n1 3 0.5", "c.tra:3:1: state outside 1 … 2"),
        ("2 1\n0 0 1 0.5", "c.tra:2:1: expected 'from to probability', found '0 0 1 0.5'"),
        ("2 2\n0 1 1 go\n1 0 1 .5", "c.tra:3:1: expected 'from to probability', found '1 0 1 .5'"),
        ("STATES 2\nTRANSITIONS 1\n0 1 0.5", "c.tra:3:1: state outside 1 … 2"),
        ("STATES 2\nTRANSITIONS 2\n1 2 0.5", "c.tra:2:13: 2 transitions announced, 1"),
        ("STATES 2\nTRANSITIONS 1\n1 2", "c.tra:3:1: expected 'from to probability'"),
        ("STATES 2\nTRANSITIONS 1\n1 2 p", "c.tra:3:1: expected 'from to probability'"),
        ("STATES 2\nTRANSITIONS 1\n1 2 1/0", "c.tra:3:5: division by zero"),
        ("STATES 2\nTRANSITIONS 1\n1 2 1e99999", "c.tra:3:5: the exponent of a number"),
        ("STATES 999999999999\nTRANSITIONS 0\n", "c.tra:1:8: 999999999999 states take about"),
        ("2 1\n0 2 0.5", "c.tra:2:1: state outside 0 … 1"),
        ("2 2\n0 1 0.5", "c.tra:1:3: 2 transitions announced, 1"),
        ("states", "c.tra:1:1: expected 'STATES n' and 'TRANSITIONS m' (MRMC), 'n m' (PRISM)"),
        ("2 2 2\n0 0 1 0.5\n0 1 1 1\n", "c.tra:1:1: this is a process with choices (MDP)"),
        ("mdp\n0 0 1 0.5", "c.tra:1:1: this is a process with choices (MDP)"),
        ("cTMdP\n0 0 1 0.5", "c.tra:1:1: this is a process with choices (CTMDP)"),
        ("# Transitions (LTS)\n4 1 1\n0 0 1", "c.tra:1:1: this is a process with choices (LTS)"),
        ("# Transitions (IDTMC)\n2 1\n0 1 [0.5,1]", "c.tra:1:1: a chain with intervals for"),
        ("# Transitions (CTMC)\n1 1", "c.tra:2:3: 1 transitions announced, 0 in the file"),
        ("# Transitions (CTMC)\n", "c.tra:2:1: expected 'STATES n'"),
        ("2 1\n0 1:1\n", "c.tra:1:1: PRISM wrote this with its option 'rows'"),
        ("2 1 1\n0 1:1 go\n", "c.tra:1:1: PRISM wrote this with its option 'rows'"),
        ("P = sparse(2,2);\nP(1,2)=1;\n", "c.tra:1:1: PRISM wrote this with its option"),
        ("2 2\n0 1 1 go\n1 5 1 go", "c.tra:3:1: state outside 0 … 1 in '1 5 1'"),
        (
            "# Transitions (CTMC)\n# Transitions (DTMC)\n2 1\n0 1 1",
            "c.tra:1:1: the titles say both",
        ),
        ("# Transitions (DTMC)\nctmc\n0 1 1", "c.tra:2:1: the title says DTMC, this line 'ctmc'"),
        ("dtmc\n0 1 1\n1 0 1 go", "c.tra:3:1: expected 'from to probability', found '1 0 1 go'"),
    ],
)
def test_refusals(text, message):
    with pytest.raises(FileFormatError) as caught:
        chain(text)
    assert str(caught.value).startswith(message)


def test_what_is_not_a_chain_is_not_written():
    import sympy

    x, y, k = sympy.symbols("x y k")
    for equations, parameters in (
        ({x: x * y, y: 0}, []),
        ({x: 1}, []),
        ({x: x**2}, []),
        ({x: x}, [k]),
    ):
        ode = PolynomialODE.from_sympy(equations, parameters)
        with pytest.raises(InputError, match="tra file"):
            write_tra(Model("m", ode, dict.fromkeys(ode.variables, Q(0))))


def test_decimals_are_written_where_they_are_exact():
    text = "STATES 2\nTRANSITIONS 4\n1 1 0.25\n1 2 0.75\n2 1 1/3\n2 2 2/3\n"
    assert write_tra(chain(text)) == text


PRISM = "4 5\n0 1 0.5\n0 2 0.5\n1 3 1\n2 3 1\n3 3 1\n"
LABELS = '0="init" 1="deadlock" 2="done"\n0: 0\n3: 2\n'
DECLARED = "#DECLARATION\ninit done\n#END\n0 init\n3 done\n"


def beside(text=PRISM, kind=None, **files):
    """A chain with files beside it."""
    given = {
        name: Source(f"c.{name}", content) for name, content in files.items() if name != "rewards"
    }
    rewards = [Source(*pair) for pair in files.get("rewards", ())]
    return read_tra(Source("c.tra", text), chain=kind, rewards=rewards, **given)


def test_the_same_chain_of_prism_storm_and_mrmc():
    body = PRISM.partition("\n")[2]
    read = chain(PRISM)
    assert read.ode.variables == ("S0", "S1", "S2", "S3")
    assert str(read.ode).split("\n")[1:3] == ["S1⁺ = 1/2*S0", "S2⁺ = 1/2*S0"]
    assert chain("dtmc\n" + body).ode == chain(body).ode == read.ode
    assert chain("dtmc\n" + body).notes == () and "all rows sum to 1" in chain(body).notes[0]
    lines = [line.split() for line in body.splitlines()]
    shifted = "".join(f"{int(i) + 1} {int(j) + 1} {p}\n" for i, j, p in lines)
    ours = chain(f"STATES 4\nTRANSITIONS 5\n{shifted}")
    assert ours.ode.terms == read.ode.terms and ours.ode.variables[0] == "S1"
    rates = chain("ctmc\n" + body)
    assert str(rates.ode).split("\n")[0] == "S0' = -S0" and rates.notes == ()
    named = PRISM.replace("0.5\n", "0.5 left\n").replace(" 1\n", " 1 go\n")
    assert chain(named).ode == read.ode and "names of actions" in chain(named).notes[0]


def test_prism_since_4_9():
    """Files begin with titles, which say what the chain is; only some transitions have names of actions."""
    body = PRISM.replace("2 3 1\n", "2 3 1 leave\n").replace("3 3 1\n", "3 3 1/1 _stay\n")
    files = {
        "labels": "# Labels\n" + LABELS,
        "states": "# States\n(x,y)\n0:(0,false)\n1:(1,false)\n2:(1,true)\n3:(2,true)\n",
        "rewards": [
            ("c.a.srew", "# Reward structure\n# State rewards\n4 1\n1 3\n"),
            ("c.b.srew", "# Reward structure\n# State rewards\n4 1\n1 4\n"),
            ("c.trew", '# Reward structure "cost"\n# Transition rewards\n4 1\n0 2 8\n'),
        ],
    }
    read = beside("# Transitions (DTMC)\n" + body, **files)
    assert read.ode == chain(PRISM).ode
    assert read.notes[0] == "names of actions are not read: a chain has no choices"
    assert not any("rows" in note for note in read.notes)  # it is not guessed what the chain is
    assert read.partition == (("S0", "S1", "S2"), ("S3",))
    assert read.observables == {
        "done": {"S3": 1},
        "x": {"S1": 1, "S2": 1, "S3": 2},
        "y": {"S2": 1, "S3": 1},
        "c.a": {"S1": 3},
        "c.b": {"S1": 4},
        "cost": {"S0": 4},
    }
    rates = chain("# Transitions (CTMC)\n" + body)
    assert rates.ode == chain(PRISM, "ctmc").ode and len(rates.notes) == 1
    assert chain("# by hand\n# Transitions (CTMC)\n" + body).ode == rates.ode
    with pytest.raises(FileFormatError, match="expected '#DECLARATION' or labels"):
        beside(labels="# Labels\n")


def test_a_view_that_takes_the_place_of_another_is_noted():
    values = "(done,y)\n0:(0,false)\n1:(5,false)\n2:(1,true)\n3:(2,true)\n"
    read = beside(labels=LABELS, states=values, rewards=[("y.srew", "4 1\n0 2\n")])
    assert read.observables == {"done": {"S1": 5, "S2": 1, "S3": 2}, "y": {"S0": 2}}
    said = "views that take the place of others with their name: "
    assert [note for note in read.notes if note.startswith(said)] == [said + "'done'", said + "'y'"]
    same = values.replace("5", "0").replace("(1,true)", "(0,true)").replace("(2,true)", "(1,true)")
    assert not any(note.startswith(said) for note in beside(labels=LABELS, states=same).notes)


@pytest.mark.parametrize("text", [LABELS, DECLARED])
def test_labels_keep_states_apart(text):
    read = beside(labels=text)
    assert read.partition == (("S0", "S1", "S2"), ("S3",))
    assert read.observables == {"done": {"S3": 1}}
    assert list(read.initial_values.values()) == [1, 0, 0, 0]
    assert "starts in S0" in read.notes[1] and "stay apart: 'done'" in read.notes[2]
    lumping = sl.lump(read.ode, sl.Forward(), read.initial_partition())
    assert lumping.blocks == (("S0",), ("S1", "S2"), ("S3",))
    small = read.quotient(lumping)
    assert small.observables == {"done": {"S3": 1}} and list(small.initial_values.values()) == [
        1,
        0,
        0,
    ]


def test_values_and_rewards_are_views():
    states = "(x,done)\n" + "".join(f"{k}:({k // 2},{str(k == 3).lower()})\n" for k in range(4))
    rewards = [("cost.srew", "4 2\n0 1.5\n3 2\n"), ("cost.trew", "4 2\n0 1 4\n1 3 1\n"),
               ("time.rew", '# Reward structure "steps"\n0 1\n1 1\n')]  # fmt: skip
    read = beside(states=states, rewards=rewards)
    assert read.observables == {
        "x": {"S2": 1, "S3": 1},
        "done": {"S3": 1},
        "cost": {"S0": Q(3, 2) + Q(1, 2) * 4, "S1": 1, "S3": 2},
        "steps": {"S0": 1, "S1": 1},
    }
    assert read.initial_partition("file", observables=["cost"]) == sl.Partition([0, 1, 2, 3])


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"labels": "0: 1\n"}, "c.labels:1:1: expected '#DECLARATION'"),
        ({"labels": "#DECLARATION\na\n"}, "'#DECLARATION' has no '#END'"),
        ({"labels": LABELS + "9: 2\n"}, "c.labels: state 9 is outside 0 … 3"),
        ({"labels": LABELS + "2: 7\n"}, "c.labels:4:1: the label '7' is not declared"),
        ({"labels": LABELS + "2 = 1\n"}, "c.labels:4:1: expected a state and its labels"),
        ({"states": "x\n"}, "c.states:1:1: expected the names of variables"),
        ({"states": "(x)\n0:(1,2)\n"}, "c.states:2:1: expected a state and 1 values"),
        ({"states": "(x)\n0:(one)\n"}, "c.states:2:1: 'one' is not a number"),
        ({"rewards": [("r.rew", "0 1\n0 1 2\n")]}, "rewards of states and of transitions"),
        ({"labels": '0="init" 1="a" 1="b"\n0: 0\n1: 1\n'}, "c.labels:1:1: the label '1' is declared"),
        ({"labels": '0="init" 1="a" 2="a"\n0: 0\n1: 1\n'}, "c.labels:1:1: the label 'a' is declared"),
        ({"states": "(x,x)\n0:(1,2)\n"}, "c.states:1:1: the variable 'x' is named twice"),
        ({"rewards": [("r.rew", '# Reward structure "r"\n1 2\n# Reward structure "s"\n0 2\n')]},
         "r.rew:1:1: more than one reward structure"),
        ({"rewards": [("r.rew", "# Reward structure\n# State rewards\n2 1\n1 2\n")]},
         "r.rew:3:1: expected how many states the chain has and how many rewards follow, '4 1', found '2 1'"),
        ({"rewards": [("r.rew", "# State rewards\n4 2\n1 2\n")]},
         "r.rew:2:1: expected how many states the chain has and how many rewards follow, '4 1', found '4 2'"),
        ({"rewards": [("r.rew", "# State rewards\n")]}, "r.rew:1:1: expected how many states"),
        ({"rewards": [("a/r.rew", "0 1\n1 1\n"), ("b/r.rew", "1 1\n")]},
         "b/r.rew: the reward of state 1 in 'r' is in another file, too"),
        ({"rewards": [("r.trew", "0 1 2\n"), ("r.rew", "0 1 2\n")]},
         "r.rew: the reward of the transition from 0 to 1 in 'r' is in another file, too"),
        ({"rewards": [("r.rew", "0 1 2 3\n")]}, "r.rew:1:1: expected 'state reward'"),
        ({"rewards": [("r.rew", "0 7 1\n")]}, "r.rew: state 7 is outside"),
        ({"rewards": [("r.rew", "0 1\n0 2\n")]}, "r.rew:2:1: the reward of state 0 is given twice"),
        ({"rewards": [("r.rew", "0 1 3\n1 3 1\n0 1 4\n")]},
         "r.rew:3:1: the reward of the transition from 0 to 1 is"),
        ({"rewards": [("r.rew", "0 1 3\n0 3 1\n")]},
         "r.rew: a reward for a transition from 0 to 3, which the chain does not have"),
        ({"states": "(x)\n0:(1)\n1:(2)\n3:(1)\n"},
         "c.states: 3 states, but the chain has 4: state 2 is missing"),
        ({"states": "(x)\n0:(1)\n0:(2)\n"}, "c.states:3:1: the values of state 0 are given twice"),
    ],
)  # fmt: skip
def test_refusals_of_files_beside(files, message):
    with pytest.raises(FileFormatError, match=re.escape(message)):
        beside(**files)


def test_a_chain_in_discrete_time_is_a_map(tmp_path, capsys):
    """From S0 to S1 or S2, where it stays: of the map S0 + 2*S1 never changes, and S0 does, which is 0 a
    step later."""
    path = tmp_path / "c.tra"
    path.write_text("3 4\n0 1 0.5\n0 2 0.5\n1 1 1\n2 2 1\n")
    assert main(["conserved", str(path), "--json"]) == 0
    found = [q["coefficients"] for q in json.loads(capsys.readouterr().out)["quantities"]]
    assert found == [{"S0": "1", "S1": "2"}, {"S0": "1", "S2": "2"}]
    assert main(["conserved", str(path), "--chain", "ctmc", "--json"]) == 0
    # With the outflow 1, the same increments.
    rates = json.loads(capsys.readouterr().out)["quantities"]
    assert [q["coefficients"] for q in rates] == found
    labels = Source("c.lab", '0="init"\n0: 0\n')
    read = read_tra(Source("c.tra", path.read_text()), labels=labels)
    assert read.ode.discrete and read.initial_values["S0"] == 1
    assert read.simulate(range(3)).states.T.tolist() == [[1, 0, 0], [0, 0.5, 0.5], [0, 0.5, 0.5]]
    with pytest.raises(InputError, match="in discrete time there are no derivatives"):
        sl.read(path, constants="values")
    small = read.quotient(sl.lump(read.ode, sl.Constrained("S0 - S1")))
    assert small.ode.discrete
    with pytest.raises(FileFormatError, match="hold differential equations, not a map"):
        sl.write(small, tmp_path / "small.xml")


def test_negative_numbers_are_no_chain_in_discrete_time(tmp_path):
    """A quotient whose rows sum to 0 would be read as a generator, in continuous time."""
    ode = sl.ODE.from_text("a' = -a + b; b' = a - b")
    start = {"a": Q(1), "b": Q(0)}
    sl.write(Model("m", ode, start), tmp_path / "m.tra")
    again = sl.read(tmp_path / "m.tra")
    assert not again.ode.discrete and again.ode.rhs([1, 0]).tolist() == [-1, 1]
    with pytest.raises(
        FileFormatError, match="holds Markov chains: the probability .* is negative"
    ):
        sl.write(Model("m", ode.as_map(), start), tmp_path / "no.tra")


@pytest.mark.parametrize(
    ("text", "kind", "discrete"),
    [(PRISM, None, True), (PRISM, "ctmc", False), ("dtmc\n0 1 1\n1 0 1\n", None, True)]
    + [("ctmc\n0 1 1\n1 0 1\n", None, False), ("2 0\n", None, False), ("2 0\n", "dtmc", True)],
)
def test_which_chains_are_in_discrete_time(text, kind, discrete):
    assert chain(text, kind).ode.discrete == discrete


def test_on_the_command_line(tmp_path, capsys, monkeypatch):
    (tmp_path / "c.tra").write_text(PRISM)
    (tmp_path / "c.lab").write_text(LABELS)
    (tmp_path / "c.srew").write_text("4 1\n1 2\n")
    files = ["--labels", f"{tmp_path}/c.lab", "--rewards", f"{tmp_path}/c.srew"]
    command = ["lump", f"{tmp_path}/c.tra", "--method", "forward", *files]
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["partition"] == [["S0"], ["S1", "S2"], ["S3"]]
    for suffix in ("ode", "net", "xml"):
        assert main([*command, "--keep", "c", "-o", f"{tmp_path}/no.{suffix}"]) == 2
        assert "hold differential equations, not a map" in capsys.readouterr().err
        assert not (tmp_path / f"no.{suffix}").exists()
    rates = [*command, "--keep", "c", "--chain", "ctmc", "-o", f"{tmp_path}/small.ode"]
    assert main(rates) == 0
    assert "4 → 4" in capsys.readouterr().out
    assert sl.read(tmp_path / "small.ode").observables["c"] == {"S1": 2}
    assert main([*command, "-o", f"{tmp_path}/small.txt"]) == 0
    capsys.readouterr()
    assert "y1⁺ = S0" in str(sl.read(tmp_path / "small.txt").ode)
    assert main([*command, "-o", f"{tmp_path}/c.lab"]) == 2
    assert "would overwrite the labels that are read" in capsys.readouterr().err
    assert main(command) == 0
    assert "states with different labels stay apart: 'done'" in capsys.readouterr().out
    assert main([*command, "--initial", "one"]) == 0
    printed = capsys.readouterr().out
    assert "labels are views only: --initial one says what stays apart" in printed
    assert "stay apart:" not in printed
    for other in (["lump", "--method", "constrained", "--observable", "S3"], ["conserved"]):
        assert main([other[0], f"{tmp_path}/c.tra", *other[1:], *files]) == 0
        assert "labels are views only: this keeps no states apart" in capsys.readouterr().out
    assert main(["lump", f"{tmp_path}/small.ode", "--method", "forward", *files]) == 2
    assert "is for Markov chains (.tra)" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(PRISM.encode())))
    assert main(["show", "-", *files]) == 0
    assert "states with different labels stay apart: 'done'" in capsys.readouterr().out


def test_numbers_beyond_floats_are_summed_exactly():
    """1e400 is no infinity and 1e-400 is no zero, in no message and in no decision."""
    large = chain("2 3\n0 1 1e400\n0 0 1\n1 1 1e400\n")
    assert large.notes[0].startswith("rows sum to 1e+400 … 1.00000e+400…: taken as rates")
    assert large.ode.coefficients[0] in (Q(10) ** 400, -(Q(10) ** 400))
    said = chain("0 1 1e-400\n1 0 1\n", "dtmc").notes[0]
    assert said.endswith("some rows do not sum to 1: S0 (1e-400)")
    assert "S0⁺ = S1\nS1⁺ = 1e-400*S0" in str(chain("0 1 1e-400\n1 0 1\n", "dtmc").ode)
    generator = chain("0 0 -1e400\n0 1 1e400\n1 0 1e-400\n1 1 -1e-400\n")
    assert "the diagonal is negative" in generator.notes[0]
    for text, said in (
        ("0 0 -1e400\n0 1 1e401\n", "the row of S0 sums to 9e+400, not 0"),
        ("0 1 -1e-400\n1 0 1\n", "from S0 to S1 is negative, -1e-400"),
    ):
        with pytest.raises(FileFormatError, match=re.escape(said)):
            chain(text)


def test_a_chain_in_discrete_time_is_printed_as_a_map(tmp_path, capsys):
    path = tmp_path / "c.tra"
    path.write_text("3 4\n0 1 0.5\n0 2 0.5\n1 1 1\n2 2 1\n")
    for command in (
        ["show"],
        ["lump", "--method", "backward"],
        ["lump", "--method", "constrained", "--observable", "S0"],
    ):
        assert main([command[0], str(path), *command[1:]]) == 0
        said = capsys.readouterr().out
        assert "⁺ = " in said and "' = " not in said
    assert main(["show", str(path), "--latex"]) == 0
    assert r"\dot" not in capsys.readouterr().out
    assert "discrete" in sl.lump(sl.read(path).ode, sl.Forward()).certificate().check().reason


def test_a_chain_is_not_written_where_it_would_be_read_in_another_time(tmp_path):
    ode = sl.ODE.from_text("a' = a/2 + b/2; b' = a/2 + b/2")
    with pytest.raises(FileFormatError, match="would be read as a chain in discrete time"):
        sl.write(ode, tmp_path / "m.tra")
    sl.write(ode.as_map(), tmp_path / "m.tra")
    assert sl.read(tmp_path / "m.tra").ode.discrete
    map_of_others = sl.ODE.from_text("a+ = a/2; b+ = a + b")
    with pytest.raises(FileFormatError, match=r"in continuous time.*; write \.txt"):
        sl.write(map_of_others, tmp_path / "n.tra")
    assert not (tmp_path / "n.tra").exists()
