"""The comparison on physics-informed networks, at its smallest."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from symlump import from_torch
from symlump.bench.hmatrix import measure
from symlump.bench.hmatrix import text as kernel_text
from symlump.bench.kept.rows import csv_of, rows_of
from symlump.bench.physics_informed.experiment import (
    IN_STEPS,
    QUICK,
    PinnExperiment,
    PinnRow,
    markdown,
    run,
    text,
)
from symlump.bench.physics_informed.forms import METHODS, compress_form
from symlump.bench.physics_informed.training import minimize, pinn
from symlump.datasets.pinn import loss_function, poisson
from symlump.errors import MethodError


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
