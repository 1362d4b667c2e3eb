"""What every test shares."""

import ctypes
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test may reach for the network

from pathlib import Path

import pytest
import torch

from glassformer.native import build
from glassformer.native import library as native_library
from glassformer.native.library import native
from glassformer.nn import kernels

ROOT = Path(__file__).parents[1]

torch.set_num_threads(1)  # small matrices: more threads only wait for one another


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's folder."""
    return ROOT


# ---- the native library: compiled here if it is not yet; where there is no compiler, its tests are skipped

BUILT = build.build()


@pytest.fixture
def engine() -> None:
    """For tests of the native part alone."""
    if native() is None:
        pytest.skip("the native part is not built, or this processor is of another kind")


@pytest.fixture(params=build.KINDS)
def each_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every library that runs on this processor, not the best alone."""
    path = build.library(request.param)
    if not path.exists() or not (found := ctypes.CDLL(str(path))).runs_here():
        pytest.skip(f"there is no library for {request.param}, or this processor is of another kind")
    monkeypatch.setattr(native_library, "native", lambda: native_library.declared(found))


@pytest.fixture(params=["kernels", "torch"])
def both_ways_to_learn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Training's kernels, and what stands for them where there is no library."""
    if request.param == "torch":
        monkeypatch.setattr(kernels, "native", lambda: None)
    elif native() is None:
        pytest.skip("the native part is not built, or this processor is of another kind")
    return str(request.param)


@pytest.fixture(params=["native", "oneDNN"])
def use_native(request: pytest.FixtureRequest) -> bool:
    """Both ways to compute."""
    if request.param == "native" and native() is None:
        pytest.skip("the native part is not built, or this processor is of another kind")
    return request.param == "native"
