"""Each family of one stack against `transformers`: small random configurations, every class, float64."""

from pathlib import Path

import pytest

from .stacks import STACKS, Measured, measured

CASES = [(family, seed) for family in STACKS for seed in range(2)]


@pytest.mark.parametrize(("family", "seed"), CASES, ids=[f"{family}-{seed}" for family, seed in CASES])
def test_ours_equals_theirs_and_theirs_opens_ours(family: str, seed: int, tmp_path: Path) -> None:
    stack, found = STACKS[family], Measured()
    for name in stack.classes:
        found = found.and_(measured(stack, name, seed, tmp_path / name))
    assert found.loaded <= 1e-10
    assert found.reopened <= 1e-10
    assert found.steps <= 1e-10
    assert found.cached <= 1e-10
    assert found.glass <= 1e-12
    assert found.formulas <= 1e-10
    assert found.as_it_is <= 1e-5
