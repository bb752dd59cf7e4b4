import copy

import numpy as np
import pytest
import torch
from torch import nn

import symlump as sl
from symlump.errors import NetworkError


def model(dtype=torch.float32):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 5, bias=False), nn.ReLU(), nn.Linear(5, 2)
    ).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_round_trip(dtype):
    original = model(dtype)
    network = sl.from_torch(original)
    back = sl.to_torch(network)
    assert [type(m) for m in back] == [type(m) for m in original]
    assert back.state_dict().keys() == original.state_dict().keys()
    for a, b in zip(back.parameters(), original.parameters(), strict=True):
        assert a.dtype == dtype and torch.equal(a, b)
    x = torch.randn(10, 4, dtype=dtype)
    assert network(x.numpy()) == pytest.approx(original(x).detach().numpy(), abs=1e-6)


def test_nested_and_polynomial():
    nested = nn.Sequential(
        nn.Sequential(nn.Linear(2, 3), sl.Polynomial([0.0, 1.0, 0.5])),
        nn.Identity(),
        nn.Linear(3, 1),
    )
    network = sl.from_torch(nested)
    x = torch.randn(5, 2)
    assert network(x.numpy()) == pytest.approx(nested(x).detach().numpy(), abs=1e-6)
    assert isinstance(sl.to_torch(network)[1], sl.Polynomial)


def test_compress_torch_in_torch_out():
    small = sl.compress(model().eval(), sl.AFDE(retain=0.6)).model
    assert isinstance(small, nn.Sequential) and not small.training
    assert small[0].weight.dtype == torch.float32
    small(torch.randn(3, 4)).sum().backward()
    assert small[0].weight.grad is not None
    clone = copy.deepcopy(small)
    clone.load_state_dict(small.state_dict())


def test_state_reduction_in_torch():
    original = model(torch.float64)
    result = sl.compress(original, sl.AFDE(retain=0.7, on="state"))
    assert any(isinstance(m, sl.BlockSum) for m in result.model)
    x = torch.randn(10, 4, dtype=torch.float64)
    assert result.model(x).detach().numpy() == pytest.approx(result.network(x.numpy()), abs=1e-12)
    again = sl.from_torch(result.model)
    assert np.array_equal(again.chain.layers[0].groups, result.network.chain.layers[0].groups)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (nn.Sequential(), "no layers"),
        (nn.Sequential(nn.Linear(2, 3), nn.Linear(2, 3)), "shapes must chain"),
        (nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double()), "mix"),
    ],
)
def test_unreadable_models(bad, says):
    with pytest.raises(NetworkError, match=says):
        sl.from_torch(bad)


@pytest.mark.parametrize(
    "model",
    [
        nn.Linear(2, 2),
        nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)),
        nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.GELU())),
        nn.Sequential(nn.Tanh(), nn.Linear(2, 2)),
        nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Tanh()),
    ],
)
def test_a_little_more_than_a_chain(model):
    model.eval()
    x = torch.randn(5, 2)
    assert sl.from_torch(model)(x.numpy()) == pytest.approx(model(x).detach().numpy(), abs=1e-6)


def test_not_finite_weights():
    broken = model()
    with torch.no_grad():
        broken[2].weight[1, 3] = float("nan")
    with pytest.raises(NetworkError, match=r"layer 1: weight\[1, 3\] is nan \(1 such"):
        sl.compress(broken, sl.AFDE(eps=0.1))


def test_hooks_and_forward_passes_of_ones_own_are_traced():
    def net():
        return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()

    class Doubled(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    class Shifted(nn.Sequential):
        def forward(self, x):
            return super().forward(x) + 1

    hooked, ahead = net(), net()
    hooked[0].register_forward_hook(lambda module, given, result: 2 * result)
    ahead[0].register_forward_pre_hook(lambda module, given: (3 * given[0],))
    doubled = nn.Sequential(Doubled(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    for model in (hooked, ahead, doubled, Shifted(*net()), nn.Sequential(Shifted(*net()))):
        with torch.no_grad():
            assert np.allclose(sl.from_torch(model)(x.numpy()), model(x))


def test_weights_without_numbers_are_refused():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).to("meta")
    with pytest.raises(NetworkError, match="on the meta device, which holds no numbers"):
        sl.from_torch(model)


def test_compiled_and_parametrized_modules():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    nn.utils.parametrizations.weight_norm(model[0])
    x = torch.randn(5, 3, dtype=torch.float64)
    for wrapped in (model, torch.compile(model)):
        with torch.no_grad():
            assert np.allclose(sl.from_torch(wrapped)(x.numpy()), model(x))


def test_an_example_that_does_not_fit_is_told_how_to():
    model = nn.Sequential(nn.Conv1d(1, 2, 3), nn.ReLU()).half()
    with pytest.raises(
        NetworkError, match=r"weights are of torch\.float16 .*example\.to\(torch\.float16\)"
    ):
        sl.from_torch(model, torch.zeros(1, 1, 5))
    with pytest.raises(NetworkError, match=r"\(1, 1, 5\) is on the meta device"):
        sl.from_torch(model.float(), torch.zeros(1, 1, 5, device="meta"))


def test_sensitivities_are_measured_in_inference_mode_too():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv1d(1, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(6, 2)
    ).eval()
    network = sl.from_torch(model, torch.zeros(1, 1, 8))
    outside = sl.compress(network, sl.AFDE(retain=0.6))
    with torch.inference_mode():
        inside = sl.compress(network, sl.AFDE(retain=0.6))
    assert str(inside) == str(outside)
    for a, b in zip(inside.network.layers, outside.network.layers, strict=True):
        assert np.array_equal(a.weight, b.weight)
