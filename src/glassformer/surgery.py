"""A trained body under another head: how a checkpoint becomes the start of another task."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from glassformer.config import TransformerConfig
from glassformer.errors import InputError
from glassformer.families import FAMILIES
from glassformer.families.family import LABEL_HEADS, Family, Raw, label_keys
from glassformer.model import Transformer
from glassformer.nn.initialization import initialize
from glassformer.pretrained import Checkpoint, Undrawn, changed

LABELS_SAID = ("id2label", "label2id", "num_labels", "problem_type")
GROWING = ("d_ff", "encoder_layers", "decoder_layers")  # what may become larger
ADDS = ("attention.output.weight", "feed_forward.down.weight")  # the maps whose result is added to the residual
OWN_HEAD = (
    "head",
    "labels",
    "label_choice",
    "pooler",
    "pooling",
    "output_transform",
    "output_bias",
    "next_sentence",
)


def with_head(
    checkpoint: Checkpoint,
    head: str,
    labels: Sequence[str] = (),
    *,
    next_sentence: bool = False,
    build: Callable[[TransformerConfig], Transformer] = Transformer,
    **fields: Any,
) -> tuple[Checkpoint, list[str]]:
    """The same body under `head`, and the names of the parameters that are drawn anew.

    The class of the family that has such a head is the one written in config.json. `fields` of the configuration that
    change no shape, as dropout, may be given. A head that stays, with its labels, keeps its weights. `build` makes the
    model that is filled; one with `head_drawn` is there sooner.
    """
    family, old = FAMILIES[checkpoint.family], checkpoint.transformer
    raw = raw_with_head(family, checkpoint.raw, head, labels, next_sentence)
    config = changed(family.config(raw), dtype=old.config.dtype, **fields)
    new = build(config)
    same = head == old.config.head and tuple(labels) == checkpoint.labels
    own = dict(old.named_parameters())
    drawn = []
    with torch.no_grad():
        for name, parameter in new.named_parameters():
            if name in own and own[name].shape == parameter.shape and (same or not is_answer(name, head)):
                parameter.copy_(own[name])
            elif name.startswith("head."):
                drawn.append(name)
            else:
                raise InputError(
                    f"{name} is {list(parameter.shape)} in the recipe's model, but the one to start from has "
                    f"{list(own[name].shape) if name in own else 'none'}; leave its sizes as they are"
                )
    return replace(checkpoint, transformer=new, raw=raw, labels=tuple(labels)), drawn


def grown(checkpoint: Checkpoint, **sizes: Any) -> Checkpoint:
    """The same answers from a larger model, which has more to learn with: `sizes` are fields of GROWING.

    What is new is drawn, and the maps by which it adds to the residual begin at zero: the new columns of `down` in a
    wider feed-forward layer, the whole of `output` and `down` in a new layer, which comes last. Chen et al. 2016
    (Net2Net), sections 2.2 and 2.3.
    """
    old = checkpoint.transformer
    for name, size in sizes.items():
        if checkpoint.family != "transformer" or type(size) is not int or size < getattr(old.config, name):
            raise InputError(
                f"[model] {name} is {size!r} beside start; a {checkpoint.family} with {name} "
                f"{getattr(old.config, name)} cannot get that: only models that were trained "
                "here from random weights grow, and none shrinks"
            )
    deeper = [name for name, size in sizes.items() if name != "d_ff" and size > getattr(old.config, name)]
    if deeper and not old.config.norm_first:
        raise InputError(
            f"[model] has a larger {', '.join(deeper)} beside start; a layer can only be added to a model with "
            "norm_first = true: in others a new layer's normalization changes what was learnt"
        )
    new = Transformer(replace(old.config, **sizes))
    own = dict(old.named_parameters())
    with torch.no_grad():
        for name, parameter in new.named_parameters():
            if name.endswith(ADDS):
                parameter.zero_()
            if name in own:
                parameter[tuple(map(slice, own[name].shape))] = own[name]
    return replace(checkpoint, transformer=new, raw={**checkpoint.raw, **sizes})


def shares_of(count: int, shares: Sequence[float] | None) -> list[float]:
    """How much each of so many models counts, 1 in all; without shares all count alike."""
    shares = [1.0] * count if shares is None else shares
    if len(shares) != count:
        raise InputError(f"{count} models came with {len(shares)} shares; give one for each")
    if not sum(shares):
        raise InputError(f"the shares {', '.join(f'{share:g}' for share in shares)} sum to 0; give others")
    return [share / sum(shares) for share in shares]


def averaged(checkpoints: Sequence[Checkpoint], shares: Sequence[float] | None = None) -> Checkpoint:
    """The first model with the weighted mean of the weights of all, summed in float64; without shares all count alike.

    Models that were trained on from the same weights mostly lie in one valley, and the mean is often better than each
    (model soups, Wortsman et al. 2022; along one run: Vaswani et al. 2017, section 6.1). Shares may have any sum but 0.
    """
    first = checkpoints[0].transformer
    counted = shares_of(len(checkpoints), shares)
    sizes = {name: tuple(each.shape) for name, each in first.named_parameters()}
    sums = {name: torch.zeros_like(each, dtype=torch.float64) for name, each in first.named_parameters()}
    with torch.no_grad():
        for place, (checkpoint, share) in enumerate(zip(checkpoints, counted, strict=True), 1):
            own = dict(checkpoint.transformer.named_parameters())
            if {name: tuple(each.shape) for name, each in own.items()} != sizes:
                raise InputError(
                    f"model {place} has other weights than the first; average models of the same sizes and head"
                )
            for name, each in own.items():
                sums[name] += share * each
        model = Transformer(first.config)
        for name, parameter in model.named_parameters():
            parameter.copy_(sums[name])
    return replace(checkpoints[0], transformer=model)


def head_drawn(config: TransformerConfig) -> Transformer:
    """A model of which only the head is drawn; its body waits for the numbers of another."""
    with Undrawn():
        model = Transformer(config, drawn=False)
    if list(model.head.parameters()):
        initialize(model.head, config)
    return model


def is_answer(name: str, head: str) -> bool:
    """Whether a parameter is the last map of a head that knows labels: what it says belongs to them."""
    return name.startswith("head.output.") and not head.endswith("language-model")


def raw_with_head(
    family: Family, raw: Raw, head: str, labels: Sequence[str], next_sentence: bool = False
) -> dict[str, Any]:
    """config.json of the same model with another head."""
    said = {key: value for key, value in raw.items() if key not in LABELS_SAID}
    if family.model_type == "transformer":
        said = {key: value for key, value in said.items() if key not in OWN_HEAD}
        said |= {
            "head": head,
            **({"next_sentence": True} if next_sentence else {}),
            **({"labels": len(labels)} if head in LABEL_HEADS else {}),
        }
    else:
        said["architectures"] = [class_with(family, raw, head, next_sentence)]
    return said | (label_keys(labels) if head in LABEL_HEADS else {})


def class_with(family: Family, raw: Raw, head: str, next_sentence: bool = False) -> str:
    """The family's first class with such a head: that of the checkpoint, where it has it."""
    named: Sequence[str] = raw.get("architectures") or ()
    for name in (*named, *family.architectures):
        architecture = family.architectures.get(name)
        if architecture is None or architecture.saved_as or architecture.label_names:
            continue
        fields: Mapping[str, Any] = architecture.fields
        has = fields.get("head", "language-model"), fields.get("next_sentence", False)
        if has == (head, next_sentence) and not is_made_for_another(architecture.requires, raw):
            return name
    raise InputError(
        f"{family.model_type} has no class with the head {head!r}; start from a checkpoint of another family"
    )


def is_made_for_another(requires: Mapping[str, Any], raw: Raw) -> bool:
    """Whether a class asks for something that this config.json does not say."""
    return any(raw.get(key) != value for key, value in requires.items())
