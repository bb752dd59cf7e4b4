"""What a stranger meets first."""

import ast
import configparser
import inspect
import re
import subprocess
import sys
from pathlib import Path

import networkx as nx

import symlump

ROOT = Path(__file__).resolve().parents[1]


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_import_does_not_import_torch_or_sympy():
    code = (
        "import sys, symlump; print([m for m in ('torch', 'sympy', 'scipy') if m in sys.modules])"
    )
    assert run_python(code) == "[]"


def test_reducing_a_system_does_not_import_torch():
    code = (
        "import sys, sympy, symlump as sl; x = sympy.Symbol('x');"
        "sl.lump(sl.PolynomialODE.from_sympy({x: -x}), sl.Forward()); print('torch' in sys.modules)"
    )
    assert run_python(code) == "False"


def test_every_public_name_loads():
    for name in symlump.__all__:
        assert getattr(symlump, name).__doc__, name
    assert dir(symlump) == sorted(symlump.__all__)


def test_all_metadata_is_in_setup_cfg():
    assert "[project]" not in (ROOT / "pyproject.toml").read_text()
    metadata = configparser.RawConfigParser()
    metadata.read(ROOT / "setup.cfg")
    extras = set(metadata["options.extras_require"])
    assert {"test", "docs", "notebook", "fast", "onnx", "sbml", "dask"} <= extras


def test_every_requirement_has_a_lowest_version():
    """.ci/versions runs the tests with these, and without one it would take the first version ever."""
    metadata = configparser.RawConfigParser()
    metadata.read(ROOT / "setup.cfg")
    listed = [metadata["options"]["install_requires"], *metadata["options.extras_require"].values()]
    lines = "\n".join(listed).split()
    assert {"sympy", "numpy", "torch"} <= {line.split(">=")[0] for line in lines}
    for line in lines:
        assert re.fullmatch(r"[\w-]+(\[\w+\])?>=\d+(\.\d+)+|%\(\w+\)s", line), line


def test_versions_are_the_lowest_or_the_newest():
    done = subprocess.run(
        ["bash", ROOT / ".ci" / "versions", "new"], capture_output=True, text=True
    )
    assert done.returncode == 2 and "lowest|newest" in done.stderr


#: What each room may import, besides the single files beside them; as docs/look-up/layout.md has it.
BELOW = {
    "ode": set(),
    "proof": {"ode"},
    "enclosures": {"ode"},
    "lumping": {"ode", "proof", "enclosures"},
    "formats": {"ode", "lumping"},
    "network": {"ode", "lumping", "enclosures"},
    "compression": {"ode", "proof", "enclosures", "lumping", "network"},
    "tolerances": {"ode", "enclosures", "lumping", "network", "compression"},
    "store": {"ode", "proof", "lumping", "formats"},
    "datasets": {"ode", "network"},
    "display": {"ode", "proof", "lumping", "network", "compression", "tolerances"},
}
#: Inside functions only: equations given as text, and a result that is asked for its picture.
WHEN_ASKED = {
    ("ode", "formats"),
    ("lumping", "formats"),
    ("compression", "display"),
    ("tolerances", "display"),
}


def lines_of_docstrings(tree):
    """How many lines the docstrings of a file take: they describe every argument, and are no code."""
    documented = ast.Module, ast.ClassDef, ast.FunctionDef
    nodes = [node for node in ast.walk(tree) if isinstance(node, documented) and node.body]
    first = [node.body[0] for node in nodes if ast.get_docstring(node, clean=False) is not None]
    return sum(text.end_lineno - text.lineno + 1 for text in first)


def test_files_stay_small():
    for path in (ROOT / "symlump").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        # The checker must run alone, so it stays one file.
        if path.name == "check.py":
            assert text.count("\n") <= 1500, path
            continue
        assert text.count("\n") <= 600, path
        assert text.count("\n") - lines_of_docstrings(ast.parse(text)) <= 400, path


#: What may still be without one of these sections; of the rooms that are listed nothing.
DESCRIBED = ("ode", "lumping", "display", "tolerances")


def public_callables():
    """Every public function and method of the listed rooms, with its name."""
    for name in symlump.__all__:
        found = getattr(symlump, name)
        if found.__module__.split(".")[1] not in DESCRIBED:
            continue
        if inspect.isfunction(found):
            yield name, found
        elif inspect.isclass(found):
            for key, value in vars(found).items():
                method = getattr(value, "__func__", value)
                if not key.startswith("_") and inspect.isfunction(method):
                    yield f"{name}.{key}", method


def test_public_callables_describe_what_they_take_and_return():
    for name, function in public_callables():
        text, signature = inspect.getdoc(function), inspect.signature(function)
        if set(signature.parameters) - {"self", "cls"}:
            assert "Parameters\n----------" in text, name
        if signature.return_annotation not in ("None", None):
            assert "Returns\n-------" in text, name


def test_public_nouns_and_verbs_have_an_example():
    for name in symlump.__all__:
        found = getattr(symlump, name)
        if found.__module__.split(".")[1] in DESCRIBED:
            assert ">>>" in inspect.getdoc(found), name


def imported(node):
    """The modules of the package that a statement imports, however it says so."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        assert not node.level, "imports name the whole module"
        names = [str(node.module)]
        if node.module == "symlump":
            names = [f"symlump.{alias.name}" for alias in node.names]
    else:
        names = []
    return [name for name in names if name.startswith("symlump.")]


def test_every_way_to_import_is_seen():
    for line in ("import symlump.cli.main", "from symlump import cli", "from symlump.cli import x"):
        (module,) = imported(ast.parse(line).body[0])
        assert module.split(".")[1] == "cli"


def test_rooms_import_what_is_below():
    """Imports inside functions count, too."""
    rooms = {path.name for path in (ROOT / "symlump").iterdir() if path.is_dir()} - {"__pycache__"}
    assert rooms == {*BELOW, "bench", "cli"}
    for room, below in BELOW.items():
        for path in (ROOT / "symlump" / room).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                for module in imported(node):
                    other = module.split(".")[1]
                    if other in rooms - below - {room}:
                        asked = (room, other) in WHEN_ASKED and node not in tree.body
                        assert asked, (path, node.lineno, other)


def test_folders_of_a_room_do_not_import_in_circles():
    """Between folders the imports at the top of files form no circle, and few files are in one place."""
    package, graph = ROOT / "symlump", nx.DiGraph()
    for path in package.rglob("*.py"):
        home = path.parent.relative_to(ROOT).parts
        assert len(list(path.parent.glob("*.py"))) <= 20, path.parent
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("symlump."):
                parts = tuple(str(node.module).split("."))
                there = parts if ROOT.joinpath(*parts).is_dir() else parts[:-1]
                # What is at the top of a room is used by its folders and uses them, file by file.
                if len(home) == len(there) == 3 and home != there:
                    graph.add_edge(home, there)
    assert nx.is_directed_acyclic_graph(graph), list(nx.simple_cycles(graph))


#: The one circle, of two classes: constructors of ``ODE`` return a ``PolynomialODE`` where no function occurs.
NEED_ONE_ANOTHER = {"symlump.ode.polynomial", "symlump.ode.system"}


def imports(root, late):
    """Which module of a package imports which; inside functions too, if asked, never for types only."""
    graph = nx.DiGraph()
    for path in (root / "symlump").rglob("*.py"):
        name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for_types = {
            inner
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for inner in ast.walk(node)
        }
        for node in ast.walk(tree) if late else tree.body:
            if node in for_types or not isinstance(node, ast.ImportFrom):
                continue
            if str(node.module).split(".")[0] == "symlump":
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    is_module = (root / whole.replace(".", "/")).with_suffix(".py").exists()
                    graph.add_edge(name, whole if is_module else node.module)
    return graph


def definitions(kind):
    """Every class or function at the top of a file: its name, and where it is."""
    for path in sorted((ROOT / "symlump").rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, kind) and not node.name.startswith("_"):
                yield node.name, path


def test_no_two_classes_have_one_name():
    """Only the checker's words are its own: it stands alone."""
    found = {}
    for name, path in definitions(ast.ClassDef):
        if path.name != "check.py":
            assert name not in found, (name, path, found[name])
            found[name] = path
    nouns = {*symlump.__all__, "Affine", "Arithmetic", "Chain", "FloatArithmetic", "Step"}
    for path in sorted((ROOT / "symlump").rglob("*.py")):  # nor does a private one hide a noun
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and path.name != "check.py":
                assert node.name[1:] not in nouns, (node.name, path)


#: What ends like a participle and is none, or is the word for what is returned.
NO_PARTICIPLES = {"conserved"}


def test_functions_are_verbs():
    """What a function does, not what its result is (which a method of a frozen object may say)."""
    participle = re.compile(
        r"\w+[^e]ed|kept|found|made|given|taken|shown|(re)?written|known|chosen|told|built"
    )
    for name, path in definitions(ast.FunctionDef):
        if name not in NO_PARTICIPLES and "_" not in name:
            assert not participle.fullmatch(name), (name, path)


def test_modules_do_not_import_in_circles():
    graph = imports(ROOT, late=False)
    assert nx.is_directed_acyclic_graph(graph), list(nx.simple_cycles(graph))


def test_imports_inside_functions_make_no_further_circles():
    circles = [c for c in nx.strongly_connected_components(imports(ROOT, late=True)) if len(c) > 1]
    assert circles == [NEED_ONE_ANOTHER]


def test_imports_inside_functions_are_counted(tmp_path):
    """The test before this one would see a circle: here is one, and one that is for types only."""
    package = tmp_path / "symlump"
    package.mkdir()
    (package / "a.py").write_text("from symlump.b import g\n")
    (package / "b.py").write_text("def g():\n    from symlump.a import f\n")
    (package / "c.py").write_text("if TYPE_CHECKING:\n    from symlump.d import h\n")
    (package / "d.py").write_text("from symlump.c import k\n")
    assert nx.is_directed_acyclic_graph(imports(tmp_path, late=False))
    circles = nx.strongly_connected_components(imports(tmp_path, late=True))
    assert [c for c in circles if len(c) > 1] == [{"symlump.a", "symlump.b"}]


def test_test_files_have_different_names():
    """Test modules are imported by their bare names, so two of one name hide each other."""
    found = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(found) == len(set(found))
