"""Certificates: complete, checkable, and of no use to a liar."""

import copy
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest
import slow_reference as reference
from hypothesis import given, settings
from hypothesis import strategies as st
from test_refine import planted_forward, systems, to_ode

import symlump as sl
from symlump.cli.main import main
from symlump.datasets.systems import chain, multisite_phosphorylation
from symlump.errors import FileFormatError
from symlump.proof import check as checker
from symlump.proof.check import Unreadable, check
from symlump.proof.plain_ode import read_plain

METHODS = st.sampled_from([sl.Forward(), sl.Backward()])
SIGNATURES = {"forward": reference.forward_signature, "backward": reference.backward_signature}


@settings(max_examples=300)
@given(systems(), METHODS, st.data())
def test_every_lumping_proves_itself_the_coarsest(system, method, data):
    n = len(system)
    initial = data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    certificate = sl.lump(to_ode(system), method, sl.Partition(initial)).certificate()
    verdict = certificate.check()
    assert verdict.accepted and verdict.coarsest


def truth(data):
    """What the claims of a readable certificate are worth, from the slow reference."""
    names = list(data["system"])
    position = {name: i for i, name in enumerate(names)}
    system = []
    for terms in data["system"].values():
        polynomial = {}
        for value, factors in terms:
            key = tuple(sorted(position[v] for v, e in factors for _ in range(e)))
            polynomial[key] = polynomial.get(key, 0) + Fraction(value)
        system.append(polynomial)
    signature = SIGNATURES[data["kind"]]
    label = {name: b for b, block in enumerate(data["blocks"].values()) for name in block}
    labels = [label[name] for name in names]
    values = [signature(system, labels, i) for i in range(len(names))]
    equivalent = all(
        values[i] == values[j]
        for i in range(len(names))
        for j in range(i)
        if labels[i] == labels[j]
    )
    first = {name: b for b, block in enumerate(data["initial"]) for name in block}
    coarsest = reference.coarsest(system, signature, [first[name] for name in names])
    return equivalent, reference.canonical(labels) == coarsest


def quotient_holds(data, seed):
    """At a random rational point: sums of equations (or equations on blocks) against the quotient."""
    random = Random(seed)

    def value(polynomial, at):
        total = Fraction(0)
        for coefficient, factors in polynomial:
            term = Fraction(coefficient)
            for name, power in factors:
                term *= at[name] ** power
            total += term
        return total

    def point(names):
        return {name: Fraction(random.randint(-50, 50), random.randint(1, 9)) for name in names}

    blocks, system = data["blocks"], data["system"]
    if data["kind"] == "forward":
        x = point(system)
        y = {b: sum(x[v] for v in members) for b, members in blocks.items()}
        found = {b: sum(value(system[v], x) for v in members) for b, members in blocks.items()}
        return all(found[b] == value(p, y) for b, p in data["quotient"].items())
    y = point(blocks)
    x = {v: y[b] for b, members in blocks.items() for v in members}
    return all(
        value(system[v], x) == value(data["quotient"][b], y)
        for b, members in blocks.items()
        for v in members
    )


@st.composite
def mutations(draw, data):
    """A certificate with one leaf or one list changed."""
    mutated = copy.deepcopy(data)
    path, where = [], mutated
    while isinstance(where, dict | list) and where:
        keys = sorted(where) if isinstance(where, dict) else range(len(where))
        path.append(draw(st.sampled_from(list(keys))))
        parent, where = where, where[path[-1]]
        if isinstance(where, list) and draw(st.integers(0, 3)) == 0:
            break
    names = list(data["system"])
    if isinstance(where, list):
        how = draw(st.sampled_from(["drop", "repeat", "reverse", "swap"]))
        if how == "drop":
            del parent[path[-1]]
        elif how == "reverse":
            parent[path[-1]] = where[::-1]
        elif isinstance(parent, list):
            parent.insert(0, parent[draw(st.integers(0, len(parent) - 1))])
        else:
            other = draw(st.sampled_from(sorted(parent)))
            parent[path[-1]], parent[other] = parent[other], where
    elif isinstance(where, str):
        parent[path[-1]] = draw(
            st.sampled_from([*names, "1", "-1", "2/3", "forward", "backward", "0"])
        )
    elif isinstance(where, int):
        parent[path[-1]] = draw(st.sampled_from([where + 1, 0, -1, 1, 10**30]))
    else:
        parent[path[-1]] = draw(st.sampled_from([names[0], None, []]))
    return mutated


@settings(max_examples=1000)
@given(
    st.one_of(systems(max_variables=5), planted_forward().map(lambda p: p[0])), METHODS, st.data()
)
def test_mutated_certificates_are_never_wrongly_accepted(system, method, data):
    certificate = sl.lump(to_ode(system), method).certificate().data
    mutated = data.draw(mutations(certificate))
    if data.draw(st.booleans()):
        mutated.pop("digest", None)  # a liar leaves out what would give him away
    try:
        verdict = check(mutated)
    except Unreadable:
        return
    if verdict.answer == "accepted":
        equivalent, coarsest = truth(mutated) if "initial" in mutated else (None, None)
        if equivalent is None:
            equivalent, _ = truth(mutated | {"initial": [list(mutated["system"])]})
        assert equivalent
        assert coarsest or not verdict.coarsest
        assert quotient_holds(mutated, data.draw(st.integers(0, 2**32)))


@pytest.mark.parametrize("method", [sl.Forward(), sl.Backward()])
def test_larger_systems(method):
    for ode in (multisite_phosphorylation(3), chain(60)):
        verdict = sl.lump(ode, method).certificate().check()
        assert verdict.accepted and verdict.coarsest


def example():
    return sl.lump(multisite_phosphorylation(2), sl.Forward()).certificate()


def test_a_record_that_falls_short_is_inconclusive():
    data = copy.deepcopy(example().data)
    data["maximality"][0].pop()
    verdict = check(data)
    assert verdict.answer == "inconclusive" and "does not separate" in verdict.reason
    del data["maximality"]
    assert check(data).accepted and not check(data).coarsest


def test_a_partition_that_is_too_fine_is_not_called_coarsest():
    ode = multisite_phosphorylation(2)
    with pytest.raises(Exception, match="not the coarsest"):
        from symlump.lumping.refinement.maximality import splits

        n = len(ode)
        splits(ode, sl.Forward(), sl.Partition.single(n), sl.Partition.discrete(n))


def test_by_digest(tmp_path):
    certificate = example()
    alone = certificate.without_system()
    assert alone.check().answer == "inconclusive"
    assert alone.check(multisite_phosphorylation(2)).coarsest
    other = multisite_phosphorylation(2, (Fraction(1),) * 6)
    assert "digest" in alone.check(other).reason and alone.check(other).answer == "rejected"
    assert certificate.check(other).answer == "rejected"


def test_the_checker_runs_alone(tmp_path):
    path = tmp_path / "cert.json"
    example().write(path)
    command = [sys.executable, "-I", str(Path(checker.__file__)), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.startswith("accepted: forward equivalence of 18")
    data = json.loads(path.read_text())
    data["quotient"]["E"][0][0] = "17"
    path.write_text(json.dumps(data))
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout.startswith(
        "rejected: equation of E: coefficient of "
    )
    assert subprocess.run([*command, "x", "y"], capture_output=True).returncode == 2


def test_the_checker_alone_without_the_file_beside_it_reads_json(tmp_path):
    checker_alone = tmp_path / "check.py"
    checker_alone.write_text(Path(checker.__file__).read_text(encoding="utf-8"), encoding="utf-8")
    model, path = tmp_path / "m.ode", tmp_path / "cert.json"
    sl.write(multisite_phosphorylation(2), model)
    example().write(path)
    command = [sys.executable, "-I", str(checker_alone), str(path)]
    assert subprocess.run(command, capture_output=True).returncode == 0
    done = subprocess.run([*command, str(model)], capture_output=True, text=True)
    assert done.returncode == 3
    assert done.stdout == "inconclusive: reading .ode takes plain_ode.py beside it; or give JSON\n"


@pytest.mark.parametrize("arguments", [[], ["a", "b", "c"]])
def test_the_checker_alone_says_how_it_is_used(arguments, capsys):
    assert checker.main(arguments) == 2
    said = capsys.readouterr()
    assert said.err.startswith("usage: python check.py CERTIFICATE.json") and not said.out


def test_a_file_is_as_long_as_is_allowed_and_no_longer(tmp_path, monkeypatch, capsys):
    path = tmp_path / "cert.json"
    example().write(path)
    text = path.read_text(encoding="utf-8")
    monkeypatch.setattr(checker, "MAX_CHARACTERS", len(text))
    assert checker.main([str(path)]) == 0
    path.write_text(text + " ", encoding="utf-8")
    assert checker.main([str(path)]) == 2
    assert f"it is longer than {len(text)} characters" in capsys.readouterr().err


def test_the_checker_alone_reads_plain_ode_files(tmp_path):
    model, path = tmp_path / "m.ode", tmp_path / "cert.json"
    sl.write(multisite_phosphorylation(2), model)
    example().without_system().write(path)

    def run(*arguments):
        command = [sys.executable, "-I", str(Path(checker.__file__)), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True)

    assert run(path).returncode == 3
    done = run(path, model)
    assert done.returncode == 0 and "the coarsest" in done.stdout
    text = model.read_text()
    model.write_text(text.replace("d(S0) = 3*", "d(S0) = 4*"))
    assert run(path, model).returncode == 1
    for odd in (text.replace("d(S0) = ", "d(S0) = (1)*"), text.replace("d(S0) =", "S0 ="), ""):
        model.write_text(odd)
        assert run(path, model).returncode == 3
    assert run(path, tmp_path / "missing.ode").returncode == 2


BAD = {
    "not json": "hello",
    "empty": "",
    "truncated": '{"format": "symlump certificate", "version": 1, ',
    "a list": "[]",
    "another object": "{}",
    "deep": "[" * 100_000,
    "deep object": '{"a":' * 50_000,
    "duplicate key": '{"format": "symlump certificate", "format": "x"}',
    "huge integer": '{"version": ' + "9" * 5000 + "}",
    "not a number": '{"format": "symlump certificate", "version": NaN, "kind": 1}',
    "wrong types": '{"format": "symlump certificate", "version": 1, "kind": "forward", "system": 3}',
    "exponent": '{"format": "symlump certificate", "version": 1, "kind": "forward", "system": '
    '{"x": [["1e999999999", []]]}, "blocks": {"x": ["x"]}, "quotient": {"x": []}}',
    "zero": '{"format": "symlump certificate", "version": 1, "kind": "forward", "system": '
    '{"x": [["1/0", []]]}, "blocks": {"x": ["x"]}, "quotient": {"x": []}}',
    "power": '{"format": "symlump certificate", "version": 1, "kind": "forward", "system": '
    '{"x": [["1", [["x", 1000000000000]]]]}, "blocks": {"x": ["x"]}, "quotient": {"x": []}}',
}


@pytest.mark.parametrize("name", BAD)
def test_strangers_certificates(name, tmp_path, capsys):
    path = tmp_path / "bad.json"
    path.write_text(BAD[name])
    code = main(["check", str(path)])
    captured = capsys.readouterr()
    assert code in (2, 3) and "Traceback" not in captured.err
    if code == 2:
        assert captured.err.count("\n") == 1 and captured.err.startswith("symlump: ")


def test_hostile_work_is_bounded(monkeypatch):
    """Sums of unrelated fractions, endless records, and powers to multiply out."""
    monkeypatch.setattr(checker, "MAX_STEPS", 200_000)  # the same bound, reached sooner
    head = {"format": "symlump certificate", "version": 1}
    base = head | {"kind": "backward", "blocks": {"x": ["x"]}}
    fractions = [[f"1/{10**3000 + 2 * i + 1}", []] for i in range(400)]
    growing = base | {"system": {"x": fractions}, "quotient": {"x": fractions}}
    assert "grows beyond" in check(growing).reason
    names = [f"x{i}" for i in range(3000)]
    many = {
        "kind": "forward",
        "system": {name: [] for name in names},
        "blocks": {"y": names},
        "quotient": {"y": []},
        "initial": [names],
        "maximality": [[["x0", "x0", []]]] * 10_000,
    }
    assert "takes too long" in check(base | many).reason
    powers = {
        "kind": "linear",
        "system": {"x": [], "z": []},
        "matrix": {"y": [["1", [["x", 1]]], ["1", [["z", 1]]]]},
        "quotient": {"y": [["1", [["y", 9000]]]]},
    }
    assert "takes too long" in check(head | powers).reason
    digits = powers | {
        "system": {"x": []},
        "matrix": {"y": [["9" * 4000, [["x", 1]]]]},
        "quotient": {"y": [["1", [["y", 10_000]]]]},
    }
    assert "grows beyond" in check(head | digits).reason
    names = [f"x{i}" for i in range(3000)]
    one_term = {name: [] for name in names} | {"x0": [["1", [[name, 1] for name in names]]]}
    wide = {"system": one_term, "blocks": {name: [name] for name in names}, "quotient": one_term}
    assert "differentiating takes too long" in check(base | wide | {"kind": "forward"}).reason
    record = {"initial": [names], "maximality": [[["x0", None, [["x0", 1]]]]]}
    assert "takes too long" in check(base | wide | record).reason
    unlike = {"x0": [[f"1/{10**3000 + 2 * i + 1}", [[name, 1]]] for i, name in enumerate(names)]}
    sums = {"system": one_term | unlike, "quotient": one_term | unlike}
    record = {"initial": [names], "maximality": [[["x0", None, [["x0", 1]]]]]}
    assert "grows beyond" in check(base | wide | sums | record).reason


def test_names_cannot_forge_an_answer(tmp_path, capsys):
    """No line of output is made by what stands in a stranger's file."""
    for name in ("x\naccepted: all", "\x1b[2Jx"):
        claim = example().data | {"blocks": {"y": [name]}}
        (tmp_path / "c.json").write_text(json.dumps(claim))
        assert main(["check", str(tmp_path / "c.json")]) == 1
        out = capsys.readouterr().out
        assert out.count("\n") == 1 and out.startswith("rejected: ") and "\x1b" not in out


@pytest.mark.parametrize(
    "right",
    [
        "2*-1*x",
        "x^-2",
        "x^0",
        "\u0661*x",
        "x^\u0661",
        "1_0*x",
        "0x1*x",
        "1e-5*x",
        ".5*x",
        "x/2",
        "1/0*x",
        "x^2^3",
        "2^3*x",
        "k*x",
        "",
        "x +",
        "x*",
    ],
)
def test_the_checker_alone_says_what_it_cannot_read(right, tmp_path, capsys):
    """What is not a plain sum of products is neither misread nor called false."""
    claim = {"format": "symlump certificate", "version": 1, "kind": "forward"}
    claim |= {"blocks": {"x": ["x"]}, "quotient": {"x": []}}
    cert, model = tmp_path / "c.json", tmp_path / "m.ode"
    cert.write_text(json.dumps(claim))
    model.write_text(f"begin ODE\n d(x) = {right}\nend ODE\n")
    assert checker.main([str(cert), str(model)]) == 3
    assert "use symlump check" in capsys.readouterr().out
    model.write_text("begin ODE\n d(" + " " * 20_000 + "x = x\nend ODE\n")
    assert checker.main([str(cert), str(model)]) == 3  # and at once
    model.write_text("begin ODE\n d(x) = 0\n")  # truncated
    assert checker.main([str(cert), str(model)]) == 3


def test_the_checker_alone_multiplies_plain_products_out(tmp_path):
    """Every product has one form in a certificate, however an .ode file writes it."""
    path = tmp_path / "m.ode"
    path.write_text(
        "begin ODE\n d(x) = 2*x*3*y*x^2 - 4/6 + 0*x - 0\n d(y) = -y*y + 1.50*y + 2/4\nend ODE\n"
    )
    assert checker.read_ode(str(path)) == {
        "x": [["6", [["x", 3], ["y", 1]]], ["-2/3", []], ["0", [["x", 1]]], ["0", []]],
        "y": [["-1", [["y", 2]]], ["3/2", [["y", 1]]], ["1/2", []]],
    }
    checker.read_system(checker.read_ode(str(path)))


@pytest.mark.parametrize(
    ("number", "value"),
    [
        ("99999999", "99999999"),
        ("1/999999", "1/999999"),
        ("3*33333333", "99999999"),
        ("4/8", "1/2"),
    ],
)
def test_the_checker_alone_reads_numbers_as_long_as_those_of_a_certificate(number, value):
    """What has eight characters is read where eight are allowed, what has nine is not."""
    text = "begin ODE\n d(x) = {0}\nend ODE\n"
    assert read_plain(text.format(number), 8) == {"x": [[value, []]]}
    for longer in ("100000000", "1/1000000", "10*10000000", "1/999999*1/3"):
        with pytest.raises(ValueError, match="not a plain sum|not a variable"):
            read_plain(text.format(longer), 8)


def test_missing_and_binary_files(tmp_path, capsys):
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    for name in ("missing", "binary", "."):
        assert main(["check", str(tmp_path / name)]) == 2
        assert capsys.readouterr().err.startswith("symlump: ")
    with pytest.raises(FileFormatError):
        sl.Certificate.read(tmp_path / "missing")


@pytest.mark.parametrize("method", [sl.Forward, sl.Backward])
@settings(max_examples=60, deadline=None)
@given(system=systems(max_variables=5), eps=st.sampled_from([0.5, 1.0, 3.0]))
def test_the_certificate_of_a_tolerance_is_exact_for_the_reference_system(method, system, eps):
    lumping = sl.lump(to_ode(system), method(eps))
    certificate = lumping.certificate()
    verdict = certificate.check()
    assert verdict.accepted and not verdict.coarsest
    assert "exact for the system in the certificate, which is a reference model" in verdict.reason
    assert certificate.data["tolerance"] == repr(eps)
    assert certificate.check(lumping.reference).accepted
    if lumping.reference != lumping.ode:
        assert not certificate.check(lumping.ode).accepted
    assert not lumping.exact


def test_command_line(tmp_path, capsys):
    model, path = tmp_path / "m.ode", tmp_path / "c.json"
    sl.write(multisite_phosphorylation(2), model)
    assert main(["lump", str(model), "--method", "forward", "--certificate", str(path)]) == 0
    assert "symlump check" in capsys.readouterr().out
    assert main(["check", str(path), str(model), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["coarsest"] is True
    arguments = [
        "lump",
        str(model),
        "--method",
        "forward",
        "--certificate",
        str(path),
        "--by-digest",
    ]
    assert main(arguments) == 0
    capsys.readouterr()
    assert main(["check", str(path)]) == 3
    assert main(["check", str(path), str(model)]) == 0
    capsys.readouterr()
    assert main(["explain", str(model), "S1", "S4"]) == 0
    assert "S1 and S4 are together" in capsys.readouterr().out
    assert main(["explain", str(model), "S1", "S5", "--latex"]) == 0
    assert r"\neq" in capsys.readouterr().out
    assert main(["explain", str(model), "S1", "nobody"]) == 2
    capsys.readouterr()
    assert main(["explain", str(model), "S1", "S5", "--eps", "0.01"]) == 0
    assert "1-norm distance" in capsys.readouterr().out
    assert main(["explain", str(model), "S1", "S5", "--eps", "-1"]) == 2


def test_coq_from_the_command_line(tmp_path, capsys):
    path, target = tmp_path / "c.json", tmp_path / "c.v"
    example().write(path)
    assert main(["export", str(path), "--coq", "-o", str(target)]) == 0
    assert "forward lumping of 18" in target.read_text() and "vm_compute" in target.read_text()
    data = json.loads(path.read_text())
    data["quotient"]["E"][0][0] = "17"
    path.write_text(json.dumps(data))
    capsys.readouterr()
    assert main(["export", str(path), "--coq"]) == 2
    assert "does not accept" in capsys.readouterr().err


@settings(max_examples=200)
@given(systems(max_variables=5), METHODS, st.data())
def test_explanations_are_true(system, method, data):
    n = len(system)
    initial = data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))
    lumping = sl.lump(to_ode(system), method, sl.Partition(initial))
    x, y = data.draw(st.integers(0, n - 1)), data.draw(st.integers(0, n - 1))
    explanation = lumping.explain(x, y)
    labels = lumping.partition.labels
    assert explanation.together == (labels[x] == labels[y])
    assert lumping.ode.variables[x] in explanation.text and explanation._repr_latex_()
    assert (explanation.round == 0) == (initial[x] != initial[y] and not explanation.together)


def test_coefficients_too_long_for_a_certificate_are_said_to_be_unchecked(tmp_path, capsys):
    """A sum of unrelated fractions needs more digits than the text of a certificate may have."""
    rates = {f"x{i}": Fraction(1, 10**50 + 2 * i + 1) for i in range(200)} | {"z": Fraction(-1)}
    lines = "\n".join(f" d({name}) = {rate}*z" for name, rate in rates.items())
    inits = "\n".join(f" {name} = 1" for name in rates)
    path = tmp_path / "m.ode"
    path.write_text(
        f"begin model m\nbegin init\n{inits}\nend init\nbegin ODE\n{lines}\nend ODE\nend model\n"
    )
    lumping = sl.lump(sl.read(path).ode, sl.Forward())
    assert not lumping.exact and len(lumping.quotient) == 2
    assert "exact" not in str(lumping) and "proof not checked (a coefficient is" in str(lumping)
    target = tmp_path / "c.json"
    assert main(["lump", str(path), "--method", "forward", "--certificate", str(target)]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith(f"symlump: {path}: a coefficient is longer than 4000 digits")
    assert not target.exists()


def test_one_variable_has_its_singular():
    verdict = sl.lump(sl.ODE.from_text("x' = -x"), sl.Forward()).certificate().check()
    assert verdict.reason.startswith("forward equivalence of 1 variable in 1 block,")
