"""Pictures and graph texts: what they hold, and what they refuse."""

import io
import re
import shutil
import subprocess

import numpy as np
import pytest
import sympy

import symlump as sl
from symlump.colours import Look, block_numbers, ink_name
from symlump.datasets.systems import chain, h_tree, multisite_phosphorylation
from symlump.display.drawing import alternative_text, save_picture
from symlump.display.layout import APART, places
from symlump.display.trajectory_picture import time_window
from symlump.errors import MethodError

pytest.importorskip("matplotlib")
from matplotlib.colors import to_hex


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


def test_what_is_large_is_drawn_in_another_way():
    large = sl.lump(chain(2001), sl.Backward(1e9))
    for write in (sl.to_dot, sl.to_mermaid):
        with pytest.raises(MethodError, match="2001 variables is too large to draw legibly"):
            write(large)
    with pytest.raises(MethodError, match="at most 40 variables"):
        sl.draw_refinement(sl.lump(chain(41), sl.Backward()))
    matrix, graph = sl.draw(large).axes
    assert matrix.get_title() == "2001 variables, sorted by block\n(a cell is 4 × 4 variables)"
    assert matrix.images[0].get_array().shape == (501, 501)
    assert [text.get_text() for text in graph.texts] == ["$y_{1}$", "×2001"]
    finest = sl.lump(chain(200), sl.Backward())
    with pytest.raises(MethodError, match="200 variables is too large to draw legibly"):
        sl.draw(finest.certificate())
    assert [len(axes.images) for axes in sl.draw(finest).axes] == [1, 1]
    assert sl.draw(chain(200)).axes[0].images[0].get_array().shape == (200, 200)


def test_no_node_hides_another():
    for sites in (2, 3):
        quotient = sl.lump(multisite_phosphorylation(sites), sl.Forward()).quotient
        at = np.array(list(places(quotient.dependency_graph()).values()))
        at = (at - at.min(axis=0)) / (at.max(axis=0) - at.min(axis=0))
        rows, columns = np.triu_indices(len(at), 1)
        nearest = np.linalg.norm(at[rows] - at[columns], axis=1).min()
        assert nearest >= 0.8 * min(APART, 0.7 / np.sqrt(len(at)))


def test_the_matrix_counts_variables_inside_of_functions():
    from symlump.display.matrix_picture import _entries

    rows, columns, weight = _entries(sl.ODE.from_text("x' = 2*y/(1 + z); y' = -x; z' = exp(x*y)"))
    found = {}
    for i, j, w in zip(rows.tolist(), columns.tolist(), weight.tolist(), strict=True):
        found[i, j] = found.get((i, j), 0) + w
    assert found == {(0, 1): 2, (0, 2): 2, (1, 0): 1, (2, 0): 1, (2, 1): 1}


def test_forty_rounds_are_a_table_of_bars():
    refinement = sl.Refinement.of(sl.lump(chain(40), sl.Backward()))
    axes = refinement.figure().axes[0]
    assert len(refinement.rounds) == 40
    assert len(axes.patches) == sum(len(step.partition) for step in refinement.rounds)
    assert len(axes.texts) == 0 and len(axes.get_xticks()) == 40


def test_one_block_one_look():
    """The same colour in equations, graph, rounds and curves; no two blocks of a lumping share one."""
    lumping = sl.lump(multisite_phosphorylation(3), sl.Forward())
    merged = [block for block in lumping.blocks if len(block) > 1]
    numbers = block_numbers([len(block) for block in lumping.blocks])
    looks = [Look.of(n) for n in numbers]
    assert len(merged) == 16 and len({(look.fill, look.hatch) for look in looks}) == len(looks)
    owner = {v: look for block, look in zip(lumping.blocks, looks, strict=True) for v in block}
    graph = sl.draw(lumping).axes[0]
    drawn = {
        (to_hex(nodes.get_facecolor()[0]).upper(), nodes.get_hatch() or "")
        for nodes in graph.collections
        if len(nodes.get_offsets()) > 1
    }
    expected = {(owner[v].fill, owner[v].hatch) for block in merged for v in block}
    assert expected <= drawn
    x1, x2, x3 = sympy.symbols("x1:4")
    tree = sl.PolynomialODE.from_sympy({x1: -x1 + x3, x2: -x2 + x3, x3: x1 + x2})
    small = sl.lump(tree, sl.Forward())
    curves = sl.draw_trajectories(small, [1, 0, 0]).axes[0].lines
    assert curves[0].get_color() == Look.of(0).ink and ink_name(0) == "teal"
    assert r"{\color{teal}{\dot{x}_{1}}}" in small._repr_latex_()


def test_the_window_of_time_is_chosen():
    assert time_window(sl.ODE.from_text("x' = -x/1000"), [1.0])[-1] == 8000
    swing = time_window(sl.ODE.from_text("x' = y; y' = -x"), [1.0, 0.0])[-1]
    assert 10 * np.pi <= swing <= 20 * np.pi
    assert time_window(sl.ODE.from_text("x' = x^2"), [1.0])[-1] < 1
    assert time_window(sl.ODE.from_text("x+ = x/2"), [1.0]).tolist() == list(range(61))
    circuit = sl.lump(multisite_phosphorylation(2), sl.Forward())
    axes = sl.draw_trajectories(circuit, np.ones(18)).axes[0]
    assert "the 8 of 12 blocks that change most" in axes.get_title()


def test_formulas_of_results_pass_through_tex(tmp_path, lumping):
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed")
    tree, spiral = systems()
    k1, k2, x, y = sympy.symbols("k1 k2 x y")
    rates = sl.PolynomialODE.from_sympy({x: -k1 * x, y: -k2 * y}, parameters=[k1, k2])
    results = [
        tree, lumping, sl.lump(tree, sl.Forward(eps=0.1)), sl.lump(spiral, sl.Constrained(["x1"])),
        sl.ODE.from_text("a_b' = 2*c/(1 + exp(a_b)); c' = -c^k; k' = 0"),
        sl.lump(tree, sl.Forward()).explain("x1", "x3"),
        sl.conditions(rates, [["x", "y"]], sl.Forward()),
        sl.lump(sl.encode(sl.Network.dense([[[1.0, 2.0], [1.0, 2.0]], [[1.0, 1.0]]])), sl.Forward()),
    ]  # fmt: skip
    # The two names of colours that xcolor has and the smaller package does not.
    colours = r"\definecolor{teal}{rgb}{0,.5,.5}\definecolor{olive}{rgb}{.5,.5,0}"
    text = [
        r"\documentclass{article}\usepackage{amsmath,amssymb,color}",
        colours,
        r"\begin{document}",
    ]
    text += [result._repr_latex_() + "\n" for result in results]
    (tmp_path / "formulas.tex").write_text("\n".join([*text, r"\end{document}"]))
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "formulas.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]


def test_pictures_have_an_alternative_text(tmp_path, lumping):
    figure = sl.draw(lumping)
    words = (
        "18 → 12 variables by forward equivalence, exact, proof checked; 18 variables; 12 blocks"
    )
    assert alternative_text(figure) == words and figure._repr_png_()[1] == {"alt": words}
    save_picture(figure, tmp_path / "graph.svg")
    assert words in (tmp_path / "graph.svg").read_text(encoding="utf-8")


def test_the_system_stands_beside_its_quotient_in_colour(lumping):
    x1, x2, x3 = sympy.symbols("x1:4")
    ode = sl.PolynomialODE.from_sympy({x1: -x1 + x3, x2: -x2 + x3, x3: x1 + x2})
    small = sl.lump(ode, sl.Forward())._repr_latex_()
    assert small.count(r"\begin{aligned}") == 3
    assert r"{\color{teal}{x_{1}}}" in small and r"{\color{teal}{y_{1}}}" in small
    large = lumping._repr_latex_()
    assert large.count(r"\begin{aligned}") == 2  # too large for both


def systems():
    x1, x2, x3, x4 = sympy.symbols("x1:5")
    tree = {x1: -3 * x1 + x3, x2: -3 * x2 + x3, x3: x1 + x2 - 2 * x3}
    spiral = {x1: x3**2 + x1, x2: -x1 + x2 + x4**2, x3: x4 - 2 * x3, x4: -x3 - 2 * x4}
    return sl.PolynomialODE.from_sympy(tree), sl.PolynomialODE.from_sympy(spiral)


def test_the_matrix_of_a_linear_lumping_and_of_its_certificate():
    tree, _ = systems()
    linear = sl.lump(tree, sl.Constrained(["x1 + x2"]))
    left, right = sl.draw(linear).axes
    assert np.array_equal(left.images[0].get_array(), linear.matrix.toarray())
    assert len(left.texts) == linear.matrix.nnz
    assert right.images[0].get_array().shape == (len(linear), len(linear))
    figure = sl.draw(linear.certificate())
    assert np.array_equal(figure.axes[0].images[0].get_array(), linear.matrix.toarray())
    assert figure.get_suptitle().startswith("accepted: linear lumping")
    with pytest.raises(MethodError, match="a LinearLumping"):
        sl.to_dot(linear)


def test_the_graphs_of_a_certificate_say_what_the_checker_says():
    tree, _ = systems()
    certificate = sl.lump(tree, sl.Forward()).certificate()
    figure = sl.draw(certificate)
    assert figure.get_suptitle().startswith("accepted: forward equivalence")
    assert [len(axes.texts) for axes in figure.axes] == [3, 2]
    forged = sl.Certificate(certificate.data | {"quotient": {"y1": [["1", [["y1", 1]]]], "x3": []}})
    assert sl.draw(forged).get_suptitle().startswith("rejected: ")
    with pytest.raises(MethodError, match="digest"):
        sl.draw(certificate.without_system())


def test_the_steps_of_a_hierarchy():
    _, spiral = systems()
    axes = sl.draw(sl.hierarchy(spiral)).axes[0]
    tops = [bar.get_y() + bar.get_height() for bar in axes.patches[1::2]]
    assert tops == [2, 3, 4]
    assert len(axes.lines) == 1  # two steps of 1, over the complex numbers


def test_conditions_are_written_out():
    one, other, x, y = sympy.symbols("k1 k2 x y")
    ode = sl.PolynomialODE.from_sympy({x: -one * x, y: -other * y}, parameters=[one, other])
    figure = sl.draw(sl.conditions(ode, [["x", "y"]], sl.Forward()))
    figure.savefig(io.BytesIO())
    assert [text.get_text() for text in figure.texts] == [
        "blocks: {x, y}",
        "forward equivalence iff",
        "    $k_{1} - k_{2} = 0$",
    ]


def test_the_layers_of_a_compression():
    weights = [np.random.default_rng(0).normal(size=shape) for shape in ((8, 3), (2, 8))]
    for method in (sl.AFDE(retain=0.6), sl.Quantize(bits=8)):
        small = sl.compress(sl.Network.dense(weights), method)
        bars = [bar.get_width() for bar in sl.draw(small).axes[0].patches]
        assert sum(bars[:2]) == small.parameters and sum(bars[2:]) == small.retained_parameters


def test_every_other_result_has_its_picture():
    tree, _ = systems()
    lumping = sl.lump(tree, sl.Forward())
    assert len(sl.draw(sl.Refinement.of(lumping)).axes[0].patches) == 3
    assert "round 1" in sl.Refinement.of(lumping)._repr_html_()
    assert sl.draw(sl.sweep(tree, [0, 1], sl.Forward())).axes[0].get_ylabel() == "blocks"
    assert len(sl.draw(sl.HMatrix.from_dense(np.eye(32), 1e-3)).axes[0].patches) > 1
    assert len(sl.draw(tree).axes[0].texts) == 3
    path = sl.simulate(tree, [1, 2, 3], np.linspace(0, 1, 5))
    assert [line.get_label() for line in sl.draw(path).axes[0].lines] == [
        "$x_{1}$",
        "$x_{2}$",
        "$x_{3}$",
    ]
    with pytest.raises(MethodError, match="draw cannot draw a Partition; it takes a Lumping"):
        sl.draw(lumping.partition)


def test_networks_are_drawn_by_layers():
    layer = [[1.0, 2.0], [1.0, 2.0], [-1.0, 0.5]]
    net = sl.Network.dense([layer, [[0.5, 0.25, 1.0]]])
    lumping = sl.lump(sl.encode(net), sl.Forward())
    left, _ = sl.draw(lumping).axes
    at = {text.get_text(): text.get_position() for text in left.texts}
    assert at["$h_{1,1}$"][0] == at["$h_{1,2}$"][0] == at["$h_{1,3}$"][0]
    assert at["$u_{1}$"][0] < at["$h_{1,1}$"][0] < at["$y_{1}$"][0]
    assert len(set(at.values())) == len(lumping.ode)


def test_a_sweep_with_rounding_errors_keeps_its_decades_apart():
    net = sl.Network.dense([[[1.0, 2.0], [1.1, 2.0]], [[0.5, 0.25]]])
    lower = sl.draw(sl.sweep(net, [0.0, 0.5], box=(-1, 1))).axes[1]
    assert len(lower.get_yticks()) <= 14
