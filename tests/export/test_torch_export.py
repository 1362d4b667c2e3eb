"""Programs of torch: opened without glassformer, they say what the model says, for any size of batch and text."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from glassformer.errors import InputError
from glassformer.export import torch_export as export
from glassformer.export.check import samples
from glassformer.export.graphs import graphs_of, ready
from glassformer.export.options import Options
from glassformer.glass.trace import Trace
from glassformer.tasks.model import load

from .test_onnx import LLAMA, stack

WEIGHTS = "decoder.layers.0.self_attention.weights"
ALONE = """
import sys, torch
from pathlib import Path
from safetensors.torch import load_file, save_file
folder = Path(sys.argv[1])
run = torch.export.load(folder / "model.pt2").module()
for path in folder.glob("*.given"):
    save_file({name: value.contiguous() for name, value in run(load_file(path)).items()}, path.with_suffix(".found"))
assert not [name for name in sys.modules if name.startswith("glassformer")]
"""


def test_a_decoder_with_and_without_a_past_and_what_is_inside(tmp_path: Path) -> None:
    mine = stack("llama", "LlamaForCausalLM", 2, **LLAMA)
    said = export.write(mine, tmp_path, Options(dtype="float64", internals=("*.weights",)))
    assert said == "model.pt2 in float64; opened by torch.export, largest difference 0"
    (graph,) = graphs_of(ready(mine.transformer, torch.float64))
    for number, given in enumerate(samples(graph)):
        save_file(given, tmp_path / f"{number}.given")
    subprocess.run([sys.executable, "-c", ALONE, tmp_path], check=True)
    for number, given in enumerate(samples(graph)):
        found, trace = load_file(tmp_path / f"{number}.found"), Trace()
        whole = graph.run(graph.model, given, trace)
        assert found.keys() == {*whole, WEIGHTS}
        for name, value in {
            **whole,
            WEIGHTS: trace[WEIGHTS].value,
        }.items():  # tensors lie elsewhere in memory there
            torch.testing.assert_close(found[name], value, rtol=0, atol=1e-12)
    told = {export.SAYS: ""}
    torch.export.load(tmp_path / "model.pt2", extra_files=told)
    told = json.loads(told[export.SAYS])
    assert (told["family"], told["graph"], told["dtype"]) == ("llama", "model", "float64")
    assert json.loads(told["steps"])[WEIGHTS]["axes"] == "B H Q K"


@pytest.mark.parametrize(
    ("options", "why"),
    [(Options(dtype="q8_0"), "one of float64, float32"), (Options(shard_size=9), "one file")],
)
def test_what_a_program_has_not_is_refused(options: Options, why: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=why):
        export.write(load("worked-example"), tmp_path / "out", options)
    assert not (tmp_path / "out").exists()
