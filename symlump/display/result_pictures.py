"""Pictures of the results that are no partition: what :func:`symlump.draw` makes of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

from symlump.display.drawing import PALETTE, new_figure
from symlump.display.graph_picture import draw_graphs, draw_lumping, draw_system
from symlump.display.hmatrix_picture import draw_hmatrix
from symlump.display.matrix_picture import draw_matrix
from symlump.display.sweep_picture import draw_sweep
from symlump.display.trajectory_picture import draw_trajectory
from symlump.errors import MethodError
from symlump.memory import memory_errors
from symlump.ode.notation import name_latex

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from symlump.compression.compression import Compression
    from symlump.lumping.conditions import Conditions
    from symlump.lumping.linear.hierarchy import Hierarchy
    from symlump.lumping.linear.linear_lumping import LinearLumping
    from symlump.proof.certificate import Certificate

_MAX_VARIABLES = 2000
_LABELLED = 40
_WRITTEN = 12
_BARS = 40
_LINES = 14


def draw_linear(lumping: LinearLumping) -> Figure:
    """The matrix L of y = L·x, one row for each variable of the quotient, and the quotient's own matrix."""
    if len(lumping.ode) > _MAX_VARIABLES:
        raise MethodError(
            f"a matrix of {len(lumping.ode)} columns is too large to draw legibly (at most {_MAX_VARIABLES}); "
            "use lumping.matrix"
        )
    if not len(lumping):
        raise MethodError("a lumping without rows has no picture")
    figure = new_figure(9.0, 4.6)
    left, right = figure.subplots(1, 2)
    _coefficients(left, lumping.matrix.toarray(), lumping.quotient.variables, lumping.ode.variables)
    draw_matrix(right, lumping.quotient, np.arange(len(lumping)))
    left.set_title("y = L·x")
    right.set_title("dependences of the quotient")
    figure.suptitle(lumping.headline(), fontsize=11, wrap=True)
    return figure


def _coefficients(axes: Any, matrix: Any, rows: tuple[str, ...], columns: tuple[str, ...]) -> None:
    """Zeros white, positive purple, negative orange; a small matrix also shows its numbers."""
    largest = float(np.abs(matrix).max(initial=0.0)) or 1.0
    # The dark ends of the map are left out: black digits have a contrast of at least 6.9 on the rest.
    axes.imshow(matrix, cmap="PuOr", vmin=-2 * largest, vmax=2 * largest, aspect="auto")
    for names, ticks in ((rows, axes.set_yticks), (columns, axes.set_xticks)):
        if len(names) <= _LABELLED:
            ticks(range(len(names)), [f"${name_latex(name)}$" for name in names])
        else:
            ticks([])
    if len(columns) > _WRITTEN:
        axes.tick_params(axis="x", rotation=90)
    elif len(rows) <= _WRITTEN:
        for i, j in np.argwhere(matrix):
            axes.text(j, i, f"{matrix[i, j]:.3g}", ha="center", va="center")


def draw_hierarchy(chain: Hierarchy) -> Figure:
    """A bar for each lumping, as high as its dimension; the step to it is the dark part."""
    heights = [*chain.dimensions, len(chain.ode)]
    if len(heights) > _BARS:
        raise MethodError(
            f"{len(heights)} steps are too many to draw legibly (at most {_BARS}); use chain.dimensions"
        )
    figure = new_figure(max(5.5, 0.8 * len(heights) + 2), 4.4)
    from matplotlib.ticker import MaxNLocator

    axes = figure.subplots()
    below = 0
    for k, (height, factor) in enumerate(zip(heights, chain.factors, strict=True)):
        axes.bar(k, below, color="#DDDDDD", edgecolor="black", width=0.7)
        hatch = "" if factor.irreducible else "//"
        axes.bar(
            k,
            height - below,
            bottom=below,
            color=PALETTE[1],
            edgecolor="black",
            width=0.7,
            hatch=hatch,
        )
        if factor.pieces is not None and factor.pieces > 1:
            for cut in range(1, factor.pieces):
                at = below + cut * (height - below) / factor.pieces
                axes.plot([k - 0.35, k + 0.35], [at, at], color="black", linestyle=":")
        axes.text(k, height, str(height), ha="center", va="bottom")
        below = height
    names = [f"{k + 1}" for k in range(len(chain))] + ["all"]
    axes.set_xticks(range(len(heights)), names)
    axes.set_xlabel("lumping\n(dotted: steps over irrational numbers; hatched: there may be more)")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("dimension")
    axes.set_title(
        f"{len(chain.ode)} variables, {'maximal ' if chain.maximal else ''}chain of linear lumpings",
        fontsize=11,
    )
    return figure


def draw_compression(compression: Compression) -> Figure:
    """Two bars a layer: its parameters, and those that remain; with units → blocks."""
    layers = compression.layers
    if len(layers) > _BARS:
        raise MethodError(
            f"{len(layers)} layers are too many to draw legibly (at most {_BARS}); use compression.layers"
        )
    figure = new_figure(7.5, 0.55 * len(layers) + 1.8)
    axes = figure.subplots()
    at = np.arange(len(layers))
    before = [layer.parameters for layer in layers]
    after = [layer.retained_parameters for layer in layers]
    axes.barh(at, before, height=0.7, color="#DDDDDD", edgecolor="black", label="before")
    axes.barh(at, after, height=0.4, color=PALETTE[4], edgecolor="black", label="retained")
    for k, layer in enumerate(layers):
        units = f"{layer.units} units"
        if layer.blocks != layer.units:
            units = f"{layer.units} → {layer.blocks} units"
        axes.text(max(before[k], after[k]), k, f"  {units}", va="center", fontsize=9)
    axes.set_yticks(at, [layer.name for layer in layers])
    axes.invert_yaxis()
    axes.margins(x=0.22)
    axes.set_xlabel("parameters")
    axes.legend(frameon=False, loc="best")
    figure.suptitle(compression.headline(), fontsize=10, wrap=True)
    return figure


def draw_conditions(conditions: Conditions) -> Figure:
    """The blocks, and below them one line for each expression that must be zero."""
    import sympy

    blocks = ["{" + ", ".join(block) + "}" for block in conditions.blocks if len(block) > 1]
    lines = [f"blocks: {', '.join(blocks) or 'none of more than one variable'}"]
    if conditions.holds:
        lines.append(f"{conditions.direction} equivalence for all parameter values")
    elif conditions.impossible:
        lines.append(f"{conditions.direction} equivalence for no parameter values")
    else:
        lines.append(f"{conditions.direction} equivalence iff")
        shown = conditions.expressions[:_LINES]
        lines += [f"    ${sympy.latex(expression)} = 0$" for expression in shown]
        if len(conditions.expressions) > len(shown):
            lines.append(f"    … {len(conditions.expressions) - len(shown)} more")
    return _panel(lines)


def _panel(lines: list[str]) -> Figure:
    figure = new_figure(7.0, 0.36 * len(lines) + 0.4)
    for k, line in enumerate(lines):
        figure.text(0.03, 1 - (k + 0.7) / (len(lines) + 0.4), line, fontsize=12, va="center")
    return figure


def draw_certificate(certificate: Certificate) -> Figure:
    """What a certificate claims, as graphs or as the matrix L, under the checker's verdict.

    Raises
    ------
    MethodError
        If it names its system by digest only.
    FileFormatError
        If it has not the form of a certificate.
    """
    data = certificate.data
    if "system" not in data:
        raise MethodError(
            "this certificate names its system by its digest only; draw one that holds it"
        )
    verdict = certificate.check()
    title = f"{verdict.answer}: {verdict.reason}"
    if "blocks" in data:
        return draw_graphs(
            lambda: _dependencies(data["system"], data.get("functions", {})),
            lambda: _dependencies(data["quotient"], data.get("quotient_functions", {})),
            data["blocks"],
            title,
        )
    rows, columns = tuple(data["matrix"]), tuple(data["system"])
    if len(columns) > _MAX_VARIABLES:
        raise MethodError(
            f"a matrix of {len(columns)} columns is too large to draw legibly (at most {_MAX_VARIABLES}); "
            "use certificate.data"
        )
    from symlump.proof.check import read_polynomial

    index = {name: j for j, name in enumerate(columns)}
    matrix = np.zeros((len(rows), len(columns)))
    for i, name in enumerate(rows):
        for monomial, value in read_polynomial(data["matrix"][name]).items():
            matrix[i, index[monomial[0][0]]] = float(value)
    figure = new_figure(6.0, 4.6)
    _coefficients(figure.subplots(), matrix, rows, columns)
    figure.suptitle(title, fontsize=11, wrap=True)
    return figure


def _dependencies(system: Mapping[str, Any], functions: Mapping[str, Any]) -> nx.DiGraph:
    """An edge x → y where x occurs in the equation of y, also inside of functions."""
    inside: dict[str, set[str]] = {name: {name} for name in system}

    def occurring(terms: Any) -> set[str]:
        return set().union(*(inside.get(s, ()) for _, monomial in terms for s, _ in monomial))

    for symbol, (_, arguments) in functions.items():  # arguments name earlier functions only
        inside[symbol] = set().union(*map(occurring, arguments))
    graph: nx.DiGraph = nx.DiGraph()
    graph.add_nodes_from(system)
    graph.add_edges_from((x, y) for y, terms in system.items() for x in sorted(occurring(terms)))
    return graph


#: By the name of the class, so that drawing one thing does not import all the others.
PICTURES: dict[str, Callable[[Any], Any]] = {
    "Lumping": draw_lumping,
    "LinearLumping": draw_linear,
    "Hierarchy": draw_hierarchy,
    "Conditions": draw_conditions,
    "Certificate": draw_certificate,
    "Refinement": lambda refinement: refinement.figure(),
    "Sweep": draw_sweep,
    "Compression": draw_compression,
    "Annealing": lambda annealing: annealing.draw(),
    "HMatrix": draw_hmatrix,
    "Trajectory": draw_trajectory,
    "ODE": draw_system,
    "PolynomialODE": draw_system,
}


@memory_errors()
def draw(result: Any) -> Figure:
    """Draw any result: a system, a lumping, a sweep, a compression and others.

    ====================  ==========================================================================
    Lumping, Certificate  the dependency graph with its blocks coloured, and the quotient's beside it
    LinearLumping         the matrix L, and the dependences of the quotient
    Hierarchy             the dimensions of the chain, step by step
    Conditions            the blocks, and what must be zero
    Refinement            every round's partition
    Sweep                 blocks and errors against ε
    Compression           parameters of each layer before and after
    Annealing             accuracy or loss against the share of parameters
    HMatrix               the blocks and their ranks
    Trajectory            the solution against time
    PolynomialODE         the dependency graph
    ====================  ==========================================================================

    In a dependency graph an arrow x → y says that x occurs in the equation of y; a black ring around a node,
    that it occurs in its own. Merged blocks have colours, beyond eight also hatches; what stays alone is grey.
    A system or lumping of more than 150 variables is drawn as a matrix, its quotient as a graph where that is
    small enough; the picture says so.

    Parameters
    ----------
    result : object
        One of the above.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MethodError
        If there is no picture of such an object, or it is too large to draw legibly.
    MissingExtraError
        If matplotlib is not installed.

    Examples
    --------
    >>> import sympy, symlump as sl
    >>> a, b = sympy.symbols("a b")
    >>> figure = draw(sl.lump(sl.PolynomialODE.from_sympy({a: -a, b: -b}), sl.Forward()))
    >>> [axes.get_title() for axes in figure.axes]
    ['2 variables', '1 block']
    """
    for kind in type(result).__mro__:
        if kind.__name__ in PICTURES and kind.__module__.startswith("symlump."):
            figure: Figure = PICTURES[kind.__name__](result)
            return figure
    raise MethodError(
        f"draw cannot draw a {type(result).__name__}; it takes a {', '.join(PICTURES)}"
    )
