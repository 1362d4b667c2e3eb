"""Searches that transformers has given up since: contrastive search and groups of beams, beside ours.

    python benchmarks/older_searches.py write FOLDER                 # where transformers 4.49 is installed
    python benchmarks/older_searches.py compare FOLDER --json FILE   # where glassformer is

The first writes small random GPT-2 models and what `generate` makes of four padded prompts each; the second goes on
with the same prompts by the same options. Prints how many texts are the same, token for token (and in groups of beams
by score), then one line of JSON. Where groups stop early by `early_stopping=False`, 4.49 weighs the best candidate
even if it has just closed; later versions and ours the best open one, so a few texts differ.
"""

import argparse
import json
from pathlib import Path
from typing import Any

SEEDS, NEW, PAD, END, VOCABULARY = 6, 9, 2, 1, 40
LENGTHS = (5, 3, 7, 2)
UNPADDED: dict[str, Any] = {
    "no_repeat_ngram_size": 2,
    "bad_words_ids": [[PAD]],
}  # theirs takes padding for text
WAYS: list[dict[str, Any]] = [
    {"penalty_alpha": 0.6, "top_k": 4},
    {"penalty_alpha": 0.3, "top_k": 8},
    {"penalty_alpha": 0.9, "top_k": 5, "repetition_penalty": 1.3, **UNPADDED},
    *(
        {"num_beams": 6, "num_beam_groups": groups, "diversity_penalty": penalty, "early_stopping": early}
        for groups, penalty in ((2, 1.5), (3, 0.5), (6, 0.2))
        for early in (True, False)
    ),
    {
        "num_beams": 4,
        "num_beam_groups": 2,
        "diversity_penalty": 0.7,
        "early_stopping": True,
        "min_new_tokens": 4,
        **UNPADDED,
    },
]


def write(folder: Path) -> None:
    """Models, prompts and what transformers makes of them."""
    import torch
    import transformers

    cases = []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        config = transformers.GPT2Config(
            vocab_size=VOCABULARY, n_embd=16, n_layer=2, n_head=2, n_positions=64, bos_token_id=0, eos_token_id=END
        )  # fmt: skip
        model = transformers.GPT2LMHeadModel(config).eval()
        for parameter in model.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
        model.save_pretrained(folder / str(seed))
        mask = torch.stack([torch.arange(max(LENGTHS)) >= max(LENGTHS) - length for length in LENGTHS])
        ids = torch.randint(3, VOCABULARY, mask.shape).masked_fill(~mask, PAD)
        for way in WAYS:
            found = model.generate(
                ids, attention_mask=mask.long(), max_new_tokens=NEW, do_sample=False, eos_token_id=END,
                pad_token_id=PAD, num_return_sequences=way.get("num_beams", 1), output_scores=True,
                return_dict_in_generate=True, **way,
            )  # fmt: skip
            scores = found.sequences_scores.tolist() if "num_beams" in way else None
            rows = found.sequences[:, ids.shape[1] :].tolist()
            prompts = {"ids": ids.tolist(), "mask": mask.tolist()}
            cases.append({"seed": seed, "way": way, **prompts, "rows": rows, "scores": scores})
    said = {"transformers": transformers.__version__, "torch": torch.__version__, "cases": cases}
    (folder / "found.json").write_text(json.dumps(said), "utf-8")


def compare(folder: Path) -> dict[str, Any]:
    """How many of the texts ours makes too."""
    import torch

    from glassformer.data.batch import Batch
    from glassformer.decoding.options import Decoding
    from glassformer.decoding.search import search
    from glassformer.pretrained import load_transformer

    said = json.loads((folder / "found.json").read_text("utf-8"))
    counts: dict[str, list[int]] = {}
    for case in said["cases"]:
        model = load_transformer(folder / str(case["seed"])).transformer
        options = Decoding(max_new_tokens=NEW, num_return_sequences=1).changed(
            num_return_sequences=case["way"].get("num_beams", 1), **case["way"]
        )
        batch = Batch(target=torch.tensor(case["ids"]), target_mask=torch.tensor(case["mask"]))
        found = [one for each in search(model, batch, options, ends=(END,)) for one in each]
        count = counts.setdefault(json.dumps(case["way"]), [0, 0])
        for number, (one, row) in enumerate(zip(found, case["rows"], strict=True)):
            same = (*one.ids, *[PAD] * (len(row) - len(one.ids))) == tuple(row)
            near = case["scores"] is None or abs(one.score - case["scores"][number]) < 1e-5
            count[0] += same and near
            count[1] += 1
    rows = [{"options": json.loads(way), "same": same, "of": of} for way, (same, of) in counts.items()]
    return {"benchmark": "older searches", "transformers": said["transformers"], "rows": rows}


def main() -> None:
    """Write what theirs finds, or compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["write", "compare"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.what == "write":
        arguments.folder.mkdir(parents=True, exist_ok=True)
        write(arguments.folder)
        return
    report = compare(arguments.folder)
    for row in report["rows"]:
        print(f"{row['same']:4d} of {row['of']:4d}  {row['options']}")
    line = json.dumps(report)
    print(line)
    if arguments.json:
        arguments.json.write_text(line + "\n", "utf-8")


if __name__ == "__main__":
    main()
