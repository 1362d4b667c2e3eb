"""A trained body made larger answers as before, and has more to learn with."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from glassformer import adapters
from glassformer.errors import InputError
from glassformer.model import Transformer
from glassformer.pretrained import Checkpoint, load_transformer, save
from glassformer.shipped import shipped
from glassformer.surgery import averaged, grown


@pytest.fixture(scope="module")
def translator() -> Checkpoint:
    return adapters.load_whole(shipped()["tatoeba-en-fr"])


@pytest.mark.parametrize("more", [{"d_ff": 100}, {"encoder_layers": 2}, {"decoder_layers": 1, "d_ff": 8}], ids=str)
def test_a_larger_model_says_the_same(translator: Checkpoint, more: dict[str, int]) -> None:
    sizes = {name: getattr(translator.transformer.config, name) + value for name, value in more.items()}
    large = grown(translator, **sizes)
    source, target = torch.randint(5, 4000, (3, 9)), torch.randint(5, 4000, (3, 7))
    small_model, large_model = translator.transformer.double().eval(), large.transformer.double().eval()
    with torch.inference_mode():
        assert (small_model(source, target) - large_model(source, target)).abs().max() < 1e-12
    assert all(getattr(large.transformer.config, name) == value for name, value in sizes.items())


def test_what_is_new_learns(translator: Checkpoint) -> None:
    """The maps that read new numbers are zero and have a gradient; the maps that make them are drawn."""
    narrow, layers = translator.transformer.config.d_ff, translator.transformer.config.encoder_layers
    model = grown(translator, d_ff=narrow + 100, encoder_layers=layers + 1).transformer.float().train()
    model(torch.randint(5, 4000, (3, 9)), torch.randint(5, 4000, (3, 7))).logsumexp(-1).sum().backward()
    first, last = model.encoder.layers[0].feed_forward, model.encoder.layers[layers]
    assert not first.down.weight[:, narrow:].any()
    assert first.down.weight.grad[:, narrow:].abs().max() > 0
    assert first.up.weight[narrow:].abs().max() > 0
    for adding in (last.self_attention.output, last.feed_forward.down):
        assert not adding.weight.any()
        assert adding.weight.grad.abs().max() > 0


def test_a_larger_model_is_saved_and_read(translator: Checkpoint, tmp_path: Path) -> None:
    wide = grown(translator, d_ff=translator.transformer.config.d_ff + 64)
    save(wide, tmp_path / "wide")
    again = load_transformer(tmp_path / "wide").transformer
    assert again.config.d_ff == wide.transformer.config.d_ff
    assert all(
        torch.equal(value, wide.transformer.state_dict()[name].to(value.dtype))
        for name, value in again.state_dict().items()
    )


def test_none_is_made_smaller_or_published_larger(translator: Checkpoint) -> None:
    for sizes in ({"d_ff": 8}, {"decoder_layers": 1}, {"d_ff": 2048.0}):
        with pytest.raises(InputError, match="and none shrinks"):
            grown(translator, **sizes)
    encoder = adapters.load_whole(shipped()["minilm-l6"])
    with pytest.raises(InputError, match="a bert with d_ff 1536 cannot get that"):
        grown(encoder, d_ff=4096)


def test_a_layer_is_added_only_where_it_changes_nothing(translator: Checkpoint) -> None:
    old = translator.transformer
    after = replace(translator, transformer=Transformer(replace(old.config, norm_first=False, final_norm=False)))
    with pytest.raises(InputError, match="norm_first = true"):
        grown(after, encoder_layers=old.config.encoder_layers + 1)
    assert grown(after, encoder_layers=old.config.encoder_layers).transformer.config == after.transformer.config
    assert grown(after, d_ff=old.config.d_ff + 1).transformer.config.d_ff == old.config.d_ff + 1


def shifted(checkpoint: Checkpoint, by: float) -> Checkpoint:
    """The same model with every weight moved."""
    model = copy.deepcopy(checkpoint.transformer)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += by
    return replace(checkpoint, transformer=model)


@pytest.mark.parametrize(("shares", "expected"), [(None, 1.0), ([1.0, 3.0, 0.0], 1.5), ([0.2, 0.0, 0.8], 0.8)])
def test_the_mean_of_models_is_that_of_their_weights(
    translator: Checkpoint, shares: list[float] | None, expected: float
) -> None:
    models = [shifted(translator, by) for by in (0.0, 2.0, 1.0)]
    mean = averaged(models, shares)
    own = dict(translator.transformer.named_parameters())
    for name, parameter in mean.transformer.named_parameters():
        torch.testing.assert_close(parameter.double(), own[name].double() + expected, rtol=0, atol=1e-6)
    assert all(parameter.requires_grad for parameter in mean.transformer.parameters())


def test_models_that_do_not_match_have_no_mean(translator: Checkpoint) -> None:
    wide = grown(translator, d_ff=translator.transformer.config.d_ff + 4)
    with pytest.raises(InputError, match="model 2 has other weights than the first"):
        averaged([translator, wide])
    with pytest.raises(InputError, match="2 models came with 1 shares"):
        averaged([translator, translator], [1.0])
    with pytest.raises(InputError, match="the shares 1, -1 sum to 0"):
        averaged([translator, translator], [1.0, -1.0])
