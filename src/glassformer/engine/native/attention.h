// Attention of one row of a batch and one group of heads: scores, softmax and mix in one go.
#pragma once
#include <algorithm>

#include "linear.h"

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

// Scores of keys `first` to `end` become weights; around them, up to whole vectors, stand zeros.
inline void softmax(float* scores, int64_t first, int64_t end) {
    const int64_t start = first / WIDE * WIDE, stop = rounded_up(end, WIDE);
    for (int64_t p = start; p < first; ++p) scores[p] = -INFINITY;
    for (int64_t p = end; p < stop; ++p) scores[p] = -INFINITY;
    Floats most = splat(-INFINITY), total = splat(0.0f);
    for (int64_t p = start; p < stop; p += WIDE) most = larger(most, load<Floats>(scores + p));
    most = splat(largest(most));
    for (int64_t p = start; p < stop; p += WIDE) {
        const Floats made = exponential(load<Floats>(scores + p) - most);
        store(scores + p, made);
        total += made;
    }
    for (int64_t p = start; p < first; ++p) total[0] -= scores[p], scores[p] = 0;
    for (int64_t p = end; p < stop; ++p) total[0] -= scores[p], scores[p] = 0;
    const Floats share = splat(1.0f / sum(total));
    for (int64_t p = start; p < stop; p += WIDE) store(scores + p, load<Floats>(scores + p) * share);
}

inline void biased(float* scores, int64_t first, int64_t end, int64_t query, const Sight& sight, int head) {
    if (sight.bias == nullptr) {
        for (int64_t p = first; p < end; ++p) scores[p] *= sight.scale;
        return;
    }
    const float* bias = sight.bias + head * sight.bias_heads - query;
    for (int64_t p = first; p < end; ++p) scores[p] = scores[p] * sight.scale + bias[p];
}

// One query of each of `heads` heads, `size` apart, which share keys and values: key p is at keys(p), its value `apart`
// numbers behind it. `scores` has room for all keys and a vector more.
template <class Keys>
void attend_one(const float* query, int heads, int64_t size, Keys&& keys, int64_t apart, int64_t count, int64_t position,
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
        biased(scores, first, end, position, sight, h);
        softmax(scores, first, end);
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
            for (int i = 0; i < parts; ++i) store(to + d + i * WIDE, sums[i]);
        }
    }
}

// Numbers of scratch that `attend_many` needs for so many keys.
inline int64_t attention_space(int64_t keys, int64_t size) {
    return 2 * rounded_up(keys, WIDE) * size + MOST * rounded_up(keys, WIDE) + 2 * WIDE;
}

// `queries` queries of each head at positions `position` and on, `stride` apart, and `count` keys: keys and values are
// packed like weights, so that the kernel of the linear maps makes scores and mix.
template <class Keys>
void attend_many(const float* query, int64_t stride, int64_t queries, int heads, int64_t size, Keys&& keys, int64_t apart,
                 int64_t count, int64_t position, const Sight& sight, float* space, float* mixed, int64_t mixed_stride) {
    const int64_t padded = rounded_up(count, WIDE);
    float* packed_keys = space;
    float* packed_values = packed_keys + padded * size;
    float* scores = packed_values + padded * size;
    for (int64_t p = 0; p < padded; ++p) {
        const float* k = p < count ? keys(p) : nullptr;
        float* to = packed_keys + p / WIDE * WIDE * size + p % WIDE;
        for (int64_t d = 0; d < size; ++d) to[d * WIDE] = k == nullptr ? 0.0f : k[d];
        if (k == nullptr) continue;
        for (int64_t d = 0; d < size; d += WIDE)
            store(packed_values + d * count + p * WIDE, load<Floats>(k + apart + d));
    }
    for (int h = 0; h < heads; ++h)
        for (int64_t start = 0; start < queries; start += MOST) {
            const int rows = int(std::min<int64_t>(MOST, queries - start));
            const int64_t reach = sight.end(position + start + rows - 1, count);
            multiply_block(query + h * size + start * stride, stride, rows, packed_keys, WIDE * size,
                           int(rounded_up(reach, WIDE) / WIDE), size, scores, padded);
            for (int m = 0; m < rows; ++m) {
                float* row = scores + m * padded;
                const int64_t at = position + start + m, first = sight.first(at), end = sight.end(at, count);
                biased(row, first, end, at, sight, h);
                softmax(row, first, end);
                std::fill(row, row + first, 0.0f);
                std::fill(row + end, row + padded, 0.0f);
            }
            multiply_block(scores, padded, rows, packed_values, count * WIDE, int(size / WIDE), reach,
                           mixed + h * size + start * mixed_stride, mixed_stride);
        }
}

}  // namespace glassformer
