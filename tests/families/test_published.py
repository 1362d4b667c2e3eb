"""Each published family against `transformers`: ten random small configurations, every class, float64."""

from pathlib import Path

import pytest

from .harness import PUBLISHED, compared

CASES = [(family, seed) for family in PUBLISHED for seed in range(10)]


@pytest.mark.parametrize(("family", "seed"), CASES, ids=[f"{family}-{seed}" for family, seed in CASES])
def test_ours_equals_theirs_and_theirs_opens_ours(family: str, seed: int, tmp_path: Path) -> None:
    for name in PUBLISHED[family].classes:
        found = compared(PUBLISHED[family], name, seed, tmp_path / name)
        assert found.loaded <= 1e-10, found
        assert found.reopened <= 1e-10, found
        assert found.size > 0.01, found
