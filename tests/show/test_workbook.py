"""Workbooks compute what the model computed, and what a changed model would: by LibreOffice and without it."""

import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import openpyxl
import pytest
import torch

import glassformer as gf
from glassformer.config import TransformerConfig
from glassformer.errors import InputError
from glassformer.glass.search_formulas import SEARCHES
from glassformer.glass.spreadsheet.table import CELLS
from glassformer.glass.table import ALL
from glassformer.glass.trace import Trace
from glassformer.glass.update import AdamW
from glassformer.model import Transformer
from glassformer.show import workbook
from glassformer.show.workbook_heads import of_heads
from glassformer.show.workbook_layout import Placed, chosen, placed
from glassformer.tasks.model import Model

from ..glass.learning import learnt
from ..law.test_backward import CONFIGS, NEVER_TRAINED, SMALL, run_of
from .evaluator import Evaluator
from .workbooks import OFFICE, Changes, blocks_of, changed, furthest, numbers, recalculated

TEXT, TARGET = "I love data science", "j' aime la science des données"
NO_UPDATE = ("*", "!update.*")


def stepped(model: Model, text: str = TEXT) -> Trace:
    return model.trace_training_step(text, target=TARGET)


def model_of(name: str) -> Transformer:
    fields = {**SMALL, **CONFIGS[name], "vocab_size": 8, "max_positions": 6}
    if "rotary_size" not in fields and "rotary_stretch" not in fields:
        fields |= {"d_model": 4, "d_ff": 5}  # every cell counts: it is read by a slow reader
    if fields.get("head") == "hidden":
        fields |= {"head": "token-label", "labels": 3, "pooler": False}
    torch.manual_seed(3)
    model = Transformer(TransformerConfig.from_dict(fields)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return model


def evaluated(path: Path, blocks: dict[str, Placed]) -> dict[str, np.ndarray[Any, Any]]:
    """Every block, computed from the formulas alone."""
    reader, found = Evaluator(path), {}
    for name, block in blocks.items():
        found[name] = np.empty(block.shape)
        for index in block.indices():
            row, column = block.place(index)
            value = reader.value(block.sheet, row + 1, column + 1)
            found[name][index] = -np.inf if value == "−∞" else value
    return found


@pytest.fixture
def model() -> Model:
    return gf.load("worked-example")


def with_another_i(model: Model) -> tuple[Changes, Trace]:
    """The embedding of "I" changed in the sheet, and in the model."""
    number = int(model.trace(TEXT)["encoder.ids"].value[0, 0])
    changes = {("source_tokens.weight", (number, 0)): -0.75, ("source_tokens.weight", (number, 1)): 1.25}
    with torch.no_grad():
        for (_, index), value in changes.items():
            model.transformer.source_tokens.weight[index] = value  # type: ignore[union-attr, index]
    return changes, stepped(model)


KINDS: dict[str, dict[str, Any]] = {
    "sinusoidal": {"stack": "encoder-decoder", "encoder_layers": 1, "decoder_layers": 1},
    "relative": {
        "stack": "encoder-decoder", "encoder_layers": 1, "decoder_layers": 1, "positions": "relative",
        "attention_scale": False, "norm": "rms",
    },
    "rotary": {"stack": "decoder", "decoder_layers": 1, "positions": "rotary"},
    "shared": {"stack": "decoder", "decoder_layers": 1, "positions": "rotary", "kv_heads": 2},
}  # fmt: skip


def test_the_numbers_stand_beside_the_formulas(model: Model, tmp_path: Path) -> None:
    trace = stepped(model)
    trace.to_workbook(tmp_path / "run.xlsx")
    blocks = blocks_of(trace)
    assert set(blocks) >= set(trace)
    assert furthest(numbers(tmp_path / "run.xlsx", blocks), trace)[0] <= 1e-15
    book = openpyxl.load_workbook(tmp_path / "run.xlsx")
    for name, block in blocks.items():
        live = name in trace and trace[name].key != "given"
        for index in block.indices():
            row, column = block.place(index)
            assert str(book[block.sheet].cell(row + 1, column + 1).value).startswith("=") == live, name
    assert book.sheetnames == [
        "Index", "Inputs", "Embeddings", "Weights", "Encoder", "Decoder", "Head", "Loss", "Backward", "Update",
    ]  # fmt: skip


def test_without_a_spreadsheet_program(model: Model, tmp_path: Path) -> None:
    trace = stepped(model)
    trace.to_workbook(tmp_path / "run.xlsx")
    blocks = blocks_of(trace)
    assert furthest(evaluated(tmp_path / "run.xlsx", blocks), trace)[0] <= 1e-12
    changes, after = with_another_i(model)
    changed(tmp_path / "run.xlsx", tmp_path / "changed.xlsx", blocks, changes)
    found = evaluated(tmp_path / "changed.xlsx", blocks)
    assert furthest(found, after)[0] <= 1e-12
    assert np.abs(found["loss.mean"] - np.asarray(float(evaluated_loss(tmp_path, blocks)))) > 1e-3


def evaluated_loss(folder: Path, blocks: dict[str, Placed]) -> float:
    row, column = blocks["loss.mean"].place(())
    return float(Evaluator(folder / "run.xlsx").value("Loss", row + 1, column + 1))


def test_other_tokens_are_looked_up(model: Model, tmp_path: Path) -> None:
    trace = stepped(model)
    trace.to_workbook(tmp_path / "run.xlsx")
    blocks, other = blocks_of(trace), stepped(model, "love love data I")
    ids = other["encoder.ids"].value[0].tolist()
    changes = {("encoder.ids", (0, place)): float(number) for place, number in enumerate(ids)}
    changed(tmp_path / "run.xlsx", tmp_path / "changed.xlsx", blocks, changes)
    assert furthest(evaluated(tmp_path / "changed.xlsx", blocks), other)[0] <= 1e-12


@pytest.mark.skipif(OFFICE is None, reason="LibreOffice is not installed; the evaluator stands in for it")
def test_libreoffice_computes_every_cell(model: Model, tmp_path: Path) -> None:
    trace = stepped(model)
    trace.to_workbook(tmp_path / "run.xlsx")
    blocks = blocks_of(trace)
    changed(tmp_path / "run.xlsx", tmp_path / "bare.xlsx", blocks, {})
    assert furthest(numbers(recalculated(tmp_path / "bare.xlsx", tmp_path), blocks), trace)[0] <= 1e-9
    changes, after = with_another_i(model)
    changed(tmp_path / "run.xlsx", tmp_path / "changed.xlsx", blocks, changes)
    assert furthest(numbers(recalculated(tmp_path / "changed.xlsx", tmp_path), blocks), after)[0] <= 1e-9


@pytest.mark.parametrize("name", CONFIGS)
def test_every_kind_of_model(name: str, tmp_path: Path) -> None:
    model = model_of(name)
    trace = learnt(run_of(name, model), AdamW())
    trace.to_workbook(tmp_path / "run.xlsx", keep=NO_UPDATE)
    assert furthest(evaluated(tmp_path / "run.xlsx", blocks_of(trace, NO_UPDATE)), trace)[0] <= 1e-11


def test_every_formula_has_its_form() -> None:
    assert set(CELLS) == set(ALL) - {"given"}
    met = {step.key for name in CONFIGS for step in learnt(run_of(name, model_of(name)), AdamW()).values()}
    assert set(CELLS) - met <= NEVER_TRAINED | {"append"} | set(SEARCHES)


def test_a_contrastive_choice_is_computed_again(tmp_path: Path) -> None:
    run = gf.load("worked-example").trace_generation("I love data", penalty_alpha=0.6, top_k=4)[2]
    run.to_workbook(tmp_path / "run.xlsx")
    blocks = blocks_of(run)
    assert blocks["search.score"].sheet == "Search"
    assert furthest(evaluated(tmp_path / "run.xlsx", blocks), run)[0] <= 1e-12


def test_a_part_is_written_with_its_inputs_as_values(model: Model, tmp_path: Path) -> None:
    trace, keep = model.trace(TEXT), "decoder.layers.0.cross_attention.*"
    trace.to_workbook(tmp_path / "part.xlsx", keep=keep)
    blocks = blocks_of(trace, keep)
    assert blocks["encoder.output"].kind == "value"
    assert blocks["encoder.output"].sheet == "Inputs"
    assert "encoder.embedding.tokens" not in blocks
    assert furthest(evaluated(tmp_path / "part.xlsx", blocks), trace)[0] <= 1e-12


def test_what_was_not_kept_makes_values(model: Model, tmp_path: Path) -> None:
    trace = model.trace(TEXT, keep="*.self_attention.weights")
    trace.to_workbook(tmp_path / "few.xlsx")
    blocks = blocks_of(trace)
    assert {block.kind for block in blocks.values()} == {"value"}
    assert furthest(numbers(tmp_path / "few.xlsx", blocks), trace)[0] <= 1e-15


def test_one_too_large_says_what_would_fit(model: Model, tmp_path: Path) -> None:
    trace = model.trace(TEXT)
    with mock.patch.object(workbook, "CELLS", 300):
        with pytest.raises(InputError, match=r"need 1,096 numbers, and 300 fit; keep='encoder\.\*' would fit") as told:
            trace.to_workbook(tmp_path / "large.xlsx")
        assert "\n" not in str(told.value)
        trace.to_workbook(tmp_path / "part.xlsx", keep="encoder.*")
    with mock.patch.object(workbook, "COLUMNS", 6), pytest.raises(InputError, match="no sheet wide enough for"):
        trace.to_workbook(tmp_path / "wide.xlsx")
    assert [path.name for path in tmp_path.iterdir()] == ["part.xlsx"]


@pytest.mark.parametrize("name", ["sinusoidal", "relative", "rotary", "shared"])
@pytest.mark.parametrize("heads", [(1,), (3, 0)])
def test_some_heads_are_computed_alone(name: str, heads: tuple[int, ...], tmp_path: Path) -> None:
    fields = {**SMALL, "d_model": 16, "heads": 4, **KINDS[name]}
    torch.manual_seed(3)
    model = Transformer(TransformerConfig.from_dict(fields)).eval()
    for parameter in model.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    trace, ids = Trace(), torch.arange(6).reshape(1, 6)
    pair = model.encoder is not None
    with torch.no_grad():
        model(ids if pair else None, ids, trace=trace)
    keep = "decoder.layers.0.*_attention.*"
    trace.to_workbook(tmp_path / "heads.xlsx", keep=keep, heads=heads)
    cut, steps = of_heads(trace, chosen(trace, keep), heads)
    blocks = placed(cut, steps)
    found = evaluated(tmp_path / "heads.xlsx", blocks)
    compared = 0
    for step in steps:
        block, whole = blocks[step.name], trace[step.name].value
        if "H" in step.axes.split():
            assert block.kind == "step"
            expected = whole.index_select(step.axes.split().index("H"), torch.tensor(heads))
            assert np.abs(found[step.name] - expected.numpy()).max() <= 1e-12
            compared += 1
        if step.key == "attention_output":
            assert block.kind == "value"
            assert np.abs(found[step.name] - whole.numpy()).max() <= 1e-15  # as a file has its digits
    assert compared >= (6 if pair else 4)
    query = "decoder.layers.0.self_attention.query.weight"
    rows = trace.parameters[query].reshape(4, 4, 16)[list(heads)].reshape(-1, 16)
    assert np.abs(found[query] - rows.numpy()).max() <= 1e-15
    book = openpyxl.load_workbook(tmp_path / "heads.xlsx")
    assert any(cell.value == f"head {heads[0]}" for row in book["Decoder"] for cell in row)


def test_heads_that_are_not_there_are_refused(model: Model, tmp_path: Path) -> None:
    trace = model.trace(TEXT)
    for heads in ((1,), (-1,), ()):
        with pytest.raises(InputError, match="expected numbers from 0 to 0"):
            trace.to_workbook(tmp_path / "run.xlsx", heads=heads)
    with pytest.raises(InputError, match="no step with heads was kept"):
        model.trace(TEXT, keep="head.*").to_workbook(tmp_path / "run.xlsx", heads=0)


def test_of_a_large_attention_one_head_is_advised() -> None:
    trace = gf.load("sentiment").trace("A dull film.")
    assert "keep='encoder.layers.0.self_attention.*', heads=0 would fit with" in workbook.advice(trace)


def test_bad_names_are_refused(model: Model, tmp_path: Path) -> None:
    trace = model.trace(TEXT)
    with pytest.raises(InputError, match=r"ends in \.xlsx"):
        trace.to_workbook(tmp_path / "run.csv")
    with pytest.raises(InputError, match="cannot be written"):
        trace.to_workbook(tmp_path / "nowhere" / "run.xlsx")
    with pytest.raises(InputError, match="no step fits the pattern 'encoder.x'|no step is called 'encoder.x'"):
        trace.to_workbook(tmp_path / "run.xlsx", keep="encoder.x")
    gone = mock.patch.dict(sys.modules, {"xlsxwriter": None})
    with gone, pytest.raises(InputError, match=r"glassformer\[workbook\]"):
        trace.to_workbook(tmp_path / "run.xlsx")


def test_the_same_run_makes_the_same_file(model: Model, tmp_path: Path) -> None:
    for name in ("one", "two"):
        model.trace(TEXT).to_workbook(tmp_path / f"{name}.xlsx")
    assert (tmp_path / "one.xlsx").read_bytes() == (tmp_path / "two.xlsx").read_bytes()


def test_the_index_leads_to_every_block(model: Model, tmp_path: Path) -> None:
    trace = model.trace(TEXT)
    trace.to_workbook(tmp_path / "run.xlsx")
    book, blocks = openpyxl.load_workbook(tmp_path / "run.xlsx"), blocks_of(trace)
    links = {cell.value: cell.hyperlink.location for row in book["Index"] for cell in row if cell.hyperlink}
    for name, block in blocks.items():
        sheet, _, cell = links[name].partition("!")
        assert sheet == block.sheet
        assert book[sheet][cell].value == name
    assert book["Encoder"].freeze_panes == "B3"
