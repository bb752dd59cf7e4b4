"""The extreme rays of a cone of nonnegative combinations, in exact integers, where they are few.

The double description method: a cone starts as an orthant, whose rays are the unit vectors. Each further
inequality a·w ≥ 0 keeps the rays on its side, and adds for every pair of neighbours on different sides
the point between them where a·w = 0.

References
----------
Fukuda, Prodon, "Double description method revisited", doi:10.1007/3-540-61576-8_77.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from operator import mul

_MOST_RAYS = 400
_MOST_WORK = 200_000

Ray = tuple[int, ...]


class TooManyRaysError(Exception):
    """The cone has more rays than are worth having."""


def extreme_rays(size: int, inequalities: Sequence[Ray]) -> list[Ray]:
    """The extreme rays of {w ≥ 0, a·w ≥ 0 for all a}, as coprime integers.

    Raises
    ------
    TooManyRaysError
        If there are more than some hundred on the way.

    Examples
    --------
    >>> extreme_rays(2, [(1, -2)])      # w_1 ≥ 2·w_2
    [(1, 0), (2, 1)]
    """
    # A ray, and a bit for each inequality that it fulfils as an equation; the first are w_i ≥ 0.
    everything = (1 << size) - 1
    rays = [(tuple(int(i == j) for j in range(size)), everything ^ (1 << i)) for i in range(size)]
    work = 0
    for bit, a in enumerate(inequalities, size):
        sides = [sum(map(mul, a, ray)) for ray, _ in rays]
        if min(sides, default=1) > 0:
            continue
        kept = [
            (ray, zeros | 1 << bit if not side else zeros)
            for (ray, zeros), side in zip(rays, sides, strict=True)
            if side >= 0
        ]
        inside = [(k, side) for k, side in enumerate(sides) if side > 0]
        outside = [(k, side) for k, side in enumerate(sides) if side < 0]
        work += len(inside) * len(outside) * len(rays)
        if work > _MOST_WORK:
            raise TooManyRaysError
        for k, side in inside:
            for other, below in outside:
                shared = rays[k][1] & rays[other][1]
                # Neighbours: no third ray lies on every face on which both lie.
                if shared.bit_count() < size - 2:
                    continue
                if sum([zeros & shared == shared for _, zeros in rays]) > 2:
                    continue
                between = [
                    side * v - below * u for u, v in zip(rays[k][0], rays[other][0], strict=True)
                ]
                divisor = gcd(*between)
                kept.append((tuple(v // divisor for v in between), shared | 1 << bit))
        rays = kept
        if len(rays) > _MOST_RAYS:
            raise TooManyRaysError
    return [ray for ray, _ in rays]
