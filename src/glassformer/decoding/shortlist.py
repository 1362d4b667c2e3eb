"""A shortlist: what each token of a source may become, so that a translation need not weigh every other token."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from glassformer.config import TransformerConfig
from glassformer.errors import InputError
from glassformer.pretrained import opened, write_tensors

FILE = "shortlist.safetensors"  # in a model's folder
OWN = "own"  # the name of that file wherever one is asked for
NONE = -1  # in the place of a token where there are fewer


@dataclass(frozen=True, eq=False)
class Shortlist:
    """The likeliest target tokens of each source token, and those that every translation may have.

    The candidate lists of Jean et al. 2015. What a text may be made of is what its tokens may become, and the most
    frequent tokens of all; every other token has probability 0.
    """

    tokens: Tensor  # S K, int32: of each source token its target tokens, NONE where there are fewer
    frequent: Tensor  # M, int32
    vocabulary: int  # V, how many target tokens there are

    def allowed(self, sources: Iterable[Sequence[int]], always: Iterable[int] = ()) -> Tensor:
        """The tokens that may be written where these sources (ids) are translated, from the lowest: N, int64."""
        read = torch.tensor(sorted({id for ids in sources for id in ids}), dtype=torch.long)
        found = {*self.tokens[read].flatten().tolist(), *self.frequent.tolist(), *always}
        return torch.tensor(sorted(found - {NONE}), dtype=torch.long)

    def check(self, config: TransformerConfig, name: str | Path = "the shortlist") -> Self:
        """Itself, where it is of these vocabularies."""
        own, wanted = (len(self.tokens), self.vocabulary), vocabularies(config)
        if own != wanted:
            raise InputError(
                f"{name} leads from {own[0]:,} source tokens to {own[1]:,}, and this model's vocabularies have "
                f"{wanted[0]:,} and {wanted[1]:,}; learn one for it: glassformer shortlist MODEL --data FILE"
            )
        return self

    def save(self, path: str | Path) -> None:
        """One safetensors file, whole or not at all."""
        tensors = {"tokens": self.tokens, "frequent": self.frequent, "vocabulary": torch.tensor([self.vocabulary])}
        write_tensors(Path(path), {name: tensor.contiguous() for name, tensor in tensors.items()})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """What `save` wrote."""
        file = opened(Path(path))
        if set(file.keys()) != {"tokens", "frequent", "vocabulary"}:
            raise InputError(f"{path} is no shortlist; write one with glassformer shortlist MODEL --data FILE")
        tokens, frequent = file.get_tensor("tokens"), file.get_tensor("frequent")
        made = cls(tokens, frequent, int(file.get_tensor("vocabulary")))
        ids = torch.cat([tokens.flatten(), frequent])
        if tokens.dim() != 2 or len(ids) and not NONE <= int(ids.min()) <= int(ids.max()) < made.vocabulary:
            raise InputError(f"{path} names tokens beyond its {made.vocabulary:,}; write the shortlist anew")
        return made

    def __repr__(self) -> str:
        return f"Shortlist({len(self.tokens):,} source tokens, up to {self.tokens.shape[1]} each, {len(self.frequent)})"


def vocabularies(config: TransformerConfig) -> tuple[int, int]:
    """How many tokens a source is written with, and a target."""
    return config.source_vocab_size or config.vocab_size, config.vocab_size


def has_own(folder: Path | None) -> bool:
    """Whether a shortlist lies in this folder of a model."""
    return folder is not None and (folder / FILE).is_file()


def shortlist_of(name: "str | Path | Shortlist", folder: Path | None, config: TransformerConfig) -> Shortlist:
    """One that is there already, of a file, or "own": that of the model's folder."""
    if isinstance(name, Shortlist):
        return name.check(config)
    path = Path(name)
    if str(name) == OWN:
        path = Path(FILE) if folder is None else folder / FILE
        if not has_own(folder):
            raise InputError(
                f"this model has no {FILE} in its folder; learn one: glassformer shortlist MODEL --data FILE"
            )
    elif not path.is_file():
        raise InputError(f"there is no file {name}; give one that glassformer shortlist wrote, or 'own'")
    return Shortlist.load(path).check(config, path)
