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


def suite(folder, *changes):
    """Cases of a decay whose results are right; each change is (in the model, in the results)."""
    for k, (old, new, factor) in enumerate(changes, start=1):
        case = folder / f"{k:05}"
        case.mkdir()
        (case / f"{case.name}-sbml-l3v2.xml").write_text(DECAY.replace(old, new))
        (case / f"{case.name}-settings.txt").write_text(SETTINGS)
        rows = []
        for t in (0.0, 0.5, 1.0):
            a = 2 * math.exp(-t)
            rows.append(f"{t},{2 * a * factor},{math.exp(a)}")
        (case / f"{case.name}-results.csv").write_text("\n".join(["time,A,p", *rows]) + "\n")
    return folder


def test_right_wrong_and_refused(tmp_path, capsys):
    folder = suite(
        tmp_path,
        ("", "", 1),
        ("", "", 1.01),
        ("<times/>", "<divide/>", 1),
        ("listOfSpecies>", "listOfWonders>", 1),
    )
    result = measure(folder)
    assert (result.right, result.partial) == (1, 0)
    assert result.wrong == ["00002: 'A' is 4 where 4.04 is right"]
    assert sum(result.refused.values()) == 2
    assert result.refused["the element <listOfWonders> in <model> is not supported"] == 1
    assert main(["bench", "sbml-suite", str(folder), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["wrong"] == result.wrong
    assert main(["bench", "sbml-suite", str(folder)]) == 1
    assert "00002: 'A' is 4" in capsys.readouterr().out


def test_a_folder_without_cases(tmp_path):
    with pytest.raises(InputError, match="holds no cases"):
        measure(tmp_path)
    assert measure(suite(tmp_path, ("", "", 1)), "l1v2").right == 0
