"""A mutation tester: which small changes of a file does no test notice?

    python tests/mutants.py FILE.py[:FIRST-LAST] [PART/PARTS] -- TESTS AND OPTIONS OF PYTEST

With FIRST-LAST only the mutants of these lines are made, with PART/PARTS only every so many of them.

The tests are collected once, and sorted by how long they take. For each mutant (one operator, constant,
condition or statement changed) a forked child puts the changed code in the place of the module, in all
modules that have imported from it, and runs the tests until one fails; that test is the first for the mutants
that follow, which are near. Needs a system with fork. Property tests run at most 10 examples.

What is not mutated: docstrings and other text, annotations, decorators, and lines that end in
``# no mutant: REASON``.
"""

from __future__ import annotations

import ast
import copy
import importlib
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SLOWER = 3  # times as long as without a mutant, and SECONDS more: what takes longer hangs, and is noticed
SECONDS = 5  # of the processor
MEMORY = 8 << 30
EXAMPLES = 10
FAILED = "failed"  # a file that names the test

SWAPPED: dict[type, list[type]] = {
    ast.Lt: [ast.LtE, ast.GtE], ast.LtE: [ast.Lt, ast.Gt],
    ast.Gt: [ast.GtE, ast.LtE], ast.GtE: [ast.Gt, ast.Lt],
    ast.Eq: [ast.NotEq], ast.NotEq: [ast.Eq], ast.Is: [ast.IsNot], ast.IsNot: [ast.Is],
    ast.In: [ast.NotIn], ast.NotIn: [ast.In], ast.And: [ast.Or], ast.Or: [ast.And],
    ast.Add: [ast.Sub], ast.Sub: [ast.Add], ast.Mult: [ast.Add], ast.Div: [ast.Mult],
    ast.FloorDiv: [ast.Mult], ast.Mod: [ast.Mult], ast.Pow: [ast.Mult], ast.BitOr: [ast.BitAnd],
    ast.LShift: [ast.RShift],
}  # fmt: skip


def changes(node: ast.AST) -> Iterator[tuple[str, ast.AST | None]]:
    """What may stand in the place of one node: (what was done, the new node; None for nothing)."""

    def with_(**fields: Any) -> ast.AST:
        new = copy.copy(node)
        for name, value in fields.items():
            setattr(new, name, value)
        return new

    match node:
        case ast.Compare(ops=[op]) | ast.BoolOp(op=op) | ast.BinOp(op=op) | ast.AugAssign(op=op):
            for other in SWAPPED.get(type(op), ()):
                field: Any = [other()] if isinstance(node, ast.Compare) else other()
                name = "ops" if isinstance(node, ast.Compare) else "op"
                yield f"{type(op).__name__} -> {other.__name__}", with_(**{name: field})
        case ast.Compare(ops=ops):
            for at, op in enumerate(ops):
                for other in SWAPPED.get(type(op), ()):
                    yield (
                        f"{type(op).__name__} {at} -> {other.__name__}",
                        with_(ops=[*ops[:at], other(), *ops[at + 1 :]]),
                    )
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield "drop not or minus", operand
        case ast.Constant(value=bool() as value):
            yield f"{value} -> {not value}", ast.Constant(not value)
        case ast.Constant(value=int() as value):
            yield f"{value} -> {value + 1}", ast.Constant(value + 1)
    match node:
        case ast.If() | ast.While() | ast.IfExp():
            if not isinstance(node.test, ast.Constant):
                yield "condition negated", with_(test=ast.UnaryOp(ast.Not(), node.test))
        case ast.comprehension(ifs=[first, *rest]):
            yield "filter dropped", with_(ifs=rest)
            yield "filter negated", with_(ifs=[ast.UnaryOp(ast.Not(), first), *rest])
        case ast.Raise() | ast.Expr(value=ast.Call()) | ast.AugAssign():
            yield "statement dropped", ast.Pass()
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield "returns None", ast.Return(ast.Constant(None))
        case ast.Continue():
            yield "continue -> break", ast.Break()
        case ast.Call(keywords=keywords):
            for at in range(len(keywords)):
                yield (
                    f"argument {keywords[at].arg} dropped",
                    with_(keywords=[*keywords[:at], *keywords[at + 1 :]]),
                )


SKIPPED = {"annotation", "returns", "decorator_list", "type_comment"}


def places(tree: ast.AST) -> Iterator[tuple[ast.AST, str, int | None]]:
    """Every place of a node: its parent, the field, the position in a list."""
    for field, value in ast.iter_fields(tree):
        if field in SKIPPED:
            continue
        if isinstance(value, ast.AST):
            yield tree, field, None
            yield from places(value)
        elif isinstance(value, list):
            for at, entry in enumerate(value):
                if isinstance(entry, ast.AST):
                    yield tree, field, at
                    yield from places(entry)


def mutants(source: str, wanted: range) -> Iterator[tuple[int, str, str]]:
    """Line, description and source of each mutant of some lines."""
    tree, lines = ast.parse(source), source.splitlines()
    for parent, field, at in places(tree):
        node = getattr(parent, field) if at is None else getattr(parent, field)[at]
        line = getattr(node, "lineno", getattr(parent, "lineno", 0))
        end = getattr(node, "end_lineno", line)
        if line not in wanted or any(
            "# no mutant: " in text for text in lines[max(0, line - 1) : end]
        ):
            continue
        for what, new in changes(node):
            if at is None:
                setattr(parent, field, new)
            else:
                getattr(parent, field)[at] = new
            yield line, what, ast.unparse(ast.fix_missing_locations(tree))
            if at is None:
                setattr(parent, field, node)
            else:
                getattr(parent, field)[at] = node


def replace_module(path: Path, source: str, folder: Path) -> None:
    """Put other code in the place of a module, wherever something was imported from it."""
    name = ".".join(path.with_suffix("").parts)
    module, home = importlib.import_module(name), path.parent.resolve()
    rooms = {"symlump", *(p.stem for p in Path("tests").rglob("test_*.py"))}
    for other in path.parent.glob("*.py"):  # what is run as a file, beside those it is run with
        (folder / other.name).write_text(source if other.name == path.name else other.read_text())
    for neighbour in list(sys.modules.values()):
        file = getattr(neighbour, "__file__", None)
        if file and Path(file).parent == home:
            neighbour.__file__ = str(folder / Path(file).name)
    before = dict(vars(module))
    exec(compile(source, str(path), "exec"), vars(module))
    names = [key for key in before if not key.startswith("__")]
    changed = {id(before[key]): vars(module)[key] for key in names}
    for neighbour in list(sys.modules.values()):
        if neighbour is not module and getattr(neighbour, "__name__", "").split(".")[0] in rooms:
            for key, value in list(vars(neighbour).items()):
                if id(value) in changed and callable(value):
                    setattr(neighbour, key, changed[id(value)])
                elif key in names and before[key] is value:  # a constant; others may be equal to it
                    setattr(neighbour, key, vars(module)[key])


class Tester:
    """A plugin that runs the collected tests once for each mutant."""

    def __init__(self, path: Path, lines: range, part: int, parts: int) -> None:
        self.path, self.lines, self.part, self.parts = path, lines, part, parts
        self.total, self.survivors, self.seconds = 0, list[str](), 0.0  # no limit

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed or not session.items:
            sys.exit("no tests, or not all of them could be collected")
        source = self.path.read_text()
        for item in session.items:
            settings = getattr(
                getattr(item, "obj", None), "_hypothesis_internal_use_settings", None
            )
            if settings is not None:
                from hypothesis import settings as make

                fewer = make(
                    settings, max_examples=min(EXAMPLES, settings.max_examples), database=None
                )
                item.obj._hypothesis_internal_use_settings = fewer
        with tempfile.NamedTemporaryFile("r") as notes:
            self.notes: str | None = notes.name
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            if self.noticed(session, source):
                sys.exit("the tests fail without any mutant")
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            self.seconds = SECONDS + SLOWER * (after.ru_utime - before.ru_utime)
            taken = dict(line.rsplit(" ", 1) for line in notes.read().splitlines())
        session.items.sort(key=lambda item: float(taken.get(item.nodeid, 0)))
        self.notes = None
        for number, (line, what, mutant) in enumerate(mutants(source, self.lines)):
            if number % self.parts != self.part:
                continue
            self.total += 1
            if not self.noticed(session, mutant):
                text = f"{self.path}:{line}: {what}: {source.splitlines()[line - 1].strip()}"
                self.survivors.append(text)
                print(text, flush=True)
        share = 1 - len(self.survivors) / max(1, self.total)
        print(
            f"{self.path}: {self.total} mutants, {len(self.survivors)} unnoticed, {share:.1%} noticed"
        )
        return True

    def noticed(self, session: pytest.Session, source: str) -> bool:
        """Whether a test fails, in a child."""
        sys.stdout.flush()
        with tempfile.TemporaryDirectory() as folder:
            child = os.fork()
            if child == 0:
                self.run(session, source, Path(folder))
            _, status = os.waitpid(child, 0)
            failed = Path(folder, FAILED)
            if failed.exists():
                name = failed.read_text()
                session.items.sort(key=lambda item: item.nodeid != name)  # stable
        return status != 0

    def run(self, session: pytest.Session, source: str, folder: Path) -> None:
        silence, outside = os.open(os.devnull, os.O_WRONLY), os.dup(1)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, self.seconds)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

        notes = self.notes

        class Listener:
            def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
                if notes is not None and report.when == "call":
                    with open(notes, "a") as file:
                        file.write(f"{report.nodeid} {report.duration}\n")
                if report.failed:
                    if notes is not None:
                        os.write(outside, f"{report.nodeid}\n{report.longreprtext}\n".encode())
                    (folder / FAILED).write_text(report.nodeid)
                    os._exit(1)

        try:
            session.config.pluginmanager.unregister(name="terminalreporter")
            session.config.pluginmanager.register(Listener())
            replace_module(self.path, source, folder)
            for at, item in enumerate(session.items):
                following = session.items[at + 1] if at + 1 < len(session.items) else None
                session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        except BaseException:
            os._exit(1)
        os._exit(0)


if __name__ == "__main__":
    cut = sys.argv.index("--")
    name, share = [*sys.argv[1:cut], "1/1"][:2]
    name, _, lines = name.partition(":")
    first, last = map(int, (lines or f"1-{sys.maxsize - 1}").split("-"))
    part, parts = map(int, share.split("/"))
    tester = Tester(Path(name), range(first, last + 1), part - 1, parts)
    pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[cut + 1 :]], [tester])
