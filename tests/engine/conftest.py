"""The native engine is compiled here if it is not yet; where there is no compiler, its tests are skipped."""

import ctypes

import pytest

from glassformer.engine import build
from glassformer.engine import native as engine_module
from glassformer.engine.native import native

BUILT = build.build()


@pytest.fixture
def engine() -> None:
    """For tests of the native part alone."""
    if native() is None:
        pytest.skip("the native engine is not built, or this processor is of another kind")


@pytest.fixture(params=build.KINDS)
def each_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every library that runs on this processor, not the best alone."""
    path = build.library(request.param)
    if not path.exists() or not (found := ctypes.CDLL(str(path))).runs_here():
        pytest.skip(f"there is no library for {request.param}, or this processor is of another kind")
    monkeypatch.setattr(engine_module, "native", lambda: engine_module.declared(found))


@pytest.fixture(params=["native", "oneDNN"])
def use_native(request: pytest.FixtureRequest) -> bool:
    """Both ways to compute."""
    if request.param == "native" and native() is None:
        pytest.skip("the native engine is not built, or this processor is of another kind")
    return request.param == "native"
