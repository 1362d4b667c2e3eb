import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.show.conftest import Make, Shown

from glassformer.errors import InputError
from glassformer.glass.trace import Trace
from glassformer.show.record import document, pieces, write_json


def test_every_step_says_what_it_is_and_what_it_is_made_of(worked: Shown) -> None:
    found = document(worked.trace, worked.names)
    assert found["answer"] == "j' aime la science des données"
    earlier: set[str] = set()
    for step in found["steps"]:
        assert set(step) >= {"name", "axes", "value", "formula", "inputs"}
        assert step["formula"]
        assert all(name in earlier or name in worked.trace.parameters for name in step["inputs"])
        assert len(step["axes"].split()) == np.ndim(step["value"])
        earlier.add(step["name"])
    assert earlier == set(worked.trace)


def test_the_word_embedding_of_i_is_what_the_example_says(worked: Shown) -> None:
    steps = {step["name"]: step["value"] for step in document(worked.trace)["steps"]}
    assert steps["encoder.embedding.tokens"][0][0] == [1.87, 0.09]
    assert steps["encoder.embedding.output"][0][0] == [1.87, 1.09]


def test_the_text_is_the_document(worked: Shown) -> None:
    text = "".join(pieces(worked.trace, worked.names))
    assert json.loads(text) == json.loads(json.dumps(document(worked.trace, worked.names)))


def test_nothing_is_rounded(make: Make) -> None:
    trace = make("halves").trace
    steps = {step["name"]: step["value"] for step in json.loads("".join(pieces(trace)))["steps"]}
    for name, value in steps.items():
        assert torch.equal(torch.tensor(value, dtype=trace[name].value.dtype), trace[name].value)


def test_the_small_models_parameters_are_in_it(worked: Shown) -> None:
    found = document(worked.trace)["parameters"]
    assert found["source_tokens.weight"]["value"][0] == [1.87, 0.09]


def test_an_infinity_is_a_word(worked: Shown) -> None:
    trace = Trace()
    trace.add("encoder.ids", "B T", torch.tensor([[1.0, -torch.inf]]), "given", (), {})
    assert json.loads("".join(pieces(trace)))["steps"][0]["value"] == [[1.0, "-inf"]]


def test_a_file_is_written_whole_and_nothing_beside_it(worked: Shown, tmp_path: Path) -> None:
    write_json(worked.trace, tmp_path / "trace.json", worked.names)
    assert [path.name for path in tmp_path.iterdir()] == ["trace.json"]
    assert json.loads((tmp_path / "trace.json").read_text("utf-8"))["steps"]


def test_a_place_that_cannot_be_written_is_refused(worked: Shown, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        write_json(worked.trace, tmp_path / "nowhere" / "trace.json")
