"""The architecture of a chain of dense layers as a line of JSON, beside its weights.

A list with an entry for each module of an ``nn.Sequential``: its class in ``torch.nn``, its arguments, and the
prefix of its tensors in the file (empty where it has none).
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from torch import nn

from symlump.network.activations.torch_modules import known_activation

#: Under this name it stands in the metadata of a safetensors file.
KEY = "architecture"


def architecture(model: nn.Module, prefixes: Sequence[str] | None = None) -> str | None:
    """The JSON of a model that ``to_torch`` made; None where a module of it is not one of torch.

    Parameters
    ----------
    prefixes : sequence of str, optional
        Of the tensors of each dense layer; by default their places.

    Examples
    --------
    >>> architecture(nn.Sequential(nn.Linear(3, 2), nn.Tanh()))
    '[["Linear", {"in_features": 3, "out_features": 2, "bias": true}, "0"], ["Tanh", {}, ""]]'
    """
    rows: list[tuple[str, dict[str, object], str]] = []
    left = iter(prefixes or ())
    for place, module in enumerate(model.children()):
        kind = type(module).__name__
        if isinstance(module, nn.Linear):
            sizes = {"in_features": module.in_features, "out_features": module.out_features}
            prefix = next(left) if prefixes is not None else str(place)
            rows.append((kind, {**sizes, "bias": module.bias is not None}, prefix))
        elif isinstance(module, nn.Flatten):
            rows.append((kind, {"start_dim": module.start_dim, "end_dim": module.end_dim}, ""))
        else:
            phi = known_activation(module)
            if phi is None or not phi.torch_class or kind != phi.torch_class:
                return None
            rows.append((kind, dict(phi.torch_options), ""))
    return json.dumps(rows)
