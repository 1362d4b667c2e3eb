"""The examples run: on a small GPT-2 made here, and on the translator that ships; and what they show holds."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

import glassformer as gf
from glassformer.errors import InputError
from glassformer.tasks.generation import Generation
from glassformer.text.tokenizer import Tokenizer

from ..tasks.published import save


def example(root: Path, name: str) -> ModuleType:
    """A script of examples/, as a module."""
    spec = importlib.util.spec_from_file_location(name, root / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def gpt2(folder: Path, texts: list[str]) -> None:
    """A random GPT-2 whose vocabulary has the names."""
    import transformers

    tokenizer = Tokenizer.train("byte-bpe", texts * 3, vocab_size=600, special="gpt")
    tokenizer.save(folder)
    config = transformers.GPT2Config(
        vocab_size=tokenizer.vocab_size, n_embd=24, n_layer=2, n_head=3, n_positions=64,
        bos_token_id=tokenizer.eos_id, eos_token_id=tokenizer.eos_id,
    )  # fmt: skip
    save(folder, config, "GPT2LMHeadModel")


def test_indirect_objects(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = example(root, "indirect_object")
    texts = [t.format(a=a, b=b, s=a) for t in module.TEMPLATES for a in module.NAMES for b in module.NAMES]
    gpt2(tmp_path / "model", texts)
    model = gf.load(tmp_path / "model")
    assert isinstance(model.task, Generation)
    module.main(["--model", str(tmp_path / "model"), "--out", str(tmp_path / "out"), "--prompts", "2"])
    printed = capsys.readouterr().out
    assert "Mary" in printed
    numbers = module.found_by(model, module.prompts(model, 2))
    assert module.verdict(numbers) in printed
    assert printed.count(": right name ") == module.FEW
    step = "decoder.layers.1.self_attention.weights"
    row = model.trace("When Mary and John", keep=step, max_new_tokens=1)[step]
    asked = [("When Mary and John", "", " Mary", " John")]
    assert module.looks(model, asked, "1", "2") == pytest.approx(
        {"right": float(row.value[0, 2, -1, 1]), "other": float(row.value[0, 2, -1, 3])}
    )
    assert module.verdict([1.0, 2.0, -0.5]).endswith("in 2 of 3 prompts, by +0.833 in the mean")
    assert "does not find it" in module.verdict([-1.0, 0.5])
    with pytest.raises(InputError, match="does not go on with texts"):
        module.main(["--model", "sentiment"])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"indirect-object-{name}.png" for name in ("heads", "paths", "positions")
    ]
    clean, corrupt, right, other = module.prompts(model, 1)[0]
    assert clean.count(right) == corrupt.count(other) == 1
    assert clean.count(other) == corrupt.count(right) == 2


def test_indirect_objects_need_names(root: Path, tmp_path: Path) -> None:
    gpt2(tmp_path, ["no name is here, and none there"])
    with pytest.raises(InputError, match="names"):
        example(root, "indirect_object").prompts(gf.load(tmp_path), 1)


def test_agreement(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = example(root, "agreement")
    module.main(["--out", str(tmp_path)])
    assert "avaient" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {
        path.name for path in (root / "examples" / "pictures").iterdir() if path.name.startswith("agreement")
    }
    found = {name: each for name, (_, each) in module.sweeps(gf.load("tatoeba-en-fr")).items()}
    source = found["agreement-source"]
    assert source.at("embedding", "▁friend") == pytest.approx(1.0, abs=1e-4)  # nothing else differs
    assert source.at("3", "▁My") > source.at("3", "▁friend")  # it has moved on to the possessive
    assert found["agreement-written"].facts["clean"] > found["agreement-written"].facts["corrupt"]
