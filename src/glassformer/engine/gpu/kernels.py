"""What a GPU runs for one new token of a few rows, in Triton (Tillet et al. 2019).

So few rows cost what reading the weights costs. A map therefore does at once what stands before and behind it: the
norm, the bias, the activation and what is added; and it reads its weights before it waits for the kernel before it
(programmatic dependent launch: CUDA programming guide, section 4.5), so that the memory need not rest. Numbers
are rounded where the open model rounds them, but for RMS norms and scaled outputs, which are rounded once.
"""

import triton
import triton.language as tl
from triton.language.extra import cuda

NO_NORM, LAYER_NORM, RMS_NORM = 0, 1, 2  # for NORM
ACTIVATIONS = {None: 0, "relu": 1, "gelu": 2, "gelu-tanh": 3, "silu": 4}  # for ACTIVATION


@triton.jit
def _activated(u, ACTIVATION: tl.constexpr):
    """Of float32 numbers; see nn/activation.py."""
    if ACTIVATION == 1:
        return tl.maximum(u, 0.0)
    if ACTIVATION == 2:
        return 0.5 * u * (1.0 + tl.erf(u * 0.7071067811865476))
    if ACTIVATION == 3:
        inner = 0.7978845608028654 * (u + 0.044715 * u * u * u)
        return u / (1.0 + tl.exp(-2.0 * inner))
    if ACTIVATION == 4:
        return u / (1.0 + tl.exp(-u))
    return u


@triton.jit
def _normed(x, weight, bias, width, inside, eps, NORM: tl.constexpr, KIND: tl.constexpr):
    """A row of float32 numbers, of which `inside` are real; see nn/norm.py."""
    if NORM == 1:
        centred = tl.where(inside, x - tl.sum(x, 0) / width, 0.0)
        y = centred * tl.rsqrt(tl.sum(centred * centred, 0) / width + eps) * weight + bias
        return y.to(KIND).to(tl.float32)
    if NORM == 2:
        scaled = x * tl.rsqrt(tl.sum(x * x, 0) / width + eps)
        return (scaled * weight).to(KIND).to(tl.float32)
    return x


@triton.jit
def linear(
    x,
    norm_weight,
    norm_bias,
    weight,
    bias,
    gate_weight,
    gate_bias,
    residual,
    y,
    outputs,
    width,
    eps,
    scale,
    ROWS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    WIDTH: tl.constexpr,
    NORM: tl.constexpr,
    ACTIVATION: tl.constexpr,
    GATED: tl.constexpr,
    BIASED: tl.constexpr,
    ADDED: tl.constexpr,
    EARLY: tl.constexpr,
):
    """x (ROWS, width) -> y (ROWS, outputs): OUTPUTS of them by each program, whose weights are all read at once.

    y = activation(W norm(x) + b), times its other half where it is gated, plus the residual.
    """
    if EARLY:
        cuda.gdc_launch_dependents()
    row = tl.program_id(0) * OUTPUTS + tl.arange(0, OUTPUTS)
    column = tl.arange(0, WIDTH)
    here, inside = row < outputs, column < width
    places = row.to(tl.int64)[:, None] * width + column[None, :]
    both = here[:, None] & inside[None, :]
    kind = y.dtype.element_ty
    weights = tl.load(weight + places, mask=both, other=0.0)
    if GATED:
        gates = tl.load(gate_weight + places, mask=both, other=0.0)
    stretch, shift = x, x  # replaced where there is a norm
    if NORM != 0:
        stretch = tl.load(norm_weight + column, mask=inside, other=0.0).to(tl.float32)
        shift = stretch
    if NORM == 1:
        shift = tl.load(norm_bias + column, mask=inside, other=0.0).to(tl.float32)
    if EARLY:
        cuda.gdc_wait()
    for number in tl.static_range(ROWS):
        numbers = tl.load(x + number * width + column, mask=inside, other=0.0).to(tl.float32)
        if NORM != 0:
            numbers = _normed(numbers, stretch, shift, width, inside, eps, NORM, kind)
        answer = tl.sum(weights.to(tl.float32) * numbers[None, :], 1) * scale
        if BIASED:
            answer += tl.load(bias + row, mask=here, other=0.0).to(tl.float32)
        answer = answer.to(kind).to(tl.float32)
        if GATED:
            opened = tl.sum(gates.to(tl.float32) * numbers[None, :], 1)
            if BIASED:
                opened += tl.load(gate_bias + row, mask=here, other=0.0).to(tl.float32)
            opened = _activated(opened.to(kind).to(tl.float32), ACTIVATION)
            answer = opened.to(kind).to(tl.float32) * answer
        else:
            answer = _activated(answer, ACTIVATION)
        answer = answer.to(kind).to(tl.float32)
        if ADDED:
            answer += tl.load(residual + number * outputs + row, mask=here, other=0.0).to(tl.float32)
        tl.store(y + number * outputs + row, answer.to(kind), mask=here)


@triton.jit
def _turned(start, cosines, sines, place, inside, TURNED: tl.constexpr):
    """The numbers of a head at `start`, each pair of one from either half turned; see nn/position.py's Rotary."""
    numbers = tl.load(start + place, mask=inside, other=0.0).to(tl.float32)
    if TURNED == 0:
        return numbers
    half: tl.constexpr = TURNED // 2
    turning = place < TURNED
    left = place < half
    other = tl.where(left, place + half, place - half)
    partner = tl.load(start + other, mask=turning, other=0.0).to(tl.float32)
    angle = tl.where(left, place, place - half)
    cosine = tl.load(cosines + angle, mask=turning, other=1.0).to(tl.float32)
    sine = tl.load(sines + angle, mask=turning, other=0.0).to(tl.float32)
    kind = start.dtype.element_ty
    one, two = (numbers * cosine).to(kind).to(tl.float32), (partner * sine).to(kind).to(tl.float32)
    return tl.where(turning, tl.where(left, one - two, one + two).to(kind).to(tl.float32), numbers)


@triton.jit
def _looked_up(keys, values, real, at, end, place, inside, size):
    """Which of these slots are in use and no padding, and their keys and values."""
    seen = at < end
    seen = seen & (tl.load(real + at, mask=seen, other=0) != 0)
    tile = at.to(tl.int64)[:, None] * size + place[None, :]
    both = (at < end)[:, None] & inside[None, :]
    return seen, tl.load(keys + tile, mask=both, other=0.0), tl.load(values + tile, mask=both, other=0.0)


@triton.jit
def _gathered(query, seen, keys, values, scale, highest, total, gathered):
    """Softmax over more keys: the highest score so far, the sum of shares and what they gather."""
    scores = tl.where(seen, tl.sum(keys.to(tl.float32) * query[None, :], 1) * scale, float("-inf"))
    higher = tl.maximum(highest, tl.max(scores, 0))
    shares = tl.exp(scores - higher)
    before = tl.exp(highest - higher)
    gathered = gathered * before + tl.sum(values.to(tl.float32) * shares[:, None], 0)
    return higher, total * before + tl.sum(shares, 0), gathered


@triton.jit
def attend(
    projected,
    keys,
    values,
    real,
    slot,
    turns,
    y,
    heads,
    groups,
    size,
    capacity,
    scale,
    SIZE: tl.constexpr,
    BLOCK: tl.constexpr,
    TURNED: tl.constexpr,
    EARLY: tl.constexpr,
):
    """Queries, keys and values of one new token (rows, (heads + 2 groups) size) -> what each head gathers.

    A program is one head of one row. `keys` and `values` (rows, groups, capacity, size) hold what was read before, as
    far as `slot`; the new ones are written there. `real` (rows, capacity + 1) is zero at padding. `turns` (rows,
    TURNED) are the cosines and then the sines of the row's position. Softmax is kept up to date from block to block:
    Milakov and Gimelshein 2018.
    """
    if EARLY:
        cuda.gdc_launch_dependents()
    number, head = tl.program_id(0), tl.program_id(1)
    group = head // (heads // groups)
    place = tl.arange(0, SIZE)
    inside = place < size
    kind = y.dtype.element_ty
    end = tl.load(slot)
    kept = (number * groups + group).to(tl.int64) * capacity * size
    own = real + number * (capacity + 1)
    block = tl.arange(0, BLOCK)
    seen, near, worth = _looked_up(keys + kept, values + kept, own, block, end, place, inside, size)
    if EARLY:  # whatever was read so far is of earlier steps
        cuda.gdc_wait()
    first = projected + number * (heads + 2 * groups) * size
    cosines = turns + number * TURNED
    sines = cosines + TURNED // 2
    query = _turned(first + head * size, cosines, sines, place, inside, TURNED)
    key = _turned(first + (heads + group) * size, cosines, sines, place, inside, TURNED)
    value = tl.load(first + (heads + groups + group) * size + place, mask=inside, other=0.0).to(tl.float32)
    if head % (heads // groups) == 0:
        tl.store(keys + kept + end * size + place, key.to(kind), mask=inside)
        tl.store(values + kept + end * size + place, value.to(kind), mask=inside)
    highest = tl.sum(query * key, 0) * scale
    total = highest * 0.0 + 1.0
    gathered = value
    highest, total, gathered = _gathered(query, seen, near, worth, scale, highest, total, gathered)
    for start in range(BLOCK, end, BLOCK):
        seen, near, worth = _looked_up(keys + kept, values + kept, own, start + block, end, place, inside, size)
        highest, total, gathered = _gathered(query, seen, near, worth, scale, highest, total, gathered)
    tl.store(y + (number * heads + head) * size + place, (gathered / total).to(kind), mask=inside)
