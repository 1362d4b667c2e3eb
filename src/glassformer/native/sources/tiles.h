// Products of many rows by the unit for matrices that some processors have (AMX): sixteen rows of x times sixteen rows of W
// in one instruction. A block of W lies in memory as that unit reads it, 64 bytes for each pair or quad of columns, so
// nothing is packed anew.
#pragma once
#include "linear.h"

namespace glassformer {

#ifdef __AMX_TILE__
constexpr int TILED = 32;  // rows of x, and of W, that are multiplied at once: two tiles of each

// Whether so many rows of x pay for it, and k columns fill whole tiles.
bool tiled(Kind kind, int64_t rows, int64_t k);

// `multiply` for such rows.
void multiply_tiled(const Linear& linear, int64_t band, const Input& input, int64_t first, int64_t last, const Output& output);

// `multiply_block` for up to TILED rows and whole tiles of bfloat16.
void multiply_block_tiled(const Input& input, int rows, const char* packed, int64_t block_bytes, int blocks, int64_t k,
                          float* sums, int64_t sums_stride);
#else
constexpr bool tiled(Kind, int64_t, int64_t) { return false; }
inline void multiply_tiled(const Linear&, int64_t, const Input&, int64_t, int64_t, const Output&) {}
inline void multiply_block_tiled(const Input&, int, const char*, int64_t, int, int64_t, float*, int64_t) {}
#endif

}  // namespace glassformer
