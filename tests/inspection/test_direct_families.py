"""The sum of direct logit attribution in every family of the harness and every class with a head: to 1e-10."""

from pathlib import Path

import pytest
import torch
import transformers
from torch import Tensor

from glassformer.data.batch import Batch
from glassformer.inspection.direct import decomposed
from glassformer.inspection.machine import Machine
from glassformer.inspection.question import Question, Term, side_of
from glassformer.model import Transformer
from glassformer.pretrained import load_transformer

from ..families.pairs import PAIRS, reference
from ..families.stacks import STACKS, built, exact, settings_of

SINGLE = [(family, name) for family, stack in STACKS.items() for name in stack.classes]
WRITERS = [(family, pair.generates) for family, pair in PAIRS.items()]
DOUBLE = [*WRITERS, *((family, name) for family, pair in PAIRS.items() for name in pair.others)]
IDS = torch.tensor([[5, 9, 6, 12, 7, 11]])


def machine(model: Transformer) -> Machine:
    """A question about the second last position, or about the whole text."""
    source = IDS if model.encoder is not None else None
    target = IDS[:, :4] if model.encoder is not None else IDS
    batch = Batch(source=source, target=target if model.decoder is not None else None)
    if model.config.head == "sequence-label" and model.decoder is not None and model.encoder is not None:
        batch = Batch(source=IDS, target=IDS)
    side = "encoder" if model.decoder is None else "decoder"
    read = batch.source if model.decoder is None else batch.target
    assert read is not None
    count = read.shape[1]
    sides = (side_of(side, [str(id) for id in read[0].tolist()], ("",), [(0, 0)] * count, [0] * count),)
    place = None if model.config.head == "sequence-label" else count - 2
    column = 0 if model.config.labels == 1 else 1
    terms = (Term(place, column), Term(place, 0, -0.5)) if column else (Term(place, 0),)
    return Machine(model, Question(batch=batch, sides=sides, terms=terms, words="a logit"))


def checked(model: Transformer) -> None:
    if model.config.head == "hidden":
        return
    found = decomposed(machine(model))
    kinds = found.by_kind()
    assert found.error <= 1e-10
    assert {"embedding", "head", "feed-forward"} <= set(kinds)
    assert abs(found.number) > 1e-4
    single = decomposed(machine(model.float()))
    sizes: Tensor = torch.tensor([abs(share.score) for share in single.shares])
    assert single.error <= 1e-5 * max(1.0, float(sizes.max()))


@pytest.mark.parametrize(("family", "name"), SINGLE)
def test_of_one_stack(family: str, name: str, tmp_path: Path) -> None:
    stack = STACKS[family]
    with exact(getattr(transformers, stack.config)):
        built(stack, name, settings_of(stack, name, 1), 1).save_pretrained(tmp_path)
    checked(load_transformer(tmp_path).transformer)


@pytest.mark.parametrize(("family", "name"), DOUBLE)
def test_of_a_pair(family: str, name: str, tmp_path: Path) -> None:
    reference(PAIRS[family], name, 1).save_pretrained(tmp_path)
    checked(load_transformer(tmp_path).transformer)
