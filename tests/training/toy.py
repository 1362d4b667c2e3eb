"""A run small enough to be repeated many times; as a program, a run that can be killed."""

import random
import sys
from pathlib import Path
from typing import Any

import torch

from glassformer.config import TransformerConfig
from glassformer.data.batches import TokenBatches
from glassformer.model import Transformer
from glassformer.training.checkpoint import weights, write_tensors
from glassformer.training.loop import train
from glassformer.training.loss import TokenLoss
from glassformer.training.recipe import DataTable, Recipe, TrainingTable
from glassformer.training.run_folder import RunFolder

TRAINING = {
    "max_steps": 23,
    "accumulate": 2,
    "learning_rate": 5e-3,
    "warmup_steps": 5,
    "schedule": "cosine",
    "weight_decay": 0.01,
    "log_every": 3,
    "evaluate_every": 5,
    "checkpoint_every": 4,
    "keep_last": 2,
    "average_last": 2,
}


def toy_batches(tokens: int = 96, pairs: int = 60) -> TokenBatches:
    """Sequences to copy."""
    draw = random.Random(7)
    sequences = [[draw.randrange(4, 12) for _ in range(draw.randrange(3, 7))] for _ in range(pairs)]
    pairs_ = [(each, each) for each in sequences]
    return TokenBatches(pairs_, tokens=tokens, pad_id=0, bos_id=1, eos_id=2)


def toy_model(**changes: Any) -> Transformer:
    """A model that always starts from the same weights."""
    torch.manual_seed(3)
    config = {
        "stack": "encoder-decoder",
        "vocab_size": 12,
        "d_model": 16,
        "heads": 2,
        "d_ff": 32,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "positions": "sinusoidal",
        "dropout": 0.2,
    }
    return Transformer(TransformerConfig(**{**config, **changes}))


def toy_recipe(**changes: Any) -> Recipe:
    """Many small intervals, none a multiple of another."""
    training = TrainingTable(**{**TRAINING, **changes})
    return Recipe(task="translation", seed=5, data=DataTable(train="*.tsv"), training=training)


def dev_loss(model: Transformer) -> dict[str, float]:
    """The loss on the training pairs; draws a random number, as an evaluation may."""
    torch.rand(1)
    with torch.inference_mode():
        losses = [TokenLoss()(model, batch) for batch in toy_batches().epoch(0)]
    return {"loss": sum(each.nll.item() for each in losses) / sum(each.count for each in losses)}


def run(model: Transformer, folder: RunFolder, **arguments: Any) -> list[dict[str, Any]]:
    """Start the run of a folder, or go on with it, to its end."""
    recipe = folder.recipe()

    def save(path: Path) -> None:
        write_tensors(path / "model.safetensors", weights(model))
        (path / "config.json").write_text("{}", encoding="utf-8")

    records = train(
        model,
        toy_batches(),
        recipe.training,
        seed=recipe.seed,
        folder=folder,
        save=save,
        **{"evaluate": dev_loss, **arguments},
    )
    return [record.to_dict() for record in records]


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(toy_model(), RunFolder.resume(sys.argv[1], tensorboard=False))
