"""A native library of older sources is not used, and that is said."""

import shutil
from pathlib import Path

import pytest
from tokenizers import tokenizers

from glassformer.native import library as native_library


def test_a_library_without_the_functions_of_today_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copy(tokenizers.__file__, tmp_path / "older.so")
    monkeypatch.setattr(native_library, "KINDS", ("older",))
    monkeypatch.setattr(native_library, "library", lambda kind: tmp_path / f"{kind}.so")
    with pytest.warns(UserWarning, match=r"older.so is of older sources .* glassformer.native.build"):
        assert native_library.native.__wrapped__() is None
