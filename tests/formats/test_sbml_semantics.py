"""What SBML means: one small model for each construct, with its right-hand sides and values by hand."""

from fractions import Fraction as Q

import pytest

from symlump import formats
from symlump.errors import FileFormatError, InputError, MissingExtraError, NotPolynomialError
from symlump.formats.flat import Call, text
from symlump.formats.sbml.document import parse
from symlump.formats.sbml.math import number
from symlump.formats.sbml.read import flat_sbml
from symlump.formats.source import Source

CORE = "http://www.sbml.org/sbml/level3/version1/core"
LEVEL2 = "http://www.sbml.org/sbml/level2/version4"
MATHML = "http://www.w3.org/1998/Math/MathML"
SYMBOLS = "http://www.sbml.org/sbml/symbols/"
OPERATORS = {"+": "plus", "-": "minus", "*": "times", "/": "divide", "^": "power"}


def math(expression):
    """MathML of a number, a name, or a tuple (operator, arguments)."""
    return f'<math xmlns="{MATHML}">{inner(expression)}</math>'


def inner(expression):
    if isinstance(expression, str):
        if expression in ("time", "avogadro"):
            return f'<csymbol encoding="text" definitionURL="{SYMBOLS}{expression}">t</csymbol>'
        return expression if expression.startswith("<") else f"<ci> {expression} </ci>"
    if not isinstance(expression, tuple):
        return f"<cn> {expression} </cn>"
    operator, *arguments = expression
    head = f"<{OPERATORS[operator]}/>" if operator in OPERATORS else operator
    head = head if head.startswith("<") else f"<ci> {head} </ci>"
    return f"<apply>{head}{''.join(map(inner, arguments))}</apply>"


def compartment(name="c", attributes='size="1"'):
    return f'<compartment id="{name}" {attributes} constant="false"/>'


def species(name, attributes='initialAmount="1"', units="false", where="c", held="false"):
    return (
        f'<species id="{name}" compartment="{where}" {attributes} hasOnlySubstanceUnits="{units}" '
        f'boundaryCondition="{held}" constant="false"/>'
    )


def parameter(name, value=None):
    given = "" if value is None else f'value="{value}"'
    return f'<parameter id="{name}" {given} constant="false"/>'


def rule(name, expression, kind="assignment"):
    return f'<{kind}Rule variable="{name}">{math(expression)}</{kind}Rule>'


def start(name, expression):
    return f'<initialAssignment symbol="{name}">{math(expression)}</initialAssignment>'


def event(trigger, assignments=(), name="e", delay=None, priority=None, late=False, initial="true",
          persistent="true"):  # fmt: skip
    """An event that sets each name in ``assignments`` to an expression; ``late``: as it is when it is set."""
    parts = [
        f'<event id="{name}" useValuesFromTriggerTime="{str(not late).lower()}">'
        f'<trigger initialValue="{initial}" persistent="{persistent}">{math(trigger)}</trigger>'
    ]
    if priority is not None:
        parts.append(f"<priority>{math(priority)}</priority>")
    if delay is not None:
        parts.append(f"<delay>{math(delay)}</delay>")
    sets = "".join(
        f'<eventAssignment variable="{variable}">{math(value)}</eventAssignment>'
        for variable, value in dict(assignments).items()
    )
    parts.append(f"<listOfEventAssignments>{sets}</listOfEventAssignments>" if sets else "")
    return "".join([*parts, "</event>"])


def side(word, members):
    references = "".join(
        member
        if member.startswith("<")
        else f'<speciesReference species="{member}" stoichiometry="1" constant="true"/>'
        for member in members
    )
    return f"<listOf{word}>{references}</listOf{word}>" if members else ""


def reaction(law, reactants=(), products=(), name="r", local=""):
    return (
        f'<reaction id="{name}" reversible="false" fast="false">{side("Reactants", reactants)}'
        f"{side('Products', products)}<kineticLaw>{math(law)}{local}</kineticLaw></reaction>"
    )


def model(*parts, attributes="", root="", functions=(), more=""):
    """A document of level 3; every part goes to its list."""
    lists = {}
    for part in (compartment(), *functions, *parts):
        word = part[1:].split()[0].split(">")[0]
        name = {
            "functionDefinition": "FunctionDefinitions",
            "compartment": "Compartments",
            "species": "Species",
            "parameter": "Parameters",
            "initialAssignment": "InitialAssignments",
            "reaction": "Reactions",
            "event": "Events",
        }.get(word, "Rules")
        lists.setdefault(name, []).append(part)
    if any('id="c"' in part for part in parts):
        del lists["Compartments"][0]
    body = "".join(f"<listOf{n}>{''.join(ps)}</listOf{n}>" for n, ps in lists.items())
    return (
        f'<sbml xmlns="{CORE}" level="3" version="1" {root}><model id="m" {attributes}>{body}{more}'
        "</model></sbml>"
    )


def read(text, **options):
    return formats.sbml.read_sbml(Source("m.xml", text), **options)


def system(text, **options):
    return str(read(text, **options).ode)


def initial(text):
    return {name: str(value) for name, value in read(text).initial_values.items()}


COUNTED = '<speciesReference id="n" species="X" stoichiometry="1" constant="false"/>'
DECAY = reaction("A", ["A"])
A = species("A")


@pytest.mark.parametrize(
    ("parts", "equation"),
    [
        ([rule("n", 3)], "X' = 3"),
        ([start("n", 3)], "X' = 3"),
        ([start("n", ("*", 2, "k")), parameter("k", 5)], "X' = 10"),
        ([rule("n", ("+", "X", 1))], "X' = 1 + X"),
        ([], "X' = 1"),
    ],
)
def test_stoichiometries_are_symbols(parts, equation):
    law = reaction(1, products=[COUNTED])
    assert system(model(species("X"), law, *parts)) == equation


def test_a_stoichiometry_that_is_not_given_is_one():
    """As other programs have it; with a name it may be given elsewhere. NaN is given, and no number."""
    bare = '<speciesReference species="A" constant="true"/>'
    named = '<speciesReference id="n" species="X" constant="false"/>'
    for reference in (bare, named):
        found = read(model(A, species("X"), reaction(("*", 3, "A"), [bare], [reference])))
        assert str(found.ode).split("\n")[0] == ("A' = 0" if reference == bare else "A' = -3*A")
        note = found.notes[0]
        who = "'A'" if reference == bare else "'A', 'X'"
        assert note == f"species without a stoichiometry in a reaction have 1 there: {who}"
    found = read(model(A, species("X"), reaction("A", [], [named])))
    assert "X' = A" in str(found.ode)
    twice = model(A, species("X"), start("n", 2), reaction("A", [], [named]))
    assert "X' = 2*A" in str(read(twice).ode) and "stoichiometry" not in str(read(twice).notes)
    wrong = bare.replace("constant", 'stoichiometry="NaN" constant')
    with pytest.raises(FileFormatError, match="the stoichiometry 'NaN' is no number"):
        read(model(A, reaction("A", [wrong])))


def test_an_application_around_another_is_that_one():
    wrapped = f"<apply>{inner(('*', 2, 'A'))}</apply>"
    assert system(model(A, reaction(wrapped, ["A"]))) == "A' = -2*A"
    assert system(model(A, reaction(("*", 3, f"<apply>{wrapped}</apply>"), ["A"]))) == "A' = -6*A"


def test_parameters_without_a_value_may_be_symbols():
    text = model(A, parameter("k"), reaction(("*", "k", "A"), ["A"]))
    with pytest.raises(
        FileFormatError, match=r"'k' is not defined .*on the command line: --parameters"
    ):
        read(text)
    assert system(text, parameters="symbolic").split("\n")[0] == "A' = -A*k"
    with pytest.raises(FileFormatError, match=r"in 'k'$"):  # which symbols would not help
        read(model(A, parameter("k"), start("A", "k"), reaction("A", ["A"])))


@pytest.mark.parametrize("law", [("*", -1, "p"), ("/", 1, ("+", 1, "p"))])
def test_a_parameter_with_a_rate_and_without_a_value_starts_at_0_with_a_note(law):
    for value in (None, "NaN"):
        found = read(model(parameter("p", value), rule("p", law, "rate")), functions=law[0] == "/")
        assert found.initial_values == {"p": 0}
        assert "variables without an initial value start at 0: 'p'" in found.notes
    given = read(model(parameter("p", 3), rule("p", law, "rate")), functions=law[0] == "/")
    assert given.initial_values == {"p": 3} and not any("start at 0" in n for n in given.notes)


def test_stoichiometries_in_formulas_and_by_rate():
    named = COUNTED.replace('stoichiometry="1"', 'stoichiometry="4"')
    law = reaction(("*", "n", "X"), products=[named])
    assert system(model(species("X"), law)) == "X' = 16*X"
    read_ = read(model(species("X"), law, rule("n", 2, "rate")))
    assert str(read_.ode) == "X' = X*n^2\nn' = 2"
    assert read_.initial_values == {"X": 1, "n": 4}


def test_a_species_on_both_sides():
    twice = '<speciesReference species="A" stoichiometry="2" constant="true"/>'
    assert system(model(A, reaction("A", ["A"], [twice]))) == "A' = A"
    assert system(model(A, reaction("A", ["A", "A"], []))) == "A' = -2*A"


@pytest.mark.parametrize(
    ("attributes", "units", "value"),
    [
        ('initialAmount="6"', "false", "3"),
        ('initialAmount="6"', "true", "6"),
        ('initialConcentration="6"', "false", "6"),
        ('initialConcentration="6"', "true", "12"),
    ],
)
@pytest.mark.parametrize("how", ["attribute", "initial assignment", "rule"])
def test_amounts_concentrations_and_sizes(attributes, units, value, how):
    parts = {
        "attribute": [compartment(attributes='size="2"')],
        "initial assignment": [compartment(attributes=""), parameter("v", 2), start("c", "v")],
        "rule": [compartment(attributes='size="7"'), parameter("v", 1), rule("c", ("+", "v", 1))],
    }[how]
    assert initial(model(species("A", attributes, units), *parts)) == {"A": value}
    law = reaction(("*", "c", "A"), ["A"])
    expected = "A' = -A" if units == "false" else "A' = -2*A"
    assert system(model(species("A", attributes, units), law, *parts)) == expected


def test_initial_assignments_read_what_rules_define():
    parts = parameter("p", 7), rule("p", 2), start("X", ("+", "p", "Y")), start("Y", ("*", 3, "p"))
    assert initial(model(species("X"), species("Y"), *parts)) == {"X": "8", "Y": "6"}


def test_rules_in_any_order():
    parts = parameter("p"), parameter("q"), rule("p", ("+", "q", "A")), rule("q", 2)
    read_ = read(model(A, reaction(("*", "p", "A"), ["A"]), *parts))
    assert str(read_.ode) == "A' = -2*A - A^2"
    assert read_.other_views == {"q": "2", "p": "q + A"}
    assert read_.notes == ("put in where they occur, as rules define them: 'p', 'q'",)
    circle = model(A, parameter("p"), parameter("q"), rule("p", "q"), rule("q", "p"), DECAY)
    with pytest.raises(FileFormatError, match="m.xml:1:[0-9]+: the definition of '.' needs itself"):
        read(circle)


def test_reactions_in_formulas():
    laws = reaction(("*", 2, "A"), ["A"], name="r1"), reaction(("*", 3, "r1"), [], ["B"], name="r2")
    assert system(model(A, species("B"), *laws)) == "A' = -2*A\nB' = 6*A"
    assert system(model(A, species("B"), *reversed(laws))) == "A' = -2*A\nB' = 6*A"


def test_species_by_rules():
    parts = A, species("B", held="true"), species("S"), parameter("k", 2)
    rules = rule("S", ("+", "A", "B")), rule("B", ("*", "k", "S"), "rate"), rule("k", "B", "rate")
    read_ = read(model(*parts, *rules, reaction("B", ["A", "B"])))
    assert str(read_.ode) == "A' = -B\nB' = A*k + B*k\nk' = B"
    assert read_.observables == {"S": {"A": 1, "B": 1}}
    assert read_.initial_values == {"A": 1, "B": 1, "k": 2}
    assert read(model(*parts, *rules), parameters="symbolic").ode.parameters == ()


@pytest.mark.parametrize(
    ("attributes", "factor", "equation"),
    [
        ('conversionFactor="k"', "", "A' = -3*A"),
        ('conversionFactor="k"', 'conversionFactor="q"', "A' = -5*A"),
        ("", 'conversionFactor="q"', "A' = -5*A"),
    ],
)
def test_conversion_factors(attributes, factor, equation):
    listed = species("A", f'initialAmount="1" {factor}')
    text_ = model(listed, parameter("k", 3), parameter("q", 5), DECAY, attributes=attributes)
    assert system(text_) == equation


def test_local_parameters_hide_global_ones():
    def law(local):
        inside = f"<listOfLocalParameters>{local}</listOfLocalParameters>"
        return model(
            A,
            parameter("k", 9),
            parameter("r_k", 1),
            reaction(("*", "k", "A"), ["A"], local=inside),
        )

    assert system(law('<localParameter id="k" value="3"/>')) == "A' = -3*A"
    with pytest.raises(FileFormatError, match="the name 'r_k_' is not defined or has no value"):
        read(law('<localParameter id="k"/>'))
    read_ = read(law('<localParameter id="k"/>'), parameters="symbolic")
    assert read_.ode.parameters == ("k", "r_k", "r_k_")
    assert read_.notes == ("parameters without a value, for which 0 is put: 'r_k_'",)


def test_parameters_that_divide_and_exponents():
    parts = A, parameter("k", 4), parameter("n", 2), reaction(("/", ("^", "A", "n"), "k"), ["A"])
    assert system(model(*parts)) == "A' = -1/4*A^2"
    with pytest.raises(NotPolynomialError, match="symbolic exponent"):
        read(model(*parts), parameters="symbolic")
    parts = A, parameter("k", 4), reaction(("/", "A", "k"), ["A"])
    read_ = read(model(*parts), parameters="symbolic")
    assert read_.ode.parameters == ("k", "inv_k") and read_.initial_values["inv_k"] == Q(1, 4)


def test_constant_species_may_divide_where_they_are_replaced():
    text_ = model(A, species("T", 'initialAmount="5"'), reaction(("/", "A", "T"), ["A"]))
    read_ = read(text_, constants="values")
    assert str(read_.ode) == "A' = -1/5*A\nT' = 0"
    with pytest.raises(NotPolynomialError, match="rational rate"):
        read(text_)
    moving = text_.replace(
        "</listOfReactions>", reaction("T", ["T"], name="s") + "</listOfReactions>"
    )
    with pytest.raises(NotPolynomialError, match="m.xml:1:[0-9]+: rational rate"):
        read(moving, constants="values")


def test_compartments_that_change():
    """The state is then the amount: A = A_amount/c."""
    grows = compartment(attributes='size="2"'), rule("c", 1, "rate")
    flat = flat_sbml(
        Source("m.xml", model(species("A", 'initialAmount="6"'), *grows, reaction(2, [], ["A"])))
    )
    assert flat.states == ("A_amount", "c")
    assert text(flat.ruled["A"]) == "A_amount/c" and text(flat.rates["A_amount"]) == "1*r"
    amounts = species("A", 'initialAmount="6"', "true")
    assert system(model(amounts, *grows, reaction("c", ["A"]))) == "A' = -c\nc' = 1"
    with pytest.raises(NotPolynomialError, match="rational rate"):
        read(model(A, *grows, DECAY))
    held = species("A").replace('constant="false"', 'constant="true"')
    with pytest.raises(FileFormatError, match="'A' is a constant concentration"):
        read(model(held, *grows))


def test_points_have_amounts():
    point = compartment(attributes='spatialDimensions="0"')
    assert system(model(point, species("A", 'initialAmount="6"'), DECAY)) == "A' = -A"


def test_the_rate_of_a_symbol():
    rate = f'<apply><csymbol definitionURL="{SYMBOLS}rateOf">rateOf</csymbol><ci>A</ci></apply>'
    parts = A, species("B"), reaction(("*", 2, "A"), ["A"]), reaction(rate, [], ["B"], name="s")
    assert system(model(*parts)) == "A' = -2*A\nB' = -2*A"
    ruled = parameter("p"), rule("p", "A"), reaction(rate.replace("A<", "p<"), ["A"])
    with pytest.raises(FileFormatError, match="the rate of 'p'"):
        read(model(A, *ruled))


def test_functions_of_numbers():
    piece = "<piecewise><piece><cn>5</cn>{}</piece><otherwise><cn>7</cn></otherwise></piecewise>"
    undefined = piece.replace("<cn>7</cn>", inner(("/", 1, 0)))  # is not chosen
    assert initial(model(A, start("A", undefined.format("<true/>")))) == {"A": "5"}
    for condition, value in (("<true/>", "9"), ("<false/>", "7")):
        nested = piece.replace("<cn>5</cn>", piece.format("<false/>").replace("7", "9"))
        assert initial(model(A, start("A", nested.format(condition)))) == {"A": value}
    empty = "<piecewise><piece><cn>5</cn><false/></piece></piecewise>"
    with pytest.raises(NotPolynomialError, match="piecewise has no value here"):
        read(model(A, start("A", empty)))
    with pytest.raises(NotPolynomialError, match="the function '<' is not polynomial"):
        read(model(A, reaction(piece.format(inner(("<lt/>", "A", 2))), ["A"])))
    chosen = piece.format(inner(("<gt/>", "k", 2)))
    parts = parameter("k", 3), start("A", chosen), reaction(("<root/>", 4), ["A"])
    assert (initial(model(A, *parts)), system(model(A, *parts))) == ({"A": "5"}, "A' = -2")
    read_ = read(model(A, start("A", "<pi/>"), reaction(("<ln/>", 2), ["A"])))
    assert read_.initial_values == {"A": Q("3.141592653589793")}
    assert read_.notes == (
        "pi taken as 3.141592653589793, its float64 value",
        "ln(2) taken as 0.6931471805599453, its float64 value",
    )
    log = "<apply><log/>{}<cn>8</cn></apply>"
    assert initial(model(A, start("A", log.format("<logbase><cn>2</cn></logbase>"))))["A"] == "3"
    cube = "<apply><root/><degree><cn>3</cn></degree><cn>8</cn></apply>"
    assert initial(model(A, start("A", cube)))["A"] == "2"
    assert initial(model(A, start("A", "avogadro")))["A"] == "602214179000000000000000"
    assert initial(model(A, start("A", ("+", "time", 3))))["A"] == "3"


def test_function_definitions_call_each_other_in_any_order():
    whole = f'<math xmlns="{MATHML}"><lambda>' + "{}</lambda></math></functionDefinition>"
    one = '<functionDefinition id="{}">' + whole
    bound = "<bvar><ci>A</ci></bvar><bvar><ci>y</ci></bvar>"
    f = one.format("f", bound + inner(("g", ("*", "A", "y"))))
    g = one.format("g", "<bvar><ci>y</ci></bvar>" + inner(("^", "y", 2)))
    law = reaction(("f", "A", 3), ["A"])
    assert system(model(A, law, functions=[f, g])) == "A' = -9*A^2"
    for bad, message in (
        (one.format("g", "<bvar><ci>y</ci></bvar>" + inner(("f", "y", "y"))), "calls itself"),
        (one.format("g", "<bvar><ci>y</ci></bvar><ci>k</ci>"), "uses 'k', which is not one of"),
        (one.format("g", "<ci>k</ci>"), "'g' has other arguments"),
        ('<functionDefinition id="g"/>', "'g' has no mathematics"),
    ):
        with pytest.raises(FileFormatError, match=message):
            read(model(A, law, parameter("k", 1), functions=[f, bad]))


def test_what_is_missing_is_said():
    read_ = read(
        model(compartment(attributes=""), species("A", ""), reaction(("*", "c", "A"), ["A"]))
    )
    assert str(read_.ode) == "A' = -A" and read_.initial_values == {"A": 0}
    assert read_.notes == (
        "compartments without a size have size 1: 'c'",
        "species without an initial value start at 0: 'A'",
    )


def test_views_that_the_system_does_not_need_may_be_anything():
    parts = parameter("p"), rule("p", ("<sin/>", "time")), parameter("q"), rule("q", ("+", "p", 1))
    assert read(model(A, DECAY, *parts)).other_views == {"p": "sin(time())", "q": "p + 1"}


LAYOUT = "http://www.sbml.org/sbml/level3/version1/layout/version1"
FBC = "http://www.sbml.org/sbml/level3/version1/fbc/version1"
QUAL = "http://www.sbml.org/sbml/level3/version1/qual/version1"
UNREAD = "the package '{}' is not read: it says of itself that it changes nothing"


OLD_LAYOUT = "http://projects.eml.org/bcb/sbml/level2"  # from before packages had names


@pytest.mark.parametrize(
    ("uri", "called"), [(LAYOUT, "layout"), (FBC, "fbc"), (OLD_LAYOUT, OLD_LAYOUT)]
)
def test_packages_that_change_nothing_are_left_out(uri, called):
    unread = UNREAD.format(called)
    root = f'xmlns:p="{uri}" p:required="false"'
    thing = '<p:listOfThings p:a="1"><p:thing/></p:listOfThings>'
    read_ = read(model(A, DECAY, root=root, more=thing))
    assert str(read_.ode) == "A' = -A" and read_.notes == (unread,)
    assert read(model(A, DECAY, root=root, attributes='p:strict="true"')).notes == (unread,)
    assert read(model(A, DECAY, root=root)).notes == ()


@pytest.mark.parametrize("name", ["qual", "spatial", "multi", "arrays", "distrib", "somethingNew"])
def test_packages_that_change_the_model_are_refused_by_name(name):
    uri = f"http://www.sbml.org/sbml/level3/version1/{name}/version1"
    with pytest.raises(FileFormatError, match=f"the package '{name}' changes what the model means"):
        read(model(root=f'xmlns:p="{uri}" p:required="true"'))


@pytest.mark.parametrize(
    ("text_", "message"),
    [
        (model(A, DECAY, more="<listOfWonders/>"), "the element <listOfWonders> in <model>"),
        (model(A.replace(" compartment", ' colour="red" compartment')), "the attribute 'colour' of <species>"),
        (model(A, more=f'<q:x xmlns:q="{QUAL}"/>'), "the element <x> of 'qual' is not supported"),
        (model(A, attributes=f'xmlns:q="{QUAL}" q:y="1"'), "the attribute 'y' of 'qual'"),
        (model(A.replace("/>", "><ci>k</ci></species>")), "<ci> in <species> is not supported"),
        (model(A, reaction(("<dance/>", "A"), ["A"])), "<dance> is not supported here"),
        (model(A, reaction("<vector/>", ["A"])), "<vector> is not supported here"),
        (model(A, reaction("<infinity/>", ["A"])), "<infinity> is not supported here"),
        (model(A, reaction("<cn> 1e999 </cn>", ["A"])), "'1e999' is not finite"),
        (model(A, reaction("<cn> one </cn>", ["A"])), "'one' is not a number"),
        (model(A, reaction('<cn type="complex"> 1 </cn>', ["A"])), "a number of the type 'complex'"),
        (model(A, reaction("A", ["A"]).replace('fast="false"', 'fast="true"')), "fast reactions are not"),
        (model(A, reaction("A", ["B"])), "the species 'B' is not defined"),
        (model(species("A", where="d")), "the compartment 'd' is not defined"),
        (model(A, rule("Z", 1)), "a rule for 'Z', which is not defined"),
        (model(A, '<assignmentRule name="k"></assignmentRule>'), "a rule for '', which"),
        (model(A.replace('hasOnlySubstanceUnits="false"', "")), "does not say whether hasOnlySubstance"),
        (model(A.replace('boundaryCondition="false"', "")), "does not say whether boundaryCondition"),
        (model(A, start("Z", 1)), "an initial assignment to 'Z', which is not defined"),
        (model(A, rule("A", 1), start("A", 1)), "two initial assignments or rules are for 'A'"),
        (model(A, rule("A", 1), DECAY), "'A' is changed by reactions, and has a rule"),
        (model(A.replace('constant="false"', 'constant="true"'), DECAY), "'A' is constant, is not a bound"),
        (model(species("A", 'initialAmount="1" initialConcentration="1"')), "'A' has an initial amount and"),
        (model(A, rule("A", 1).replace("assignmentRule", "algebraicRule")), "algebraic rules"),
        (model(A, parameter("k").replace("false", "true"), rule("k", 1)), "'k' is constant, and has a rule"),
        (model(A, DECAY, attributes='conversionFactor="A"'), "the conversion factor 'A' is no"),
        (model(A.replace('constant="false"', 'constant="no"')), "constant='no' is neither true nor false"),
        (model(A).replace("level3/version1", "level4/version1"), "not <sbml> of a level up to 3"),
        (model(A, DECAY.replace("kineticLaw", "kineticRule")), "the element <kineticRule> in <reaction>"),
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_by_name(text_, message):
    with pytest.raises(InputError) as caught:
        read(text_)
    assert str(caught.value).startswith("m.xml:1:") and message in str(caught.value)


def test_the_time_is_refused_by_name():
    with pytest.raises(NotPolynomialError, match="the time occurs"):
        read(model(A, reaction("time", ["A"])))


DELAYED = (f'<csymbol encoding="text" definitionURL="{SYMBOLS}delay">d</csymbol>', "A", 1)
LAMBDA = (
    f'<functionDefinition id="f"><math xmlns="{MATHML}"><lambda><bvar><ci>x</ci></bvar>{{}}</lambda></math>'
    "</functionDefinition>"
)
LATE = ("<gt/>", "A", 2)


@pytest.mark.parametrize("functions", [False, True])
@pytest.mark.parametrize("level", ["3/version2/core", "3/version1/core", "2/version4", "2"])
@pytest.mark.parametrize(
    "parts",
    [
        (reaction(DELAYED, ["A"]),),
        (LAMBDA.format(inner(DELAYED).replace("A", "x")), reaction(("f", "A"), ["A"])),
        (parameter("p"), rule("p", DELAYED), reaction("p", ["A"])),
        (parameter("p", 1), rule("p", DELAYED, "rate")),
        (parameter("p"), start("p", DELAYED), reaction("p", ["A"])),
        (DECAY, event(("<gt/>", DELAYED, 2), {"A": 1})),
        (DECAY, event(LATE, {"A": 1}, delay=DELAYED)),
        (DECAY, event(LATE, {"A": DELAYED})),
    ],
)
def test_delayed_values_are_refused_by_name_wherever_they_stand(parts, level, functions):
    written = model(A, *parts).replace(CORE, f"http://www.sbml.org/sbml/level{level}")
    number_, version = level[0], level.partition("version")[2][:1] or "1"
    written = written.replace('level="3" version="1"', f'level="{number_}" version="{version}"')
    if number_ == "2":
        for new in (' initialValue="true"', ' persistent="true"', ' constant="true"'):
            written = written.replace(new, "")
    with pytest.raises(InputError, match="^m.xml:1:[0-9]+: delayed values are not supported"):
        read(written, functions=functions)


def test_constraints_are_left_out_and_said():
    text_ = model(A, DECAY, more="<listOfConstraints><constraint/></listOfConstraints>")
    assert read(text_).notes == ("constraints are not read: they change no solution",)


def test_level_2():
    text_ = f"""<sbml xmlns="{LEVEL2}" xmlns:layout="{LAYOUT}" layout:required="false" level="2" version="4">
    <model id="m"><listOfUnitDefinitions><unitDefinition id="u"/></listOfUnitDefinitions>
    <listOfCompartments><compartment id="c" size="2"/></listOfCompartments>
    <listOfSpecies><species id="A" compartment="c" initialAmount="4"/></listOfSpecies>
    <listOfParameters><parameter id="k" value="3"/></listOfParameters>
    <listOfReactions><reaction id="r"><listOfReactants><speciesReference species="A">
    <stoichiometryMath>{math("k")}</stoichiometryMath></speciesReference></listOfReactants>
    <kineticLaw>{math(("*", "c", "A", "q"))}<listOfParameters><parameter id="q" value="5"/></listOfParameters>
    </kineticLaw></reaction></listOfReactions></model></sbml>"""
    read_ = read(text_)
    assert str(read_.ode) == "A' = -15*A" and read_.initial_values == {"A": 2}
    assert read_.notes == ("constants replaced by their values: 'k', 'r_q', 'c'",)


def test_level_1():
    text_ = """<sbml xmlns="http://www.sbml.org/sbml/level1" level="1" version="1"><model name="m">
    <listOfCompartments><compartment name="c"/></listOfCompartments>
    <listOfSpecies><specie name="A" compartment="c" initialAmount="4"/></listOfSpecies>
    <listOfParameters><parameter name="k" value="3"/><parameter name="s" value="1"/></listOfParameters>
    <listOfRules><parameterRule name="s" formula="k + log(1)" /></listOfRules>
    <listOfReactions><reaction name="r"><listOfReactants><specieReference specie="A" stoichiometry="3"
    denominator="2"/></listOfReactants><kineticLaw formula="s*q*pow(A, 2)"><listOfParameters>
    <parameter name="q" value="5"/></listOfParameters></kineticLaw></reaction></listOfReactions>
    </model></sbml>"""
    assert system(text_) == "A' = -45/2*A^2"
    with pytest.raises(
        FileFormatError, match="m.xml:7:[0-9]+: formula:1:5: the name 'q2' is not defined"
    ):
        read(text_.replace("s*q*", "s*  q2*").replace("s*  q2", "s * q2"))


def test_numbers():
    for written, value in (
        ("1e-400", Q(1, 10**400)),
        ("+.5", Q(1, 2)),
        ("0.30000000000000004", Q("0.30000000000000004")),
        ("3.14159265358979323846", Q("3.141592653589793")),
    ):
        assert number(written) == value
    for written in ("INF", "-INF", "NaN", "1_0", "", "0x1"):
        with pytest.raises(FileFormatError):
            number(written)


COMP = "http://www.sbml.org/sbml/level3/version1/comp/version1"
COMPOSED = f"""<?xml version="1.0" encoding="UTF-8"?>
<sbml xmlns="{CORE}" xmlns:comp="{COMP}" level="3" version="1" comp:required="true"><model id="top">
<listOfCompartments><compartment id="c" spatialDimensions="3" size="1" constant="true"/></listOfCompartments>
<listOfSpecies><species id="A" compartment="c" initialAmount="1" hasOnlySubstanceUnits="true"
boundaryCondition="false" constant="false"><comp:listOfReplacedElements>
<comp:replacedElement comp:idRef="A" comp:submodelRef="s"/></comp:listOfReplacedElements></species>
</listOfSpecies>
<comp:listOfSubmodels><comp:submodel comp:id="s" comp:modelRef="decay"/></comp:listOfSubmodels></model>
<comp:listOfModelDefinitions><comp:modelDefinition id="decay">
<listOfCompartments><compartment id="c" spatialDimensions="3" size="1" constant="true"/></listOfCompartments>
<listOfSpecies>{A.replace('Units="false"', 'Units="true"')}</listOfSpecies>
<listOfReactions>{DECAY}</listOfReactions></comp:modelDefinition></comp:listOfModelDefinitions></sbml>
"""


def test_submodels_are_put_together():
    pytest.importorskip("libsbml")
    read_ = read(COMPOSED)
    assert str(read_.ode) == "A' = -A"
    assert read_.notes[0].startswith("submodels were put together by libsbml")
    outside = COMPOSED.replace("<comp:listOfModelDefinitions>", '<comp:listOfExternalModelDefinitions>'
        '<comp:externalModelDefinition comp:id="x" comp:source="/etc/passwd"/>'
        "</comp:listOfExternalModelDefinitions><comp:listOfModelDefinitions>")  # fmt: skip
    with pytest.raises(FileFormatError, match="m.xml:9:.*models in other files"):
        read(outside)
    with pytest.raises(FileFormatError, match="m.xml: put together from its submodels:.*algebraic"):
        rule_ = (
            f"</listOfSpecies><listOfRules><algebraicRule>{math('A')}</algebraicRule></listOfRules>"
        )
        read(COMPOSED.replace("</listOfSpecies>", rule_, 1))
    with pytest.raises(FileFormatError, match="m.xml:"):
        read(COMPOSED.replace('modelRef="decay"', 'modelRef="nowhere"'))


def test_submodels_need_the_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "libsbml", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'symlump\[sbml\]'"):
        read(COMPOSED)
    assert system(model(A, DECAY)) == "A' = -A"


def test_documents_know_their_places():
    text_ = model(A, DECAY).replace("<listOfSpecies>", "\n  <listOfSpecies>\n ")
    document = parse(Source("m.xml", text_))
    found = document.model.listed("listOfSpecies")[0]
    assert document.place(found) == "m.xml:3:2" and found.get("id") == "A"


def test_the_flat_model_holds_what_is_not_polynomial():
    law = reaction(("/", "A", ("+", "k", "A")), ["A"])
    flat = flat_sbml(Source("m.xml", model(A, parameter("k", 2), law)))
    assert flat.ruled["r"] == Call("/", ("A", Call("+", ("k", "A"))))
    assert text(flat.rates["A"]) == "-1*r/c"
    assert (flat.states, flat.parameters, flat.fixed) == (("A",), ("k",), ("c",))


@pytest.mark.parametrize(
    ("spoilt", "expected", "start_value"),
    [
        ('<rateRule variable="k"/>', "A' = -1/2*A", 1),
        ('<assignmentRule variable="k"/>', "A' = -1/2*A", 1),
        (
            '<rateRule variable="k"><math xmlns="http://www.w3.org/1998/Math/MathML"/></rateRule>',
            "A' = -1/2*A",
            1,
        ),
        ('<initialAssignment symbol="A"/>', "A' = -1/2*A", 1),
    ],
)
def test_what_has_no_mathematics_is_as_if_it_were_not_there(spoilt, expected, start_value):
    """As the results of the suite's cases 01234 to 01236 and 01552 to 01557 are."""
    text = model(A, parameter("k", 0.5), reaction(("*", "k", "A"), ["A"]))
    part = "listOfInitialAssignments" if "initial" in spoilt else "listOfRules"
    text = text.replace("<listOfReactions>", f"<{part}>{spoilt}</{part}><listOfReactions>")
    found = read(text)
    assert str(found.ode) == expected and found.initial_values["A"] == start_value
    assert any("has no mathematics, and is as if it were not there" in n for n in found.notes)


def test_balances_of_fluxes_are_refused_by_name():
    text = model(A, reaction("A", ["A"]))
    head, law = text.index("<kineticLaw"), text.index("</kineticLaw>")
    text = text[:head] + text[law + len("</kineticLaw>") :]
    with pytest.raises(FileFormatError, match="'r' has no kinetic law; a diagram does not"):
        read(text)
    fbc = ' xmlns:fbc="http://www.sbml.org/sbml/level3/version1/fbc/version2" fbc:required="false" level='
    with pytest.raises(
        FileFormatError, match="no kinetic law; balances of fluxes .package fbc. are"
    ):
        read(text.replace(" level=", fbc, 1))
