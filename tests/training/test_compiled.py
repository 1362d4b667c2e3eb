"""Compiled layers learn the same; who answers or looks never meets them; the words' loss of a GPU is the same loss."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from glassformer.data.batch import IGNORE, Batch
from glassformer.errors import InputError
from glassformer.glass.trace import Trace
from glassformer.model import Transformer
from glassformer.nn import compiled as compiler
from glassformer.nn.low_rank import LowRank
from glassformer.training.checkpoint import weights
from glassformer.training.compiling import MINUTES, STEPS, is_compiled
from glassformer.training.loop import train
from glassformer.training.loss import TokenLoss, counted_of, cross_entropy, words_cross_entropy
from glassformer.training.recipe import Recipe, TrainingTable

from .toy import dev_loss, toy_batches, toy_model

CPU, GPU = torch.device("cpu"), torch.device("cuda")
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # torch's compiler looks at it
GRAPHS = 2 * (2 + 4)  # first and all other shapes; of encoder and decoder, each text with padding or without


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many operations each graph has that the compiler is given; none may break into two."""
    met: list[int] = []

    def backend(graph: torch.fx.GraphModule, _: Any) -> Callable[..., Any]:
        met.append(len(graph.graph.nodes))
        return graph.forward

    genuine = torch.compile
    monkeypatch.setattr(torch, "compile", lambda work, backend: genuine(work, backend=backend, fullgraph=True))
    monkeypatch.setattr(compiler, "BACKEND", backend)
    compiler.compiled.cache_clear()
    torch.compiler.reset()
    yield met
    compiler.compiled.cache_clear()
    torch.compiler.reset()


def losses(model: Transformer, **table: Any) -> list[float]:
    training = TrainingTable(**{"max_steps": 6, "log_every": 1, "warmup_steps": 0, **table})
    return [each.loss for each in train(model, toy_batches(), training, seed=2) if each.kind == "train"]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"stack": "decoder", "encoder_layers": 0, "decoder_layers": 3, "norm_first": True, "final_norm": True},
        {"positions": "rotary", "gated": True, "activation": "silu", "norm": "rms"},
        {"positions": "relative", "attention_scale": False},
    ],
)
def test_compiled_layers_learn_the_same(changes: dict[str, Any], graphs: list[int]) -> None:
    made = {"dropout": 0.0, **changes}
    open_, other = losses(toy_model(**made), compile=False), losses(toy_model(**made), compile=True)
    assert other == pytest.approx(open_, abs=1e-5)
    assert 0 < len(graphs) <= GRAPHS


@pytest.mark.parametrize("dropout", [{"dropout": 0.2}, {"dropout": 0.1, "attention_dropout": 0.1}])
def test_nothing_breaks_where_numbers_are_dropped(dropout: dict[str, float], graphs: list[int]) -> None:
    found = losses(toy_model(**dropout), compile=True, precision="bfloat16", max_steps=30)
    assert found[-1] < found[0]
    assert 0 < len(graphs) <= GRAPHS


def test_compiled_layers_can_be_computed_again(graphs: list[int]) -> None:
    one, two = (
        losses(toy_model(dropout=0.3), compile=True, gradient_checkpointing=again) for again in (False, True)
    )
    assert one == pytest.approx(two, abs=1e-5)
    assert graphs


def test_evaluation_and_traces_run_open_layers(graphs: list[int]) -> None:
    model = toy_model(dropout=0.0)
    model.compile_layers(True)
    names = list(weights(model))
    batch = next(toy_batches().epoch(0))
    model.eval()
    with torch.no_grad():
        trace = Trace()
        model(**batch.inputs(), trace=trace)
    dev_loss(model)
    TokenLoss()(model, batch).total.backward()
    assert "decoder.layers.0.self_attention.weights" in trace
    assert not graphs
    TokenLoss()(model.train(), batch).total.backward()
    assert graphs
    assert list(weights(model)) == names


def test_afterwards_the_model_is_as_it_was(graphs: list[int]) -> None:
    model = toy_model()
    records = list(
        train(
            model,
            toy_batches(),
            TrainingTable(max_steps=4, evaluate_every=2, compile=True),
            evaluate=dev_loss,
        )
    )
    assert [each.kind for each in records].count("evaluation") == 2
    assert not model.compiled
    assert model.encoder is not None
    assert not model.encoder.compiled


def test_what_cannot_be_compiled_is_said_and_trained_open(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*_: Any, **__: Any) -> Any:
            raise RuntimeError("no compiler\nand much more")

        return call

    open_ = losses(toy_model(dropout=0.2), compile=False)
    monkeypatch.setattr("glassformer.nn.stack.compiled", broken)
    assert losses(toy_model(dropout=0.2), compile=True) == open_
    (told,) = caplog.messages
    assert told == "layers could not be compiled (no compiler); training goes on without"


def test_what_memory_lacks_is_no_fault_of_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*_: Any, **__: Any) -> Any:
            raise torch.OutOfMemoryError("2 GiB")

        return call

    monkeypatch.setattr("glassformer.nn.stack.compiled", full)
    with pytest.raises(torch.OutOfMemoryError, match="2 GiB"):
        losses(toy_model(), compile=True)


@pytest.mark.parametrize("value", ['"yes"', "1", '"AUTO"', "[true]"])
def test_other_values_are_refused(value: str) -> None:
    text = f'task = "translation"\n[data]\ntrain = "a"\n[training]\nepochs = 1\ncompile = {value}\n'
    with pytest.raises(InputError, match="compile is .*; expected true or false or one of 'auto'"):
        Recipe.parse(text)
    with pytest.raises(InputError, match="expected true, false or 'auto'"):
        TrainingTable(epochs=1, compile="yes")


@pytest.mark.parametrize(
    ("device", "steps", "minutes", "here", "expected"),
    [
        (CPU, STEPS, MINUTES, True, False),
        (GPU, STEPS, MINUTES, True, True),
        (GPU, STEPS, MINUTES, False, False),
        (GPU, STEPS - 1, MINUTES, True, False),
        (GPU, STEPS, MINUTES - 1, True, False),
    ],
)
def test_auto_is_where_it_repays(
    device: torch.device,
    steps: float,
    minutes: float,
    here: bool,
    expected: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("glassformer.training.compiling.has_triton", lambda device: here and device.type == "cuda")
    assert is_compiled(TrainingTable(epochs=1), device, steps, minutes) is expected
    assert is_compiled(TrainingTable(epochs=1, compile=True), device, 1, 1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"output_bias": True, "vocab_size": 64},
        {"output_transform": True, "tied_output": False},
        {"output_scale": True},
    ],
)
def test_the_words_loss_of_a_gpu_is_the_same(smoothing: float, changes: dict[str, Any]) -> None:
    model = toy_model(dtype="float64", **changes)
    for each in model.parameters():
        torch.nn.init.normal_(each)
    rows, labels = torch.randn(9, 16, dtype=torch.float64), torch.randint(0, 12, (9,))
    found = []
    for quick in (False, True):
        model.zero_grad()
        given = rows.clone().requires_grad_()
        if quick:
            loss = words_cross_entropy(model.head, given, labels, smoothing, compile_it=False)
        else:
            loss = cross_entropy(model.head(given), labels, smoothing)
        (loss.total / 3).backward()
        gradients = {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
        found.append({"total": loss.total.detach(), "nll": loss.nll, "rows": given.grad, **gradients})
    assert found[0].keys() == found[1].keys()
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=0, atol=1e-12, msg=name)


def test_the_words_loss_in_bfloat16_is_near(graphs: list[int]) -> None:
    model = toy_model(vocab_size=100)
    rows, labels = torch.randn(9, 16), torch.randint(0, 100, (9,))
    exact = cross_entropy(model.head(rows), labels).total
    with torch.autocast("cpu", torch.bfloat16):
        found = words_cross_entropy(model.head, rows, labels, 0.0, compile_it=True).total
    found.backward()
    assert found.item() == pytest.approx(exact.item(), rel=1e-2)
    assert model.tokens.weight.grad.dtype == torch.float32
    assert len(graphs) == 1


def test_only_places_with_a_label_are_kept() -> None:
    labels = torch.tensor([[4, IGNORE, 5], [IGNORE, 6, IGNORE]])
    rows = torch.arange(6.0).view(2, 3, 1)
    kept, found = counted_of(rows, labels, Batch(labels=labels).tokens)
    assert kept.flatten().tolist() == [0.0, 2.0, 4.0]
    assert found.tolist() == [4, 5, 6]
    by_sort = (labels.flatten() == IGNORE).byte().sort(stable=True).indices[:3]  # how a GPU finds them
    assert by_sort.tolist() == [0, 2, 4]


def test_layers_with_a_detour_compile(graphs: list[int]) -> None:
    model = toy_model(dropout=0.0).train()
    attention = model.encoder.layers[0].self_attention
    attention.query = LowRank(attention.query, 2, 4.0)
    model.compile_layers(True)
    TokenLoss()(model, next(toy_batches().epoch(0))).total.backward()
    assert attention.query.lora_A.grad is not None
    assert graphs

