"""The native engine is compiled here if it is not yet; where there is no compiler, its tests are skipped."""

import pytest

from glassformer.engine import build
from glassformer.engine.native import native

BUILT = build.build()


@pytest.fixture
def engine() -> None:
    """For tests of the native part alone."""
    if native() is None:
        pytest.skip("the native engine is not built, or this processor is of another kind")


@pytest.fixture(params=["native", "oneDNN"])
def use_native(request: pytest.FixtureRequest) -> bool:
    """Both ways to compute."""
    if request.param == "native" and native() is None:
        pytest.skip("the native engine is not built, or this processor is of another kind")
    return request.param == "native"
