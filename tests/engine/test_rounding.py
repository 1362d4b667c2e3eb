"""Weights as the engine rounds them: against the rule written in torch, read back, stored, and packed again."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from glassformer import pretrained
from glassformer.engine.rounding import maps, parted_weights, readable, rounded, rounded_weights
from glassformer.engine.twin import NativeTwin
from glassformer.nn.attention import Attention
from glassformer.quantized import GROUP, joined

from .models import CONFIGS, model_of

pytestmark = pytest.mark.usefixtures("engine")


def weight(rows: int, columns: int) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(0)) * 3


def test_bytes_are_the_nearest_of_255_steps_of_a_row() -> None:
    own = weight(48, 600)  # more columns than are read back at once
    scale = own.double().abs().amax(1, keepdim=True) / 127
    assert torch.allclose(rounded(own, "int8").double(), (own.double() / scale).round() * scale, rtol=1e-6, atol=0)


def test_half_bytes_are_multiples_of_one_scale_in_each_group() -> None:
    own = weight(48, 600)
    found = rounded(own, "int4")
    lost = (found - own).norm() / own.norm()
    assert 0.02 < lost < 0.1
    for row in range(0, 48, 7):
        for start in range(0, 600, GROUP):
            group = found[row, start : start + GROUP].double()
            steps = group.abs().max() / torch.tensor([7.0, 8.0], dtype=torch.float64)
            whole = group / steps[:, None]
            assert float((whole - whole.round()).abs().amax(1).min()) < 1e-4


def test_bfloat16_is_torchs_own() -> None:
    own = weight(5, 7)
    assert torch.equal(rounded(own, "bfloat16"), own.bfloat16().float())


@pytest.mark.parametrize("precision", ["int8", "int4"])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_row_is_one_of_those_that_the_twin_multiplies_by(name: str, precision: str) -> None:
    """The twin's maps are fused and their heads padded; read back through themselves they hold the very rows."""
    model = model_of(name)
    twin = NativeTwin(model, precision)
    stacks = [packed.native for packed in (twin.encoder, twin.decoder) if packed is not None]
    fused = {id(each): each for stack in stacks for packer in stack.kept for each in packer.packed.values()}
    ones = {packed: torch.eye(packed.shape[1]) for packed in fused.values()}
    rows = [(packed(each) - packed(0 * each)).T for packed, each in ones.items()]  # without the bias
    copied = readable(model)
    found = rounded_weights(copied, precision)
    assert set(found) == {path for path, _ in maps(copied)}
    for path, weight in found.items():
        parent = copied.get_submodule(path.rpartition(".")[0])
        if isinstance(parent, Attention) and path.endswith(".output"):
            size = parent.head_size
            weight = functional.pad(weight.view(len(weight), parent.heads, size), (0, -size % 16)).flatten(1)
        same = torch.cat([each for each in rows if each.shape[1] == weight.shape[1]])
        nearest = torch.cdist(weight.double(), same.double(), compute_mode="donot_use_mm_for_euclid_dist").amin(1)
        assert float(nearest.max()) < 1e-6 * float(weight.abs().max())
    assert copied.tokens.weight.equal(model.tokens.weight)


@pytest.mark.parametrize("precision", ["int8", "int4"])
@pytest.mark.parametrize("name", CONFIGS)
def test_stored_rounded_read_and_rounded_again_they_are_the_same(name: str, precision: str, tmp_path: Path) -> None:
    model = model_of(name)
    parts = parted_weights(model, precision)
    pretrained.save_transformer(tmp_path / "whole", model)
    pretrained.save_transformer(tmp_path / "rounded", model, rounded=parts)
    assert pretrained.read_json(tmp_path / "rounded" / "config.json")["quantization"]["precision"] == precision
    loaded = pretrained.load_transformer(tmp_path / "rounded").transformer
    state, own = loaded.state_dict(), model.state_dict()
    assert set(state) == set(own)
    for key, value in state.items():
        if key not in parts:
            shared = any(torch.equal(value, state[other]) for other in parts)  # ALBERT's layers, tied tables
            assert shared or torch.equal(value, own[key])
            continue
        part = parts[key]
        assert torch.equal(value, joined(part.whole, part.scale))
        assert torch.allclose(value, rounded(own[key], part.precision), rtol=1e-5, atol=1e-7)
        assert torch.allclose(rounded(value, part.precision), value, rtol=1e-5, atol=1e-7)


def test_a_folder_of_half_bytes_is_a_fraction_of_the_whole_one(tmp_path: Path) -> None:
    model = model_of("no-positions")
    sizes = {}
    for precision in ("float32", "int8", "int4"):
        parts = None if precision == "float32" else parted_weights(model, precision)
        pretrained.save_transformer(tmp_path / precision, model, rounded=parts)
        names = [name for name, _ in model.named_parameters()]
        stored = pretrained.opened(tmp_path / precision / "model.safetensors")
        sizes[precision] = sum(
            stored.get_tensor(key).nbytes for key in stored.keys() if key.startswith(tuple(names))  # noqa: SIM118
        )
    assert sizes["int8"] < 0.36 * sizes["float32"]
    assert sizes["int4"] < 0.26 * sizes["float32"]
