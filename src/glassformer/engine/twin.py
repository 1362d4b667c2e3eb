"""The native twin of a model: it reads texts without their padding, and gives back what the model would."""

import torch
from torch import Tensor

from glassformer.decoding.prompts import PromptCache, bytes_of_a_token
from glassformer.engine.layout import HEAD_PRECISION, Packer, whole
from glassformer.engine.native import NativePast, NativeSource, PackedLinear
from glassformer.engine.packed import Packed, Texts, texts_of
from glassformer.engine.reader import Chosen, NativeReader
from glassformer.engine.weights import Weights
from glassformer.model import Transformer, required
from glassformer.nn.heads import LanguageHead

LITTLE = 8 * 2**20  # bytes of weights that one thread reads sooner than it could share them out


class NativeTwin:
    """Both stacks of a model, packed at one precision."""

    def __init__(self, model: Transformer, precision: str) -> None:
        self.model, self.precision = model, precision
        self.dtype = model.tokens.weight.dtype
        packer = Packer(precision)
        self.encoder = None if model.encoder is None else Packed(model, model.encoder, packer)
        self.decoder = None if model.decoder is None else Packed(model, model.decoder, packer)
        self.size = sum(linear.size for linear in packer.packed.values())
        self.limit = model.config.limit
        self.weights = Weights(model)
        self.prompts = PromptCache(bytes_of_a_token(model.config))

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        """A copy of a model has no twin: it is prepared anew."""
        return type(None), ()

    @property
    def threads(self) -> int:
        """As many as torch would use; for little work one alone."""
        return 1 if self.size < LITTLE else torch.get_num_threads()

    def answer(
        self,
        source: Tensor | None,
        target: Tensor | None,
        source_mask: Tensor | None,
        target_mask: Tensor | None,
        segments: Tensor | None,
    ) -> Tensor | None:
        """What the model's forward gives; None where only the model itself can say."""
        if self.weights.changed or elsewhere(source, target):
            return None
        read = None
        if self.encoder is not None:
            given = self.model.segmented(required(source, "source"), segments)
            texts = texts_of(required(source, "source"), source_mask, given)
            if texts.empty:
                return None
            read = texts
        if self.decoder is None:
            assert self.encoder is not None, "a model has a stack"
            assert read is not None, "and what it is given to read"
            return self.headed(self.encoder, read, self.encoder.past(read, None))
        ids = required(target, "target")
        own = self.model.segmented(ids, segments) if self.encoder is None else None
        texts = texts_of(ids, target_mask, own)
        if texts.empty:
            return None
        return self.headed(self.decoder, texts, self.decoder.past(texts, self.source(read)))

    def headed(self, packed: Packed, texts: Texts, past: NativePast) -> Tensor:
        """What the head makes of every row; a head that is small is the model's own."""
        words = isinstance(self.model.head, LanguageHead)
        logits = torch.empty(len(texts.ids), packed.native.vocabulary) if words else None
        hidden = packed.read(past, texts, self.threads, hidden=not words, logits=logits, each=True)
        if logits is not None:
            return texts.spread(logits).to(self.dtype)
        assert hidden is not None, "one of the two was asked for"
        y: Tensor = self.model.head(texts.spread(hidden).to(self.dtype), texts.mask)
        return y

    def source(self, texts: Texts | None) -> NativeSource | None:
        """The source read once, as the decoder attends to it."""
        if texts is None or self.encoder is None or self.decoder is None:
            return None
        past = self.encoder.past(texts, None)
        memory = self.encoder.read(past, texts, self.threads, hidden=True)
        assert memory is not None, "it was asked for"
        return NativeSource(self.decoder.native, texts.lengths, memory, self.threads)

    def reader(
        self,
        source: Tensor | None,
        source_mask: Tensor | None,
        *,
        hidden: bool = False,
        allowed: Tensor | None = None,
    ) -> NativeReader | None:
        """A reader that has encoded the source; None where only the model itself can read.

        Of the head only the rows of the tokens `allowed` are multiplied with, packed for this reader.
        """
        assert self.decoder is not None, "only a model with a decoder writes"
        if self.weights.changed or elsewhere(source):
            return None
        read, limit = None, self.limit
        if source is not None and self.encoder is not None:
            texts = texts_of(source, source_mask, self.model.segmented(source, None))
            if texts.empty:
                return None
            read, limit = self.source(texts), None
        return NativeReader(
            self.decoder,
            read,
            limit=limit,
            dtype=self.dtype,
            threads=self.threads,
            keeps_hidden=hidden,
            chosen=None if allowed is None else self.chosen(allowed),
        )

    def chosen(self, allowed: Tensor) -> Chosen:
        """These rows of the head, packed as all of them are."""
        assert isinstance(self.model.head, LanguageHead), "only such a head speaks of tokens"
        weight, bias = whole(self.model.head.output)
        kind = HEAD_PRECISION.get(self.precision, self.precision)
        rows, offsets = weight.index_select(0, allowed), None if bias is None else bias.index_select(0, allowed)
        return Chosen(allowed.tolist(), PackedLinear(rows, offsets, kind))


def elsewhere(*given: Tensor | None) -> bool:
    """Whether something is on another device."""
    return any(each is not None and each.device.type != "cpu" for each in given)
