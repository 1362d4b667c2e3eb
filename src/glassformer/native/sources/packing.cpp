// Weights and rows of x become what the kernels read.
#include <algorithm>

#include "linear.h"

namespace glassformer {

namespace {

int64_t padded_columns(Kind kind, int64_t k) {
    return kind == FLOAT32 ? k : kind == BFLOAT16 ? rounded_up(k, 2) : rounded_up(k, 64);
}

int64_t block_bytes(Kind kind, int64_t padded) {
    const int64_t numbers = padded * WIDE;
    return kind == FLOAT32 ? numbers * 4 : kind == BFLOAT16 ? numbers * 2 : kind == INT8 ? numbers : padded / 64 * 9 * 64;
}

float largest_of(const float* x, int64_t count) {
    Floats most = splat(0.0f);
    int64_t i = 0;
    for (; i + WIDE <= count; i += WIDE) {
        const Floats v = load<Floats>(x + i);
        most = larger(most, larger(v, -v));
    }
    float found = largest(most);
    for (; i < count; ++i) found = std::max(found, std::fabs(x[i]));
    return found;
}

// The scale of 32 numbers, itself in bfloat16, that loses least of them when they are rounded to -8 .. 7 times it.
uint16_t best_scale(const float* w, int64_t count) {
    float most = 0;
    for (int64_t i = 0; i < count; ++i)
        if (std::fabs(w[i]) > std::fabs(most)) most = w[i];
    if (most == 0) return 0;
    uint16_t best = 0;
    float least = INFINITY;
    for (const float steps : {-8.7f, -8.2f, -8.0f, -7.7f, -7.3f, -7.0f, 7.0f, 7.4f}) {
        const uint16_t tried = bfloat16(most / steps);
        const float scale = from_bfloat16(tried), inverse = 1.0f / scale;
        float lost = 0;
        for (int64_t i = 0; i < count; ++i) {
            const float whole = std::min(7.0f, std::max(-8.0f, std::nearbyint(w[i] * inverse)));
            const float error = w[i] - whole * scale;
            lost += error * error;
        }
        if (lost < least) least = lost, best = tried;
    }
    return best;
}

void pack_float32(const float* row, int64_t k, int lane, char* block) {
    float* to = reinterpret_cast<float*>(block) + lane;
    for (int64_t i = 0; i < k; ++i) to[i * WIDE] = row[i];
}

void pack_bfloat16(const float* row, int64_t k, int lane, char* block) {
    uint16_t* to = reinterpret_cast<uint16_t*>(block) + lane * 2;
    for (int64_t i = 0; i < k; ++i) to[i / 2 * WIDE * 2 + i % 2] = bfloat16(row[i]);
}

float pack_int8(const float* row, int64_t k, int64_t padded, int lane, char* block) {
    const float scale = largest_of(row, k) / 127.0f, inverse = scale > 0 ? 1.0f / scale : 0.0f;
    uint8_t* to = reinterpret_cast<uint8_t*>(block) + lane * 4;
    for (int64_t i = 0; i < padded; ++i) {
        const float whole = i < k ? std::nearbyint(row[i] * inverse) : 0.0f;
        to[i / 4 * WIDE * 4 + i % 4] = uint8_t(int(whole) + 128);
    }
    return scale;
}

void pack_int4(const float* row, int64_t k, int64_t padded, int lane, char* block) {
    for (int64_t start = 0; start < padded; start += GROUP4) {
        char* unit = block + start / 64 * 9 * 64;
        const int half = start / GROUP4 % 2;
        const int64_t count = std::min<int64_t>(GROUP4, std::max<int64_t>(k - start, 0));
        const uint16_t stored = best_scale(row + start, count);
        const float scale = from_bfloat16(stored), inverse = scale != 0 ? 1.0f / scale : 0.0f;
        reinterpret_cast<uint16_t*>(unit + 8 * 64)[lane * 2 + half] = stored;
        for (int i = 0; i < GROUP4; ++i) {
            const float whole = i < count ? std::nearbyint(row[start + i] * inverse) : 0.0f;
            const int nibble = int(std::min(7.0f, std::max(-8.0f, whole))) + 8;
            const int vector = half * 4 + i % 16 / 4;  // quads 0 to 3 are the low nibbles, 4 to 7 the high ones
            uint8_t* to = reinterpret_cast<uint8_t*>(unit + vector * 64) + lane * 4 + i % 4;
            *to = uint8_t(*to | nibble << (i < 16 ? 0 : 4));
        }
    }
}

}  // namespace

Linear::Linear(Kind kind, int64_t n, int64_t k, const float* weight, const float* bias)
    : kind(kind), n(n), k(k), padded(padded_columns(kind, k)), stride(block_bytes(kind, padded)),
      weights(rounded_up(n, BAND) / WIDE * stride), scales(kind == INT8 ? rounded_up(n, BAND) * 4 : 0),
      biases(rounded_up(n, BAND) * 4) {
    if (bias != nullptr) std::memcpy(biases.as<float>(), bias, n * 4);
    for (int64_t row = 0; row < n; ++row) {
        const float* from = weight + row * k;
        char* block = weights.as<char>() + row / WIDE * stride;
        const int lane = int(row % WIDE);
        if (kind == FLOAT32) pack_float32(from, k, lane, block);
        else if (kind == BFLOAT16) pack_bfloat16(from, k, lane, block);
        else if (kind == INT8) scales.as<float>()[row] = pack_int8(from, k, padded, lane, block);
        else pack_int4(from, k, padded, lane, block);
    }
}

namespace {

struct Shape {
    int64_t stride, groups;  // bytes of a row, and its scales
};

Shape shape_of(Kind kind, int64_t k) {
    const int64_t padded = padded_columns(kind, k);
    if (kind == FLOAT32) return {0, 0};
#ifdef __AVX512BF16__
    if (kind == BFLOAT16) return {rounded_up(padded * 2, 64), 0};
#else
    if (kind == BFLOAT16) return {rounded_up(padded * 4, 64), 0};
#endif
    const int64_t group = kind == INT8 ? GROUP8 : GROUP4;
    return {padded / 4 * int64_t(sizeof(Quad)), (padded + group - 1) / group};
}

// A group of numbers as signed bytes in quads: their scale, and what unsigned weights add to the sum.
void convert_group(const float* x, int64_t count, int group, Quad* to, float* scale, int32_t* moved, int32_t above) {
    *scale = largest_of(x, count) / 127.0f;
    const float inverse = *scale > 0 ? 1.0f / *scale : 0.0f;
    alignas(64) int8_t bytes[GROUP8] = {};
    int32_t total = 0;
    int64_t i = 0;
#ifdef __AVX512F__
    __m512i sums = _mm512_setzero_si512();
    for (; i + WIDE <= count; i += WIDE) {
        const __m512i whole = _mm512_cvtps_epi32((__m512)(load<Floats>(x + i) * splat(inverse)));
        sums = _mm512_add_epi32(sums, whole);
        _mm_store_si128(reinterpret_cast<__m128i*>(bytes + i), _mm512_cvtepi32_epi8(whole));
    }
    total = _mm512_reduce_add_epi32(sums);
#endif
    for (; i < count; ++i) total += bytes[i] = int8_t(std::nearbyint(x[i] * inverse));
    for (int q = 0; q < group / 4; ++q) to[q] = quad(bytes + q * 4);
    *moved = -above * total;
}

}  // namespace

size_t input_size(Kind kind, int64_t rows, int64_t k) {
    const Shape shape = shape_of(kind, k);
    return rounded_up(rows * shape.stride, 64) + rounded_up(rows * shape.groups * 4, 64) * 2 + 64;
}

Input input_in(char* space, Kind kind, int64_t rows, int64_t k, const float* x, int64_t stride) {
    if (kind == FLOAT32) return {kind, reinterpret_cast<const char*>(x), stride * 4, nullptr, nullptr, 0};
    const Shape shape = shape_of(kind, k);
    char* scales = space + rounded_up(rows * shape.stride, 64);
    char* moved = scales + rounded_up(rows * shape.groups * 4, 64);
    return {kind, space, shape.stride, reinterpret_cast<float*>(scales), reinterpret_cast<int32_t*>(moved), shape.groups};
}

void convert(const Input& in, int64_t m, const float* x, int64_t k) {
    char* to = const_cast<char*>(in.numbers) + m * in.stride;
    if (in.kind == FLOAT32) return;
    if (in.kind == BFLOAT16) {
#ifdef __AVX512BF16__
        uint16_t* numbers = reinterpret_cast<uint16_t*>(to);
        int64_t i = 0;
        for (; i + WIDE <= k; i += WIDE)
            store(numbers + i, _mm512_cvtneps_pbh((__m512)load<Floats>(x + i)));
        for (; i < k; ++i) numbers[i] = bfloat16(x[i]);
        if (k % 2) numbers[k] = 0;
#else
        std::memcpy(to, x, k * 4);
        if (k % 2) reinterpret_cast<float*>(to)[k] = 0;
#endif
        return;
    }
    const int group = in.kind == INT8 ? GROUP8 : GROUP4;
    float* scales = const_cast<float*>(in.scales) + m * in.groups;
    int32_t* moved = const_cast<int32_t*>(in.moved) + m * in.groups;
    const int64_t padded = in.stride / int64_t(sizeof(Quad)) * 4;
    for (int64_t g = 0, start = 0; g < in.groups; ++g, start += group)
        convert_group(x + start, std::min<int64_t>(group, k - start), int(std::min<int64_t>(group, padded - start)),
                      reinterpret_cast<Quad*>(to) + start / 4, scales + g, moved + g, in.kind == INT8 ? 128 : 8);
}

}  // namespace glassformer
