"""Packed maps against torch, and activations against torch, at the edges of their tiles."""

import pytest
import torch
from torch.nn import functional

from glassformer.engine.layout import ACTIVATIONS
from glassformer.engine.native import PackedLinear
from glassformer.native.library import loaded
from glassformer.nn.activation import ACTIVATIONS as OPEN

pytestmark = pytest.mark.usefixtures("each_engine")

SHAPES = [(1, 1), (3, 5), (16, 64), (65, 31), (64, 128), (130, 200), (48, 320)]
ROWS = [1, 2, 3, 4, 5, 7, 12, 13, 25, 60]


def given(rows: int, shape: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(rows)
    return (
        torch.randn(rows, shape[1], generator=generator),
        torch.randn(*shape, generator=generator),
        torch.randn(shape[0], generator=generator),
    )


def rounded(x: torch.Tensor, group: int) -> torch.Tensor:
    """Rows as signed bytes, so many to a scale, and back."""
    rows, k = x.shape
    parts = functional.pad(x, (0, -k % group)).view(rows, -1, group)
    scale = parts.abs().amax(-1, keepdim=True) / 127
    whole = torch.where(scale > 0, (parts / scale).round(), 0)
    return (whole * scale).view(rows, -1)[:, :k]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rows", ROWS)
def test_float32(rows: int, shape: tuple[int, int]) -> None:
    x, weight, bias = given(rows, shape)
    expected = functional.linear(x.double(), weight.double(), bias.double())
    assert torch.allclose(PackedLinear(weight, bias, "float32")(x).double(), expected, atol=3e-5)
    without = functional.linear(x.double(), weight.double())
    assert torch.allclose(PackedLinear(weight, None, "float32")(x).double(), without, atol=3e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rows", ROWS)
def test_bfloat16(rows: int, shape: tuple[int, int]) -> None:
    """The weights are rounded; where the processor multiplies bfloat16, x is too."""
    x, weight, bias = given(rows, shape)
    low = weight.bfloat16().double()
    found = PackedLinear(weight, bias, "bfloat16")(x).double()
    expected = [functional.linear(each.double(), low, bias.double()) for each in (x.bfloat16(), x)]
    assert min(float((found - each).abs().max()) for each in expected) < 1e-4


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("rows", ROWS)
def test_int8(rows: int, shape: tuple[int, int]) -> None:
    x, weight, bias = given(rows, shape)
    scale = weight.abs().amax(1, keepdim=True) / 127
    low = (weight / scale).round() * scale
    expected = functional.linear(rounded(x, 128).double(), low.double(), bias.double())
    assert float((PackedLinear(weight, bias, "int8")(x) - expected).abs().max()) < 0.02
    assert torch.allclose(PackedLinear(weight, bias, "int8")(x).double(), expected, atol=0.02)


@pytest.mark.parametrize("rows", [1, 4, 13])
def test_int4_of_weights_that_four_bits_hold(rows: int) -> None:
    """Whole numbers from -8 to 7 times a power of two, each group its own: nothing is lost but in x."""
    generator = torch.Generator().manual_seed(rows)
    whole = torch.randint(-8, 8, (80, 6, 32), generator=generator).float()
    whole[..., 0] = -8  # every group reaches its end, from which the scale is found
    weight = (whole * 2.0 ** torch.randint(-3, 3, (80, 6, 1), generator=generator)).view(80, -1)
    x = torch.randn(rows, 192, generator=generator)
    expected = functional.linear(rounded(x, 32), weight)
    found = PackedLinear(weight, None, "int4")(x)
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-4


def test_int4_loses_no_more_than_the_nearest_of_sixteen_steps() -> None:
    """The scale is searched for, so random weights lose less than by the usual one, the largest over eight."""
    _, weight, _ = given(1, (64, 256))
    found = PackedLinear(weight, None, "int4")(torch.eye(256)).T
    parts = weight.view(64, -1, 32)
    most = parts.gather(2, parts.abs().argmax(2, keepdim=True))
    usual = ((parts * (-8 / most)).round().clamp(-8, 7) * most / -8).view_as(weight)
    assert float((found - weight).square().mean()) < float((usual - weight).square().mean())


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8", "int4"])
@pytest.mark.parametrize("shape", [(48, 320), (130, 192), (65, 31)])
def test_a_row_is_the_same_alone_and_among_others(precision: str, shape: tuple[int, int]) -> None:
    """Whatever kernel takes so many rows."""
    x, weight, bias = given(70, shape)
    packed = PackedLinear(weight, bias, precision)
    whole = packed(x)
    for first, last in ((0, 1), (1, 4), (3, 12), (16, 33), (20, 70)):
        assert torch.equal(packed(x[first:last]), whole[first:last])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str) -> None:
    x = torch.cat([torch.linspace(-12, 12, 4001), torch.tensor([-100.0, -1e-6, 0.0, 1e-6, 100.0])])
    y = torch.empty_like(x)
    loaded().activation_run(ACTIVATIONS[name], x.data_ptr(), y.data_ptr(), len(x))
    assert float((y.double() - OPEN[name](x.double())).abs().max() / 12) < 2e-7
