"""Operations of a step by hand, the share of the peak, and memory given for time."""

from typing import Any

import pytest
import torch

from glassformer.data.batch import Batch
from glassformer.model import Transformer
from glassformer.training.checkpoint import weights
from glassformer.training.loop import train
from glassformer.training.loss import TokenLoss, words_cross_entropy
from glassformer.training.recipe import TrainingTable
from glassformer.training.utilization import Products, Utilization, peak

from .toy import toy_batches, toy_model

CPU = torch.device("cpu")


def batch_of(rows: int = 3, length: int = 7) -> Batch:
    given = torch.randint(4, 12, (rows, length))
    return Batch(target=given, labels=given)


def writer(**changes: Any) -> Transformer:
    return toy_model(**{"stack": "decoder", "encoder_layers": 0, "decoder_layers": 2, **changes})


def test_the_operations_of_a_step_are_those_of_its_products() -> None:
    """Forward once and backward twice: four maps of attention, two of feed-forward, the vocabulary, the scores."""
    model, batch = writer(dropout=0.0), batch_of()
    meter = Utilization(model, "float32")
    with meter.counted(batch):
        TokenLoss()(model, batch)
    width, wide = 16, 32
    maps = 2 * (4 * width**2 + 2 * width * wide) + 12 * width
    scores = 2 * 2 * 7 * width  # queries by keys and weights by values, each place meets seven
    assert meter.for_each is not None
    assert meter.for_each == pytest.approx(3 * 2 * (maps + scores))
    share = meter.share(read=1000, seconds=0.5)
    assert share == pytest.approx(meter.for_each * 2000 / peak(CPU, "float32", torch.get_num_threads()))


def test_the_product_with_the_vocabulary_counts_wherever_it_is_made() -> None:
    """On a GPU it is made by the loss."""
    model, rows = writer(dropout=0.0), torch.randn(5, 16)
    counted = []
    for made in (model.head, lambda x: words_cross_entropy(model.head, x, torch.arange(5), 0.1, compile_it=False)):
        products = Products()
        with products.of(model):
            made(rows)
        counted.append(products.operations)
    assert counted == [2 * 5 * 16 * 12] * 2


def test_weights_that_do_not_learn_need_no_gradient() -> None:
    model = writer()
    model.requires_grad_(False)
    assert Utilization(model, "float32").passes == 2
    model.tokens.requires_grad_(True)
    assert 2 < Utilization(model, "float32").passes < 3


def test_a_run_says_its_share() -> None:
    records = list(train(toy_model(), toy_batches(), TrainingTable(max_steps=2, log_every=1)))
    assert all(0 < each.utilization < 1 for each in records if each.kind == "train")


def test_nothing_is_said_before_a_step_was_counted() -> None:
    assert Utilization(writer(), "float32").share(100, 1.0) is None


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("stack", ["encoder-decoder", "decoder"])
def test_layers_computed_again_learn_the_same(stack: str, precision: str) -> None:
    """Dropout included, to the last bit; also with heads as wide as attention's kernel asks for."""
    makes = {"encoder-decoder": toy_model, "decoder": writer}[stack]
    learnt = []
    for again in (False, True):
        model = makes(dropout=0.3, attention_dropout=0.1, d_model=64, heads=2)
        table = TrainingTable(max_steps=3, gradient_checkpointing=again, precision=precision)
        list(train(model, toy_batches() if stack == "encoder-decoder" else Blocks(), table, seed=4))
        learnt.append(weights(model))
    assert all(torch.equal(learnt[1][name], value) for name, value in learnt[0].items())


class Blocks:
    """The same block again and again."""

    def __len__(self) -> int:
        return 8

    def epoch(self, number: int, start: int = 0) -> Any:
        generator = torch.Generator().manual_seed(number)
        given = torch.randint(4, 12, (3, 7), generator=generator)
        yield from [Batch(target=given, labels=given)] * (8 - start)


def test_layers_computed_again_keep_less() -> None:
    def kept(again: bool) -> int:
        model, batch, held = writer(decoder_layers=6).train(), batch_of(8, 30), 0
        model.recompute_layers(again)

        def hold(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal held
            held += 0 if isinstance(tensor, torch.nn.Parameter) else tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
            TokenLoss()(model, batch)
        return held

    assert kept(True) < kept(False) / 3


def test_who_answers_computes_once() -> None:
    model = writer().eval()
    model.recompute_layers(True)
    given = batch_of().target
    again = model(None, given)
    model.recompute_layers(False)
    assert torch.equal(again, model(None, given))
