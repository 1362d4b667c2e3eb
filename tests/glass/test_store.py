"""A trace as one file: the same when it is read again, and refused when anything in it is not as it was written."""

import json
import pickle
import random
import struct
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

import glassformer as gf
from glassformer.errors import InputError
from glassformer.glass.store import FORMAT, digest
from glassformer.glass.trace import Trace


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trace") / "run.safetensors"
    model = gf.load("worked-example")
    model.trace("I love data", target="j' aime les données", keep=("head.*", "loss.*", "*.weights")).save(path)
    return path


def refused(path: Path) -> str:
    """The one sentence with which a file is refused."""
    with pytest.raises(InputError) as error:
        Trace.load(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_everything_comes_back(saved: Path) -> None:
    trace = Trace.load(saved)
    assert (trace.wanted, trace.tokens["decoder"][0][0]) == ("j' aime les données", "<bos>")
    assert trace["loss.mean"].value.ndim == 0
    assert trace.verify().max_error <= 1e-10


def test_segments_and_shared_weights_come_back(tmp_path: Path) -> None:
    from tests.tasks.test_model import small

    model = small("sequence-label", 2, pooler=True)
    trace = model.trace("the cat", "the dog")
    assert trace.segments == {"encoder": trace["encoder.segment_ids"].value.tolist()}
    trace.parameters = {name: trace.parameters["tokens.weight"] for name in trace.parameters}
    trace.save(tmp_path / "t")
    again = Trace.load(tmp_path / "t")
    assert again.segments == trace.segments
    assert again.parameters.keys() == trace.used().keys()


def test_a_file_cut_anywhere_is_refused(saved: Path, tmp_path: Path) -> None:
    whole, path = saved.read_bytes(), tmp_path / "cut"
    (size,) = struct.unpack("<Q", whole[:8])
    places = {0, 1, 7, 8, 9, size, size + 7, size + 8, size + 9, len(whole) - 1}
    for end in sorted(places | {len(whole) * part // 50 for part in range(50)}):
        path.write_bytes(whole[:end])
        assert "cannot be read as a trace" in refused(path), end
    path.write_bytes(whole + b"\0")
    refused(path)


def test_a_byte_flipped_anywhere_is_refused(saved: Path, tmp_path: Path) -> None:
    whole, path, chance = saved.read_bytes(), tmp_path / "flipped", random.Random(1)
    (size,) = struct.unpack("<Q", whole[:8])
    header = list(range(8 + size))
    places = [*header[:300], *chance.sample(header, 500), *chance.sample(range(len(whole)), 300)]
    for place in places:
        bit = 1 << chance.randrange(8)
        changed = bytearray(whole)
        changed[place] ^= bit
        path.write_bytes(changed)
        refused(path)


def rewritten(path: Path, into: Path, **changes: Any) -> Path:
    """The same file with another manifest or other tensors, its digest made anew: as a forger would."""
    with safetensors.safe_open(path, framework="pt") as file:
        header, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    manifest = json.loads(header["manifest"])
    tensors = changes.pop("tensors", lambda found: found)(tensors)
    changes.pop("manifest", lambda found: None)(manifest)
    text = json.dumps(manifest)
    header = {"format": FORMAT, "manifest": text, "digest": digest(text, tensors), **changes}
    safetensors.torch.save_file(tensors, into, metadata=header)
    return into


def test_a_forger_who_changes_nothing_is_read(saved: Path, tmp_path: Path) -> None:
    assert list(Trace.load(rewritten(saved, tmp_path / "same"))) == list(Trace.load(saved))


def first(manifest: Any) -> Any:
    return manifest["runs"][0]["steps"][0]


def facts(manifest: Any) -> Any:
    return manifest["runs"][0]["facts"]


CHANGES: dict[str, tuple[Any, str]] = {
    "formula": (lambda m: first(m).update(key="exec"), "formula 'exec'"),
    "axes": (lambda m: first(m).update(axes="B Z Q K"), "axes 'B Z Q K'"),
    "fewer axes": (lambda m: first(m).update(axes="B"), "axes 'B'"),
    "extra": (lambda m: first(m).update(more=1), "not described as a step"),
    "kind of a field": (lambda m: first(m).update(edited="yes"), "not described as a step"),
    "inputs": (lambda m: first(m).update(inputs=[1]), "no names"),
    "constants": (lambda m: first(m).update(constants={"a": [1]}), "neither numbers nor words"),
    "name": (lambda m: first(m).update(name="another"), "another"),
    "no step": (lambda m: m["runs"][0]["steps"].pop(), "nothing is said of"),
    "no facts": (lambda m: m["runs"][0].pop("facts"), "facts"),
    "answer": (lambda m: facts(m).update(answer=3), "expected str"),
    "tokens": (lambda m: facts(m).update(tokens=[]), "expected names and values"),
    "deep tokens": (lambda m: facts(m).update(tokens={"encoder": ["a"]}), "expected a list"),
    "kind": (lambda m: m.update(kind="generation"), "holds a generation, and a trace was asked for"),
    "no runs": (lambda m: m.update(runs=None), "holds no trace that this version can read"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_manifest_that_is_not_ours_is_refused(name: str, saved: Path, tmp_path: Path) -> None:
    change, said = CHANGES[name]
    assert said in refused(rewritten(saved, tmp_path / "forged", manifest=change))


def test_another_shape_is_refused(saved: Path, tmp_path: Path) -> None:
    def shorter(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: v[:, :-1].contiguous() if name == "0:head.logits" else v for name, v in tensors.items()}

    assert "axis T of head.probabilities is 5, elsewhere 4" in refused(
        rewritten(saved, tmp_path / "forged", tensors=shorter)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.bool])
def test_another_dtype_under_the_same_digest_is_refused(
    dtype: torch.dtype, saved: Path, tmp_path: Path
) -> None:
    with safetensors.safe_open(saved, framework="pt") as file:
        header, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    tensors["0:head.logits"] = tensors["0:head.logits"].to(dtype)
    safetensors.torch.save_file(tensors, tmp_path / "forged", metadata=header)
    assert "was altered" in refused(tmp_path / "forged")


def test_weights_are_no_trace(tmp_path: Path) -> None:
    safetensors.torch.save_file({"a": torch.zeros(2)}, tmp_path / "plain")
    assert "no trace of this version" in refused(tmp_path / "plain")
    safetensors.torch.save_file({"a": torch.zeros(2)}, tmp_path / "old", metadata={"format": "glassformer-trace-1"})
    assert "no trace of this version" in refused(tmp_path / "old")


class Harm:
    """What a pickle may do to whoever opens it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_pickle_is_refused_and_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    (tmp_path / "plain").write_bytes(pickle.dumps(Harm(mark)))
    torch.save({"a": Harm(mark)}, tmp_path / "torch")
    with open(tmp_path / "inside", "wb") as file:
        body = pickle.dumps(Harm(mark))
        head = json.dumps({"x": {"dtype": "U8", "shape": [len(body)], "data_offsets": [0, len(body)]}}).encode()
        file.write(struct.pack("<Q", len(head)) + head + body)
    for name in ("plain", "torch", "inside"):
        refused(tmp_path / name)
    assert not mark.exists()


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    trace = gf.load("worked-example").trace("I love data", keep="*.weights")
    with pytest.raises(InputError, match="cannot be written"):
        trace.save(tmp_path / "no" / "folder")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        trace.save(tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
