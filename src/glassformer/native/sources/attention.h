// Attention of one row of a batch and one group of heads: scores, softmax and mix in one go.
#pragma once
#include <algorithm>

#include "linear.h"
#include "tiles.h"

namespace glassformer {

// What a query may see and what distance adds, the same for every head of a group.
struct Sight {
    float scale;
    bool causal;
    int64_t window;      // 0: all that stands before
    const float* bias;   // of the group's first head, at distance 0; null: nothing is added
    int64_t bias_heads;  // from one head's biases to the next one's

    int64_t first(int64_t query) const { return window > 0 ? std::max<int64_t>(0, query - window + 1) : 0; }
    int64_t end(int64_t query, int64_t keys) const { return causal ? query + 1 : keys; }
};

// Scores of keys `first` to `end`, and around them up to whole vectors, become e^(scale * score) over that of the largest.
// One over their sum is given back: whoever mixes values with them multiplies what comes out by it, and leaves the
// numbers around the range alone. There is at least one key.
inline float softmax(float* scores, int64_t first, int64_t end, float scale) {
    const int64_t start = first / WIDE * WIDE, stop = rounded_up(end, WIDE);
    for (int64_t p = start; p < first; ++p) scores[p] = -INFINITY;
    for (int64_t p = end; p < stop; ++p) scores[p] = -INFINITY;
    Floats most = splat(-INFINITY), total = splat(0.0f);
    for (int64_t p = start; p < stop; p += WIDE) most = larger(most, load<Floats>(scores + p));
    most = splat(largest(most) * scale);
    for (int64_t p = start; p < stop; p += WIDE) {
        const Floats made = exponential(load<Floats>(scores + p) * splat(scale) - most);
        store(scores + p, made);
        total += made;
    }
    return 1.0f / sum(total);
}

// The weights of the keys that a query may see, as `softmax` makes them.
inline float weighed(float* scores, int64_t first, int64_t end, int64_t query, const Sight& sight, int head) {
    if (sight.bias == nullptr) return softmax(scores, first, end, sight.scale);
    const float* bias = sight.bias + head * sight.bias_heads - query;
    for (int64_t p = first; p < end; ++p) scores[p] = scores[p] * sight.scale + bias[p];
    return softmax(scores, first, end, 1.0f);
}

// One query of each of `heads` heads, `size` apart, which share keys and values: key p is at keys(p), its value `apart`
// numbers behind it. `scores` has room for all keys and a vector more.
template <class Keys>
void attend_one(const float* query, int heads, int64_t size, const Keys& keys, int64_t apart, int64_t count, int64_t position,
                const Sight& sight, float* scores, float* mixed) {
    const int64_t first = sight.first(position), end = sight.end(position, count);
    for (int h = 0; h < heads; ++h) {
        const float* q = query + h * size;
        int64_t p = first;
        for (; p + 4 <= end; p += 4) {
            const float* k[4] = {keys(p), keys(p + 1), keys(p + 2), keys(p + 3)};
            Floats sums[4] = {};
            for (int64_t d = 0; d < size; d += WIDE) {
                const Floats part = load<Floats>(q + d);
                for (int i = 0; i < 4; ++i) sums[i] += part * load<Floats>(k[i] + d);
            }
            for (int i = 0; i < 4; ++i) scores[p + i] = sum(sums[i]);
        }
        for (; p < end; ++p) {
            const float* k = keys(p);
            Floats sums = splat(0.0f);
            for (int64_t d = 0; d < size; d += WIDE) sums += load<Floats>(q + d) * load<Floats>(k + d);
            scores[p] = sum(sums);
        }
        const Floats share = splat(weighed(scores, first, end, position, sight, h));
        float* to = mixed + h * size;
        for (int64_t d = 0; d < size; d += 4 * WIDE) {
            const int parts = int(std::min<int64_t>(4, (size - d) / WIDE));
            Floats sums[4] = {};
            for (int64_t at = first; at < end; ++at) {
                const float* v = keys(at) + apart + d;
                const Floats weight = splat(scores[at]);
                for (int i = 0; i < 4; ++i)
                    if (i < parts) sums[i] += weight * load<Floats>(v + i * WIDE);
            }
            for (int i = 0; i < parts; ++i) store(to + d + i * WIDE, sums[i] * share);
        }
    }
}

// How `attend_many` stores what the kernels of the linear maps multiply.
struct Singles {
    using Number = float;
    static constexpr Kind KIND = FLOAT32;
    static constexpr int AT_ONCE = MOST, TOGETHER = 1;  // queries, and keys that are mixed, none left over

    // A key as one of the sixteen rows of a block.
    static void pack_key(const float* key, int64_t size, Number* block, int64_t lane) {
        for (int64_t d = 0; d < size; ++d) block[d * WIDE + lane] = key[d];
    }
    // Sixteen numbers of two values that follow one another.
    static void pack_values(const float* one, const float* next, Number* to) {
        store(to, load<Floats>(one));
        store(to + WIDE, load<Floats>(next));
    }
    static const Number* rows(const float* from, int64_t, int, int64_t, Number*) { return from; }
    static int64_t rows_apart(int64_t stride, int64_t) { return stride; }
};

#ifdef __AVX512BF16__
struct Pairs {
    using Number = uint16_t;
    static constexpr Kind KIND = BFLOAT16;
#ifdef __AMX_TILE__
    static constexpr int AT_ONCE = TILED, TOGETHER = 32;
#else
    static constexpr int AT_ONCE = MOST, TOGETHER = 2;
#endif

    static void round(const float* from, int64_t size, Number* to) {
        for (int64_t d = 0; d < size; d += WIDE) store(to + d, _mm512_cvtneps_pbh((__m512)load<Floats>(from + d)));
    }
    static void pack_key(const float* key, int64_t size, Number* block, int64_t lane) {
        uint32_t pairs[WIDE / 2];
        for (int64_t d = 0; d < size; d += WIDE) {
            round(key + d, WIDE, reinterpret_cast<Number*>(pairs));
            for (int64_t i = 0; i < WIDE / 2; ++i) std::memcpy(block + ((d / 2 + i) * WIDE + lane) * 2, pairs + i, 4);
        }
    }
    static void pack_values(const float* one, const float* next, Number* to) {
        const auto wide = [](const float* from) {
            return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)load<Floats>(from)));
        };
        store(to, _mm512_or_si512(wide(one), _mm512_slli_epi32(wide(next), 16)));
    }
    static const Number* rows(const float* from, int64_t stride, int count, int64_t size, Number* to) {
        for (int m = 0; m < count; ++m) round(from + m * stride, size, to + m * size);
        return to;
    }
    static int64_t rows_apart(int64_t, int64_t size) { return size; }
};
#else
using Pairs = Singles;  // without products of pairs there is nothing to gain
#endif

// Bytes of scratch that `attend_many` needs for so many keys.
inline int64_t attention_space(int64_t keys, int64_t size) {
    constexpr int64_t AT_ONCE = Pairs::AT_ONCE;
    const int64_t padded = rounded_up(keys, std::max(WIDE, Pairs::TOGETHER));
    return (2 * padded * size + 2 * AT_ONCE * padded + AT_ONCE * size) * 4;
}

// `queries` queries of each head at positions `position` and on, `stride` apart, and `count` keys: keys and values are
// packed like weights, so that the kernel of the linear maps makes scores and mix.
template <class Format, class Keys>
void attend_many(const float* query, int64_t stride, int64_t queries, int heads, int64_t size, const Keys& keys, int64_t apart,
                 int64_t count, int64_t position, const Sight& sight, void* space, float* mixed, int64_t mixed_stride) {
    using Number = typename Format::Number;
    static constexpr float nothing[WIDE] = {};
    constexpr int AT_ONCE = Format::AT_ONCE, TOGETHER = Format::TOGETHER;
    const int64_t padded = rounded_up(count, std::max(WIDE, TOGETHER));
    float* scores = static_cast<float*>(space);
    Number* packed_keys = reinterpret_cast<Number*>(scores + AT_ONCE * padded);
    Number* packed_values = packed_keys + padded * size;
    Number* rounded = packed_values + padded * size;  // queries, then weights
    const auto value = [&](int64_t p, int64_t d) { return p < count ? keys(p) + apart + d : nothing; };
    for (int64_t p = 0; p < count; ++p) Format::pack_key(keys(p), size, packed_keys + p / WIDE * WIDE * size, p % WIDE);
    for (int64_t p = 0; p < rounded_up(count, std::max(2, TOGETHER)); p += 2)
        for (int64_t d = 0; d < size; d += WIDE)
            Format::pack_values(value(p, d), value(p + 1, d), packed_values + d * padded + p * WIDE);
    for (int h = 0; h < heads; ++h)
        for (int64_t start = 0; start < queries; start += AT_ONCE) {
            const int rows = int(std::min<int64_t>(AT_ONCE, queries - start));
            const int64_t reach = sight.end(position + start + rows - 1, count);
            const int64_t wide = rounded_up(reach, std::max(WIDE, TOGETHER));
            const Number* asking = Format::rows(query + h * size + start * stride, stride, rows, size, rounded);
            multiply_block(Format::KIND, asking, Format::rows_apart(stride, size), rows, packed_keys, WIDE * size,
                           int(wide / WIDE), size, scores, padded);
            float shares[AT_ONCE];
            for (int m = 0; m < rows; ++m) {
                float* row = scores + m * padded;
                const int64_t at = position + start + m, first = sight.first(at), end = sight.end(at, count);
                shares[m] = weighed(row, first, end, at, sight, h);
                std::fill(row, row + first, 0.0f);
                std::fill(row + end, row + wide, 0.0f);
            }
            const Number* weights = Format::rows(scores, padded, rows, wide, rounded);
            float* to = mixed + h * size + start * mixed_stride;
            multiply_block(Format::KIND, weights, Format::rows_apart(padded, wide), rows, packed_values, padded * WIDE,
                           int(size / WIDE), rounded_up(reach, TOGETHER), to, mixed_stride);
            for (int m = 0; m < rows; ++m)
                for (int64_t d = 0; d < size; d += WIDE)
                    store(to + m * mixed_stride + d, load<Floats>(to + m * mixed_stride + d) * splat(shares[m]));
        }
}

}  // namespace glassformer
