// Sixteen words of each of sixteen rows, rows for columns; and pairs of bfloat16 as such words.
#pragma once
#include "vectors.h"

namespace glassformer {

using Half = uint16_t;
typedef Half Halves __attribute__((vector_size(32)));

// Sixteen numbers, each as the lower half of a word.
inline Words widened(const Half* from) { return __builtin_convertvector(load<Halves>(from), Words); }

#ifdef __AVX512F__
// Sixteen times sixteen words, rows for columns.
inline void turn(__m512i (&rows)[WIDE]) {
    __m512i pairs[WIDE];
    for (int i = 0; i < WIDE; i += 2) {
        pairs[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    for (int i = 0; i < WIDE; i += 4)
        for (int half = 0; half < 2; ++half) {
            rows[i + 2 * half] = _mm512_unpacklo_epi64(pairs[i + half], pairs[i + half + 2]);
            rows[i + 2 * half + 1] = _mm512_unpackhi_epi64(pairs[i + half], pairs[i + half + 2]);
        }
    for (int j = 0; j < 4; ++j) {  // of four columns that are four apart
        const __m512i even = _mm512_shuffle_i32x4(rows[j], rows[j + 4], 0x88);
        const __m512i odd = _mm512_shuffle_i32x4(rows[j], rows[j + 4], 0xdd);
        const __m512i even_below = _mm512_shuffle_i32x4(rows[j + 8], rows[j + 12], 0x88);
        const __m512i odd_below = _mm512_shuffle_i32x4(rows[j + 8], rows[j + 12], 0xdd);
        rows[j] = _mm512_shuffle_i32x4(even, even_below, 0x88);
        rows[j + 4] = _mm512_shuffle_i32x4(odd, odd_below, 0x88);
        rows[j + 8] = _mm512_shuffle_i32x4(even, even_below, 0xdd);
        rows[j + 12] = _mm512_shuffle_i32x4(odd, odd_below, 0xdd);
    }
}

// The same of the words `row(0)` to `row(15)`.
template <class Row>
inline void turned(Row&& row, __m512i (&rows)[WIDE]) {
    for (int i = 0; i < WIDE; ++i) rows[i] = (__m512i)row(i);
    turn(rows);
}
#endif

}  // namespace glassformer
