#include "linear.h"

#include <algorithm>

#include "finished.h"
#include "tiles.h"

namespace glassformer {

#ifdef __AVX512F__
constexpr int REGISTERS = 26;  // sums that a kernel may hold, in vectors of sixteen
#else
constexpr int REGISTERS = 6;
#endif

// How many blocks of W a kernel of so many rows of x takes at once: 4, 2 or 1.
constexpr int blocks_for(int rows, int sums_each) {
    return rows * 4 * sums_each <= REGISTERS ? 4 : rows * 2 * sums_each <= REGISTERS ? 2 : 1;
}

// Rows of x that a kernel takes at once, so that its sums stay in registers.
constexpr int rows_at_once(int sums_each) { return std::min(MOST, REGISTERS / sums_each); }

// One row of x further. The compiler is kept from knowing it, or it holds a pointer to every row, and sums leave their
// registers for them.
template <class T>
inline const T* next(const T* row, int64_t stride) {
    row += stride;
    asm("" : "+r"(row));
    return row;
}

// Ask for the same place of the blocks that come next: a block is so short that the processor hardly learns where it goes
// before it ends. One row of wide numbers alone is read as quickly as memory gives it, and is left to the processor.
template <Kind KIND, int ROWS, int BLOCKS>
inline const char* asking_ahead(const char* at, int64_t step) {
    if constexpr (KIND >= INT8 || ROWS > 2) _mm_prefetch(at + BLOCKS * step, _MM_HINT_T1);
    return at;
}

// ---------------------------------------------------------------- one kernel for each kind of number
//
// sums[m][b] += what `rows` rows of x and `blocks` blocks of W make; w is the first block, `step` bytes before the next.

template <int ROWS, int BLOCKS>
inline void times_float32(const float* x, int64_t stride, const char* w, int64_t step, int64_t k, Floats (&sums)[ROWS][BLOCKS]) {
    for (int64_t i = 0; i < k; ++i) {
        Floats v[BLOCKS];
        for (int b = 0; b < BLOCKS; ++b)
            v[b] = load<Floats>(asking_ahead<FLOAT32, ROWS, BLOCKS>(w + b * step + i * 64, step));
        const float* row = x + i;
        for (int m = 0; m < ROWS; ++m, row = next(row, stride)) {
            const Floats one = splat(*row);
            for (int b = 0; b < BLOCKS; ++b) sums[m][b] += one * v[b];
        }
    }
}

template <int ROWS, int BLOCKS>
inline void times_bfloat16(const Input& in, int64_t first, const char* w, int64_t step, int64_t pairs,
                           Floats (&sums)[ROWS][BLOCKS]) {
    const char* x = in.numbers + first * in.stride;
    for (int64_t i = 0; i < pairs; ++i) {
        Ints v[BLOCKS];
        for (int b = 0; b < BLOCKS; ++b)
            v[b] = load<Ints>(asking_ahead<BFLOAT16, ROWS, BLOCKS>(w + b * step + i * 64, step));
        const char* row = x + i * 4;
        for (int m = 0; m < ROWS; ++m, row = next(row, in.stride)) {
#ifdef __AVX512BF16__
            int32_t pair;
            std::memcpy(&pair, row, 4);
            const __m512bh both = (__m512bh)_mm512_set1_epi32(pair);
            for (int b = 0; b < BLOCKS; ++b)
                sums[m][b] = (Floats)_mm512_dpbf16_ps((__m512)sums[m][b], (__m512bh)v[b], both);
#else
            const float* pair = reinterpret_cast<const float*>(row) + i;
            for (int b = 0; b < BLOCKS; ++b) {
                sums[m][b] += splat(pair[0]) * (Floats)(v[b] << 16);
                sums[m][b] += splat(pair[1]) * (Floats)(v[b] & int32_t(0xffff0000));
            }
#endif
        }
    }
}

template <int ROWS, int BLOCKS>
inline void times_int8(const Input& in, int64_t first, const char* w, int64_t step, int64_t groups,
                       Floats (&sums)[ROWS][BLOCKS]) {
    constexpr int QUADS = GROUP8 / 4;
    for (int64_t g = 0; g < groups; ++g) {
        Ints whole[ROWS][BLOCKS];
        const int32_t* moved = in.moved + first * in.groups + g;
        for (int m = 0; m < ROWS; ++m, moved = next(moved, in.groups))
            for (int b = 0; b < BLOCKS; ++b) whole[m][b] = splat(*moved);
        const Quad* x = reinterpret_cast<const Quad*>(in.numbers + first * in.stride) + g * QUADS;
        const int64_t stride = in.stride / int64_t(sizeof(Quad)), quads = std::min<int64_t>(QUADS, stride - g * QUADS);
        for (int64_t i = 0; i < quads; ++i) {
            Ints v[BLOCKS];
            for (int b = 0; b < BLOCKS; ++b)
                v[b] = load<Ints>(asking_ahead<INT8, ROWS, BLOCKS>(w + b * step + (g * QUADS + i) * 64, step));
            const Quad* row = x + i;
            for (int m = 0; m < ROWS; ++m, row = next(row, stride))
                for (int b = 0; b < BLOCKS; ++b) whole[m][b] = dotted(whole[m][b], v[b], *row);
        }
        const float* scales = in.scales + first * in.groups + g;
        for (int m = 0; m < ROWS; ++m, scales = next(scales, in.groups)) {
            const Floats scale = splat(*scales);
            for (int b = 0; b < BLOCKS; ++b) sums[m][b] += scale * __builtin_convertvector(whole[m][b], Floats);
        }
    }
}

template <int ROWS, int BLOCKS>
inline void times_int4(const Input& in, int64_t first, const char* w, int64_t step, int64_t units,
                       Floats (&sums)[ROWS][BLOCKS]) {
    constexpr int QUADS = GROUP4 / 4, UNIT = 9 * 64;  // a unit: two groups of nibbles, then both scales
    for (int64_t u = 0; u < units; ++u)
        for (int half = 0; half < 2; ++half) {
            const int64_t g = 2 * u + half;
            Ints whole[ROWS][BLOCKS];
            const int32_t* moved = in.moved + first * in.groups + g;
            for (int m = 0; m < ROWS; ++m, moved = next(moved, in.groups))
                for (int b = 0; b < BLOCKS; ++b) whole[m][b] = splat(*moved);
            const Quad* x = reinterpret_cast<const Quad*>(in.numbers + first * in.stride) + g * QUADS;
            const int64_t stride = in.stride / int64_t(sizeof(Quad));
            for (int i = 0; i < QUADS / 2; ++i) {
                Ints low[BLOCKS], high[BLOCKS];
                for (int b = 0; b < BLOCKS; ++b) {
                    const char* at = w + b * step + u * UNIT + (half * 4 + i) * 64;
                    const Words both = load<Words>(asking_ahead<INT4, ROWS, BLOCKS>(at, step));
                    low[b] = (Ints)(both & 0x0f0f0f0fu);
                    high[b] = (Ints)((both >> 4) & 0x0f0f0f0fu);
                }
                const Quad* row = x + i;
                for (int m = 0; m < ROWS; ++m, row = next(row, stride))
                    for (int b = 0; b < BLOCKS; ++b) {
                        whole[m][b] = dotted(whole[m][b], low[b], row[0]);
                        whole[m][b] = dotted(whole[m][b], high[b], row[QUADS / 2]);
                    }
            }
            for (int b = 0; b < BLOCKS; ++b) {
                const Ints both = load<Ints>(w + b * step + u * UNIT + 8 * 64);
                const Floats own = (Floats)(half ? both & int32_t(0xffff0000) : both << 16);
                const float* scales = in.scales + first * in.groups + g;
                for (int m = 0; m < ROWS; ++m, scales = next(scales, in.groups))
                    sums[m][b] += own * splat(*scales) * __builtin_convertvector(whole[m][b], Floats);
            }
        }
}

// ---------------------------------------------------------------- sums become outputs

template <int KIND, int ROWS>
void band_of_rows(const Linear& linear, int64_t band, const Input& in, int64_t first, const Output& out) {
    constexpr int BLOCKS = blocks_for(ROWS, KIND >= INT8 ? 2 : 1);
    for (int64_t block = band * 4; block < band * 4 + 4 && block * WIDE < linear.n; block += BLOCKS) {
        const char* w = linear.weights.as<char>() + block * linear.stride;
        Floats sums[ROWS][BLOCKS];  // set one by one: the compiler would clear a whole array in memory, not in registers
        for (int m = 0; m < ROWS; ++m)
            for (int b = 0; b < BLOCKS; ++b) sums[m][b] = splat(0.0f);
        if constexpr (KIND == FLOAT32)
            times_float32<ROWS, BLOCKS>(reinterpret_cast<const float*>(in.numbers + first * in.stride), in.stride / 4, w,
                                        linear.stride, linear.k, sums);
        else if constexpr (KIND == BFLOAT16)
            times_bfloat16<ROWS, BLOCKS>(in, first, w, linear.stride, linear.padded / 2, sums);
        else if constexpr (KIND == INT8)
            times_int8<ROWS, BLOCKS>(in, first, w, linear.stride, in.groups, sums);
        else
            times_int4<ROWS, BLOCKS>(in, first, w, linear.stride, in.groups / 2, sums);
        for (int b = 0; b < BLOCKS; ++b) {
            const Finished<KIND> finished(linear, block + b, out);
            if (finished.empty()) return;
            for (int m = 0; m < ROWS; ++m) finished.row(first + m, sums[m][b]);
        }
    }
}

template <int KIND, int ROWS = rows_at_once(KIND >= INT8 ? 2 : 1)>
void some_rows(int rows, const Linear& linear, int64_t band, const Input& in, int64_t first, const Output& out) {
    if constexpr (ROWS > 1)
        if (rows < ROWS) return some_rows<KIND, ROWS - 1>(rows, linear, band, in, first, out);
    band_of_rows<KIND, ROWS>(linear, band, in, first, out);
}

template <int KIND>
void all_rows(const Linear& linear, int64_t band, const Input& in, int64_t first, int64_t last, const Output& out) {
    constexpr int AT_ONCE = rows_at_once(KIND >= INT8 ? 2 : 1);
    for (int64_t turns = (last - first + AT_ONCE - 1) / AT_ONCE; turns > 0; --turns) {
        const int rows = int((last - first + turns - 1) / turns);  // as equal as can be: no turn with one row alone
        some_rows<KIND>(rows, linear, band, in, first, out);
        first += rows;
    }
}

void multiply(const Linear& linear, int64_t band, const Input& in, int64_t first, int64_t last, const Output& out) {
    if (tiled(linear.kind, last - first, linear.k)) return multiply_tiled(linear, band, in, first, last, out);
    switch (linear.kind) {
        case FLOAT32: return all_rows<FLOAT32>(linear, band, in, first, last, out);
        case BFLOAT16: return all_rows<BFLOAT16>(linear, band, in, first, last, out);
        case INT8: return all_rows<INT8>(linear, band, in, first, last, out);
        case INT4: return all_rows<INT4>(linear, band, in, first, last, out);
    }
}

template <int KIND, int ROWS, int BLOCKS>
void bare(const Input& in, int first, const char* packed, int64_t step, int64_t k, float* sums, int64_t sums_stride) {
    Floats made[ROWS][BLOCKS] = {};
    if constexpr (KIND == FLOAT32)
        times_float32<ROWS, BLOCKS>(reinterpret_cast<const float*>(in.numbers + first * in.stride), in.stride / 4, packed,
                                    step, k, made);
    else
        times_bfloat16<ROWS, BLOCKS>(in, first, packed, step, (k + 1) / 2, made);
    for (int m = 0; m < ROWS; ++m)
        for (int b = 0; b < BLOCKS; ++b) store(sums + m * sums_stride + b * WIDE, made[m][b]);
}

template <int KIND, int ROWS = rows_at_once(1)>
void bare_rows(int rows, const Input& in, int first, const char* packed, int64_t step, int blocks, int64_t k, float* sums,
               int64_t sums_stride) {
    if constexpr (ROWS > 1)
        if (rows < ROWS) return bare_rows<KIND, ROWS - 1>(rows, in, first, packed, step, blocks, k, sums, sums_stride);
    constexpr int BLOCKS = blocks_for(ROWS, 1);
    int b = 0;
    for (; b + BLOCKS <= blocks; b += BLOCKS)
        bare<KIND, ROWS, BLOCKS>(in, first, packed + b * step, step, k, sums + b * WIDE, sums_stride);
    for (; b < blocks; ++b) bare<KIND, ROWS, 1>(in, first, packed + b * step, step, k, sums + b * WIDE, sums_stride);
}

void multiply_block(Kind kind, const void* x, int64_t x_stride, int rows, const void* packed, int64_t block_stride,
                    int blocks, int64_t k, float* sums, int64_t sums_stride) {
    const int64_t bytes = kind == FLOAT32 ? 4 : 2;
    const Input in{kind, static_cast<const char*>(x), x_stride * bytes, nullptr, nullptr, 0};
    const char* weights = static_cast<const char*>(packed);
    if (tiled(kind, rows, k))
        return multiply_block_tiled(in, rows, weights, block_stride * bytes, blocks, k, sums, sums_stride);
    for (int first = 0; first < rows; first += rows_at_once(1)) {
        const auto some = kind == FLOAT32 ? bare_rows<FLOAT32> : bare_rows<BFLOAT16>;
        some(std::min(rows - first, rows_at_once(1)), in, first, weights, block_stride * bytes, blocks, k,
             sums + first * sums_stride, sums_stride);
    }
}

}  // namespace glassformer
