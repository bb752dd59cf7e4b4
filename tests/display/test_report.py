"""The report: one page, no network, and a slider that moves the picture."""

import json
import re
import shutil

import numpy as np
import pytest
import sympy
from barriers import barriers

import symlump as sl
from symlump.cli.main import main
from symlump.datasets.systems import h_tree, multisite_phosphorylation
from symlump.display.mathml import system_mathml
from symlump.display.report import Report
from symlump.display.report_curve import curve_svg
from symlump.display.report_graph import graph_svg

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def data_of(report):
    return json.loads(re.search(r'id="data">(.*?)</script>', report.html, re.S)[1])


@pytest.fixture(scope="module")
def circuit():
    ode = h_tree(4, 0.01)
    table = sl.sweep(ode, [0, 6e-4, 1, 3], sl.Backward())
    return Report.of(table, "H-tree <4>", dict.fromkeys(ode.variables, 0))


@pytest.fixture(scope="module")
def network():
    generator = np.random.default_rng(0)
    weights = [generator.normal(size=shape) for shape in ((8, 3), (6, 8), (2, 6))]
    net = sl.Network.dense(weights, [np.zeros(8), np.zeros(6), None])
    return Report.of(sl.sweep(net, [0, 0.5, 1], box=(-1, 1)), "a network")


def test_the_page_needs_nothing_else(circuit, network):
    for report in (circuit, network):
        assert not re.search(r"https?://|src=|<link|@import|url\((?!#)", report.html)
        assert len(data_of(report)["steps"]) in (3, 4)
    assert "H-tree &lt;4&gt;" in circuit.html and "<4>" not in circuit.html


@pytest.mark.parametrize(
    "method",
    [
        sl.Dependence(eps=0), sl.Symmetric(), sl.TruncatedSVD(eps=0), sl.Quantize(8), sl.Magnitude(1.0),
        sl.Hierarchical(eps=0),
    ],
    ids=lambda method: type(method).__name__,
)  # fmt: skip
def test_every_method_has_a_page(method):
    generator = np.random.default_rng(0)
    weights = [generator.normal(size=shape) for shape in ((8, 3), (6, 8), (2, 6))]
    weights[0][3] = -weights[0][1]
    net = sl.Network.dense(weights)
    data = data_of(Report.of(sl.sweep(net, [0, 0.5, 1], method), "a network"))
    steps = [data["steps"][stop] for stop in data["stops"]]
    small = [sl.compress(net, method.within(step)) for step in (0, 0.5, 1)]
    for step, result in zip(steps, small, strict=True):
        assert step["size"] == result.retained_parameters and len(step["colour"]) == 3 + 8 + 6 + 3
        merged = {
            (layer, unit): np.flatnonzero(units == unit)
            for layer, units in enumerate(result.unit_maps, 1)
            for unit in set(units.tolist()) - {-1}
            if (units == unit).sum() > 1
        }
        assert [names for _, names, _, _ in step["members"]] == [
            [f"h{layer}_{1 + unit}" for unit in members] for (layer, _), members in merged.items()
        ]
    if isinstance(method, sl.Symmetric):
        assert steps[0]["members"] == [["h1_2", ["h1_2", "h1_4"], 2, 0]]


def test_the_slider_stops_where_something_changes():
    """Seven tolerances of which five give the same are three stops; the table keeps all rows."""
    x, y, z = sympy.symbols("x y z")
    ode = sl.PolynomialODE.from_sympy({x: -x + z, y: -sympy.Rational(11, 10) * y + z, z: x + y})
    report = Report.of(sl.sweep(ode, [0, 0.01, 0.02, 0.03, 0.04, 0.5, 9], sl.Forward()), "three")
    data = data_of(report)
    assert data["stops"] == [0, 0, 0, 0, 0, 1, 2]
    assert [step["blocks"] for step in data["steps"]] == [3, 2, 1]
    assert data["steps"][0]["until"] == "0.04" and report.html.count("<tr>") == 8
    last = data["steps"][2]
    assert (last["blocksName"], last["sizeName"]) == ("block", "term")
    assert "The original: 3 variables, 6 terms" in report.html


def test_curves_are_step_functions_of_the_true_tolerance():
    steps = [
        {"tolerance": t, "blocks": b, "error": e, "upper": None, "observed": None, "loss": None}
        for t, b, e in ((0, 12, 0.0), (1e-3, 7, 1e-4), (1e-1, 3, 1e-2))
    ]
    svg = curve_svg(steps)
    (blocks,) = re.findall(r'class="blocks" d="M([^"]*)"', svg)
    moves = re.findall(r"[HV]([\d.]+)", blocks)
    marks = [
        tuple(map(float, m)) for m in re.findall(r'class="mark" cx="([\d.]+)" cy="([\d.]+)"', svg)
    ]
    # Across to the next tolerance, then down: never slanted. The last goes on to the axis at the right.
    (x0, _), (x1, y1), (x2, y2) = marks
    assert [float(v) for v in moves] == [x1, y1, x2, y2, 690]
    assert x0 == 58 and x1 > x0 + 40 and "L" not in blocks
    words = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert [w for w in words if w in ("0.1", "0")][-2:] == ["0", "0.1"] and "1e-3" in words
    assert {"0", "2", "4", "12", "blocks", "error", "1e-4", "0.01"} <= set(words)
    line = re.search(r'class="error" d="M([\d.]+) ', svg)[1]
    assert float(line) == x1  # an error of 0 has no logarithm


def test_trajectories_are_those_of_the_simulator(circuit):
    data = data_of(circuit)
    ode = h_tree(4, 0.01)
    path = sl.simulate(ode, np.zeros(15), data["times"])
    exact, _, coarse = data["steps"]
    for name, _, full, small in exact["paths"]["curves"]:
        assert np.abs(path[name] - full).max() < 1e-3 and np.abs(path[name] - small).max() < 1e-3
    apart = [np.abs(np.array(full) - small).max() for *_, full, small in coarse["paths"]["curves"]]
    assert max(apart) > 0.1 and coarse["paths"]["of"] == coarse["blocks"] == len(apart)
    without = data_of(Report.of(sl.sweep(ode, [0], sl.Backward()), "H-tree"))
    assert without["times"] is None and without["steps"][0]["paths"] is None


def test_beyond_eight_blocks_there_are_hatches():
    lumping = multisite_phosphorylation(3)
    data = data_of(Report.of(sl.sweep(lumping, [0], sl.Forward()), "phosphorylation"))
    looks = data["looks"]
    assert len(looks) == 16 == len({look[2] for look in looks.values()})
    assert (
        looks["0"][0] == "#44BB99"
        and looks["8"][0] == "url(#hatch8)"
        and "<pattern" in looks["8"][1]
    )


def test_names_are_data():
    name = "</script><img onerror=x>"
    ode = sl.PolynomialODE.from_sympy(
        {sympy.Symbol(name): 0, sympy.Symbol("b"): sympy.Symbol(name)}
    )
    html = Report.of(sl.sweep(ode, [0, 1], sl.Forward()), name).html
    assert html.count("</script>") == 2 and "<img" not in html


def test_equations_as_mathml():
    x, y = sympy.symbols("x_1 y")
    text = system_mathml(sl.PolynomialODE.from_sympy({x: -x * y**2 / 3 + 1, y: 0}))
    assert "<mn>1</mn><mo>−</mo><mfrac><mn>1</mn><mn>3</mn></mfrac>" in text
    assert "<msub><mi>x</mi><mn>1</mn></msub><msup><mrow><mi>y</mi></mrow><mn>2</mn></msup>" in text
    assert '<mover accent="true"><mi>x</mi><mo>˙</mo></mover><mn>1</mn></msub>' in text
    assert "<mo>˙</mo>" not in system_mathml(sl.ODE.from_text("x+ = x/2"))
    assert "… 14 more equations" in system_mathml(multisite_phosphorylation(2), max_equations=4)


def test_command_line(tmp_path, capsys):
    model, page = tmp_path / "m.ode", tmp_path / "r.html"
    sl.write(h_tree(3, 0.01), model)
    arguments = ["report", str(model), "--method", "backward", "--breakpoints", "-o", str(page)]
    assert main(arguments) == 0
    assert "open it in a browser" in capsys.readouterr().out
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert main(["report", str(model), "--box", "0", "1", "-o", str(page)]) == 2
    assert "--box belongs to networks" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("which", ["circuit", "network"])
def test_the_slider_moves_the_picture(which, request, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    path = tmp_path / "report.html"
    request.getfixturevalue(which).write(path)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda r: problems.append(r.url) if "http" in r.url[:5] else None)
        page.goto(path.as_uri())
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 900})
            over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert over <= 0, width
        assert page.locator("#paths path.small").count() == (8 if which == "circuit" else 0)
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            assert not barriers(page)
        colours = "[...document.querySelectorAll('.node circle')].map(c => c.style.fill).join()"
        before = page.evaluate(colours), page.inner_text("#numbers"), page.inner_text("#equations")
        picture = page.screenshot()
        page.focus("#eps")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        after = page.evaluate(colours), page.inner_text("#numbers"), page.inner_text("#equations")
        assert all(a != b for a, b in zip(before, after, strict=True))
        assert page.screenshot() != picture
        assert page.locator("tr.current").count() == 1
        page.click("#less")
        assert page.input_value("#eps") == "1"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.tagName") in ("BUTTON", "INPUT")
        assert not problems
        browser.close()


def test_too_many_arrows_are_left_out_evenly():
    """Of a network with more arrows than can be drawn, every layer keeps its share."""
    rng = np.random.default_rng(0)
    shapes = ((60, 4), (60, 60), (5, 60))
    ode = sl.encode(sl.Network.dense([rng.normal(size=shape) for shape in shapes]))
    svg = graph_svg(ode)
    starts = re.findall(r'<line x1="([\d.]+)"', svg)
    total = 60 * 4 + 60 * 60 + 5 * 60
    assert len(starts) == 3000 and f"{total - 3000} of {total} arrows are not drawn" in svg
    shares = sorted(starts.count(x) / 3000 for x in set(starts))
    assert np.allclose(shares, sorted(a * b / total for a, b in shapes), atol=0.01)


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_names_of_a_network_stand_clear_of_their_nodes(tmp_path):
    """Names of units with two digits, as long as they come, cover neither their circle nor the margin."""
    playwright = pytest.importorskip("playwright.sync_api")
    generator = np.random.default_rng(0)
    net = sl.Network.dense([generator.normal(size=shape) for shape in ((20, 4), (12, 20))])
    path = tmp_path / "report.html"
    Report.of(sl.sweep(net, [0]), "two digits").write(path)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(path.as_uri())
        gaps, over = page.evaluate("""() => {
            const graph = document.querySelector('#graph').getBoundingClientRect();
            const nodes = [...document.querySelectorAll('#graph .node')].map(node =>
                [...node.children].map(child => child.getBoundingClientRect()));
            return [nodes.map(([circle, text]) => text.left - circle.right),
                    Math.max(...nodes.map(([, text]) => text.right)) - graph.right];
        }""")
        browser.close()
    assert len(gaps) == 4 + 1 + 20 + 12
    assert min(gaps) > 1.5 and max(gaps) < 10 and over < 0  # half of the white edge around letters
