"""Whole numbers and scales in a file: parted, packed, laid as a family lays its matrices, and joined again."""

import pytest
import torch

from glassformer.families.gpt_neox import beside
from glassformer.families.phi3 import over
from glassformer.quantized import GROUP, from_nibbles, joined, multiples, nibbles, parted
from glassformer.weights import AS_IS, THIRDS, TRANSPOSED, TRANSPOSED_THIRDS, Reshape, pairs

RESHAPES = {  # and how many of ours one of theirs holds
    "as it is": (AS_IS, 1),
    "turned over": (TRANSPOSED, 1),
    "thirds": (THIRDS, 3),
    "thirds turned over": (TRANSPOSED_THIRDS, 3),
    "pairs": (pairs(4), 1),
    "beside": (beside(4), 3),
    "over": (over(1, 1), 2),
}


def whole_and_scale(precision: str, columns: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    low, high, groups = (-127, 128, 1) if precision == "int8" else (-8, 8, -(-columns // GROUP))
    whole = torch.randint(low, high, (16, columns), generator=generator).to(torch.int8)
    return whole, torch.rand(16, groups, generator=generator).bfloat16() + 0.5


@pytest.mark.parametrize("columns", [24, 32, 40, 96])
@pytest.mark.parametrize("precision", ["int8", "int4"])
@pytest.mark.parametrize("name", RESHAPES)
def test_a_familys_layout_is_that_of_the_numbers_and_of_their_scales(name: str, precision: str, columns: int) -> None:
    reshape: Reshape
    reshape, count = RESHAPES[name]
    pieces = [whole_and_scale(precision, columns, seed) for seed in range(count)]
    group = 1 if precision == "int8" else GROUP
    expected = [
        whole.float() * scale.float().repeat_interleave(columns if group == 1 else group, 1)[:, :columns]
        for whole, scale in pieces
    ]
    whole, scale = (reshape.theirs(part) for part in zip(*pieces, strict=True))
    found = reshape.ours(joined(whole, scale))
    assert len(found) == count
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (4, 32)])
def test_two_numbers_share_a_byte(shape: tuple[int, int]) -> None:
    whole = torch.randint(-8, 8, shape, generator=torch.Generator().manual_seed(0)).to(torch.int8)
    packed = nibbles(whole)
    assert packed.dtype == torch.uint8
    assert packed.numel() == -(-whole.numel() // 2)
    assert torch.equal(from_nibbles(packed, shape), whole)


def test_of_nothing_there_are_no_multiples() -> None:
    for precision in ("int8", "int4"):
        found = parted(torch.zeros(2, 40), precision)
        assert not found.whole.any()
        assert not found.scale.any()
    assert torch.equal(multiples(torch.tensor([3.0]), torch.tensor([1.5])), torch.tensor([2], dtype=torch.int8))
