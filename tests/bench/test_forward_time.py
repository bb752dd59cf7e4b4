"""``symlump bench forward``, on small networks."""

import json

import pytest
import torch

from symlump.bench import demo
from symlump.cli.main import main


def test_the_demonstration_trains_on_one_thread(monkeypatch):
    """Waiting threads take whole cores; the network is small."""
    monkeypatch.setattr(demo, "EPOCHS", 2)
    before, threads = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        demo.trained_network(0, lambda *_: threads.append(torch.get_num_threads()))
        assert threads == [1, 1] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
def test_compressed_networks_have_the_shape_of_fresh_ones(capsys):
    assert main(["bench", "forward", "--quick", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["network"].split(",")[0] for row in rows] == [
        "dense",
        "tokens",
        "rotary attention",
        "residual",
        "residual",
    ]
    assert all(0 < row["kept"] <= 0.5 and row["ratio"] > 0 for row in rows)
