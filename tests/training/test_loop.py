"""The loop: sums, bounds, evaluation, early stopping, and that it learns."""

import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from glassformer.data.batch import Batch
from glassformer.errors import InputError
from glassformer.model import Transformer
from glassformer.training.checkpoint import read_tensors, weights
from glassformer.training.loop import train
from glassformer.training.loss import TokenLoss
from glassformer.training.recipe import TrainingTable
from glassformer.training.run_folder import RunFolder

from .toy import dev_loss, run, toy_batches, toy_model, toy_recipe


class Listed:
    """The same batches in each epoch."""

    def __init__(self, *batches: Batch) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        yield from self.batches[start:]


def rows(batch: Batch, part: slice) -> Batch:
    tensors = {name: value[part] for name, value in vars(batch).items() if isinstance(value, torch.Tensor)}
    return Batch(**tensors)


def test_two_unequal_parts_accumulated_make_the_whole_batch() -> None:
    batch = next(toy_batches().epoch(0))
    whole, parts = (toy_model(dropout=0.0, dtype="float64") for _ in range(2))
    one = TrainingTable(max_steps=3, warmup_steps=0)
    two = TrainingTable(max_steps=3, warmup_steps=0, accumulate=2)
    first = list(train(whole, Listed(batch), one))
    second = list(train(parts, Listed(rows(batch, slice(0, 3)), rows(batch, slice(3, None))), two))
    assert first[-1].loss == pytest.approx(second[-1].loss, rel=1e-6)
    for name, value in weights(whole).items():
        assert torch.allclose(value, weights(parts)[name], rtol=0, atol=1e-9), name


def test_a_group_ends_with_its_epoch() -> None:
    batch = next(toy_batches().epoch(0))
    records = list(
        train(toy_model(), Listed(batch, batch, batch), TrainingTable(epochs=2, accumulate=2, log_every=1))
    )
    assert [(each.step, each.epoch) for each in records] == [(1, 1), (2, 1), (3, 2), (4, 2)]


def test_one_step_is_adamw_without_decay_on_biases_and_norms() -> None:
    """Adam's first step moves each weight by the rate times the gradient's sign; a matrix also shrinks."""
    model = toy_model(dropout=0.0, dtype="float64")
    before = {name: value.clone() for name, value in weights(model).items()}
    table = TrainingTable(
        max_steps=1,
        warmup_steps=0,
        learning_rate=0.01,
        weight_decay=0.5,
        schedule="constant",
        label_smoothing=0.1,
    )
    batch = next(toy_batches().epoch(0))
    list(train(model, Listed(batch), table))
    fresh = toy_model(dropout=0.0, dtype="float64")
    TokenLoss(0.1)(fresh, batch).total.backward()
    for name, parameter in fresh.named_parameters():
        decay = 0.01 * 0.5 if parameter.ndim >= 2 else 0.0
        clear = parameter.grad.abs() > 1e-2  # eps bends the step where the gradient is near zero
        expected = before[name] * (1 - decay) - 0.01 * parameter.grad.sign()
        assert torch.allclose(weights(model)[name][clear], expected[clear], rtol=0, atol=1e-6), name


def test_clipping_limits_the_gradient_and_reports_its_length() -> None:
    free, clipped = (
        list(train(toy_model(), toy_batches(), TrainingTable(max_steps=1, clip_norm=clip)))[0]
        for clip in (0.0, 0.01)
    )
    assert free.gradient_norm == clipped.gradient_norm > 0.01


def test_a_clipped_gradient_moves_the_weights_less() -> None:
    ends = []
    for clip in (0.0, 1e-4):
        model = toy_model()
        before = {name: value.clone() for name, value in weights(model).items()}
        list(train(model, toy_batches(), TrainingTable(max_steps=3, warmup_steps=0, eps=1.0, clip_norm=clip)))
        ends.append(sum(float((value - before[name]).abs().sum()) for name, value in weights(model).items()))
    assert 0 < ends[1] < 0.01 * ends[0]


def test_what_is_drawn_between_two_records_changes_nothing() -> None:
    ends = []
    for drawn in (0, 7):
        model = toy_model(dropout=0.3)
        for _ in train(model, toy_batches(), TrainingTable(max_steps=6, log_every=2)):
            torch.rand(drawn)
            model.eval()
        ends.append(weights(model))
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())


@pytest.mark.usefixtures("both_ways_to_learn")
def test_a_copying_task_is_learnt() -> None:
    model = toy_model(d_model=32, d_ff=64, dropout=0.0)
    table = TrainingTable(max_steps=150, learning_rate=2e-2, warmup_steps=30, schedule="cosine", log_every=50)
    records = list(train(model, toy_batches(256, 300), table))
    assert records[-1].nll < 0.2
    assert records[-1].perplexity == pytest.approx(math.exp(records[-1].nll))
    assert [each.step for each in records] == [50, 100, 150]
    assert records[-1].time_left == 0.0
    assert all(each.tokens_per_second > 0 for each in records)


def test_a_run_in_epochs_knows_its_length() -> None:
    batches = toy_batches()
    table = TrainingTable(
        epochs=3, accumulate=4, schedule="linear", learning_rate=1.0, warmup_steps=0, log_every=1
    )
    records = list(train(toy_model(), batches, table))
    steps = 3 * math.ceil(len(batches) / 4)
    assert [each.step for each in records] == list(range(1, steps + 1))
    assert [each.learning_rate for each in records] == pytest.approx(
        [1 - step / (steps + 1) for step in range(1, steps + 1)]
    )


def test_few_batches_are_gone_over_more_often() -> None:
    batches, steps = toy_batches(), 7
    shape = {"schedule": "linear", "learning_rate": 1.0, "warmup_steps": 0, "log_every": 1}
    assert len(batches) < steps
    records = list(train(toy_model(), batches, TrainingTable(epochs=1, min_steps=steps, **shape)))
    assert [each.step for each in records] == list(range(1, steps + 1))
    assert [each.learning_rate for each in records] == pytest.approx(
        [1 - step / (steps + 1) for step in range(1, steps + 1)]
    )
    assert len(list(train(toy_model(), batches, TrainingTable(epochs=1, min_steps=steps, max_steps=5, **shape)))) == 5
    enough = TrainingTable(epochs=2, min_steps=len(batches), **shape)
    assert len(list(train(toy_model(), batches, enough))) == 2 * len(batches)


def test_a_run_by_the_clock_ends_with_its_schedule_at_the_budget() -> None:
    ticks = itertools.count(step=2.0)  # two seconds a look
    table = TrainingTable(max_minutes=1, schedule="linear", learning_rate=1.0, warmup_steps=0, log_every=1)
    records = list(train(toy_model(), toy_batches(), table, clock=lambda: next(ticks)))
    assert records[-1].seconds == 60.0
    assert records[-1].time_left == 0.0
    assert records[len(records) // 2].learning_rate == pytest.approx(0.5, abs=0.06)
    assert records[-1].learning_rate < 0.07


def test_what_the_optimizer_changes_is_counted() -> None:
    """Whoever packed the weights before sees that they are no longer the same."""
    model = toy_model()
    before = model.tokens.weight._version
    list(train(model, toy_batches(), TrainingTable(max_steps=2, log_every=2)))
    assert model.tokens.weight._version >= before + 2


def test_the_speed_of_steps_is_told_without_what_lies_between_them() -> None:
    now = 0.0

    def batches_in_a_second() -> float:
        nonlocal now
        now += 0.5
        return now

    def slow(model: Transformer) -> dict[str, float]:
        nonlocal now
        now += 1000
        return {"loss": 1.0}

    table = TrainingTable(max_steps=6, log_every=2, evaluate_every=2, metric="loss")
    made = list(train(toy_model(), toy_batches(), table, evaluate=slow, clock=batches_in_a_second))
    speeds = [each.tokens_per_second for each in made if each.kind == "train"]
    assert min(filter(None, speeds)) > 1
    assert made[-1].seconds > 3000


def test_the_budget_counts_the_time_before_a_resume(tmp_path: Path) -> None:
    bounds = {
        "max_steps": None,
        "max_minutes": 1,
        "evaluate_every": 100,
        "checkpoint_every": 5,
        "average_last": 0,
    }
    folder = RunFolder.create(tmp_path / "run", toy_recipe(**bounds), tensorboard=False)
    early, late = itertools.count(0, 2.0), itertools.count(1e6, 2.0)
    table = folder.recipe().training
    for record in train(toy_model(), toy_batches(), table, folder=folder, clock=lambda: next(early)):
        if record.kind == "checkpoint" and record.step == 10:
            break
    resumed = RunFolder.resume(tmp_path / "run", tensorboard=False)
    records = list(train(toy_model(), toy_batches(), table, folder=resumed, clock=lambda: next(late)))
    assert 60.0 <= records[-1].seconds < 65.0


def test_it_stops_when_the_metric_no_longer_improves() -> None:
    scores = iter([1.0, 3.0, 2.0, 3.0, math.nan, 9.0])
    table = TrainingTable(max_steps=100, evaluate_every=2, patience=3, metric="BLEU")
    records = list(train(toy_model(), toy_batches(), table, evaluate=lambda model: {"bleu": next(scores)}))
    seen = [(each.step, each.best) for each in records if each.kind == "evaluation"]
    assert seen == [(2, True), (4, True), (6, False), (8, False), (10, False)]


def test_of_equal_figures_the_lower_loss_is_better() -> None:
    scores = iter([(1.0, 0.5), (1.0, 0.3), (1.0, 0.4), (0.9, 0.1), (1.0, 0.2)])
    table = TrainingTable(max_steps=5, evaluate_every=1, metric="accuracy")
    evaluate = lambda model: dict(zip(("accuracy", "loss"), next(scores), strict=True))  # noqa: E731
    records = list(train(toy_model(), toy_batches(), table, evaluate=evaluate))
    assert [each.best for each in records if each.kind == "evaluation"] == [True, True, False, False, True]


def test_a_loss_is_better_when_it_is_lower() -> None:
    scores = iter([3.0, 4.0, 2.0])
    table = TrainingTable(max_steps=3, evaluate_every=1)
    records = list(train(toy_model(), toy_batches(), table, evaluate=lambda model: {"loss": next(scores)}))
    assert [each.best for each in records if each.kind == "evaluation"] == [True, False, True]


def test_how_often_it_is_evaluated_does_not_change_the_weights() -> None:
    once, often = toy_model(), toy_model()
    list(train(once, toy_batches(), TrainingTable(max_steps=6)))
    list(train(often, toy_batches(), TrainingTable(max_steps=6, evaluate_every=1), evaluate=dev_loss))
    assert all(torch.equal(value, weights(often)[name]) for name, value in weights(once).items())


def test_evaluation_sees_a_model_without_dropout() -> None:
    seen = []
    table = TrainingTable(max_steps=2, evaluate_every=1)
    model = toy_model()
    evaluate = lambda model: seen.append(model.training) or {"loss": 1.0}  # noqa: E731
    list(train(model, toy_batches(), table, evaluate=evaluate))
    assert seen == [False, False]


def test_best_holds_the_weights_of_the_best_evaluation(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", toy_recipe(average_last=0, keep_last=9), tensorboard=False)
    scores = iter([5.0, 4.0, 3.0, 1.0, 2.0])
    model = toy_model()
    run(model, folder, evaluate=lambda model: {"loss": next(scores)})
    best = read_tensors(tmp_path / "run" / "best" / "model.safetensors")
    last = read_tensors(tmp_path / "run" / "last" / "model.safetensors")
    twentieth = folder.read_checkpoint(20).model
    assert all(torch.equal(value, best[name]) for name, value in twentieth.items())
    assert all(torch.equal(value, last[name]) for name, value in weights(model).items())


def test_the_average_becomes_best_only_where_it_is_better(tmp_path: Path) -> None:
    for number, (closing, best_is_average) in enumerate([(0.5, True), (9.0, False)]):
        folder = RunFolder.create(tmp_path / str(number), toy_recipe(), tensorboard=False)
        scores = iter([5.0, 4.0, 3.0, 2.0, 1.0, closing])
        records = run(toy_model(), folder, evaluate=lambda model: {"loss": next(scores)})  # noqa: B023
        assert (records[-1]["kind"], records[-1]["best"]) == ("average", best_is_average)
        average = read_tensors(folder.path / "averaged" / "model.safetensors")
        best = read_tensors(folder.path / "best" / "model.safetensors")
        assert all(torch.equal(value, best[name]) for name, value in average.items()) is best_is_average


def test_bfloat16_keeps_the_weights_in_float32() -> None:
    model = toy_model()
    record = list(train(model, toy_batches(), TrainingTable(max_steps=2, precision="bfloat16")))[-1]
    assert math.isfinite(record.loss)
    assert {each.dtype for each in model.parameters()} == {torch.float32}


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="metric is 'loss'; this task's evaluation gives bleu, chrf"):
        list(
            train(
                toy_model(),
                toy_batches(),
                TrainingTable(max_steps=1),
                evaluate=lambda _: {"bleu": 1, "chrf": 2},
            )
        )
    table = TrainingTable(max_steps=50, learning_rate=1e30, warmup_steps=0, log_every=1)
    with pytest.raises(InputError, match="no batch to train on"):
        list(train(toy_model(), Listed(), table))
    with pytest.raises(InputError, match="lower learning_rate"):
        list(train(toy_model(), toy_batches(), table))


def test_weights_that_are_no_numbers_are_never_kept(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", toy_recipe(), tensorboard=False)
    table = TrainingTable(max_steps=50, learning_rate=1e30, warmup_steps=0, log_every=99, checkpoint_every=4)
    with pytest.raises(InputError, match="lower learning_rate"):
        list(train(toy_model(), toy_batches(), table, folder=folder))
    assert folder.steps() == []
