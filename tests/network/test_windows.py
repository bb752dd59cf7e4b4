"""Attention in shifted windows: windows beside the samples, places that go round, masks filled in place."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import symlump as sl
from symlump.errors import NetworkError


class Windows(nn.Module):
    """One layer of windows of 2 × 2 places, moved on by one place, which may not look over the edge."""

    def __init__(self, width=6, heads=2, shift=1, size=4):
        super().__init__()
        self.heads, self.shift = heads, shift
        self.first = nn.Conv2d(1, width, 1)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 8), nn.Linear(8, width)
        self.last = nn.Linear(width, 3)

    def _cut(self, x):
        b, h, w, c = x.shape
        return x.view(b, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, c)

    def forward(self, x):
        x = self.first(x).permute(0, 2, 3, 1)
        b, h, w, c = x.shape
        parts = self._cut(torch.roll(x, (-self.shift, -self.shift), (1, 2)))
        q, k, v = (
            self.qkv(parts).reshape(-1, 4, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        )
        scores = (q * (c // self.heads) ** -0.5) @ k.transpose(-2, -1)
        mask = x.new_zeros((h, w))
        mask[: h - self.shift, : w - self.shift] = 1
        mask = self._cut(mask[None, :, :, None])[..., 0]
        apart = (mask[:, :, None] != mask[:, None]) * -100.0
        count = h * w // 4
        scores = scores.view(b, count, self.heads, 4, 4) + apart[None, :, None]
        shares = scores.view(-1, self.heads, 4, 4).softmax(-1)
        y = self.out((shares @ v).transpose(1, 2).reshape(-1, 4, c))
        y = y.view(b, h // 2, w // 2, 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(b, h, w, c)
        y = torch.roll(y, (self.shift, self.shift), (1, 2))
        y = x + self.narrow(functional.gelu(self.wide(x + y)))
        return self.last(y.mean((1, 2)))


def test_shifted_windows_are_read_and_written():
    torch.manual_seed(0)
    model, x = Windows().double().eval(), torch.randn(5, 1, 4, 4).double()
    network, wanted = sl.from_torch(model, x[:1]), model(x).detach().numpy()
    np.testing.assert_allclose(network.flat(x.numpy()), wanted, atol=1e-14)
    back = sl.to_torch(network).double()(x).detach().numpy()
    np.testing.assert_allclose(back, wanted, atol=1e-14)


def test_copies_planted_behind_windows_are_found():
    torch.manual_seed(0)
    model, x = Windows().double().eval(), torch.randn(5, 1, 4, 4).double()
    with torch.no_grad():  # units 4 to 7 are units 0 to 3 again
        model.wide.weight[4:], model.wide.bias[4:] = model.wide.weight[:4], model.wide.bias[:4]
    network = sl.from_torch(model, x[:1])
    small = sl.compress(network, sl.AFDE(eps=0)).network
    np.testing.assert_allclose(small.flat(x.numpy()), model(x).detach().numpy(), atol=1e-14)
    explanation = sl.explain_reduction(network, small)
    assert explanation.exact
    assert explanation.named_unit_maps["wide"].tolist() == [0, 1, 2, 3] * 2


class Rolled(nn.Module):
    """Places of some axes moved on, between two layers."""

    def __init__(self, shifts, axes):
        super().__init__()
        self.first, self.last = nn.Conv2d(2, 6, 1), nn.Conv2d(6, 3, 3)
        self.shifts, self.axes = shifts, axes

    def forward(self, x):
        return self.last(torch.roll(self.first(x), self.shifts, self.axes))


@pytest.mark.parametrize(
    ("shifts", "axes"),
    [(1, 2), (-2, 3), ((7, -1), (2, 3)), (2, 1), ((1, -1), (1, -1)), (0, 2), (5, 2)],
)
def test_places_that_go_round(shifts, axes):
    torch.manual_seed(0)
    model, x = Rolled(shifts, axes).double().eval(), torch.randn(3, 2, 5, 5).double()
    network = sl.from_torch(model, x[:1])
    np.testing.assert_allclose(
        network.flat(x.numpy()), model(x).detach().numpy().reshape(3, -1), atol=1e-14
    )


@pytest.mark.parametrize(("axes", "named"), [(0, "samples"), (None, "roll")])
def test_samples_that_go_round_are_refused(axes, named):
    model = Rolled(1, axes).eval()
    with pytest.raises(NetworkError, match=named):
        sl.from_torch(model, torch.randn(1, 2, 5, 5))


class Odd(nn.Module):
    """A step that symlump does not know, on windows beside the samples."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(3, 6), nn.Linear(6, 2)

    def forward(self, x):
        windows = torch.fft.fft(self.first(x).reshape(-1, 2, 6)).real
        return self.last(windows.reshape(-1, 4, 6).mean(1))


def test_what_is_not_known_on_windows_is_named_with_what_to_do():
    with pytest.raises(NetworkError) as caught:
        sl.from_torch(Odd().eval(), torch.randn(1, 4, 3))
    said = str(caught.value)
    assert "fft" in said
    assert "several parts of each sample, as windows are" in said
    assert "write it in operations that are known" in said
