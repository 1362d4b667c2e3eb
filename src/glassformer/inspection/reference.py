"""The reference implementation: a model's own weights, computed by `transformers`."""

import inspect
import json
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from glassformer.data.batch import Batch
from glassformer.errors import InputError
from glassformer.inspection.verification import EXACT, ROUNDED
from glassformer.tasks.model import Model

INSIDE = 1e-5  # the most where the reference itself rounds to float32 on its way
ROUNDING = frozenset(  # T5 norms in float32; the others keep tables of sine and cosine in it
    {"t5", "mt5", "marian", "pegasus", "m2m_100"}
)
OURS = "transformer"  # the family that nobody else has


class Published:
    """A model saved in its family's own layout and opened by `transformers`."""

    def __init__(self, model: Model) -> None:
        family, dtype = model.checkpoint.family, model.transformer.tokens.weight.dtype
        if family == OURS:
            raise InputError("its family is this library's own; convert it, or compare one of a published family")
        with tempfile.TemporaryDirectory() as room:
            model.save_pretrained(room, dtype=str(dtype).removeprefix("torch."))
            self.model = opened(Path(room), dtype)
        self.takes = set(inspect.signature(self.model.forward).parameters)
        self.pair, self.writes = model.transformer.encoder is not None, model.transformer.decoder is not None
        self.language = model.config.head == "language-model"
        self.bound = ROUNDED if dtype != torch.float64 else INSIDE if rounds(family) else EXACT

    @torch.inference_mode()
    def answer(self, batch: Batch) -> Tensor:
        """Its last numbers of a batch, shaped as ours."""
        ids, mask = batch.source, batch.source_mask
        if ids is None:
            ids, mask = batch.target, batch.target_mask
        given: dict[str, Any] = {"input_ids": ids, "attention_mask": mask, "token_type_ids": batch.segments}
        if self.pair and self.writes and self.language:
            given["decoder_input_ids"] = batch.target
        return answered(
            self.model(**{n: v for n, v in given.items() if v is not None and n in self.takes})
        )


def opened(folder: Path, dtype: torch.dtype) -> Any:
    """A checkpoint folder as the class that its config.json names."""
    (name,) = json.loads((folder / "config.json").read_text("utf-8"))["architectures"]
    logging: Any = transformers.logging
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        found = getattr(transformers, name).from_pretrained(
            folder, dtype=dtype, attn_implementation="eager", local_files_only=True
        )
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()
    return found.eval()


def answered(given: Any) -> Tensor:
    """Their answer as one tensor."""
    for name in ("prediction_logits", "logits"):
        if name in given:
            found: Tensor = given[name]
            return found
    if "start_logits" in given:
        return torch.stack([given.start_logits, given.end_logits], dim=-1)
    rows: Tensor = given.last_hidden_state
    return rows


def rounds(family: str) -> bool:
    """Whether the reference rounds to float32 on its way, which was measured when the family was verified."""
    known = json.loads((files("glassformer.families") / "verified.json").read_text("utf-8"))["families"]
    return family in ROUNDING or float(known[family]["as_it_is"]) > EXACT
