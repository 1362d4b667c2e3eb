"""An adapter written alone: whole numbers, half of the room, beside its base."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from glassformer.cli.main import run
from glassformer.pretrained import shipped
from glassformer.tasks.model import load

QUESTION, CONTEXT = "Where was she born?", "Marie Curie was born in Warsaw in 1867."


def test_in_half_precision_it_answers_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["convert", "sentiment", str(tmp_path), "--to", "peft", "--dtype", "float16"]) == 0
    assert "beside minilm-l6; read back, every number is the same" in capsys.readouterr().out
    written = load_file(tmp_path / "adapter_model.safetensors")
    own = load_file(shipped()["sentiment"] / "adapter_model.safetensors")
    assert {name: each.to(torch.float16) for name, each in own.items()}.keys() == written.keys()
    assert all(own[name].to(torch.float16).equal(each) for name, each in written.items())
    texts = ["I love this!", "What a waste of an evening.", "The train leaves at nine."]
    for mine, again in zip(load("sentiment")(texts), load(tmp_path)(texts), strict=True):
        assert again.label == mine.label
        assert again.probabilities == pytest.approx(mine.probabilities, abs=2e-3)


def test_as_it_is_stored_it_is_the_same_adapter(tmp_path: Path) -> None:
    assert run(["convert", "answers", str(tmp_path), "--to", "peft"]) == 0
    folder = shipped()["answers"]
    for name in ("adapter_config.json", "config.json"):
        assert json.loads((tmp_path / name).read_text()) == json.loads((folder / name).read_text())
    assert load(tmp_path)(QUESTION, CONTEXT) == load(folder)(QUESTION, CONTEXT)


def test_an_adapter_beside_a_folder_finds_it_from_elsewhere(tmp_path: Path) -> None:
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    load("minilm-l6").save_pretrained(base)
    assert run(["convert", "answers", str(adapter), "--to", "peft"]) == 0
    said = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**said, "base_model_name_or_path": "../base"}))
    assert run(["convert", str(adapter), str(tmp_path / "far" / "away"), "--to", "peft"]) == 0
    assert load(tmp_path / "far" / "away")(QUESTION, CONTEXT).text == "Warsaw"


def test_it_is_written_over_another_adapter_and_not_beside_a_whole_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("sentiment", "answers"):
        assert run(["convert", name, str(tmp_path / "adapter"), "--to", "peft", "--overwrite"]) == 0
    assert load(tmp_path / "adapter")(QUESTION, CONTEXT).text == "Warsaw"
    load("worked-example").save_pretrained(tmp_path / "whole")
    assert run(["convert", "answers", str(tmp_path / "whole"), "--to", "peft", "--overwrite"]) == 2
    assert "holds a whole model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["worked-example"], "this model is whole"),
        (["answers", "--shard-size", "1MB"], "an adapter is one file"),
        (["answers", "--dtype", "q4_0"], "an adapter is not stored in q4_0"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *options = arguments
    assert run(["convert", name, str(tmp_path / "out"), "--to", "peft", *options]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
