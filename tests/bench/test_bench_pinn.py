"""The comparison on physics-informed networks, at its smallest."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from symlump import from_torch
from symlump.bench.compared.pages import write_tables
from symlump.bench.hmatrix import measure
from symlump.bench.hmatrix import text as kernel_text
from symlump.bench.kept.rows import csv_of, rows_of
from symlump.bench.physics_informed.experiment import (
    IN_STEPS,
    QUICK,
    PinnExperiment,
    PinnRow,
    markdown,
    ranks_of,
    run,
    text,
)
from symlump.bench.physics_informed.forms import METHODS, compress_form
from symlump.bench.physics_informed.training import minimize, pinn
from symlump.datasets.pinn import loss_function, poisson
from symlump.errors import FileFormatError, MethodError


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    plan = replace(
        QUICK, hidden=(16, 16), adam=10, lbfgs=150, evaluations=24, methods=(*METHODS, IN_STEPS)
    )
    steps = []
    found = run(plan, folder, lambda done, total, remark: steps.append((done, total)))
    assert steps == sorted(steps) and steps[-1][0] == steps[-1][1] == 1 + len(plan.methods)
    assert run(plan, folder) == found
    assert len(list(folder.iterdir())) == 1 + len(plan.methods)
    return found


def row(problem, seed, method, error):
    nothing = dict.fromkeys(("condition", "largest", "smallest", "to_loss", "kernel"))
    how = {"loss": error, "error": error, "time": 1.0, "error_trained": error, "retained": 0.5}
    return PinnRow(problem, seed, method, 0.5, error_dense=0.1, **how, **nothing)


def test_several_networks_are_ranked_and_their_spread_is_shown(tmp_path):
    errors = {"a": [1.0, 3.0, 2.0], "b": [4.0, 2.5, 3.0]}
    found = [
        row(problem, seed, method, error)
        for problem in ("P", "Q") for method, own in errors.items() for seed, error in enumerate(own)
    ]  # fmt: skip
    ((_, header, lines),) = ranks_of(found)
    assert header == ("method", "loss", "error", "kernel changed", "error after training")
    assert [[part[:3] for part in line[1:]] for line in lines] == [
        ["**1", "**1", "–", "**1"],
        ["1.7", "1.7", "–", "1.7"],
    ]
    assert all(cell.strip("*").endswith(", 67 %") for cell in (lines[0][1], lines[0][4]))
    assert "50% of the storage; mean ranks" in text(found) and "mean ranks" not in text(found[:1])
    shown = markdown(found)
    assert "medians of 3 seeds (least–largest)" in shown
    assert "| a | 50.0 | 2 (1–3) | 2 (1–3) | – |" in shown
    (tmp_path / "r.csv").write_text(csv_of(PinnRow, found))
    page = write_tables("<!-- table r.csv pinn-ranks share=0.5 -->\n<!-- end -->\n", tmp_path)
    assert "| a | **1.3 (" in page and "| b | 1.7 (" in page
    with pytest.raises(FileFormatError, match="say share=…, one of 0.5"):
        write_tables("<!-- table r.csv pinn-ranks -->\n<!-- end -->\n", tmp_path)


def test_every_method_is_compared_at_equal_storage(rows):
    assert [row.method for row in rows] == [*METHODS, IN_STEPS]
    for row in rows:
        assert row.error_dense == rows[0].error_dense and row.share == 0.5
        if row.retained is None:  # the size was not reached
            assert row.method in ("Wanda, refit", "second order") and row.error_trained is None
            continue
        assert 0.05 < row.retained <= 0.5
        assert np.isfinite(row.error_trained) and row.time > 0
        assert (row.error is None) == (row.kernel is None) == (row.loss is None)
        assert (row.error is None) == (row.method == IN_STEPS)
        assert row.to_loss is None or 1 <= row.to_loss <= 60


def test_the_tables_hold_all_rows(rows):
    again = rows_of(PinnRow, csv_of(PinnRow, rows), "it")
    assert [row.method for row in again] == [row.method for row in rows]
    assert markdown(again) == markdown(rows)
    for shown in (text(rows), markdown(rows)):
        assert all(name in shown for name in METHODS)
        assert "50% of the storage" in shown


@pytest.mark.parametrize("name", METHODS)
def test_the_form_that_is_trained_is_the_compressed_function_and_stays_compressed(name):
    model = pinn(poisson(), (16, 16))
    points = poisson().interior(64)
    small = compress_form(model, name, 0.5, points)
    x = torch.from_numpy(points)
    expected = small.dense(points)
    assert np.allclose(small.model(x).detach().numpy(), expected, atol=1e-5)
    assert [layer.weight.shape for layer in small.dense.layers] == [
        layer.weight.shape for layer in from_torch(model).layers
    ]
    before = small.model(x).detach()
    weights = [p for p in small.model.parameters() if p.ndim == 2]
    zeros = [int((p == 0).sum()) for p in weights]
    assert (sum(zeros) > 0) == (
        name in ("magnitude pruning", "magnitude, refit", "Wanda, refit", "second order")
    )
    minimize(small.model, loss_function(poisson(), 64), 8)
    assert not torch.equal(small.model(x), before)
    assert [int((p == 0).sum()) for p in weights] == zeros
    if name in ("quantized", "AFDE, then quantized"):
        layer = small.model[2]
        grid = layer.integers
        assert torch.equal(grid, grid.round()) and grid.abs().max() > 1


def test_refusals():
    with pytest.raises(MethodError, match="problem"):
        PinnExperiment(("heat",))
    with pytest.raises(MethodError, match="method"):
        compress_form(pinn(poisson(), (8,)), "magic", 0.5, np.ones((2, 1)))
    with pytest.raises(MethodError, match="method"):
        PinnExperiment(methods=("magic",))


def test_the_kernel_table():
    row = measure(128)
    assert row.error <= row.bound <= 1e-3
    assert row.dense_ratio == 128**2 / row.storage
    assert "128" in kernel_text([row])
