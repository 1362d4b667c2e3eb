"""Training on a GPU: the same as on a processor, in bfloat16 too, killed and resumed, compiled, and its share told."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.attention import SDPBackend, sdpa_kernel

from glassformer.data.batch import Batch
from glassformer.families import FAMILIES
from glassformer.model import Transformer
from glassformer.nn import attention
from glassformer.nn.compiled import has_triton
from glassformer.training.loop import train
from glassformer.training.loss import TokenLoss, words_cross_entropy
from glassformer.training.recipe import TrainingTable
from glassformer.training.run_folder import RunFolder

from .toy import run, toy_batches, toy_model, toy_recipe

CUDA, CPU = torch.device("cuda"), torch.device("cpu")
pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
    pytest.mark.filterwarnings("default"),  # torch's compiler has some to say
]


def losses(model: Transformer, **table: Any) -> list[float]:
    training = TrainingTable(**{"max_steps": 8, "log_every": 1, "warmup_steps": 0, **table})
    return [each.loss for each in train(model, toy_batches(), training, seed=2) if each.kind == "train"]


def dev_loss(model: Transformer) -> dict[str, float]:
    """The loss on the training pairs, on the model's device; draws random numbers, as an evaluation may."""
    torch.rand(1, device=CUDA)
    with torch.inference_mode():
        found = [TokenLoss()(model, batch.to(CUDA)) for batch in toy_batches().epoch(0)]
    return {"loss": sum(each.nll.item() for each in found) / sum(each.count for each in found)}


@pytest.mark.parametrize("stack", ["encoder-decoder", "decoder"])
def test_in_float32_it_learns_what_a_processor_learns(stack: str) -> None:
    changes = {} if stack == "encoder-decoder" else {"stack": "decoder", "encoder_layers": 0}
    one, other = toy_model(dropout=0.0, **changes), toy_model(dropout=0.0, **changes).to(CUDA)
    assert losses(other, label_smoothing=0.1) == pytest.approx(losses(one, label_smoothing=0.1), abs=1e-4)


def test_in_bfloat16_it_learns() -> None:
    for compiled in (False, True):
        found = losses(
            toy_model(d_model=32, heads=2).to(CUDA),
            precision="bfloat16",
            max_steps=60,
            learning_rate=5e-3,
            compile=compiled,
        )
        assert all(loss == loss for loss in found)  # none is no number
        assert sum(found[-5:]) < 0.93 * sum(found[:5])


def test_auto_is_bfloat16_on_a_card_that_multiplies_it() -> None:
    if torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("this card does not")
    model, seen = toy_model().to(CUDA), []
    model.decoder.layers[0].feed_forward.up.register_forward_hook(lambda part, given, made: seen.append(made.dtype))
    list(train(model, toy_batches(), TrainingTable(max_steps=1, precision="auto")))
    assert seen[0] == torch.bfloat16


def test_stopped_and_resumed_it_is_the_same_run(tmp_path: Path) -> None:
    """To the last digits: products of a GPU are summed in any order, what is drawn is the same.

    A key's bias changes nothing, and the optimizer would make large steps of what rounding leaves of its gradient.
    """
    changes = {"average_last": 0}

    def fresh() -> Transformer:
        return toy_model(attention_bias=False).to(CUDA)

    with sdpa_kernel(SDPBackend.MATH):
        whole = RunFolder.create(tmp_path / "whole", toy_recipe(**changes), tensorboard=False)
        run(fresh(), whole, evaluate=dev_loss)
        cut = RunFolder.create(tmp_path / "cut", toy_recipe(**changes), tensorboard=False)
        records = train(
            fresh(), toy_batches(), cut.recipe().training, seed=5, folder=cut, evaluate=dev_loss
        )
        for record in records:
            if record.kind == "checkpoint" and record.step >= 12:
                break
        records.close()
        torch.rand(5, device=CUDA)
        run(fresh(), RunFolder.resume(tmp_path / "cut", tensorboard=False), evaluate=dev_loss)
    one, other = (
        load_file(RunFolder(tmp_path / name).checkpoint_folder(23) / "model.safetensors") for name in ("whole", "cut")
    )
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=0, atol=1e-5, msg=name)


def test_its_share_of_the_peak_is_told() -> None:
    for precision in ("float32", "bfloat16"):
        table = TrainingTable(max_steps=3, log_every=1, precision=precision)
        records = list(train(toy_model().to(CUDA), toy_batches(), table))
        assert all(0 < each.utilization < 1 for each in records if each.kind == "train")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_compiled_it_learns_the_same(precision: str) -> None:
    if not has_triton(CUDA):
        pytest.skip("no triton or no C compiler here")
    one, other = (
        losses(toy_model(dropout=0.0).to(CUDA), precision=precision, compile=compiled) for compiled in (False, True)
    )
    assert other == pytest.approx(one, abs=1e-4 if precision == "float32" else 1e-2)


def test_compiled_layers_can_be_computed_again() -> None:
    if not has_triton(CUDA):
        pytest.skip("no triton or no C compiler here")
    one, two = (
        losses(toy_model(dropout=0.2).to(CUDA), precision="bfloat16", compile=True, gradient_checkpointing=again)
        for again in (False, True)
    )
    assert two == pytest.approx(one, abs=1e-2)


@pytest.mark.parametrize("compile_it", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_words_is_that_of_a_processor(compile_it: bool, smoothing: float) -> None:
    """A vocabulary of a width that products are slow with, more words than a program holds at once."""
    if compile_it and not has_triton(CUDA):
        pytest.skip("no triton or no C compiler here")
    model = toy_model(vocab_size=5003)
    rows, labels = torch.randn(70, 16), torch.randint(0, 5003, (70,))
    found = []
    for device in (CPU, CUDA):
        model.to(device).zero_grad()
        given = rows.to(device, copy=True).requires_grad_()
        loss = words_cross_entropy(
            model.head, given, labels.to(device), smoothing, compile_it=compile_it and device == CUDA
        )
        (loss.total / 70).backward()
        found.append((loss.total.item(), loss.nll.item(), given.grad.cpu(), model.tokens.weight.grad.cpu().clone()))
    assert found[1][:2] == pytest.approx(found[0][:2], rel=1e-5)
    torch.testing.assert_close(found[1][2], found[0][2], rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(found[1][3], found[0][3], rtol=1e-3, atol=1e-6)


def test_gpt2_in_bfloat16_gives_attention_what_its_quickest_way_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing padded: no mask, bfloat16, and torch's flash attention accepts it, dropout and all."""
    sizes = {"n_embd": 128, "n_layer": 1, "n_head": 2, "vocab_size": 300, "n_positions": 64}
    model = Transformer(FAMILIES["gpt2"].config({"model_type": "gpt2", **sizes})).to(CUDA).train()
    seen: list[tuple[torch.dtype, bool, bool]] = []
    genuine = attention.fused

    def watched(q: Any, k: Any, v: Any, visible: Any, dropout: float, scale: float) -> Any:
        seen.append((q.dtype, visible.causal and visible.added is None, dropout > 0))
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            return genuine(q, k, v, visible, dropout, scale)

    monkeypatch.setattr(attention, "fused", watched)
    ids = torch.randint(0, 300, (2, 64), device=CUDA)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        loss = TokenLoss()(model, Batch(target=ids, labels=ids))
    loss.total.backward()
    assert seen == [(torch.bfloat16, True, True)]
    assert all(torch.isfinite(each.grad).all() for each in model.parameters() if each.grad is not None)


def test_a_padded_row_of_nothing_stays_a_number_in_bfloat16() -> None:
    """The lowest number of float32 is minus infinity in bfloat16, and a row of those has no softmax."""
    model = toy_model(d_model=32, heads=2).to(CUDA).train()
    source = torch.randint(4, 12, (2, 8), device=CUDA)
    mask = torch.ones(2, 8, dtype=torch.bool, device=CUDA)
    mask[1] = False
    target = torch.randint(4, 12, (2, 8), device=CUDA)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        loss = TokenLoss()(model, Batch(source=source, source_mask=mask, target=target, labels=target))
    loss.total.backward()
    assert torch.isfinite(loss.total)
    assert all(torch.isfinite(each.grad).all() for each in model.parameters() if each.grad is not None)
