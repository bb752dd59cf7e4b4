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

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def circuit():
    return Report.of(sl.sweep(h_tree(4, 0.01), [0, 6e-4, 1, 3], sl.Backward()), "H-tree <4>")


@pytest.fixture(scope="module")
def network():
    generator = np.random.default_rng(0)
    weights = [generator.normal(size=shape) for shape in ((8, 3), (6, 8), (2, 6))]
    net = sl.Network.dense(weights, [np.zeros(8), np.zeros(6), None])
    return Report.of(sl.sweep(net, [0, 0.1, 0.5], box=(-1, 1)), "a network")


def test_the_page_needs_nothing_else(circuit, network):
    for report in (circuit, network):
        assert not re.search(r"https?://|src=|<link|@import|url\((?!#)", report.html)
        data = re.search(r'id="data">(.*?)</script>', report.html, re.S)[1]
        assert len(json.loads(data)["steps"]) in (3, 4)
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
    html = Report.of(sl.sweep(net, [0, 0.5, 1], method), "a network").html
    steps = json.loads(re.search(r'id="data">(.*?)</script>', html, re.S)[1])["steps"]
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
