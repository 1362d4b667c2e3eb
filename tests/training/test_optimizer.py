"""Gradients before a step."""

import pytest
import torch

from glassformer.training.optimizer import clip_gradient


@pytest.mark.parametrize("most", [0.5, 1e9])
def test_a_gradient_is_clipped_as_torch_clips_it(most: float) -> None:
    generator, parameters = torch.Generator().manual_seed(0), []
    for shape in ((7, 5), (5,), (2, 3, 4), ()):
        parameters.append(torch.nn.Parameter(torch.zeros(shape)))
        parameters[-1].grad = torch.randn(shape, generator=generator)
    parameters.append(torch.nn.Parameter(torch.zeros(3)))  # nothing was asked of it
    expected = [torch.nn.Parameter(each.detach().clone()) for each in parameters]
    for mine, other in zip(parameters, expected, strict=True):
        other.grad = None if mine.grad is None else mine.grad.clone()
    norm = clip_gradient(parameters, most)
    torch.testing.assert_close(norm, torch.nn.utils.clip_grad_norm_(expected, most))
    for mine, other in zip(parameters, expected, strict=True):
        torch.testing.assert_close(mine.grad, other.grad)
    assert clip_gradient(parameters[-1:], most) == 0
