"""Pictures and graph texts: what they hold, and what they refuse."""

import re
import shutil
import subprocess

import numpy as np
import pytest
import sympy

import symlump as sl
from symlump.datasets.systems import chain, h_tree, multisite_phosphorylation
from symlump.errors import MethodError

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def lumping():
    return sl.lump(multisite_phosphorylation(2), sl.Forward())


def test_every_round_of_a_refinement_is_told(lumping):
    refinement = sl.Refinement.of(lumping)
    assert refinement.rounds[0].partition == lumping.initial
    assert refinement.rounds[-1].partition == lumping.partition
    for step, following in zip(refinement.rounds, refinement.rounds[1:], strict=False):
        assert following.partition <= step.partition and step.reasons
    text = str(refinement)
    assert text.count("round ") == len(refinement.rounds)
    assert text.endswith("nothing splits: this is the coarsest forward equivalence")


def test_a_refinement_of_several_rounds_backward():
    refinement = sl.Refinement.of(sl.lump(chain(5), sl.Backward()))
    assert len(refinement.rounds) > 2
    assert "the equations, on the blocks, have at" in str(refinement)
    axes = refinement.figure().axes[0]
    boxes = sum(len(step.partition) for step in refinement.rounds)
    assert len(axes.patches) == boxes


def test_pictures_say_what_they_show(lumping):
    left, right = sl.draw_blocks(lumping).axes
    assert left.images[0].get_array().shape == (18, 18)
    assert right.images[0].get_array().shape == (12, 12)
    assert len(left.lines) == 2 * 11
    circuit = sl.lump(h_tree(3, 0.01), sl.Backward(6e-4))
    figure = sl.draw_trajectories(circuit, np.zeros(7), np.linspace(0, 3, 20), bound=0.1)
    axes = figure.axes[0]
    assert len(axes.lines) == 2 * 3 and len(axes.collections) == 3
    for thick, dashed in zip(axes.lines[::2], axes.lines[1::2], strict=True):
        assert np.abs(thick.get_ydata() - dashed.get_ydata()).max() < 1e-3


def test_graph_texts_have_all_nodes_and_edges(lumping):
    dot, mermaid = sl.to_dot(lumping), sl.to_mermaid(lumping)
    edges = lumping.ode.dependency_graph().number_of_edges()
    assert dot.count(" -> ") == mermaid.count(" --> ") == edges
    assert dot.count("subgraph") == mermaid.count("subgraph") == 6
    if shutil.which("dot"):
        done = subprocess.run(["dot", "-Tsvg"], input=dot, text=True, capture_output=True)
        assert done.returncode == 0 and done.stdout.count("<title>") >= 18


def test_hostile_names_stay_names():
    name = 'a"]; end; click x "javascript:1"'
    ode = sl.PolynomialODE.from_sympy({sympy.Symbol(name): sympy.Symbol("b"), sympy.Symbol("b"): 0})
    lumping = sl.lump(ode, sl.Forward(), [["b"]])
    assert '"' not in re.sub(r'\(\("[^"]*"\)\)', "", sl.to_mermaid(lumping))
    assert r'"a\"]; end' in sl.to_dot(lumping)


def test_too_large_to_see():
    large = sl.lump(chain(2001), sl.Backward(1e9))
    for draw in (sl.draw, sl.draw_blocks, sl.to_dot, sl.to_mermaid):
        with pytest.raises(MethodError, match="of 2001 variables cannot"):
            draw(large)
    with pytest.raises(MethodError, match="at most 40 variables"):
        sl.draw_refinement(sl.lump(chain(41), sl.Backward()))


def test_the_system_stands_beside_its_quotient_in_colour(lumping):
    x1, x2, x3 = sympy.symbols("x1:4")
    ode = sl.PolynomialODE.from_sympy({x1: -x1 + x3, x2: -x2 + x3, x3: x1 + x2})
    small = sl.lump(ode, sl.Forward())._repr_latex_()
    assert small.count(r"\begin{aligned}") == 3
    assert r"{\color{#0072B2}{x_{1}}}" in small and r"{\color{#0072B2}{y_{1}}}" in small
    large = lumping._repr_latex_()
    assert large.count(r"\begin{aligned}") == 2  # too large for both
