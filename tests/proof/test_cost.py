"""What checking costs: linear in the certificate, and bounded whatever the file."""

import json
import sys

import pytest

import symlump as sl
from symlump.datasets.systems import multisite_phosphorylation
from symlump.proof import check as checker
from symlump.proof.check import Unreadable, check, read_json


def calls(certificate):
    """How many functions are called while a certificate is checked: a count, the same on any machine."""
    count = 0

    def note(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        verdict = check(certificate)
    finally:
        sys.setprofile(before)
    assert verdict.coarsest
    return count


@pytest.mark.parametrize("method", [sl.Forward(), sl.Backward()])
def test_checking_grows_with_the_certificate(method):
    """From 102 to 13 358 terms: a square would be 130 times as much per term, a logarithm twice as much."""
    per_term, per_byte = [], []
    for sites in (2, 3, 4, 5):
        ode = multisite_phosphorylation(sites)
        text = sl.lump(ode, method).certificate().to_json()
        work = calls(json.loads(text))
        per_term.append(work / ode.terms)
        per_byte.append(work / len(text))
    assert max(per_term) < 1.5 * min(per_term)
    assert max(per_byte) < 1.5 * min(per_byte)


def test_certificates_have_room_within_the_bounds(monkeypatch):
    """Five sites, 13 000 terms: with the steps that its own size allows, and none of those for any file."""
    text = sl.lump(multisite_phosphorylation(5), sl.Forward()).certificate().to_json()
    monkeypatch.setattr(checker, "MAX_STEPS", 0)
    assert check(json.loads(text)).coarsest


def test_a_longer_file_is_not_read(tmp_path, capsys, monkeypatch):
    """As dense as terms can be, it would take longest."""
    monkeypatch.setattr(checker, "MAX_CHARACTERS", 100_000)
    path = tmp_path / "dense.json"
    term = '["1",[["x",1]]]'
    count = checker.MAX_CHARACTERS // (len(term) + 1) + 1
    path.write_text('{"system":{"x":[' + ",".join([term] * count) + "]}}")
    with pytest.raises(Unreadable, match="longer than 100000 characters"):
        read_json(str(path))
    for arguments in ([path], [path, path], [path, path.with_suffix(".ode")]):
        assert checker.main([str(a) for a in arguments]) == 2
        assert capsys.readouterr().err.startswith("unreadable: ")


def test_the_bound_is_on_what_is_read(tmp_path, monkeypatch):
    text = sl.lump(multisite_phosphorylation(2), sl.Forward()).certificate().to_json()
    (tmp_path / "c.json").write_text(text)
    monkeypatch.setattr(checker, "MAX_CHARACTERS", len(text))
    assert checker.main([str(tmp_path / "c.json")]) == 0
    monkeypatch.setattr(checker, "MAX_CHARACTERS", len(text) - 1)
    assert checker.main([str(tmp_path / "c.json")]) == 2
