"""A model written as a published folder: whole, in parts, in half precision."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from glassformer.cli.main import run
from glassformer.errors import InputError
from glassformer.export.options import bytes_of
from glassformer.tasks.model import load

MODEL = "worked-example"


def test_in_parts_it_is_the_same_model(tmp_path: Path) -> None:
    assert run(["convert", MODEL, str(tmp_path), "--to", "huggingface", "--shard-size", "64"]) == 0
    assert len(list(tmp_path.glob("model-*-of-*.safetensors"))) > 1
    assert (tmp_path / "model.safetensors.index.json").is_file()
    mine, again = load(MODEL).transformer, load(tmp_path).transformer
    for name, parameter in mine.named_parameters():
        assert parameter.equal(again.get_parameter(name))


def test_whole_after_parts_nothing_old_is_read(tmp_path: Path) -> None:
    assert run(["convert", MODEL, str(tmp_path), "--to", "huggingface", "--shard-size", "64"]) == 0
    assert run(["convert", MODEL, str(tmp_path), "--to", "huggingface", "--dtype", "bfloat16"]) == 2  # not unasked
    assert (tmp_path / "model.safetensors.index.json").exists()
    again = ["--dtype", "bfloat16", "--overwrite"]
    assert run(["convert", MODEL, str(tmp_path), "--to", "huggingface", *again]) == 0
    assert not (tmp_path / "model.safetensors.index.json").exists()
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.bfloat16}  # noqa: SIM118


@pytest.mark.parametrize(("text", "size"), [("2GB", 2 * 10**9), ("1.5 MiB", 3 * 2**19), ("500", 500)])
def test_a_size_is_read(text: str, size: int) -> None:
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "0", "big", "2TB", "-1GB"])
def test_no_size_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="2GB or 500MB"):
        bytes_of(text)
