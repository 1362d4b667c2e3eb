"""Tables whose gradients are of few rows learn as torch's AdamW teaches them with zeros in all others."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glassformer.native.library import native
from glassformer.nn import kernels
from glassformer.training import tables
from glassformer.training.optimizer import AdamW, clip_gradient, load_optimizer, optimizer_tensors
from glassformer.training.run_folder import RunFolder
from glassformer.training.tables import by_rows, tables_of

from . import toy
from .test_resume import assert_same
from .toy import run, toy_model, toy_recipe

pytestmark = pytest.mark.skipif(native() is None, reason="the native part is not built, or is not for this processor")
OPTIONS: dict[str, Any] = {"lr": 0.01, "betas": (0.9, 0.98), "eps": 1e-6, "weight_decay": 0.1}


@pytest.fixture(params=[1, 2], ids=["one thread", "two threads"])
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    """Alone, and shared out."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def every_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small tables too."""
    monkeypatch.setattr(tables, "LEAST", 1)


class Lookups:
    """A table that is looked up now and then, the same by rows and as torch has it in float64."""

    def __init__(self, rows: int, size: int) -> None:
        self.draw = torch.Generator().manual_seed(rows * size)
        self.table = nn.Embedding(rows, size)
        self.plain = nn.Embedding(rows, size, dtype=torch.float64)
        with torch.no_grad():
            self.plain.weight.copy_(self.table.weight)
        self.optimizer = AdamW([{"params": [self.table.weight]}], **OPTIONS)
        self.other = torch.optim.AdamW([self.plain.weight], **OPTIONS)

    def backward(self, count: int) -> Tensor:
        """Some rows are looked up, some of them twice; their ids."""
        rows, size = self.table.weight.shape
        ids = torch.randint(rows, (count,), generator=self.draw)
        ids = torch.cat([ids, ids[: count // 2]])
        wanted = torch.randn(len(ids), size, generator=self.draw)
        with by_rows([self.table]):
            found = self.table(ids)
        (found * wanted).sum().backward()
        (self.plain(ids) * wanted).sum().backward()
        return ids

    def step(self) -> None:
        """Both move."""
        for each in (self.optimizer, self.other):
            each.step()
            each.zero_grad()

    def assert_alike(self) -> None:
        """Values and moments."""
        own, other = self.optimizer.state[self.table.weight], self.other.state[self.plain.weight]
        torch.testing.assert_close(self.table.weight.double(), self.plain.weight, rtol=1e-6, atol=1e-7)
        for name in ("exp_avg", "exp_avg_sq"):
            torch.testing.assert_close(own[name].double(), other[name], rtol=2e-6, atol=1e-7)
        assert own["step"] == other["step"]


@pytest.mark.parametrize(("rows", "size"), [(1, 1), (63, 15), (64, 16), (65, 17), (200, 33), (700, 100)])
@pytest.mark.usefixtures("each_engine", "threads")
def test_it_is_torch_s_step_with_zeros_in_the_other_rows(rows: int, size: int) -> None:
    both = Lookups(rows, size)
    asked = set()
    for count in (3, 1, 8, 2):
        asked |= set(both.backward(count).tolist())
        assert both.table.weight.grad is not None
        assert both.table.weight.grad.is_sparse
        both.step()
        assert both.table.weight.grad is None
    both.assert_alike()
    never = [row for row in range(rows) if row not in asked]
    assert not both.optimizer.state[both.table.weight]["exp_avg_sq"][never].any()


def test_several_gradients_add_up_before_a_step() -> None:
    both = Lookups(50, 20)
    both.backward(6)
    both.backward(9)
    both.step()
    both.assert_alike()


def test_a_table_may_also_have_whole_gradients() -> None:
    both = Lookups(50, 20)
    for table in (both.table, both.plain):
        table(torch.arange(50)).square().sum().backward()
    both.step()
    both.backward(6)
    both.step()
    both.assert_alike()


def test_which_rows_moved_is_read_off_moments_that_are_brought() -> None:
    both = Lookups(50, 20)
    both.backward(6)
    both.step()
    weight, other = both.table.weight, both.plain.weight
    kept = {name: each.clone() for name, each in optimizer_tensors(both.table, both.optimizer).items()}
    values, moments = weight.detach().clone(), {name: each.clone() for name, each in both.other.state[other].items()}
    for _ in range(2):  # the second time the optimizer knows of other moments
        for _ in range(3):
            both.backward(2)
            both.step()
        both.assert_alike()
        load_optimizer(both.table, both.optimizer, kept)
        both.other.state[other] = {name: each.clone() for name, each in moments.items()}
        with torch.no_grad():
            weight.copy_(values)
            other.copy_(values)


@pytest.mark.parametrize("most", [0.5, 1e9])
def test_the_gradient_of_some_rows_is_clipped_like_the_whole_one(most: float) -> None:
    both, bias, other = Lookups(50, 20), nn.Parameter(torch.zeros(5)), nn.Parameter(torch.zeros(5).double())
    both.backward(7)
    bias.grad = torch.randn(5)
    other.grad = bias.grad.double()
    norm = clip_gradient([both.table.weight, bias], most)
    expected = nn.utils.clip_grad_norm_([both.plain.weight, other], most)
    torch.testing.assert_close(norm.double(), expected)
    assert both.table.weight.grad is not None
    torch.testing.assert_close(both.table.weight.grad.to_dense().double(), both.plain.weight.grad)
    torch.testing.assert_close(bias.grad.double(), other.grad)


# ---- which tables


@pytest.mark.usefixtures("every_table")
def test_which_tables_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    model = toy_model(tied_output=False)
    assert tables_of(model) == [model.tokens]
    assert tables_of(toy_model()) == [], "what is written comes from the same table"
    assert tables_of(toy_model(tied_output=False, dtype="float64")) == []
    model.tokens.weight.requires_grad_(False)
    assert tables_of(model) == []
    other = toy_model(tied_output=False)
    monkeypatch.setattr(kernels, "native", lambda: None)
    assert tables_of(other) == []


def test_small_tables_are_left_as_they_are() -> None:
    assert tables_of(toy_model(tied_output=False)) == []


# ---- in a training


def weights_after(model: nn.Module, path: Path, **changes: Any) -> dict[str, Tensor]:
    """What a run leaves."""
    run(model, RunFolder.create(path, toy_recipe(**changes), tensorboard=False))
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("clip", [0.0, 0.3])
def test_a_training_ends_with_the_same_weights(tmp_path: Path, clip: float, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"clip_norm": clip, "eps": 1e-3}  # what is next to nothing, such as a key's bias, does not move
    whole = weights_after(toy_model(tied_output=False), tmp_path / "whole", **said)
    monkeypatch.setattr(tables, "LEAST", 1)
    model = toy_model(tied_output=False)
    taken = weights_after(model, tmp_path / "rows", **said)
    for name, value in whole.items():
        torch.testing.assert_close(taken[name], value, rtol=1e-4, atol=1e-6)
    model(source=torch.tensor([[4, 5]]), target=torch.tensor([[1, 6]])).sum().backward()
    assert model.tokens.weight.grad is not None
    assert not model.tokens.weight.grad.is_sparse, "afterwards gradients are whole"


@pytest.mark.usefixtures("every_table")
def test_resumed_it_gives_the_same_bits(tmp_path: Path) -> None:
    recipe = toy_recipe()
    run(toy_model(tied_output=False), RunFolder.create(tmp_path / "whole", recipe, tensorboard=False))
    RunFolder.create(tmp_path / "run", recipe, tensorboard=False)
    count = 0

    def failing(model: Any) -> dict[str, float]:
        nonlocal count
        count += 1
        if count in (2, 5):
            raise KeyboardInterrupt
        return toy.dev_loss(model)

    for life in range(3):
        try:
            run(toy_model(tied_output=False), RunFolder.resume(tmp_path / "run", tensorboard=False), evaluate=failing)
        except KeyboardInterrupt:
            assert life < 2
    assert_same(tmp_path / "run", tmp_path / "whole")
