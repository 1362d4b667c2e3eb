"""Contrastive search beside its definition, everything computed anew for every candidate."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from glassformer.config import TransformerConfig
from glassformer.data.batch import Batch, pad
from glassformer.decoding.options import Decoding
from glassformer.decoding.records import Candidates
from glassformer.decoding.search import search, stream
from glassformer.model import Transformer

from .test_search import END, SOURCES, START, question, translator


def writer(seed: int = 0, **changes: object) -> Transformer:
    torch.manual_seed(seed)
    sizes = {"d_model": 8, "heads": 2, "d_ff": 16, "decoder_layers": 2, "max_positions": 40}
    config = TransformerConfig(stack="decoder", vocab_size=12, dtype="float64", **{**sizes, **changes})
    model = Transformer(config).eval()
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return model


@torch.no_grad()
def plain(model: Transformer, source: Tensor | None, begun: list[int], options: Decoding) -> list[int]:
    """Su et al. 2022, equation 5."""
    written = list(begun)
    alpha = options.penalty_alpha
    while len(written) - len(begun) < options.max_new_tokens and written[-1] != END:
        hidden = model.body(source, torch.tensor([written]))
        probabilities = model.head(hidden)[0, -1].softmax(-1)
        tokens = probabilities.topk(options.top_k).indices.tolist()
        rows = torch.tensor([[*written, token] for token in tokens])
        read = model.body(None if source is None else source.expand(len(rows), -1), rows)
        likeness = [max(cosine_similarity(row[-1], one, dim=0) for one in row[:-1]) for row in read]
        scores = {
            token: float((1 - alpha) * probabilities[token] - alpha * like)
            for token, like in zip(tokens, likeness, strict=True)
        }
        written.append(max(scores, key=scores.__getitem__))
    return written[len(begun) :]


OPTIONS = [
    Decoding(penalty_alpha=alpha, top_k=k, max_new_tokens=7) for alpha, k in ((0.6, 4), (0.3, 2), (0.9, 12))
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: f"{o.penalty_alpha} {o.top_k}")
@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_padded_prompts_go_on_as_defined(options: Decoding, positions: str) -> None:
    model = writer(3, positions=positions)
    prompts = [[3, 4, 5, 6], [7], [8, 9]]
    ids, mask = pad(prompts, 2)
    found = search(model, Batch(target=ids, target_mask=mask), options, ends=[END])
    assert [list(one.ids) for (one,) in found] == [plain(model, None, p, options) for p in prompts]
    greedy = search(model, Batch(target=ids, target_mask=mask), Decoding(max_new_tokens=7), ends=[END])
    assert [one.ids for (one,) in found] != [one.ids for (one,) in greedy]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: f"{o.penalty_alpha} {o.top_k}")
def test_translations_are_written_as_defined(options: Decoding) -> None:
    model = translator(8)
    found = search(model, question(*SOURCES), options, ends=[END])
    expected = [plain(model, torch.tensor([source]), [START], options) for source in SOURCES]
    assert [list(one.ids) for (one,) in found] == expected
    assert [one.closed for (one,) in found] == [ids[-1] == END for ids in expected]


def test_what_is_forbidden_is_no_candidate() -> None:
    model, options = writer(4), Decoding(penalty_alpha=0.9, top_k=12, max_new_tokens=9)
    batch = Batch(target=torch.tensor([[3]]))
    written = search(model, batch, options, ends=[])[0][0].ids
    banned = options.changed(bad_words_ids=[[written[0]]], no_repeat_ngram_size=1)
    again = search(model, batch, banned, ends=[])[0][0].ids
    assert written[0] not in again
    assert len({3, *again}) == 1 + len(again)


def test_likeness_alone_never_chooses_what_is_forbidden() -> None:
    model, batch = writer(4), Batch(target=torch.tensor([[3]]))
    options = Decoding(penalty_alpha=1.0, top_k=12, max_new_tokens=9, no_repeat_ngram_size=1)
    history: list[Candidates] = []
    written = search(model, batch, options, ends=[], history=history)[0][0].ids
    assert len({3, *written}) == 1 + len(written)
    assert [len(level.candidates) for level in history] == [11 - n for n in range(9)]


def test_the_stream_is_what_is_found_with_the_likeliest_beside_it() -> None:
    model, batch = translator(8), question(*SOURCES)
    tokens = list(stream(model, batch, OPTIONS[0], ends=[END], alternatives=3))
    for sentence, (hypothesis,) in enumerate(search(model, batch, OPTIONS[0], ends=[END])):
        own = [token for token in tokens if token.sentence == sentence]
        assert tuple(token.id for token in own) == hypothesis.ids
        assert tuple(token.log_probability for token in own) == hypothesis.log_probabilities
    for token in tokens:
        logs = [log for _, log in token.alternatives]
        assert len(logs) == 3
        assert logs == sorted(logs, reverse=True)
        assert token.log_probability <= logs[0]
