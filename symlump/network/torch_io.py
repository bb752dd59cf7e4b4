"""torch in, torch out.

An ``nn.Sequential`` of dense layers and activations is read directly; any other module is traced by
:mod:`symlump.network.exchange.export_io`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import fx, nn
from torch.nn.parameter import is_lazy

from symlump.errors import NetworkError
from symlump.memory import memory_errors
from symlump.network.activations.torch_modules import activation_module, known_activation
from symlump.network.chain import Chain, Layer
from symlump.network.exchange.export_io import read_exported
from symlump.network.network import Network
from symlump.network.nodes import Affine, Flatten, Squeeze
from symlump.network.shared import SharedModules, find_transposed, keep_shared
from symlump.network.torch_module import DTYPES, graph_module, with_arrays_of
from symlump.network.torch_parts import BlockSum, array_of, computes_as_its_class
from symlump.network.written.grouped import held_by_parts

_DROPPED = (nn.Identity, nn.Dropout, nn.AlphaDropout)


@memory_errors()
def from_torch(
    model: nn.Module,
    example: torch.Tensor | Sequence[torch.Tensor] | None = None,
    leave_untouched: bool = False,
) -> Network:
    """Read a torch module as a network.

    Parameters
    ----------
    model : torch.nn.Module
        It is read as in evaluation: dropout does nothing, batch normalisation uses its stored statistics.
    example : Tensor of shape (samples, …), or a tuple of them, optional
        An input of any values; needed where the shape of the input is not that of the first dense layer.
    leave_untouched : bool
        Carry operations that symlump does not know along as they are; the units they read stay alone.

    Returns
    -------
    Network

    Raises
    ------
    NetworkError
        If the model holds something that is not known; the message names its place.

    Examples
    --------
    >>> _ = torch.manual_seed(0)
    >>> from_torch(nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 1)))
    <Network: 3–5–1, tanh, 26 parameters>
    >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    >>> from_torch(net, example=torch.zeros(1, 1, 4, 4))
    <Network: (1, 4, 4) → (2), 2 layers, 74 parameters>
    """
    if not isinstance(model, nn.Module):
        raise NetworkError(
            f"this reads a torch.nn.Module; got a {type(model).__name__}. Saved tensors are loaded into a "
            "model first, model.load_state_dict(…), and of a program of torch.export give .module()"
        )
    model = getattr(model, "_orig_mod", model)  # torch.compile wraps what it is given
    if isinstance(model, torch.jit.ScriptModule):
        raise NetworkError(
            f"a {type(model).__name__} is a program of torch.jit, which is not read; give the module that it "
            "was made of, or what torch exports of it as ONNX: read_onnx(path)"
        )
    _refuse_quantized(model)
    lazy = next((n for n, p in model.named_parameters() if is_lazy(p)), None)
    if lazy is not None:
        raise NetworkError(
            f"{lazy!r} has no shape yet; call the model on an input once, and it gets one"
        )
    if any(p.is_meta for p in model.parameters()):
        raise NetworkError(
            f"the weights of this {type(model).__name__} are on the meta device, which holds no numbers; give "
            "it some first: model.to_empty(device='cpu'), then model.load_state_dict(…)"
        )
    network = _sequential(model)
    if network is not None:
        return network
    if not leave_untouched:
        _refuse_recurrent(model)
    guessed = example is None
    if example is None:
        example = _guessed_example(model)
    try:
        network = read_exported(model, example, leave_untouched)
    except NetworkError as error:
        if guessed and "traced" in str(error):
            raise NetworkError(f"{error}. Give an input: example=torch.zeros(…)") from None
        raise
    held = (p.detach().cpu().double().numpy() for p in model.parameters() if p.ndim == 2)
    object.__setattr__(network, "rearranged", find_transposed(network.layers, held))
    return network


def _refuse_quantized(model: nn.Module) -> None:
    for place, module in model.named_modules():
        kind = type(module)
        if ".quantized." in f"{kind.__module__}." and ".ao." in kind.__module__:
            raise NetworkError(
                f"{place or 'this module'}: a quantized {kind.__name__} holds its weights packed, as whole "
                "numbers; compress the model that it was made from, and quantize what comes back, as in "
                "torch.ao.quantization.quantize_dynamic(compress(model, …).model)"
            )


def _refuse_recurrent(model: nn.Module) -> None:
    kinds = (nn.RNNBase, nn.RNNCellBase)
    found = next((name for name, m in model.named_modules() if isinstance(m, kinds)), None)
    if found is not None:
        raise NetworkError(
            f"{found or 'this module'}: a network without recurrence is read here; recurrent cells are read by "
            "compress(model, AFDE(eps=0)), and encode(cell) is a cell as a map"
        )


def _guessed_example(model: nn.Module) -> torch.Tensor:
    """Zeros for the first layer, if that is a dense one."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            return torch.zeros(2, module.in_features, dtype=module.weight.dtype)
        if next(module.parameters(recurse=False), None) is not None and not isinstance(
            module, nn.BatchNorm1d
        ):
            break
    raise NetworkError(
        f"the shape of the input of a {type(model).__name__} cannot be told from its layers; give an input, "
        "as in compress(model, method, example=torch.zeros(1, 3, 32, 32))"
    )


def _sequential(model: nn.Module) -> Network | None:
    """A plain chain in an ``nn.Sequential``, without tracing; None if there is more to it."""
    if not isinstance(model, nn.Sequential) or not all(map(_is_plain, model.modules())):
        return None
    modules = _flat(model)
    before = bool(modules) and _flattens(modules[0][1])
    modules_before, modules = modules[:before], modules[before:]
    layers: list[Layer] = []
    linears: list[tuple[str, nn.Linear]] = []
    dtypes: set[torch.dtype] = set()
    open_for_activation = False
    for name, module in modules:
        if isinstance(module, nn.Linear):
            if "weight" not in module._parameters:
                return None  # it is computed from others
            dtype = module.weight.dtype
            if dtype not in DTYPES:
                raise NetworkError(
                    f"module {name!r} is of {dtype}; convert the model to float32 or float64, as with .float()"
                )
            dtypes.add(dtype)
            linears.append((name, module))
            weight, bias = array_of(module.weight), module.bias
            layers.append(Layer(weight, None if bias is None else array_of(bias)))
            open_for_activation = True
        elif isinstance(module, BlockSum):
            if not layers or layers[-1].groups is not None:
                raise NetworkError(f"module {name!r}: BlockSum must follow a layer's activation")
            layers[-1] = replace(layers[-1], groups=module.groups.cpu().numpy().astype(np.int64))
            open_for_activation = False
        elif not isinstance(module, _DROPPED):
            phi = known_activation(module)
            if phi is None or not open_for_activation:
                return None
            layers[-1] = replace(layers[-1], activation=phi)
            open_for_activation = False
    if len(dtypes) > 1:
        raise NetworkError(
            f"the layers mix {', '.join(sorted(map(str, dtypes)))}; convert the model"
        )
    precision = DTYPES[dtypes.pop()] if dtypes else "float64"
    chain = Chain(tuple(layers), precision)
    network = Network.from_chain(chain)
    if before:
        # The shape of what is flattened is not told by the module; its rows are.
        flat = Flatten(modules_before[0][0], (network.nodes[0].name,))
        network = Network((network.nodes[0], flat), (flat.name,), precision).with_chain(chain)
    return network.with_layers(keep_shared(_named(network, linears)))


def _named(network: Network, linears: Sequence[tuple[str, nn.Linear]]) -> list[Affine]:
    """The layers with a name for each tensor, so that those that modules share are seen."""
    names: dict[int, str] = {}
    for place, module in linears:
        names.setdefault(id(module.weight), f"{place}.weight")
        names.setdefault(id(module.bias), f"{place}.bias")
    return [
        replace(layer, weight_name=names[id(module.weight)], bias_name=names[id(module.bias)])
        for layer, (_, module) in zip(network.layers, linears, strict=True)
    ]


def _is_plain(module: nn.Module) -> bool:
    """Whether a module computes what its class in torch does: no hooks, no forward pass of its own."""
    for kind in (nn.Sequential, nn.Linear):
        if isinstance(module, kind) and type(module).forward is not kind.forward:
            return False
    return computes_as_its_class(module)


def _flattens(module: nn.Module) -> bool:
    return isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1)


@memory_errors()
def to_torch(network: Network) -> nn.Module:
    """Write a network as a plain torch module in its dtype, ready for training or ``state_dict``.

    A chain of dense layers becomes an ``nn.Sequential``, any other network a ``torch.fx.GraphModule``, whose
    ``code`` is its forward pass and whose modules keep their names.

    Parameters
    ----------
    network : Network

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    NetworkError
        If a step cannot be written as a module of torch.

    Examples
    --------
    >>> to_torch(Network.dense([[[1.0, 2.0]], [[3.0]]], activation="relu"))
    Sequential(
      (0): Linear(in_features=2, out_features=1, bias=False)
      (1): ReLU()
      (2): Linear(in_features=1, out_features=1, bias=False)
    )
    """
    if not isinstance(network, Network):
        raise NetworkError(f"to_torch takes a Network; got {type(network).__name__}")
    chain = network.chain
    if chain is None or network.as_dict:
        return graph_module(network)
    dtype: torch.dtype = getattr(torch, network.dtype)
    modules: list[nn.Module] = [nn.Flatten()] if isinstance(network.nodes[1], Flatten) else []
    shared = SharedModules()
    for node, layer in zip(network.layers, chain.layers, strict=True):
        linear = shared.find(node)
        if linear is None:
            with torch.random.fork_rng(devices=[]):  # the initial values drawn here are overwritten
                linear = nn.Linear(layer.inputs, layer.units, layer.bias is not None, dtype=dtype)
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(np.array(layer.weight)))
                if layer.bias is not None:
                    linear.bias.copy_(torch.from_numpy(np.array(layer.bias)))
            shared.add(node, linear)
        modules.append(linear)
        if layer.activation.name != "identity":
            modules.append(activation_module(layer.activation))
        if layer.groups is not None:
            modules.append(BlockSum(layer.groups))
    if isinstance(network.nodes[-1], Squeeze):
        modules.append(nn.Flatten(0))
    return nn.Sequential(*modules)


def layer_places(network: Network, model: nn.Module) -> dict[str, str]:
    """Where the modules of a network's layers are in the model that ``to_torch`` made of it, by name.

    Examples
    --------
    >>> net = Network.dense([[[1.0]], [[2.0]]])
    >>> layer_places(net, to_torch(net))
    {'layers.0': '0', 'layers.1': '2'}
    """
    if isinstance(model, fx.GraphModule):
        calls = (n for n in model.graph.nodes if n.op == "call_module")
        return {n.meta["symlump"]: str(n.target) for n in calls}
    flat = _flat(model) if isinstance(model, nn.Sequential) else []
    held = [place for place, module in flat if getattr(module, "weight", None) is not None]
    return dict(zip((layer.name for layer in network.layers), held, strict=True))


def read_back(network: Network, model: nn.Module) -> Network:
    """A network with the weights that a module made from it by ``to_torch`` holds now.

    Examples
    --------
    >>> net = Network.dense([[[1.0, 2.0]]])
    >>> model = to_torch(net)
    >>> _ = torch.nn.init.ones_(model[0].weight)
    >>> read_back(net, model).layers[0].weight.tolist()
    [[1.0, 1.0]]
    """
    places = layer_places(network, model)
    held = held_by_parts(
        network, {name: model.get_submodule(place) for name, place in places.items()}
    )
    return network.with_layers(with_arrays_of(layer, held[layer.name]) for layer in network.layers)


def _flat(model: nn.Sequential, prefix: str = "") -> list[tuple[str, nn.Module]]:
    """All modules in order, with their places; the nesting is as deep as the user's own model."""
    found: list[tuple[str, nn.Module]] = []
    for name, module in model._modules.items():  # named_children() leaves out what comes again
        assert module is not None
        if isinstance(module, nn.Sequential):
            found += _flat(module, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", module))
    return found
