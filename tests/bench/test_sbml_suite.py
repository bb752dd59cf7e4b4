"""The measurement against the SBML test suite, on two cases of our own in its layout."""

import json
import math

import pytest

from symlump.bench.sbml_suite import measure
from symlump.cli.main import main
from symlump.errors import InputError

DECAY = """<sbml xmlns="http://www.sbml.org/sbml/level3/version2/core" level="3" version="2"><model id="m">
<listOfCompartments><compartment id="c" size="2" constant="true"/></listOfCompartments>
<listOfSpecies><species id="A" compartment="c" initialAmount="4" hasOnlySubstanceUnits="false"
boundaryCondition="false" constant="false"/></listOfSpecies>
<listOfParameters><parameter id="p" constant="false"/></listOfParameters>
<listOfRules><assignmentRule variable="p"><math xmlns="http://www.w3.org/1998/Math/MathML">
<apply><exp/><ci>A</ci></apply></math></assignmentRule></listOfRules>
<listOfReactions><reaction id="r" reversible="false"><listOfReactants><speciesReference species="A"
stoichiometry="1" constant="true"/></listOfReactants><kineticLaw>
<math xmlns="http://www.w3.org/1998/Math/MathML"><apply><times/><ci>c</ci><ci>A</ci></apply></math>
</kineticLaw></reaction></listOfReactions></model></sbml>
"""
SETTINGS = """start: 0
variables: A, p
absolute: 1e-7
relative: 1e-4
amount: A
concentration:
"""


def decay(t):
    return 2 * math.exp(-t)


def suite(folder, *changes):
    """Cases of a decay, each changed in the text of the model, with the solution that its results hold."""
    for k, (old, new, solution) in enumerate(changes, start=1):
        case = folder / f"{k:05}"
        case.mkdir()
        (case / f"{case.name}-sbml-l3v2.xml").write_text(DECAY.replace(old, new))
        (case / f"{case.name}-settings.txt").write_text(SETTINGS)
        rows = []
        for t in (0.0, 0.5, 1.0):
            a = solution(t)
            rows.append(f"{t},{2 * a},{math.exp(a)}")
        (case / f"{case.name}-results.csv").write_text("\n".join(["time,A,p", *rows]) + "\n")
    return folder


def test_right_wrong_and_refused(tmp_path, capsys):
    folder = suite(
        tmp_path,
        ("", "", decay),
        ("", "", lambda t: 1.01 * decay(t)),
        ("<times/>", "<divide/>", lambda t: math.sqrt(4 - 2 * t)),  # A' = −1/A
        ("<times/>", "<divide/>", decay),
        ("listOfSpecies>", "listOfWonders>", decay),
    )
    result = measure(folder)
    assert (result.right, result.partial) == (2, 0)
    assert result.wrong == [
        "00002: 'A' is 4 where 4.04 is right",
        "00004: 'A' is 3.4641 where 2.42612 is right",
    ]
    assert sum(result.refused.values()) == 1
    assert result.refused["the element <listOfWonders> in <model> is not supported"] == 1
    assert main(["bench", "sbml-suite", str(folder), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["wrong"] == result.wrong
    assert main(["bench", "sbml-suite", str(folder)]) == 1
    assert "00002: 'A' is 4" in capsys.readouterr().out
    # There are no files of this version.
    assert main(["bench", "sbml-suite", str(folder), "--version", "l1v2", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["wrong"] == []


def test_a_folder_without_cases(tmp_path):
    with pytest.raises(InputError, match="has no cases"):
        measure(tmp_path)
    assert measure(suite(tmp_path, ("", "", decay)), "l1v2").right == 0
