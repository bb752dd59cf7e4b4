"""Labels, variables and rewards of the states of a chain: partition, views and initial values of its model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from symlump.errors import FileFormatError
from symlump.formats.chains.labels import Rewards, read_labels, read_rewards, read_states
from symlump.formats.model import Model
from symlump.formats.source import Source, quote_names
from symlump.ode.exact import ExactArray

Ints = NDArray[np.int64]
Transitions = tuple[Ints, Ints, ExactArray]
_START = "init"
#: How the note on the partition of labels begins.
APART = "states with different labels stay apart"


def with_labels(model: Model, source: Source, first: int) -> Model:
    """The model whose partition keeps states with different labels apart, with the labels as views.

    The label "init" says where the chain starts. It keeps nothing apart: sums of probabilities are known
    wherever the chain starts.
    """
    names = model.ode.variables
    labels = read_labels(source)
    notes, values = list(model.notes), dict(model.initial_values.items())
    places = {label: _places(source, states, first, len(names)) for label, states in labels.items()}
    start = sorted(set(places.pop(_START, [])))
    if len(start) == 1:
        values[names[start[0]]] = Fraction(1)
        notes.append(f"the chain starts in {names[start[0]]}, as the label {_START!r} says")
    elif start:
        notes.append(f"the label {_START!r} has {len(start)} states: initial values stay 0")
    kept = {label: states for label, states in places.items() if states}
    number = np.zeros(len(names), dtype=np.int64)
    for states in kept.values():
        has = np.zeros(len(names), dtype=np.int64)
        has[states] = 1
        number = np.unique(2 * number + has, return_inverse=True)[1]
    blocks: dict[int, list[str]] = {}
    for name, block in zip(names, number.tolist(), strict=True):
        blocks.setdefault(block, []).append(name)
    if kept:
        notes.append(f"{APART}: {quote_names(kept)}")
    one = Fraction(1)
    views = {label: {names[k]: one for k in states} for label, states in kept.items()}
    labelled = replace(
        model,
        initial_values=values,
        partition=tuple(map(tuple, blocks.values())) if kept else model.partition,
        notes=tuple(notes),
    )
    return _with_views(labelled, views)


def with_states(model: Model, source: Source, first: int) -> Model:
    """The model with the variables of its states as views: their expected values."""
    names = model.ode.variables
    views = {}
    for variable, values in read_states(source).items():
        places = _places(source, values, first, len(names))
        if len(places) < len(names):
            absent = min(set(range(len(names))).difference(places))
            raise FileFormatError(
                f"{source.path}: {len(places)} states, but the chain has {len(names)}: state {absent + first} "
                "is missing"
            )
        views[variable] = {
            names[k]: value for k, value in zip(places, values.values(), strict=True) if value
        }
    return _with_views(model, views)


def with_rewards(
    model: Model, sources: Iterable[Source], first: int, transitions: Transitions
) -> Model:
    """The model with reward structures as views: what is expected a step, or a unit of time.

    A reward r(i, j) of a transition counts P[i, j]·r(i, j) in state i. Files of one name are one structure, in
    which each state and each transition has one reward.
    """
    names = model.ode.variables
    added: dict[str, dict[str, Fraction]] = {}
    given: set[tuple[str, str]] = set()
    for source in sources:
        rewards = read_rewards(source, len(names))
        rewarded = [f"state {k}" for k in rewards.states]
        rewarded += [f"the transition from {i} to {j}" for i, j in rewards.transitions]
        for what in rewarded:
            if (rewards.name, what) in given:
                raise FileFormatError(
                    f"{source.path}: the reward of {what} in {rewards.name!r} is in another file, too"
                )
            given.add((rewards.name, what))
        earned = dict(rewards.states)
        for state, value in _earned(source, rewards, first, transitions, len(names)).items():
            earned[state] = earned.get(state, Fraction(0)) + value
        places = _places(source, earned, first, len(names))
        view = added.setdefault(rewards.name, {})
        for k, value in zip(places, earned.values(), strict=True):
            view[names[k]] = view.get(names[k], Fraction(0)) + value
    return _with_views(model, added)


def _with_views(model: Model, views: dict[str, dict[str, Fraction]]) -> Model:
    """The model with further views; a note says which take the place of others."""
    before = model.observables
    lost = [name for name, view in views.items() if before.get(name, view) != view]
    more = (f"views that take the place of others with their name: {quote_names(lost)}",)
    return replace(model, observables=before | views, notes=model.notes + (more if lost else ()))


def _earned(
    source: Source, rewards: Rewards, first: int, transitions: Transitions, count: int
) -> Mapping[int, Fraction]:
    """What the transitions of each state earn."""
    given = rewards.transitions
    _places(source, [k for pair in given for k in pair], first, count)
    if not given:
        return {}
    start, stop, values = transitions
    asked = np.array([(i - first) * count + j - first for i, j in given], dtype=np.int64)
    there = start * count + stop
    strange = np.flatnonzero(~np.isin(asked, there))
    if len(strange):
        i, j = list(given)[int(strange[0])]
        raise FileFormatError(
            f"{source.path}: a reward for a transition from {i} to {j}, which the chain does not have"
        )
    result: dict[int, Fraction] = {}
    for k in np.flatnonzero(np.isin(there, asked)).tolist():
        i, j = int(start[k]) + first, int(stop[k]) + first
        result[i] = result.get(i, Fraction(0)) + values[k] * given[i, j]
    return result


def _places(source: Source, states: Iterable[int], first: int, count: int) -> list[int]:
    """States as positions, each of which the chain has."""
    places = [state - first for state in states]
    for place in places:
        if not 0 <= place < count:
            raise FileFormatError(
                f"{source.path}: state {place + first} is outside {first} … {first + count - 1}"
            )
    return places
