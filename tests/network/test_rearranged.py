"""Features that become pictures or tokens, and pixels that are shuffled: their channels are units."""

import numpy as np
import pytest
import torch
from torch import nn

import symlump as sl
from symlump.network.rewrite import reducible
from symlump.network.step_nodes import Rearrange
from symlump.network.ties import find_ties


class Picture(nn.Module):
    def __init__(self):
        super().__init__()
        self.make, self.read = nn.Linear(4, 27), nn.Conv2d(3, 5, 2)
        self.head = nn.Linear(20, 2)

    def forward(self, x):
        h = torch.relu(self.make(x)).view(-1, 3, 3, 3)
        return self.head(torch.relu(self.read(h)).flatten(1))


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.make, self.read = nn.Linear(4, 30), nn.Linear(6, 5)
        self.head = nn.Linear(5, 2)

    def forward(self, x):
        h = torch.relu(self.make(x)).view(-1, 5, 6)  # five tokens of six channels
        return self.head(torch.tanh(self.read(h)).mean(1))


class Pixels(nn.Module):
    def __init__(self):
        super().__init__()
        self.make, self.read = nn.Conv2d(1, 12, 3), nn.Conv2d(3, 2, 1)

    def forward(self, x):
        return self.read(nn.functional.pixel_shuffle(torch.relu(self.make(x)), 2))


#: The model, an input, and for each channel of what is rearranged the rows that make it.
CASES = {
    "picture": (Picture, (4,), np.arange(27).reshape(3, 9)),
    "tokens": (Tokens, (4,), np.arange(30).reshape(5, 6).T),
    "pixels": (Pixels, (1, 6, 6), np.arange(12).reshape(3, 4)),
}


def model_of(case, copied=True):
    kind, size, rows = CASES[case]
    torch.manual_seed(0)
    model = kind().double().eval()
    if copied:
        with torch.no_grad():
            for array in (model.make.weight, model.make.bias):
                array[rows[1]] = array[rows[0]].clone()
    return model, torch.randn(64, *size, dtype=torch.float64), rows


@pytest.mark.parametrize("case", CASES)
def test_planted_copies_are_restored_exactly(case, tmp_path):
    model, x, rows = model_of(case)
    result = sl.compress(model, sl.AFDE(eps=0), example=x)
    assert result.exact and result.network.layers[0].units == rows.size - rows.shape[1]
    with torch.no_grad():
        assert torch.allclose(result.model(x), model(x), atol=1e-12)
    assert "index_select" not in result.model.code
    sl.write_onnx(result.network, tmp_path / "net.onnx")
    again = sl.read_onnx(tmp_path / "net.onnx")
    assert again.parameters == result.network.parameters
    assert np.allclose(again(x.numpy()), model(x).detach().numpy())


@pytest.mark.parametrize("case", CASES)
def test_single_rows_of_a_channel_do_not_merge_it(case):
    model, x, rows = model_of(case, copied=False)
    with torch.no_grad():  # all rows of a channel but one
        for array in (model.make.weight, model.make.bias):
            array[rows[1][1:]] = array[rows[0][1:]].clone()
    result = sl.compress(model, sl.AFDE(eps=0), example=x)
    made = next(node for node in result.network.nodes if isinstance(node, Rearrange))
    assert result.exact and result.network.shapes[made.name][0] == len(rows)
    with torch.no_grad():
        assert torch.allclose(result.model(x), model(x), atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_within_a_tolerance_whole_channels_merge(case):
    model, x, rows = model_of(case, copied=False)
    network = sl.from_torch(model, x)
    ties = find_ties(network)
    assert reducible(network) == network.parameters
    assert ties.table("make", ties.makers.index(("make",))).tolist() == rows.tolist()
    for method in (sl.AFDE(retain=0.75, inputs=x), sl.Dependence(retain=0.75, inputs=x)):
        small = sl.compress(network, method)
        made = next(node for node in small.network.nodes if isinstance(node, Rearrange))
        channels = small.network.shapes[made.name][0]
        assert small.network.layers[0].units == channels * rows.shape[1]
        assert small.retained <= 0.75
        if isinstance(method, sl.AFDE):
            assert small.lumpings[0].defect == small.defect
