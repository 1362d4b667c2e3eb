"""Memory that ran out is told in a sentence, from the errors that torch and NumPy really raise."""

import numpy as np
import pytest
import torch

from glassformer.cli.memory import available, memory
from glassformer.cli.refusals import refusal


def raised(make: object) -> BaseException:
    with pytest.raises((RuntimeError, MemoryError)) as caught:
        make()  # type: ignore[operator]
    return caught.value


def test_torch_says_how_much_was_needed() -> None:
    error = raised(lambda: torch.empty(2**50, dtype=torch.uint8))
    said = refusal(error)
    assert said is not None
    assert "needed 1.0 PiB" in said
    assert "of the work would fit at once" in said
    assert "--batch" in said


def test_numpy_says_how_much_was_needed() -> None:
    said = refusal(raised(lambda: np.empty(2**50, dtype=np.uint8)))
    assert said is not None
    assert "needed 1.0 PiB" in said


def test_a_gpu_is_told_by_its_own_free_memory() -> None:
    """The wording is torch's own, of a machine that has one."""
    said = memory(
        RuntimeError(
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.19 GiB of which "
            "512.00 MiB is free."
        )
    )
    assert said is not None
    assert "needed 2.0 GiB, and 512.0 MiB of memory are free; about 0.25 of the work would fit" in said


def test_an_error_without_a_number_is_still_a_sentence() -> None:
    assert memory(MemoryError()) == (
        "memory ran out; give fewer or shorter texts at once (--batch; max_tokens in a recipe) or a smaller model"
    )


def test_other_mistakes_keep_their_traceback() -> None:
    assert refusal(RuntimeError("shapes do not fit")) is None
    assert (available("") or 1) > 0
