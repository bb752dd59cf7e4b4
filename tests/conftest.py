"""Shared fixtures."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "symlump", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("symlump")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def shared() -> Path:
    """The folder of third-party models and data; tests skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the folder of third-party models and data is not here")
    return SHARED
