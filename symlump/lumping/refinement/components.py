"""Components of directed graphs, in the order in which they need one another, and of what shares something."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def strong_components(arrows: Mapping[int, Sequence[int]]) -> Iterator[list[int]]:
    """The strongly connected components, each after all that its arrows lead to.

    Parameters
    ----------
    arrows : dict of int to sequence of int
        The nodes, and where the arrows from each lead.

    Yields
    ------
    list of int
        The nodes of a component, ascending.

    Notes
    -----
    Tarjan's algorithm without recursion: O(nodes + arrows). networkx has it too; its import takes longer than
    most lumpings.

    References
    ----------
    Tarjan, SIAM J. Comput. 1 (1972) 146, doi:10.1137/0201010.

    Examples
    --------
    >>> list(strong_components({0: [1], 1: [2], 2: [1], 3: [0]}))
    [[1, 2], [0], [3]]
    """
    number: dict[int, int] = {}  # in the order of discovery
    low: dict[int, int] = {}  # the smallest number on the path that is reached from below
    path: list[int] = []
    on_path: set[int] = set()
    for root in arrows:
        if root in number:
            continue
        number[root] = low[root] = len(number)
        path.append(root)
        on_path.add(root)
        work = [(root, iter(arrows[root]))]
        while work:
            node, following = work[-1]
            for other in following:
                if other not in number:
                    number[other] = low[other] = len(number)
                    path.append(other)
                    on_path.add(other)
                    work.append((other, iter(arrows[other])))
                    break
                if other in on_path:
                    low[node] = min(low[node], number[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == number[node]:  # nothing of its component is further up the path
                    component = _cut(path, node)
                    on_path.difference_update(component)
                    yield sorted(component)


def _cut(path: list[int], node: int) -> list[int]:
    """Take a node and everything after it off the end of a path."""
    component = [path.pop()]
    while component[-1] != node:
        component.append(path.pop())
    return component


def groups_apart(
    items: Sequence[Item], keys: Callable[[Item], Iterable[Hashable]]
) -> list[list[Item]]:
    """The items in groups that share no key, each in the given order.

    Examples
    --------
    >>> groups_apart(["ab", "c", "bd"], list)
    [['ab', 'bd'], ['c']]
    """
    group_of = list(range(len(items)))
    first: dict[Hashable, int] = {}

    def root(i: int) -> int:
        while group_of[i] != i:
            group_of[i] = i = group_of[group_of[i]]
        return i

    for i, item in enumerate(items):
        for key in keys(item):
            group_of[root(first.setdefault(key, i))] = root(i)
    groups: dict[int, list[Item]] = {}
    for i, item in enumerate(items):
        groups.setdefault(root(i), []).append(item)
    return list(groups.values())
