"""transformers, as most people use it."""

import torch
import transformers
from turn import asked, serve

told = asked()
torch.set_num_threads(told["threads"])
kind = {"float32": torch.float32, "bfloat16": torch.bfloat16}[told["precision"]]
chosen = {"write": "AutoModelForCausalLM", "translate": "AutoModelForSeq2SeqLM", "read": "AutoModel"}[told["work"]]
model = getattr(transformers, chosen).from_pretrained(told["model"], dtype=kind).eval()
ids = torch.tensor(told["ids"])


@torch.inference_mode()
def run() -> int:
    """One batch written, or read."""
    if told["work"] == "read":
        model(ids)
        return len(ids)
    new = {"max_new_tokens": told["new"], "min_new_tokens": told["new"]}
    model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, num_beams=told["beams"], **new)
    return len(ids) * told["new"]


serve(run)
