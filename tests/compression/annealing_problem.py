"""A small run of annealing, made alike in the test process and in one that is killed."""

import os
import signal

import numpy as np
import torch

import symlump as sl
from symlump.bench.train import multilayer


def problem(kill_at=None):
    """Arguments and options of ``anneal``; the loss kills its process when called so often."""
    x = np.random.default_rng(0).normal(size=(300, 4))
    y = (np.abs(x[:, 0]) > np.abs(x[:, 1])).astype(np.int64)
    calls = 0

    def loss(outputs, targets):
        nonlocal calls
        calls += 1
        if calls == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return torch.nn.functional.cross_entropy(outputs, targets)

    model = multilayer(4, (30, 20), 2, "relu", seed=1)
    schedule = [0.05, 0.1, sl.Dependence(retain=0.5, inputs=x)]
    options = {
        "epochs": 4,
        "before": 5,
        "rate": 3e-3,
        "batch": 50,
        "seed": 2,
        "test": (x[:100], y[:100]),
    }
    return (model, (x, y), schedule, loss), options
