import io
import re
from collections.abc import Iterator

import pytest
import torch
from rich.cells import cell_len
from rich.console import Console
from tests.show.conftest import CONFIGS, Make, Shown

from glassformer.glass.trace import Trace
from glassformer.show.board import LOOKED_UP, ONE_HOT, Board, Matrix
from glassformer.show.chapters import chapters
from glassformer.show.labels import Labels
from glassformer.show.numbers import number
from glassformer.show.terminal import single, walk

ENTRY = re.compile(r"^    (\S+?)\[(.+), (.+)\] +=.* = ?(\S+)$")


def printed(shown: Shown, width: int = 100, step: str | None = None, **options: bool) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    if step is None:
        parts = walk(shown.trace, shown.names, width=width, **options)
    else:
        parts = single(shown.trace, step, shown.names, width=width, **options)
    for part in parts:
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def sections(text: str, trace: Trace) -> Iterator[tuple[str, list[str]]]:
    """The lines below each step's name."""
    name, lines = "", []
    for line in text.splitlines():
        first = line.split("   ")[0]
        if first in trace or not line:
            if name:
                yield name, lines
            name, lines = first if first in trace else "", []
        elif name:
            lines.append(line)


def test_the_walk_says_what_the_example_says(worked: Shown) -> None:
    text = printed(worked)
    assert "E[I, 0] = 1·1.87 + 0·(−1.78) + 0·(−0.35) + 0·0.73 + 0·(−0.95) = 1.87" in text
    assert "P[I, 0] = sin(0) = 0" in text
    assert "P[I, 1] = cos(0) = 1" in text
    assert "X[I, 1] = 0.09 + 1 = 1.09" in text
    assert "Q[I, 0] = 1.87·(−0.93) + 1.09·(−0.26) = −2.0225" in text
    assert "so far  <bos> j' aime la science des données" in text
    assert re.search(r"→ <eos> +█+ 0\.9996", text)
    assert "47 steps recomputed in NumPy float64, largest difference" in text


def test_every_step_is_told_once_with_its_formula(worked: Shown) -> None:
    told = [name for name, _ in sections(printed(worked), worked.trace)]
    assert sorted(told) == sorted(worked.trace)


def test_every_result_worked_out_is_the_traces(worked: Shown) -> None:
    labels, seen = Labels(worked.trace, worked.names), 0
    for name, lines in sections(printed(worked, width=200), worked.trace):
        result = Board(worked.trace[name], labels).result
        for line in lines:
            if found := ENTRY.match(line):
                row = result.rows.index(found[2]) if result.rows else int(found[2])
                column = result.columns.index(found[3]) if result.columns else int(found[3])
                assert found[4] == number(float(result.values[row, column])), (name, line)
                seen += 1
    assert seen > 70


def test_every_number_in_a_matrix_is_an_input_or_the_result(worked: Shown) -> None:
    """No number on the board comes from anywhere but the trace and its parameters."""
    for name, lines in sections(printed(worked, width=200), worked.trace):
        step = worked.trace[name]
        values = [step.value, *(worked.trace.value(source) for source in step.inputs)]
        known = torch.cat([value.double().flatten() for value in values])
        for line in lines:
            for group in re.findall(r"[⎡⎢⎣\[] (.+?) [⎤⎥⎦\]](?: |$)", line):
                for text in re.findall(r"−?\d+(?:\.\d+)?", group):
                    shown = float(text.replace("−", "-"))
                    nearest = float((known - shown).abs().min())
                    assert nearest <= 0.500001e-4 or "onehot" in step.written, (name, text)


def test_all_of_a_result_is_shown(worked: Shown) -> None:
    wanted = {
        f"{value:.4f}".replace("-", "−")
        for value in worked.trace["head.logits"].value.flatten().tolist()
        if value
    }
    text = "\n".join(dict(sections(printed(worked, width=200), worked.trace))["head.logits"])
    assert not {value for value in wanted if value not in text}


@pytest.mark.parametrize("width", [70, 80, 140])
def test_nothing_is_wider_than_the_terminal(worked: Shown, width: int) -> None:
    for line in printed(worked, width).splitlines():
        assert cell_len(line) <= width, line
        assert line == line.rstrip()


@pytest.mark.parametrize("name", CONFIGS)
def test_every_kind_of_model_can_be_walked(name: str, make: Make) -> None:
    shown = make(name)
    text = printed(shown)
    assert all(cell_len(line) <= 100 for line in text.splitlines())
    assert "steps recomputed in NumPy float64" in text


def test_later_layers_are_passed_over_unless_asked_for(make: Make) -> None:
    shown = make("masked")
    text = printed(shown)
    assert "encoder.layers.1.self_attention.scores   " not in text
    assert "Layer 1 does the same with weights of their own" in text
    everything = printed(shown, everything=True)
    assert sorted(told for told, _ in sections(everything, shown.trace)) == sorted(shown.trace)


def test_a_plain_file_gets_no_colours(worked: Shown) -> None:
    assert "\x1b" not in printed(worked)


@pytest.mark.parametrize("name", ["encoder.ids", "decoder.mask", "decoder.layers.0.cross_attention.weights"])
def test_one_step_alone(worked: Shown, name: str) -> None:
    text = printed(worked, step=name)
    assert text.startswith(name)
    assert worked.trace[name].written in text
    assert "largest difference" in text or "given" in text


def test_a_step_of_every_formula_can_stand_alone(worked: Shown, make: Make) -> None:
    kinds = {
        step.key: (shown, step.name)
        for shown in [worked, *map(make, CONFIGS)]
        for step in shown.trace.values()
    }
    for shown, step in kinds.values():
        text = printed(shown, step=step, width=90)
        assert all(cell_len(line) <= 90 for line in text.splitlines()), step


def test_a_step_that_was_not_kept_is_named_as_missing(worked: Shown) -> None:
    trace = Trace(keep="*weights")
    for step in worked.trace.values():
        inputs = [
            value for value in (trace.parameters.get(name) for name in step.inputs) if value is not None
        ]
        trace.add(step.name, step.axes, step.value.clone(), "given", inputs, step.constants)
    trace.tokens = worked.trace.tokens
    assert "decoder.layers.0.cross_attention.weights" in printed(Shown(trace, worked.names))


def test_no_step_is_left_out_of_the_chapters(make: Make) -> None:
    for name in CONFIGS:
        trace = make(name).trace
        told = [step.name for chapter in chapters(trace.values()) for step in chapter.steps]
        assert sorted(told) == sorted(trace)


def test_what_a_stack_does_is_not_told_of_the_head(make: Make) -> None:
    for name in CONFIGS:
        for chapter in chapters(make(name).trace.values()):
            assert all(step.name.startswith(f"{chapter.side}.") for step in chapter.steps), chapter.title


@pytest.mark.parametrize("name", ["masked", "decoder", "rotary"])
def test_of_a_large_table_the_rows_that_are_looked_up_stand_beside_their_numbers(name: str, make: Make) -> None:
    shown = make(name)
    labels = Labels(shown.trace, shown.names)
    looked_up = [each for each in shown.trace.values() if each.key in LOOKED_UP]
    assert looked_up
    for step in looked_up:
        board = Board(step, labels)
        rows = [term for term in board.equation() if isinstance(term, Matrix)][-1]
        table = shown.trace.parameters[step.inputs[1]]
        assert rows.size == tuple(table.shape)
        if len(table) > ONE_HOT:
            scale = float(step.value[0].abs().max() / rows.values.abs().max())
            assert torch.allclose(step.value[0], rows.values * scale)
