"""What is put into a formula on the board comes to the number that was recorded."""

import pytest
from tests.show.conftest import CONFIGS, Make, Shown

from glassformer.glass.formulas import FORMULAS
from glassformer.show.board import SYMBOLS, Board
from glassformer.show.labels import Labels
from glassformer.show.worked import LINES, Writer
from glassformer.show.worked_learning import LEARNING_LINES
from glassformer.show.worked_search import SEARCH_LINES

WITHOUT_ARITHMETIC = {"given", "same", "position_ids", "mask", "append", "relative_bias", "first", "last"}


def check(shown: Shown, sparse: bool = False) -> None:
    """Every entry of every step, or those at the corners and in the middle."""
    labels = Labels(shown.trace, shown.names)
    for step in shown.trace.values():
        for head in range(Board(step, labels).heads):
            writer = Writer(Board(step, labels, head=head))
            rows, columns = writer.result.values.shape
            for row in {0, rows // 2, rows - 1} if sparse else range(rows):
                for column in {0, columns // 2, columns - 1} if sparse else range(columns):
                    entry = writer.entry(row, column)
                    if entry is not None and entry.check is not None:
                        assert entry.check == pytest.approx(entry.recorded, rel=1e-9, abs=1e-12), (
                            step.name,
                            entry,
                        )


def test_every_number_of_the_worked_example(worked: Shown) -> None:
    check(worked)


@pytest.mark.parametrize("name", CONFIGS)
def test_numbers_of_every_kind_of_model(name: str, make: Make) -> None:
    check(make(name), sparse=True)


def test_every_formula_is_covered(worked: Shown, make: Make) -> None:
    keys = {step.key for name in CONFIGS for step in make(name).trace.values()} | {
        step.key for step in worked.trace.values()
    }
    forward = set(LINES) - set(LEARNING_LINES) - set(SEARCH_LINES)  # whose own tests have them
    assert forward <= keys
    assert set(FORMULAS) == forward | WITHOUT_ARITHMETIC
    assert set(SYMBOLS) == set(FORMULAS)


def test_the_board_has_a_symbol_for_every_input(make: Make, worked: Shown) -> None:
    for shown in [worked, *map(make, CONFIGS)]:
        for step in shown.trace.values():
            assert len(step.inputs) <= len(SYMBOLS[step.key]), step.name
