"""The dependency graph of a lumped system as DOT or Mermaid text, for those without matplotlib."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from symlump.colours import Look, block_numbers
from symlump.errors import MethodError
from symlump.memory import memory_errors

if TYPE_CHECKING:
    from symlump.lumping.lumping import Lumping

_MAX_NODES = 2000


@memory_errors()
def to_dot(lumping: Lumping) -> str:
    """Write the dependency graph in Graphviz's language, with blocks as clusters.

    Parameters
    ----------
    lumping : Lumping

    Returns
    -------
    str

    Raises
    ------
    MethodError
        If the system has more than 2000 variables, or the lumping no partition.

    Examples
    --------
    >>> import sympy, symlump as sl
    >>> a, b, c = sympy.symbols("a b c")
    >>> ode = sl.PolynomialODE.from_sympy({a: c, b: c, c: -a - b})
    >>> print(to_dot(sl.lump(ode, sl.Forward(), [["c"]])))
    digraph lumping {
      rankdir=LR;
      node [shape=circle, style=filled, fillcolor=white];
      subgraph cluster_0 {
        label="y1";
        "a" [fillcolor="#44BB99"];
        "b" [fillcolor="#44BB99"];
      }
      "c";
      "a" -> "c";
      "b" -> "c";
      "c" -> "a";
      "c" -> "b";
    }
    """
    lines = [
        "digraph lumping {",
        "  rankdir=LR;",
        "  node [shape=circle, style=filled, fillcolor=white];",
    ]
    blocks = _blocks(lumping)
    looks = block_numbers([len(block) for _, block in blocks])
    for number, (name, block) in enumerate(blocks):
        if len(block) == 1:
            lines.append(f"  {_quoted(block[0])};")
            continue
        look = Look.of(looks[number])
        more = ', style="filled,dashed"' if look.hatch else ""
        lines += [f"  subgraph cluster_{number} {{", f"    label={_quoted(name)};"]
        lines += [f'    {_quoted(variable)} [fillcolor="{look.fill}"{more}];' for variable in block]
        lines.append("  }")
    lines += [f"  {_quoted(x)} -> {_quoted(y)};" for x, y in _edges(lumping)]
    return "\n".join([*lines, "}"])


@memory_errors()
def to_mermaid(lumping: Lumping) -> str:
    """Write the dependency graph in Mermaid's language, which many code hosts draw, with blocks as subgraphs.

    Parameters
    ----------
    lumping : Lumping

    Returns
    -------
    str

    Raises
    ------
    MethodError
        If the system has more than 2000 variables, or the lumping no partition.

    Examples
    --------
    >>> import sympy, symlump as sl
    >>> a, b, c = sympy.symbols("a b c")
    >>> ode = sl.PolynomialODE.from_sympy({a: c, b: c, c: -a - b})
    >>> print(to_mermaid(sl.lump(ode, sl.Forward(), [["c"]])))
    flowchart LR
      subgraph b0 ["y1"]
        v0(("a"))
        v1(("b"))
      end
      v2(("c"))
      v0 --> v2
      v1 --> v2
      v2 --> v0
      v2 --> v1
    """
    index = lumping.ode.index
    lines = ["flowchart LR"]
    for number, (name, block) in enumerate(_blocks(lumping)):
        nodes = [f'v{index[variable]}(("{_entity(variable)}"))' for variable in block]
        if len(block) == 1:
            lines.append("  " + nodes[0])
        else:
            lines.append(f'  subgraph b{number} ["{_entity(name)}"]')
            lines += ["    " + node for node in nodes] + ["  end"]
    lines += [f"  v{index[x]} --> v{index[y]}" for x, y in _edges(lumping)]
    return "\n".join(lines)


def _blocks(lumping: Lumping) -> list[tuple[str, tuple[str, ...]]]:
    if not hasattr(lumping, "partition"):
        raise MethodError(
            f"graph texts show lumpings by a partition; this is a {type(lumping).__name__}"
        )
    if len(lumping.ode) > _MAX_NODES:
        raise MethodError(
            f"a graph of {len(lumping.ode)} variables is too large to draw legibly (at most {_MAX_NODES}); "
            "use draw(lumping)"
        )
    return list(zip(lumping.quotient.variables, lumping.blocks, strict=True))


def _edges(lumping: Lumping) -> list[tuple[str, str]]:
    names = lumping.ode.variables
    sources, targets = lumping.ode.edges
    return [(names[i], names[j]) for i, j in zip(sources.tolist(), targets.tolist(), strict=True)]


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


def _entity(name: str) -> str:
    """Names are strangers' text: everything but letters, digits and a few marks becomes a number code."""
    return re.sub(r"[^\w .,()+\-*/']", lambda match: f"#{ord(match[0])};", name)
