"""What is worked out of gradients and updates comes to what was recorded; every one of them can stand on a board."""

import math

import pytest

from glassformer.glass.table import ALL
from glassformer.glass.trace import Trace
from glassformer.glass.update import AdamW
from glassformer.show.board import SYMBOLS, Board
from glassformer.show.board_learning import symbols
from glassformer.show.labels import Labels
from glassformer.show.mathml import mathml
from glassformer.show.worked import Writer
from glassformer.show.worked_learning import LEARNING_LINES
from glassformer.tasks.model import load

from ..glass.learning import learnt
from ..law.test_backward import model_of, run_of

NAMES = ("rotary", "relative", "labels", "tags", "sinusoidal", "pooled")


def worked_example() -> Trace:
    model = load("worked-example")
    return model.trace_training_step("I love data science", target="j' aime la science des données")


def checked(trace: Trace) -> set[str]:
    """Every entry of every such step, or the corners of a large one."""
    met, labels = set(), Labels(trace)
    for step in trace.values():
        assert mathml(step.typeset).startswith("<math")
        if step.key not in LEARNING_LINES:
            continue
        met.add(step.key)
        board = Board(step, labels)
        writer, (rows, columns) = Writer(board), board.result.values.shape
        for row in {0, rows // 2, rows - 1}:
            for column in {0, columns // 2, columns - 1}:
                entry = writer.entry(row, column)
                assert entry is not None
                assert entry.text
                assert entry.check == pytest.approx(entry.recorded, abs=1e-12), f"{step.name} {row} {column}"
        assert math.isfinite(float(board.result.values.sum()))
        assert board.equation()
    return met


def test_entries_come_to_what_was_recorded() -> None:
    met = checked(worked_example())
    for name in NAMES:
        met |= checked(learnt(run_of(name, model_of(name)), AdamW()))
    assert set(LEARNING_LINES) - met <= {"scores_unscaled.query", "scores_unscaled.key", "logits_scaled.bias"}


def test_every_input_has_a_symbol() -> None:
    for key in set(ALL) - set(SYMBOLS):
        assert symbols(key, 2, SYMBOLS), key
