"""glassformer: `engine` at a precision, or the open model."""

import torch
from turn import asked, serve

from glassformer import pretrained
from glassformer.data.batch import Batch
from glassformer.decoding.options import Decoding
from glassformer.decoding.search import search
from glassformer.engine.prepare import prepare

told = asked()
torch.set_num_threads(told["threads"])
work = told["work"]

if work == "texts":
    import glassformer as gf

    model = gf.load(told["model"])
    if told["precision"] != "open":
        model.prepare(told["precision"], prompt_bytes=0)
    texts, size, beams = told["texts"], told["batch"], told["beams"]

    def run() -> int:
        """All texts translated, so many at a time."""
        made = 0
        for start in range(0, len(texts), size):
            for answer in model(texts[start : start + size], num_beams=beams):
                made += len(answer.ids)
        return made

else:
    transformer = pretrained.load_transformer(told["model"], dtype="float32").transformer.eval()
    if told["precision"] != "open":
        prepare(transformer, told["precision"], prompt_bytes=0)  # every turn reads its prompt
    ids = torch.tensor(told["ids"])

    def run() -> int:
        """One batch written, or read."""
        if work == "read":
            with torch.inference_mode():
                transformer(ids)
            return len(ids)
        pair = transformer.encoder is not None
        begun = torch.full((len(ids), 1), told["start"]) if pair else ids
        batch = Batch(source=ids if pair else None, target=begun)
        decoding = Decoding(max_new_tokens=told["new"], num_beams=told["beams"])
        return sum(len(best[0].ids) for best in search(transformer, batch, decoding, ends=()))


serve(run)
