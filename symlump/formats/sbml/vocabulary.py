"""What is understood of SBML: every element, with its attributes and what may stand in it.

The reader refuses whatever is not listed here, by its name and place. An element or attribute belongs in
this list when its meaning has been carried over, or when it has none for the numbers of a model.
"""

from __future__ import annotations

from collections.abc import Iterator

CORE = {
    "http://www.sbml.org/sbml/level1": 1,
    "http://www.sbml.org/sbml/level2": 2,
    **{f"http://www.sbml.org/sbml/level2/version{k}": 2 for k in range(2, 6)},
    "http://www.sbml.org/sbml/level3/version1/core": 3,
    "http://www.sbml.org/sbml/level3/version2/core": 3,
}
MATHML = "http://www.w3.org/1998/Math/MathML"
COMP = "http://www.sbml.org/sbml/level3/version1/comp/version1"

# Element: attributes | elements in it. Common to all are id, name, metaid and sboTerm.
_ELEMENTS = """
sbml: level version | model
model: substanceUnits timeUnits volumeUnits areaUnits lengthUnits extentUnits conversionFactor |
    listOfFunctionDefinitions listOfCompartments listOfSpecies listOfParameters listOfInitialAssignments
    listOfRules listOfReactions listOfEvents
listOfFunctionDefinitions: | functionDefinition
functionDefinition: | math
listOfCompartments: | compartment
compartment: size volume spatialDimensions constant units outside compartmentType |
listOfSpecies: | species specie
species: compartment initialAmount initialConcentration hasOnlySubstanceUnits boundaryCondition constant
    conversionFactor substanceUnits spatialSizeUnits units charge speciesType |
listOfParameters: | parameter
parameter: value units constant |
listOfInitialAssignments: | initialAssignment
initialAssignment: symbol | math
listOfRules: | assignmentRule rateRule speciesConcentrationRule specieConcentrationRule
    compartmentVolumeRule parameterRule
assignmentRule: variable | math
rateRule: variable | math
speciesConcentrationRule: species specie formula type |
compartmentVolumeRule: compartment formula type |
parameterRule: formula type units |
listOfReactions: | reaction
reaction: reversible fast compartment | listOfReactants listOfProducts listOfModifiers kineticLaw
listOfReactants: | speciesReference specieReference
listOfProducts: | speciesReference specieReference
listOfModifiers: | modifierSpeciesReference
speciesReference: species specie stoichiometry denominator constant | stoichiometryMath
modifierSpeciesReference: species |
stoichiometryMath: | math
kineticLaw: formula timeUnits substanceUnits | math listOfParameters listOfLocalParameters
listOfLocalParameters: | localParameter
localParameter: value units |
listOfEvents: | event
event: useValuesFromTriggerTime timeUnits | trigger priority delay listOfEventAssignments
trigger: initialValue persistent | math
priority: | math
delay: | math
listOfEventAssignments: | eventAssignment
eventAssignment: variable | math
"""

#: Elements that say nothing about the numbers, and are not looked into.
SILENT = frozenset(
    ["notes", "annotation", "listOfUnitDefinitions", "listOfCompartmentTypes", "listOfSpeciesTypes"]
)
#: Elements that are not looked into, and what is said about that.
SAID = {"listOfConstraints": "constraints are not read: they change no solution"}

_NAMES = {"algebraicRule": "algebraic rules are"}


def _table(text: str) -> Iterator[tuple[str, tuple[frozenset[str], frozenset[str]]]]:
    for entry in text.strip().replace("\n    ", " ").split("\n"):
        tag, rest = entry.split(":")
        attributes, children = rest.split("|")
        common = "id", "name", "metaid", "sboTerm"
        yield tag, (frozenset({*attributes.split(), *common}), frozenset(children.split()))


#: For each element the attributes and the elements that it may have.
VOCABULARY = dict(_table(_ELEMENTS))
VOCABULARY |= {
    "specie": VOCABULARY["species"],
    "specieReference": VOCABULARY["speciesReference"],
    "specieConcentrationRule": VOCABULARY["speciesConcentrationRule"],
}


def refusal(tag: str, parent: str) -> str:
    """What is said of an element that is not understood where it stands.

    Examples
    --------
    >>> refusal("algebraicRule", "listOfRules"), refusal("wonder", "model")
    ('algebraic rules are not supported', 'the element <wonder> in <model> is not supported')
    """
    return f"{_NAMES.get(tag, f'the element <{tag}> in <{parent}> is')} not supported"
