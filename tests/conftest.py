"""What every test shares."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may reach for the network

from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]

torch.set_num_threads(1)  # small matrices: more threads only wait for one another


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's folder."""
    return ROOT
