// Sixteen numbers at a time, in GCC's own vector types: one register with AVX-512, two with AVX2, the same code.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <immintrin.h>

namespace glassformer {

constexpr int WIDE = 16;  // numbers in a vector
typedef float Floats __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
typedef uint32_t Words __attribute__((vector_size(64)));

inline int64_t rounded_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

template <class Vector, class T>
inline Vector load(const T* from) {
    Vector v;
    std::memcpy(&v, from, sizeof v);
    return v;
}

template <class Vector, class T>
inline void store(T* to, Vector v) {
    std::memcpy(to, &v, sizeof v);
}

inline Floats splat(float s) { return Floats{s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s}; }
inline Ints splat(int32_t s) { return Ints{s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s}; }
inline Floats larger(Floats a, Floats b) { return a > b ? a : b; }
inline Floats smaller(Floats a, Floats b) { return a < b ? a : b; }

inline float sum(Floats v) {
#ifdef __AVX512F__
    return _mm512_reduce_add_ps((__m512)v);
#else
    float s = 0;
    for (int i = 0; i < WIDE; ++i) s += v[i];
    return s;
#endif
}

inline float largest(Floats v) {
#ifdef __AVX512F__
    return _mm512_reduce_max_ps((__m512)v);
#else
    float s = v[0];
    for (int i = 1; i < WIDE; ++i) s = v[i] > s ? v[i] : s;
    return s;
#endif
}

// a / b to about one unit in the last place, of numbers b that are neither 0 nor infinite: quicker than a division.
inline Floats over(Floats a, Floats b) {
#ifdef __AVX512F__
    const Floats near = (Floats)_mm512_rcp14_ps((__m512)b);
    return a * (near * (splat(2.0f) - b * near));
#else
    return a / b;
#endif
}

inline Floats root(Floats v) {
#ifdef __AVX512F__
    return (Floats)_mm512_sqrt_ps((__m512)v);
#else
    __m256 halves[2];
    std::memcpy(halves, &v, sizeof v);
    for (__m256& half : halves) half = _mm256_sqrt_ps(half);
    return load<Floats>(halves);
#endif
}

// A bit for each number that is not at most `low`: that is above it, or no number.
inline uint32_t above(Floats v, float low) {
#ifdef __AVX512F__
    return _mm512_cmp_ps_mask((__m512)v, _mm512_set1_ps(low), _CMP_NLE_UQ);
#else
    uint32_t bits = 0;
    for (int i = 0; i < WIDE; ++i) bits |= uint32_t(!(v[i] <= low)) << i;
    return bits;
#endif
}

// e^x to about one unit in the last place: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2] (Cephes, expf).
inline Floats exponential(Floats x) {
    x = larger(smaller(x, splat(88.3762626647949f)), splat(-87.3365447504019f));
    const Floats magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to whole numbers
    const Floats n = (x * splat(1.44269504088896341f) + magic) - magic;
    const Floats r = (x - n * splat(0.693359375f)) - n * splat(-2.12194440e-4f);
    Floats p = splat(1.9875691500e-4f);
    p = p * r + splat(1.3981999507e-3f);
    p = p * r + splat(8.3334519073e-3f);
    p = p * r + splat(4.1665795894e-2f);
    p = p * r + splat(1.6666665459e-1f);
    p = p * r + splat(5.0000001201e-1f);
    p = p * r * r + r + splat(1.0f);
    const Ints power = (__builtin_convertvector(n, Ints) + 127) << 23;
    return p * (Floats)power;
}

// The error function as a ratio of polynomials on [-4, 4], beyond which it is one in float32 (Eigen, XLA).
inline Floats error_function(Floats x) {
    x = larger(smaller(x, splat(4.0f)), splat(-4.0f));
    const Floats s = x * x;
    Floats a = splat(-2.72614225801306e-10f);
    a = a * s + splat(2.77068142495902e-08f);
    a = a * s + splat(-2.10102402082508e-06f);
    a = a * s + splat(-5.69250639462346e-05f);
    a = a * s + splat(-7.34990630326855e-04f);
    a = a * s + splat(-2.95459980854025e-03f);
    a = a * s + splat(-1.60960333262415e-02f);
    Floats b = splat(-1.45660718464996e-05f);
    b = b * s + splat(-2.13374055278905e-04f);
    b = b * s + splat(-1.68282697438203e-03f);
    b = b * s + splat(-7.37332916720468e-03f);
    b = b * s + splat(-1.42647390514189e-02f);
    return over(x * a, b);
}

// The activations of nn/activation.py, numbered as in engine/layout.py.
enum Activation { NONE = 0, RELU, GELU, GELU_TANH, SILU };

inline Floats activated(int activation, Floats x) {
    switch (activation) {
        case RELU: return larger(splat(0.0f), x);  // in this order what is not a number stays so
        case GELU: return splat(0.5f) * x * (splat(1.0f) + error_function(x * splat(0.70710678118654752f)));
        case GELU_TANH: {  // half of (1 + tanh u) is the logistic function of 2 u
            const Floats u = splat(1.5957691216057308f) * (x + splat(0.044715f) * x * x * x);
            return over(x, splat(1.0f) + exponential(-u));
        }
        case SILU: return over(x, splat(1.0f) + exponential(-x));
        default: return x;
    }
}

inline uint16_t bfloat16(float x) {  // to nearest, ties to even
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    return uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

inline float from_bfloat16(uint16_t x) {
    const uint32_t bits = uint32_t(x) << 16;
    float f;
    std::memcpy(&f, &bits, 4);
    return f;
}

// Four unsigned weights times four signed numbers, summed into each of sixteen: u8 x s8 -> i32. `x` is one such quad as
// `Quads` stores it.
#if defined(__AVX512VNNI__)
struct Quad {
    int32_t bytes;
};
inline Quad quad(const int8_t* x) {
    Quad q;
    std::memcpy(&q.bytes, x, 4);
    return q;
}
inline Ints dotted(Ints sums, Ints weights, Quad x) {
    return (Ints)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)weights, _mm512_set1_epi32(x.bytes));
}
#else
struct Quad {
    int32_t even, odd;  // pairs of 16 bits: without VNNI, bytes are widened first, so that nothing saturates
};
inline int32_t paired(int8_t low, int8_t high) {
    return int32_t(uint32_t(uint16_t(int16_t(low))) | uint32_t(uint16_t(int16_t(high))) << 16);
}
inline Quad quad(const int8_t* x) { return {paired(x[0], x[2]), paired(x[1], x[3])}; }
inline Ints dotted(Ints sums, Ints weights, Quad x) {
    union Halves {
        Ints whole;
        __m256i half[2];
    } w, s;
    w.whole = weights, s.whole = sums;
    const __m256i low = _mm256_set1_epi32(0x00ff00ff), even = _mm256_set1_epi32(x.even), odd = _mm256_set1_epi32(x.odd);
    for (int i = 0; i < 2; ++i) {
        const __m256i first = _mm256_madd_epi16(_mm256_and_si256(w.half[i], low), even);
        const __m256i second = _mm256_madd_epi16(_mm256_and_si256(_mm256_srli_epi16(w.half[i], 8), low), odd);
        s.half[i] = _mm256_add_epi32(s.half[i], _mm256_add_epi32(first, second));
    }
    return s.whole;
}
#endif

}  // namespace glassformer
