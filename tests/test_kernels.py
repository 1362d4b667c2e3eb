"""What training computes in C++ against torch in float64, there and back, at the edges of vectors, by every library."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from glassformer.native import library as native_library
from glassformer.native.library import loaded
from glassformer.nn import activation, attending, dropout, linear, softmax
from glassformer.nn.attention import Visibility, fused, mask_of
from glassformer.nn.dropout import Dropout, dropped
from glassformer.nn.kernels import has_kernels
from glassformer.nn.linear import Linear

pytestmark = pytest.mark.usefixtures("each_engine")

COUNTS = [1, 15, 16, 17, 33, 1000]
EXACT = {torch.float32: 2e-6, torch.bfloat16: 8e-3}  # of a number's own size
KINDS = list(EXACT)
WHOLE_SEARCH = native_library.native.__wrapped__  # without what it found before


@pytest.fixture(params=[1, 2], ids=["one thread", "two threads"], autouse=True)
def threads(request: pytest.FixtureRequest) -> object:
    """Alone, and shared out among torch's threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


def drawn(*shape: int, seed: int = 0, kind: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(kind).requires_grad_()


def exact(x: Tensor) -> Tensor:
    return x.detach().double().requires_grad_()


def assert_near(found: Tensor, expected: Tensor, least: float = 1e-6) -> None:
    """Near by what the kind of number can say; what is next to nothing by `least` of one."""
    assert found.shape == expected.shape
    bound = EXACT[found.dtype]
    torch.testing.assert_close(found.double(), expected, rtol=bound, atol=max(least, bound / 4))


# ---- activations


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("count", [*COUNTS, 70_001])
def test_gelu_by_tanh_and_its_slope(count: int, kind: torch.dtype) -> None:
    x = (drawn(count) * 4).detach().to(kind).requires_grad_()
    gradient, precise = drawn(count, seed=1, kind=kind).detach(), exact(x)
    y = activation.activated(x, "gelu-tanh", learns=True)
    assert "GeluTanh" in type(y.grad_fn).__name__, "a kernel made it"
    expected = activation.ACTIVATIONS["gelu-tanh"](precise)
    assert_near(y.detach(), expected.detach())
    (found,) = torch.autograd.grad(y, x, gradient)
    (wanted,) = torch.autograd.grad(expected, precise, gradient.double())
    assert_near(found, wanted)


def test_gelu_by_tanh_far_out_and_of_no_number() -> None:
    x = torch.tensor([-1e30, -300.0, -20.0, 0.0, 20.0, 300.0, 1e30, torch.nan], requires_grad=True)
    y = activation.activated(x, "gelu-tanh", learns=True)
    expected = torch.tensor([0, 0, 0, 0, 20, 300, 1e30])
    assert ((y[:7] - expected).abs() <= 1e-6 + 1e-7 * x[:7].abs()).all()
    assert y[7].isnan()
    (slopes,) = torch.autograd.grad(y[1:6].sum(), x)
    assert slopes[1:6].tolist() == pytest.approx([0, 0, 0.5, 1, 1], abs=1e-6)


def test_rows_with_gaps_are_read_as_they_are_seen() -> None:
    x = drawn(40, 6)
    y, expected = (activation.activated(x.mT, "gelu-tanh", learns=learns) for learns in (True, False))
    torch.testing.assert_close(y, expected)
    (found,), (wanted,) = (torch.autograd.grad(each.mT, x, torch.ones(40, 6)) for each in (y, expected))
    torch.testing.assert_close(found, wanted)


# ---- dropout


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("count", COUNTS)
def test_the_way_back_drops_what_the_way_there_dropped(count: int, kind: torch.dtype) -> None:
    torch.manual_seed(count)
    x = (drawn(count).detach().abs() + 1).to(kind).requires_grad_()
    y = dropped(x, 0.3)
    (gradient,) = torch.autograd.grad(y, x, torch.ones_like(y))
    assert torch.equal(y == 0, gradient == 0)
    left = gradient[gradient != 0].tolist()
    assert left == pytest.approx([1 / 0.7] * len(left), rel=EXACT[kind] + 1e-4)
    assert_near(y.detach(), x.detach().double() * gradient.double())


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("count", [*COUNTS, 50_001])
@pytest.mark.parametrize("share", [0.2, 0.0])
def test_onto_a_stream_is_the_same_bits_as_in_two_steps(share: float, count: int, kind: torch.dtype) -> None:
    stream, x, part = drawn(count), drawn(count, seed=1, kind=kind), Dropout(share)
    gradient = drawn(count, seed=2).detach()
    torch.manual_seed(5)
    at_once = part.onto(stream, x)
    assert ("DroppedOnto" in type(at_once.grad_fn).__name__) == (share > 0 or kind != torch.float32)
    torch.manual_seed(5)
    in_two = stream + part(x)
    assert torch.equal(at_once, in_two)
    found, expected = (torch.autograd.grad(y, (stream, x), gradient) for y in (at_once, in_two))
    assert torch.equal(found[0], expected[0])
    torch.testing.assert_close(found[1], expected[1], rtol=EXACT[kind], atol=0)  # rounded once here, there twice


def test_no_two_places_seeds_or_rows_share_their_fates() -> None:
    """Of 64 long draws, by seed and by half, no two go together more than chance has it."""
    torch.manual_seed(0)
    draws = torch.stack([dropped(torch.ones(2**15), 0.5) > 0 for _ in range(32)]).view(64, -1).double()
    apart = torch.corrcoef(draws) - torch.eye(64)
    assert apart.abs().max().item() < 5.5 / draws.shape[1] ** 0.5  # standard deviations, of 2,016 pairs
    along = torch.corrcoef(draws.T[:256]) - torch.eye(256)
    assert along.abs().max().item() < 5.5 / 64**0.5


def test_fates_do_not_hang_on_how_work_is_shared_out() -> None:
    x, found = drawn(3, 70_000), []
    for count in (1, 2):
        torch.set_num_threads(count)
        torch.manual_seed(7)
        found.append(dropped(x, 0.1))
    assert torch.equal(*found)


# ---- the weights of attention


def visibility(name: str, batch: int, heads: int, queries: int, keys: int, kind: torch.dtype) -> Visibility:
    mask = torch.ones(batch, keys)
    mask[0, keys // 2 :] = 0
    if name == "all":
        return Visibility(None)
    if name == "future":
        return Visibility(None, causal=True)
    added = mask_of(mask, queries, False, kind)
    if name == "nothing":
        return Visibility(torch.full_like(added, torch.finfo(kind).min))
    if name == "padding":
        return Visibility(added)
    bias = drawn(batch, queries, keys, heads, seed=9, kind=kind).detach().permute(0, 3, 1, 2)  # with gaps between keys
    return Visibility(added, bias)


SEEN = ["all", "padding", "future", "bias", "nothing"]
SIZES = [(1, 1), (3, 5), (16, 16), (7, 33), (40, 40), (130, 130)]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("name", SEEN)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_weights_and_their_way_back(size: tuple[int, int], name: str, kind: torch.dtype) -> None:
    (queries, keys), scale = size, 0.3
    seen = visibility(name, 2, 3, queries, keys, kind)
    x = (drawn(2, 3, queries, keys) * 3).detach().to(kind).requires_grad_()
    gradient, precise = drawn(*x.shape, seed=1, kind=kind).detach(), exact(x)
    y = softmax.weighed(x, scale, seen.added_in(kind), seen.causal, 0.0)
    scores = precise * scale
    if seen.causal:
        later = torch.arange(keys) > torch.arange(queries)[:, None] + keys - queries
        scores = scores.masked_fill(later, -torch.inf)
    elif seen.added is not None:
        scores = scores + seen.added.double()
    expected = scores.softmax(-1) if name != "nothing" else torch.full_like(scores, 1 / keys) + 0 * scores
    assert_near(y.detach(), expected.detach())
    (found,) = torch.autograd.grad(y, x, gradient)
    if name in ("padding", "bias"):
        assert not y[0, ..., keys // 2 :].any() or keys == 1, "what is hidden weighs nothing, not nearly so"
    if name != "nothing":
        (wanted,) = torch.autograd.grad(expected, precise, gradient.double())
        assert_near(found, wanted, least=1e-5)


def test_what_is_added_may_learn() -> None:
    """A table of distances, one for all rows of the batch."""
    x, table = drawn(2, 3, 5, 19), drawn(1, 3, 5, 19, seed=3)
    gradient, precise, exact_table = drawn(2, 3, 5, 19, seed=4).detach(), exact(x), exact(table)
    found = torch.autograd.grad(softmax.weighed(x, 0.5, table, False, 0.0), (x, table), gradient)
    expected = torch.autograd.grad((precise * 0.5 + exact_table).softmax(-1), (precise, exact_table), gradient.double())
    for one, other in zip(found, expected, strict=True):
        assert_near(one, other)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_weights_that_are_dropped_and_their_way_back(kind: torch.dtype) -> None:
    torch.manual_seed(3)
    x, share = drawn(2, 4, 21, 37, kind=kind), 0.25
    gradient = drawn(*x.shape, seed=1, kind=kind).detach()
    whole = exact(x).softmax(-1)
    y = softmax.weighed(x, 1.0, None, False, share)
    kept = (y != 0).double() / (1 - share)
    assert (y == 0).double().mean().item() == pytest.approx(share, abs=0.02)
    assert_near(y.detach(), (whole * kept).detach())
    precise = exact(x)
    (found,) = torch.autograd.grad(y, x, gradient)
    (wanted,) = torch.autograd.grad(precise.softmax(-1) * kept, precise, gradient.double())
    assert_near(found, wanted, least=1e-5)


def test_what_lies_at_minus_infinity_weighs_nothing() -> None:
    x = torch.tensor([[[[0.0, -torch.inf, 1.0], [3.0, -1e30, -100.0]]]])
    y = softmax.weighed(x, 1.0, None, False, 0.0)
    assert y[0, 0, 0].tolist() == pytest.approx([0.26894142, 0, 0.73105858])
    assert y[0, 0, 1].tolist() == [1, 0, 0]
    hidden = torch.tensor([0.0, 0.0, -torch.inf]).expand(1, 1, 2, 3)
    assert softmax.weighed(torch.zeros(1, 1, 2, 3), 1.0, hidden, False, 0.0)[0, 0, 0].tolist() == [0.5, 0.5, 0]


def test_texts_of_no_tokens_have_no_weights() -> None:
    x = torch.zeros(2, 3, 4, 0, requires_grad=True)
    y = softmax.weighed(x, 1.0, None, False, 0.1)
    assert y.shape == x.shape
    assert torch.autograd.grad(y.sum(), x)[0].shape == x.shape
    assert dropped(torch.zeros(0), 0.5).shape == (0,)


def test_no_number_stays_none() -> None:
    """A training that breaks has to be seen to: weights of scores that are no numbers are none either."""
    for bad in (torch.nan, torch.inf):
        x = torch.zeros(1, 1, 2, 20)
        x[0, 0, 1, 18] = bad
        y = softmax.weighed(x, 1.0, None, False, 0.0)
        assert y[0, 0, 1].isnan().any()
        assert torch.equal(y[0, 0, 0], torch.full((20,), 0.05))


# ---- all of attention


HALF = torch.bfloat16
LENGTHS = [(1, 1), (3, 5), (16, 16), (7, 33), (33, 7), (40, 40), (64, 64), (130, 130)]


def heads(length: int, size: int, seed: int) -> Tensor:
    """(B, T, H, D), as a linear map gives them."""
    x = drawn(2, length, 3, size, seed=seed).detach().to(HALF)
    if not attending.attends(x, x, x, None):
        pytest.skip("no kernel: this library does not multiply pairs of bfloat16")
    return x.requires_grad_()


def by_hand(q: Tensor, k: Tensor, v: Tensor, scale: float, seen: Visibility, kept: Tensor | float = 1.0) -> Tensor:
    """The formula in float64, of heads in their places; `kept`: what is left of each weight."""
    scores = q @ k.mT * scale
    if seen.causal:
        later = torch.arange(k.shape[2]) > torch.arange(q.shape[2])[:, None] + k.shape[2] - q.shape[2]
        scores = scores.masked_fill(later, -torch.inf)
    elif seen.added is not None:
        scores = scores + seen.added.double()
    return (scores.softmax(-1) * kept) @ v


def assert_alike(found: Tensor, expected: Tensor) -> None:
    """Near as a whole: weights and gradients of scores are rounded to bfloat16 on the way, eight bits."""
    assert found.shape == expected.shape
    apart = (found.double() - expected).norm() / expected.norm().clamp_min(1e-3)
    assert apart.item() < 8e-3


@pytest.mark.parametrize("size", [32, 64, 96])
@pytest.mark.parametrize("name", ["all", "padding", "future", "bias"])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_attention_and_its_way_back(lengths: tuple[int, int], name: str, size: int) -> None:
    (queries, keys), scale = lengths, 0.3
    if name == "future" and queries > keys:
        pytest.skip("a query that sees nothing is none of a decoder's")
    seen = visibility(name, 2, 3, queries, keys, HALF)
    given = [heads(length, size, seed) for seed, length in enumerate((queries, keys, keys))]
    q, k, v = (x.transpose(1, 2) for x in given)
    precise = [exact(x) for x in given]
    y = attending.attended(q, k, v, scale, seen.added_in(HALF), seen.causal, 0.0)
    expected = by_hand(*(x.transpose(1, 2) for x in precise), scale, seen)
    assert_alike(y.detach(), expected.detach())
    gradient = drawn(*y.shape, seed=7).detach().to(HALF)
    found = torch.autograd.grad(y, given, gradient)
    for one, other in zip(found, torch.autograd.grad(expected, precise, gradient.double()), strict=True):
        if other.norm() > 1e-9:
            assert_alike(one, other)
        else:  # of one key alone: nothing that a query could choose
            assert one.abs().max() < 1e-6


@pytest.mark.parametrize("causal", [False, True])
def test_attention_of_which_some_is_dropped(causal: bool) -> None:
    """As many keys as numbers of a value, and the values the unit rows: what comes out are the weights themselves."""
    size, share, seen = 32, 0.25, Visibility(None, causal=causal)
    q, k = (heads(size, size, seed).detach().transpose(1, 2).requires_grad_() for seed in (0, 1))
    v = torch.eye(size, dtype=HALF).expand(2, 3, size, size).clone().requires_grad_()
    torch.manual_seed(5)
    y = attending.attended(q, k, v, 0.2, None, causal, share)
    whole = by_hand(exact(q), exact(k), exact(v), 0.2, seen).detach()
    kept = (y != 0).double() / (1 - share)
    visible = whole > 1e-6
    assert (y[visible] == 0).double().mean().item() == pytest.approx(share, abs=0.03)
    precise = [exact(x) for x in (q, k, v)]
    expected = by_hand(*precise, 0.2, seen, kept)
    assert_alike(y.detach(), expected.detach())
    gradient = drawn(*y.shape, seed=7).detach().to(HALF)
    found = torch.autograd.grad(y, (q, k, v), gradient)
    for one, other in zip(found, torch.autograd.grad(expected, precise, gradient.double()), strict=True):
        assert_alike(one, other)


def test_attention_draws_what_the_weights_alone_draw() -> None:
    q, k, v = (heads(21, 32, seed).detach().transpose(1, 2).requires_grad_() for seed in range(3))
    found = []
    for at_once in (True, False):
        torch.manual_seed(9)
        if at_once:
            y = attending.attended(q, k, v, 0.2, None, False, 0.3)
        else:
            y = softmax.weighed(q @ k.mT, 0.2, None, False, 0.3) @ v
        found.append((y.detach(), *torch.autograd.grad(y, (q, k, v), torch.ones_like(y))))
    for one, other in zip(*found, strict=True):
        assert_alike(one, other.double())


def test_attention_does_not_hang_on_how_work_is_shared_out() -> None:
    q, k, v = (heads(50, 32, seed).detach().transpose(1, 2).requires_grad_() for seed in range(3))
    found = []
    for count in (1, 2):
        torch.set_num_threads(count)
        torch.manual_seed(7)
        y = attending.attended(q, k, v, 0.2, None, True, 0.1)
        found.append((y.detach(), *torch.autograd.grad(y, (q, k, v), torch.ones_like(y))))
    assert all(map(torch.equal, *found))


def test_a_training_in_bfloat16_attends_by_the_kernel() -> None:
    """Also where a gradient has gaps, and not where what is added learns, nor for heads of other sizes."""
    x, seen = heads(5, 32, 0).transpose(1, 2), Visibility(None)
    with torch.autocast("cpu", dtype=HALF):
        y = fused(x, x, x, seen, 0.0, 0.2)
        assert "Attended" in type(y.grad_fn).__name__, "a kernel made it"
        table = drawn(1, 3, 5, 5, kind=HALF)
        other = fused(x, x, x, Visibility(table), 0.0, 0.2)
        narrow = drawn(2, 3, 5, 8, kind=HALF)
        narrow = fused(narrow, narrow, narrow, seen, 0.0, 0.2)
    assert not any("Attended" in type(each.grad_fn).__name__ for each in (other, narrow))
    (found,) = torch.autograd.grad(y.sum(), x, retain_graph=True)  # one number for all of it
    (expected,) = torch.autograd.grad(y, x, torch.ones_like(y))
    assert torch.equal(found, expected)


# ---- linear maps


@pytest.mark.parametrize("size", [1, 16, 31, 70])
@pytest.mark.parametrize("rows", [1, 31, 32, 33, 130])
def test_columns_and_their_sums(rows: int, size: int) -> None:
    if not loaded().learn_has_pairs():
        pytest.skip("no kernel: this library does not multiply pairs of bfloat16")
    x = drawn(rows, size).detach().to(HALF)
    columns, sums = linear.columns_and_sums(x)
    assert torch.equal(columns, x.mT)
    torch.testing.assert_close(sums, x.double().sum(0).float(), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_a_map_and_its_way_back(bias: bool, kind: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "LEAST", 1)
    part = Linear(48, 20, bias=bias)
    x, gradient = drawn(3, 7, 48, kind=kind), drawn(3, 7, 20, seed=1).detach().to(HALF)
    learning = (x, *part.parameters())
    with torch.autocast("cpu", dtype=HALF):
        y = part(x)
    if not loaded().learn_has_pairs():
        pytest.skip("no kernel: this library does not multiply pairs of bfloat16")
    assert "Mapped" in type(y.grad_fn).__name__, "a kernel made it"
    precise = [exact(each) for each in learning]
    expected = functional.linear(*precise)
    assert_alike(y.detach(), expected.detach())
    found = torch.autograd.grad(y, learning, gradient)
    for one, other, own in zip(
        found, torch.autograd.grad(expected, precise, gradient.double()), learning, strict=True
    ):
        assert one.dtype == own.dtype
        assert_alike(one, other)


def test_a_map_that_stays_hands_its_gradient_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "LEAST", 1)
    part, x = Linear(32, 32).requires_grad_(False), drawn(4, 32)
    with torch.autocast("cpu", dtype=HALF):
        y = part(x)
        still = part(x.detach())
    (found,) = torch.autograd.grad(y, x, torch.ones_like(y))
    assert_alike(found, part.weight.double().sum(0).expand(4, -1))
    assert still.grad_fn is None


def test_small_maps_other_precisions_and_who_only_asks_are_left_to_torch() -> None:
    part, x = Linear(32, 2**17), drawn(16, 32)
    with torch.autocast("cpu", dtype=HALF):
        assert "Mapped" not in type(part(x[:1]).grad_fn).__name__
        with torch.no_grad():
            assert part(x).grad_fn is None
    assert "Mapped" not in type(part(x).grad_fn).__name__


# ---- when


def test_dropout_can_be_differentiated_twice_and_the_others_say_that_they_cannot() -> None:
    stream, x = drawn(40), drawn(40, seed=1, kind=torch.bfloat16)
    torch.manual_seed(0)
    y = Dropout(0.5).onto(stream, x)
    (slope,) = torch.autograd.grad((y**2).sum(), x, create_graph=True)
    (again,) = torch.autograd.grad(slope.sum(), x)  # of (2 x)^2 where x is kept: 8
    assert sorted(set(again.tolist())) == [0, 8]
    made_by_kernels = [
        activation.activated(drawn(5), "gelu-tanh", learns=True),
        softmax.weighed(drawn(1, 1, 2, 3), 1.0, None, False, 0.0),
    ]
    pairs = drawn(1, 1, 5, 32, kind=HALF)
    if attending.attends(pairs, pairs, pairs, None):
        made_by_kernels.append(attending.attended(pairs, pairs, pairs, 1.0, None, False, 0.0))
    for made in made_by_kernels:
        with pytest.raises(RuntimeError, match="no second derivative"):
            torch.autograd.grad(made.sum(), made.grad_fn.next_functions[0][0].variable, create_graph=True)


def test_transforms_of_functions_are_left_to_torch() -> None:
    x = drawn(6).detach()
    found = torch.func.grad(lambda x: activation.activated(x, "gelu-tanh", learns=True).sum())(x)
    expected = torch.func.grad(lambda x: functional.gelu(x, approximate="tanh").sum())(x)
    torch.testing.assert_close(found, expected)


def test_a_seed_comes_from_the_processor_whatever_the_usual_device_is() -> None:
    with torch.device("meta"):
        assert dropped(torch.ones(8, device="cpu"), 0.5).device.type == "cpu"


def test_a_library_that_cannot_be_loaded_is_told_and_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "broken.so").write_bytes(b"no library")
    monkeypatch.setattr(native_library, "KINDS", ("broken",))
    monkeypatch.setattr(native_library, "library", lambda kind: tmp_path / f"{kind}.so")
    with pytest.warns(UserWarning, match=r"broken.so cannot be loaded"):
        assert WHOLE_SEARCH() is None


def test_other_tensors_are_left_to_torch() -> None:
    x = drawn(4)
    assert has_kernels(x)
    assert not has_kernels(x.double())
    assert not has_kernels(x.to("meta"))
    assert not has_kernels(x, x.half())
    assert torch.equal(activation.activated(x, "gelu-tanh", learns=False), functional.gelu(x, approximate="tanh"))
    assert torch.equal(activation.activated(x.double(), "silu", learns=True), functional.silu(x.double()))
    assert dropout.zeros_of(1e-9) == 0
