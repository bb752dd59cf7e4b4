"""What is public says what it takes, gives and raises, and shows it: every exported name, and its methods."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import symlump


def methods(cls: type) -> Iterator[tuple[str, Any]]:
    """Public methods of a class, those that it takes from other classes of the package included."""
    for base in cls.__mro__:
        if not base.__module__.startswith("symlump"):
            continue
        for name, held in vars(base).items():
            function = held.__func__ if isinstance(held, classmethod | staticmethod) else held
            if not name.startswith("_") and inspect.isfunction(function):
                yield f"{base.__name__}.{name}", function


def public() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in symlump.__all__:
        value = getattr(symlump, name)
        found[name] = value
        if inspect.isclass(value):
            found.update(methods(value))
    return found


def section(text: str, title: str) -> str | None:
    """The body of a section of a docstring, or None."""
    match = re.search(rf"^{title}\n-+\n(.*?)(?=^\S[^\n]*\n-+$|\Z)", text, re.M | re.S)
    return None if match is None else match[1]


def described(body: str) -> set[str]:
    """The names that a section describes: ``a, b : type`` and ``**options``."""
    lines = re.findall(r"^([*\w][^:\n]*?)(?: :.*)?$", body, re.M)
    return {name.strip(" *") for line in lines for name in line.split(",")}


def raises(function: Any) -> bool:
    """Whether a written function (no generated one) has a raise statement."""
    function = inspect.unwrap(function) if inspect.isfunction(function) else None
    if function is None or function.__code__.co_filename.startswith("<"):
        return False
    return re.search(r"^\s+raise\b", inspect.getsource(function), re.M) is not None


def missing(value: Any) -> list[str]:
    """What the docstring of one callable leaves out."""
    text = inspect.getdoc(value) or ""
    signature = inspect.signature(value)
    given = [name for name in signature.parameters if name not in ("self", "cls")]
    body = section(text, "Parameters") or section(text, "Attributes") or ""
    found = [f"parameter {name}" for name in given if name not in described(body)]
    names = ("__init__", "__post_init__") if inspect.isclass(value) else ()
    makers = [vars(value).get(name) for name in names] or [value]
    if any(map(raises, makers)) and section(text, "Raises") is None:
        found.append("Raises")
    if not inspect.isclass(value) and signature.return_annotation not in (None, "None"):
        found += ["Returns"] if section(text, "Returns") is None else []
    if ">>> " not in text and not getattr(value, "__isabstractmethod__", False):
        found.append("an example")
    return found


def test_every_docstring_is_complete():
    gaps = {name: missing(value) for name, value in public().items()}
    assert {name: gap for name, gap in gaps.items() if gap} == {}
    assert len(gaps) > 200


def test_what_is_left_out_is_noticed():
    def bare(x: int, *, y: int = 0) -> int:
        """A sentence.

        Parameters
        ----------
        x : int
        """
        if x < y:
            raise ValueError
        return x

    assert missing(bare) == ["parameter y", "Raises", "Returns", "an example"]
