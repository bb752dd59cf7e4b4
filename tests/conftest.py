"""Shared fixtures."""

import os
from pathlib import Path

# Where tests run in several processes, each has one thread: waiting threads of torch take whole cores.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

# The same examples on every run, so that a red run is red for everybody; "explore" draws new ones:
# SYMLUMP_TESTS=explore pytest
common = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "print_blob": True}
settings.register_profile("repeat", derandomize=True, **common)
settings.register_profile("explore", **common)
settings.load_profile(os.environ.get("SYMLUMP_TESTS", "repeat"))

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def shared() -> Path:
    """The folder of third-party models and data; tests skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the folder of third-party models and data is not here")
    return SHARED
