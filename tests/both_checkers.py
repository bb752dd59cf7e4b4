"""A plugin of pytest: what ``check.py`` is asked during the tests, the verified checker is asked at their end.

``python -m pytest -p both_checkers tests/proof`` fails if one accepts a certificate that the other does not, or
calls its lumping the coarsest or the smallest. Each certificate is asked about once, if it is short enough.
"""

import json
from collections import Counter

import symlump.proof.check as checker

LONGEST = 60_000  # characters of a certificate and its system

asked: dict[str, None] = {}
_check = checker.check


def check(certificate, system=None, **options):
    """What ``check`` says, which is remembered to have been asked."""
    try:
        text = json.dumps([certificate, system])
    except (TypeError, ValueError, RecursionError):
        text = ""  # no JSON, so no certificate
    if 0 < len(text) <= LONGEST:
        asked[text] = None
    return _check(certificate, system, **options)


checker.check = check  # before any module has taken the name


def in_python(certificate, system):
    """The answer of both files in Python, and whether the lumping is shown to be the best."""
    from symlump.proof.closure import check_closure

    found = _check(certificate, system)
    if not found.accepted or "closure" not in certificate:
        return found.answer, found.coarsest
    smallest = check_closure(certificate, system)
    return smallest.answer, smallest.accepted


def in_coq(certificate, system):
    """The same of the program that was proved correct."""
    from symlump.proof.coq.verified import check_verified

    found = check_verified(certificate, system)
    return found.answer, found.coarsest


def pytest_terminal_summary(terminalreporter):
    counts, apart = Counter(), []
    for text in asked:
        answers = []
        for ask in (in_python, in_coq):
            try:
                answers.append(ask(*json.loads(text)))
            except checker.Unreadable:
                answers.append(("unreadable", False))
        counts[answers[0][0], answers[1][0]] += 1
        accepted, proved = ((answer == "accepted", best) for answer, best in answers)
        if accepted != proved:
            apart.append((*answers, text[:400]))
    terminalreporter.section(f"check.py and the verified checker on {len(asked)} certificates")
    for pair, count in sorted(counts.items()):
        terminalreporter.line(f"{pair[0]:>12} {pair[1]:>12} {count:6}")
    for difference in apart:
        terminalreporter.line(f"DIFFERENT: {difference}", red=True)
    if apart:
        terminalreporter._session.exitstatus = 1
