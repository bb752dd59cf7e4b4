"""Copies hidden in recurrent modules are merged again, exactly, with a proof."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recurrent_planted import Tagger, on_grid, tagger_with_copies, with_copies
from torch import nn

import symlump as sl
from symlump.compression.recurrent.units import equal_units, lumped_units
from symlump.errors import MethodError, NetworkError
from symlump.network.recurrent.cells import Cell
from symlump.network.recurrent.equations import cell_map
from symlump.network.recurrent.reading import read_recurrent
from symlump.network.recurrent.torch_cells import cells_of, module_of
from symlump.proof.certificate import Certificate

KINDS: dict[str, Any] = {
    "tanh": lambda *a, **k: nn.RNN(*a, **k),
    "relu": lambda *a, **k: nn.RNN(*a, nonlinearity="relu", **k),
    "gru": lambda *a, **k: nn.GRU(*a, **k),
    "lstm": lambda *a, **k: nn.LSTM(*a, **k),
}
kinds = pytest.mark.parametrize("kind", list(KINDS))


def small_module(kind: str, *sizes: int, seed: int = 0, **options: Any) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return on_grid(KINDS[kind](*sizes, **options), generator)


@kinds
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cells_step_as_torch_does(kind: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    module = KINDS[kind](3, 5, num_layers=2, bidirectional=True, batch_first=True, dtype=dtype)
    network = read_recurrent(module)
    x = torch.randn(4, 7, 3, dtype=dtype)
    states = network.run({"": x.double().numpy()})
    both = np.concatenate([states["l1"][0], states["l1_reverse"][0]], axis=-1)
    with torch.no_grad():
        assert np.allclose(
            both, module(x)[0].numpy(), atol=1e-12 if dtype == torch.float64 else 1e-5
        )
        same = module_of([list(layer) for layer in cells_of(module)], module)
        assert torch.equal(same(x)[0], module(x)[0])


@kinds
def test_the_map_of_a_cell_is_the_cell(kind: str) -> None:
    ((cell,),) = cells_of(small_module(kind, 2, 4, seed=3, dtype=torch.float64))
    system = cell_map(cell)
    x = np.random.default_rng(0).normal(size=(1, 50, 2)) / 4
    inputs = {"u1": x[0, :, 0], "u2": x[0, :, 1]}
    start = np.zeros(len(system))
    found = sl.simulate(system, start, range(51), inputs=inputs).states[:4, 1:]
    scale = 1 if kind != "relu" else np.abs(found).max()
    assert np.allclose(found / scale, cell.run(x)[0][0].T / scale, atol=1e-11)


@kinds
@given(st.integers(0, 10**6), st.lists(st.integers(1, 3), min_size=2, max_size=3), st.booleans())
@settings(max_examples=6, deadline=None)
def test_hidden_copies_are_merged_again(kind: str, seed: int, sizes: list[int], bias: bool) -> None:
    small = small_module(kind, 2, len(sizes), seed=seed, bias=bias, batch_first=True)
    large, of = with_copies(small, sizes, seed)
    result = sl.compress(large, sl.AFDE(eps=0))
    assert result.exact and result.eps == 0 and type(result.model) is type(small)
    (labels,) = result.unit_maps
    assert all(len(set(labels[of["_l0"] == b].tolist())) == 1 for b in range(len(sizes)))
    assert result.model.hidden_size <= len(sizes)
    x = torch.randn(3, 50, 2, generator=torch.Generator().manual_seed(seed)) / 2
    with torch.no_grad():
        expected, found = large(x)[0], result.model(x)[0]
    scale = float(expected.abs().max()) if kind == "relu" else 1.0
    if scale < 1e6:  # a ReLU can grow without end, and its rounding with it
        lifted = result.lift(found.numpy())
        assert np.abs(lifted - expected.numpy()).max() <= 2e-4 * max(scale, 1.0)


@kinds
def test_restored_with_the_very_weights(kind: str) -> None:
    """Where no units of the small module are equal, it comes back up to the order of its units."""
    small = small_module(kind, 3, 4, seed=5, num_layers=2, bidirectional=True, batch_first=True)
    large, _ = with_copies(small, [1, 2, 3, 1], seed=5)
    result = sl.compress(large, sl.AFDE(eps=0))
    assert result.model.hidden_size == 4 and not result.padded and result.exact
    assert result.retained_parameters == sum(p.numel() for p in small.parameters())
    for ((was, _),), ((now, _),) in zip(
        [cells_of(small)[:1]], [cells_of(result.model)[:1]], strict=True
    ):
        keys = [np.lexsort(c.input_weight.reshape(-1, 4, 3)[0].T) for c in (was, now)]
        assert np.array_equal(was.input_weight[:, keys[0]], now.input_weight[:, keys[1]])
        a, b = (c.hidden_weight[:, k][:, :, k] for c, k in zip((was, now), keys, strict=True))
        assert np.array_equal(a, b)
    x = torch.randn(2, 9, 3)
    with torch.no_grad():
        expected, found = large(x)[0], result.model(x)[0]
    for name, part, little in zip(
        ("l1", "l1_reverse"), expected.split(7, dim=2), found.split(4, dim=2), strict=True
    ):
        assert np.allclose(result.lift(little.numpy(), name), part, rtol=1e-4, atol=1e-4)


@kinds
def test_with_a_dense_layer_behind(kind: str, tmp_path: Any) -> None:
    generator = torch.Generator().manual_seed(1)
    head = on_grid(nn.Linear(6, 2), generator)
    rnn = small_module(kind, 2, 3, seed=2, num_layers=2, bidirectional=True, batch_first=True)
    small = Tagger(rnn, head)  # type: ignore[arg-type]
    large = tagger_with_copies(small, [2, 1, 3]).eval()
    result: Any = sl.compress(large, sl.AFDE(eps=0))
    assert isinstance(result.model, Tagger) and not result.model.training and result.exact
    assert result.model.rnn.hidden_size == 3 and result.model.head.in_features == 6
    assert result.retained_parameters == sum(p.numel() for p in result.model.parameters())
    assert result.original.parameters == sum(p.numel() for p in large.parameters())
    x = torch.randn(5, 12, 2) / 2
    with torch.no_grad():
        assert torch.allclose(result.model(x), large(x), rtol=1e-4, atol=1e-4)
        assert torch.allclose(result.model(x), small.eval()(x), rtol=1e-4, atol=1e-4)
    for certificate in result.certificates:
        certificate.write(tmp_path / "c.json")
        again = Certificate.read(tmp_path / "c.json")
        assert again.check().accepted and again.data["time"] == "discrete"
    assert len(result.certificates) == 4
    assert result.to_dict()["exact"] and "exact, proof checked" in str(result)


class Encoder(nn.Module):
    """What people write: last states of both directions joined, states squeezed, averages, a second module."""

    def __init__(self, both: Any, second: Any, heads: list[nn.Linear]) -> None:
        super().__init__()
        self.both, self.second = both, second
        self.joined, self.last, self.mean, self.after = heads

    def forward(self, x: torch.Tensor, h: Any = None) -> tuple[torch.Tensor, ...]:
        out, ends = self.both(x, h)
        again, (hidden, _) = self.second(out)
        return (
            self.joined(torch.cat([ends[-2], ends[-1]], dim=1)),
            self.last(hidden.squeeze(0)),
            self.mean(again.mean(dim=1)),
            self.after(torch.tanh(out[:, -1, :])),
        )


def test_what_people_write_is_followed() -> None:
    generator = torch.Generator().manual_seed(0)
    gru = small_module("gru", 2, 2, num_layers=2, bidirectional=True, batch_first=True)
    large, of = with_copies(gru, [2, 3], seed=4)
    lstm = small_module("lstm", 10, 3, seed=6, batch_first=True)
    heads = [on_grid(nn.Linear(n, 2), generator) for n in (10, 3, 3, 10)]
    model = Encoder(large, lstm, heads).eval()  # type: ignore[arg-type]
    result: Any = sl.compress(model, sl.AFDE(eps=0))
    small = result.model
    assert result.exact and small.both.hidden_size == 2 and small.second.input_size == 4
    assert [h.in_features for h in (small.joined, small.last, small.mean, small.after)] == [
        4,
        3,
        3,
        4,
    ]
    x = torch.randn(3, 15, 2) / 2
    with torch.no_grad():
        for a, b in zip(small(x), model(x), strict=True):
            assert torch.allclose(a, b, rtol=1e-4, atol=1e-4)


def test_only_modules_of_torch_are_read() -> None:
    class Twice(nn.GRU):
        def forward(self, *given: Any) -> Any:
            return super().forward(*given)

    with pytest.raises(NetworkError, match="a Twice with a forward pass or hooks of its own"):
        sl.compress(Twice(2, 3), sl.AFDE(eps=0))
    hooked = nn.GRU(2, 3)
    hooked.register_forward_hook(lambda *given: None)
    with pytest.raises(NetworkError, match="a GRU with a forward pass or hooks of its own"):
        sl.compress(hooked, sl.AFDE(eps=0))


def _tripled(how: str) -> Tagger:
    """A model that computes something else than its modules are known for."""
    torch.manual_seed(0)
    model = Tagger(nn.GRU(2, 4, batch_first=True), nn.Linear(4, 2))  # type: ignore[arg-type]
    old = model.head.forward
    if how == "hook":
        model.head.register_forward_hook(lambda module, given, result: 3 * result)
    elif how == "pre-hook":
        model.head.register_forward_pre_hook(lambda module, given: (3 * given[0],))
    elif how == "layer":
        model.head.forward = lambda x: 3 * old(x)  # type: ignore[method-assign]
    elif how == "cell":
        cell = model.rnn.forward
        model.rnn.forward = lambda x: tuple(3 * part for part in cell(x))
    else:
        whole = model.forward
        model.forward = lambda x: 3 * whole(x)  # type: ignore[method-assign]
    return model


@pytest.mark.parametrize("how", ["hook", "pre-hook", "layer", "cell", "model"])
def test_what_is_changed_from_outside_is_refused(how: str) -> None:
    with pytest.raises(NetworkError, match=r"(hooks|forward pass).*(set on it|of its own)"):
        sl.compress(_tripled(how), sl.AFDE(eps=0))


def test_hooks_on_what_reads_no_units_stay() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(OrderedDict(first=nn.Linear(2, 2), rnn=nn.RNN(2, 4, batch_first=True)))

    class Followed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.head = model, nn.Linear(4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.inner(x)[0])  # type: ignore[no-any-return]

    whole = Followed()
    with torch.no_grad():
        for p in model.rnn.parameters():
            p[2:] = p[:2]
    whole.inner.first.register_forward_hook(lambda module, given, result: 3 * result)
    x = torch.randn(3, 5, 2)
    small: Any = sl.compress(whole, sl.AFDE(eps=0))
    assert small.exact and small.model.inner.rnn.hidden_size == 2
    assert torch.allclose(small.model(x), whole(x), atol=1e-5)


class Signed(nn.Module):
    """It gives numbers, and whether they are above 0."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.GRU(2, 4, batch_first=True), nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.head(self.rnn(x)[0])
        return y, y > 0


def test_truth_values_among_the_results_are_compared_too() -> None:
    torch.manual_seed(0)
    model = Signed()
    with torch.no_grad():
        for p in model.rnn.parameters():
            for gate in range(3):
                p[4 * gate + 2 : 4 * gate + 4] = p[4 * gate : 4 * gate + 2]
        model.rnn.weight_hh_l0[:, 2:] = model.rnn.weight_hh_l0[:, :2]
    x = torch.randn(3, 5, 2)
    small: Any = sl.compress(model, sl.AFDE(eps=0))
    assert small.exact and small.model.rnn.hidden_size == 2
    assert torch.equal(small.model(x)[1], model(x)[1])


class Uncopied:
    def __deepcopy__(self, memo: object) -> None:
        raise RuntimeError


def test_what_cannot_be_copied_is_named_whatever_its_error_says() -> None:
    model = Signed()
    model.rest = Uncopied()  # type: ignore[assignment]
    with pytest.raises(NetworkError, match=r"Signed cannot be copied.*\(RuntimeError\)"):
        sl.compress(model, sl.AFDE(eps=0))


def test_what_no_reading_sees_is_found_by_running() -> None:
    """A dense layer whose call does more than its forward pass."""
    model = Tagger(nn.GRU(2, 4, batch_first=True), nn.Linear(4, 2))  # type: ignore[arg-type]

    def called(module: Any, x: torch.Tensor) -> torch.Tensor:
        return 3 * nn.functional.linear(x, module.weight, module.bias)

    odd = type("Linear", (nn.Linear,), {"__module__": "torch.nn.odd", "forward": called})
    model.head.__class__ = odd
    with pytest.raises(NetworkError, match="does not compute what the module does"):
        sl.compress(model, sl.AFDE(eps=0))


def test_old_norms_of_weights_are_named() -> None:
    model = Tagger(
        nn.GRU(2, 4, batch_first=True),  # type: ignore[arg-type]
        nn.utils.spectral_norm(nn.Linear(4, 2)),
    )
    model(torch.randn(1, 3, 2))
    with pytest.raises(NetworkError, match=r"remove_spectral_norm\(model\.head\)"):
        sl.compress(model, sl.AFDE(eps=0))


@pytest.mark.parametrize("cell", [nn.RNNCell, nn.GRUCell, nn.LSTMCell])
def test_single_cells(cell: Any) -> None:
    generator = torch.Generator().manual_seed(4)
    small = on_grid(cell(3, 4), generator)
    large, _ = with_copies(small, [2, 2, 1, 3], seed=1)
    result: Any = sl.compress(large, sl.AFDE(eps=0))
    assert type(result.model) is cell and result.model.hidden_size == 4 and result.exact
    x = torch.randn(6, 3)
    state, little = None, None
    for _ in range(50):
        with torch.no_grad():
            state, little = large(x, state), result.model(x, little)
    h, k = (s[0] if isinstance(s, tuple) else s for s in (state, little))
    assert np.allclose(result.lift(k.numpy()), h.numpy(), atol=1e-5)


def test_layers_of_different_sizes_are_padded() -> None:
    small = small_module("gru", 2, 3, seed=1, num_layers=2, batch_first=True)
    large, _ = with_copies(small, [1, 1, 2], seed=1)
    with torch.no_grad():  # in the second layer all units are one
        for name in ("weight_ih_l1", "weight_hh_l1", "bias_ih_l1", "bias_hh_l1"):
            rows = getattr(large, name).reshape(3, 4, -1)
            rows[:] = rows[:, :1]
    result = sl.compress(large, sl.AFDE(eps=0))
    assert result.padded == ("l1",) and result.exact and result.model.hidden_size == 3
    assert "l1 keep units whose weights are 0" in result.headline()
    x = torch.randn(2, 20, 2)
    with torch.no_grad():
        out = result.model(x)[0]
        assert torch.allclose(out[..., :1].expand(-1, -1, 4), large(x)[0], atol=1e-5)
        assert not out[..., 1:].any()


def test_a_unit_of_an_lstm_is_a_pair() -> None:
    """Equal c under different output gates: the pairs differ, and what they are read by decides the rest."""
    generator = np.random.default_rng(0)
    w = np.repeat(generator.normal(size=(4, 1, 2)), 2, axis=1)
    v = np.zeros((4, 2, 2))
    w[3, 1] += 1.0  # the output gates
    labels, lumping = lumped_units(Cell("lstm", w, v))
    assert labels.tolist() == [0, 1] and lumping.exact
    assert sl.lump(cell_map(Cell("lstm", w, v)), sl.Backward()).partition.labels[2:4].tolist() == [
        2,
        2,
    ]
    w[3, 1] = w[3, 0]
    assert lumped_units(Cell("lstm", w, v))[0].tolist() == [0, 0]


def test_a_gru_needs_its_two_biases_apart() -> None:
    one = np.ones((3, 2, 1))
    zero, biases = np.zeros((3, 2, 2)), np.zeros((3, 2))
    moved = biases.copy()
    moved[2] = (
        0.0,
        0.25,
    )  # the new value's: only inside the reset gate does it matter which bias it is
    other = biases.copy()
    other[2] = 0.25, 0.0
    assert lumped_units(Cell("gru", one, zero, biases + moved, biases + other))[0].tolist() == [
        0,
        1,
    ]
    moved[0], other[0] = (0.0, 0.25), (0.25, 0.0)  # the reset gate's: only the sum matters
    moved[2] = other[2] = 0.0
    assert lumped_units(Cell("gru", one, zero, biases + moved, biases + other))[0].tolist() == [
        0,
        0,
    ]


def test_a_cell_reads_the_merged_units_before_it() -> None:
    small = small_module("gru", 2, 2, seed=1, num_layers=2)
    large, _ = with_copies(small, [2, 2], seed=3)
    network = read_recurrent(large)
    labels, lumpings = equal_units(network)
    assert [len(set(part.tolist())) for part in labels.values()] == [2, 2]
    # alone, with inputs that may all differ, the second layer has no equal units
    assert len(set(lumped_units(network.cells[1].cell)[0].tolist())) == 4
    assert lumpings["l1"].quotient.parameters == ("u1", "u2")


def test_what_is_not_followed_is_named() -> None:
    class Squared(Tagger):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out, _ = self.rnn(x)
            return self.head(out * out)  # type: ignore[no-any-return]

    class Started(Tagger):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out, _ = self.rnn(x, x.new_zeros(1, x.shape[0], 4))
            return self.head(out)  # type: ignore[no-any-return]

    gru, head = nn.GRU(2, 4, batch_first=True), nn.Linear(4, 1)
    with pytest.raises(NetworkError, match="the step mul on the units of rnn.l0 is not followed"):
        sl.compress(Squared(gru, head), sl.AFDE(eps=0))
    with pytest.raises(
        NetworkError, match="the state that it starts from is computed by the model"
    ):
        sl.compress(Started(gru, head), sl.AFDE(eps=0))
    with pytest.raises(NetworkError, match="proj_size=2 mixes its units"):
        sl.compress(nn.LSTM(2, 4, proj_size=2), sl.AFDE(eps=0))
    with pytest.raises(NetworkError, match="gru: a network without recurrence is read here"):
        sl.from_torch(nn.Sequential(OrderedDict(gru=gru)))
    with pytest.raises(MethodError, match="recurrent cells take AFDE"):
        sl.compress(gru, sl.Magnitude(retain=0.5))
    with pytest.raises(MethodError, match=r"AFDE\(on=…\) is for networks without recurrence"):
        sl.compress(gru, sl.AFDE(eps=0.1, on="state"))
    with pytest.raises(MethodError, match="example=… and leave_untouched=…"):
        sl.compress(Tagger(gru, head), sl.AFDE(eps=0), example=torch.zeros(1, 2, 2))
    with pytest.raises(MethodError, match="l0 has 4 units"):
        sl.compress(gru, sl.AFDE(eps=0)).lift(np.zeros(3))


def test_compiled_modules_are_the_modules_that_were_compiled():
    torch.manual_seed(0)
    gru = torch.nn.GRU(2, 4)
    with torch.no_grad():
        for p in gru.parameters():
            p.view(3, 4, -1)[:, 2:] = p.view(3, 4, -1)[:, :2]
    small = sl.compress(torch.compile(gru), sl.AFDE(eps=0))
    assert type(small.model) is torch.nn.GRU and small.model.hidden_size == 2


def test_computed_weights_of_cells_are_named():
    gru = torch.nn.utils.parametrizations.weight_norm(torch.nn.GRU(2, 4), "weight_hh_l0")
    with pytest.raises(
        NetworkError, match=r"'weight_hh_l0' of this .*GRU.*remove_parametrizations"
    ):
        sl.compress(gru, sl.AFDE(eps=0))
