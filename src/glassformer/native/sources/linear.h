// A linear map whose weights were packed once: y = W x + b for a few rows or for many.
//
// Sixteen rows of W stand side by side, so that one vector holds the same column of all of them, a number of x is
// multiplied into sixteen sums at once, and weights are read as one stream. Four such blocks make a band, the piece of
// work that a thread takes.
//
//   float32   [block][k][16]              bfloat16  [block][k / 2][16][2]
//   int8      [block][k / 4][16][4]       int4      [block][k / 64]: 8 vectors of nibbles, then 16 x 2 scales
//
// Whole weights are stored unsigned, moved up by 128 (int8) or 8 (int4), because the processor multiplies unsigned by
// signed bytes; what that adds to a sum is known beforehand from x alone. x is rounded to signed bytes too, 128 numbers
// (int8) or 32 (int4) to a scale. int8 weights have a scale for each row of W, int4 weights for each 32 of its numbers.
#pragma once
#include <cstdlib>
#include <new>
#include <sys/mman.h>

#include "vectors.h"

namespace glassformer {

enum Kind { FLOAT32 = 0, BFLOAT16, INT8, INT4 };

constexpr int BAND = 64;    // rows of W
constexpr int GROUP8 = 128;  // numbers of x to a scale; a row's last group may be half as long
constexpr int GROUP4 = 32;
constexpr int MOST = 12;    // rows of x that a kernel takes at once

// Memory for good: on a boundary of a cache line, in huge pages where there are any.
class Block {
public:
    Block() = default;
    explicit Block(size_t bytes) : bytes(rounded_up(bytes + 64, 4096)) {
        constexpr size_t HUGE = 2 << 20;
        const size_t edge = this->bytes >= HUGE ? HUGE : 4096;
        at = std::aligned_alloc(edge, rounded_up(this->bytes, edge));
        if (at == nullptr) throw std::bad_alloc();
        if (edge == HUGE) madvise(at, rounded_up(this->bytes, edge), MADV_HUGEPAGE);
        std::memset(at, 0, this->bytes);
    }
    Block(Block&& other) noexcept : at(other.at), bytes(other.bytes) { other.at = nullptr; }
    Block& operator=(Block&& other) noexcept {
        std::swap(at, other.at);
        std::swap(bytes, other.bytes);
        return *this;
    }
    ~Block() { std::free(at); }

    // At least so much; what was there may be lost.
    void reserve(size_t wanted) {
        if (wanted > bytes) *this = Block(wanted + wanted / 2);
    }
    template <class T>
    T* as() const {
        return static_cast<T*>(at);
    }
    size_t size() const { return bytes; }

private:
    void* at = nullptr;
    size_t bytes = 0;
};

struct Linear {
    Linear(Kind kind, int64_t n, int64_t k, const float* weight, const float* bias);

    Kind kind;
    int64_t n, k;      // rows and columns of W
    int64_t padded;    // columns as stored
    int64_t stride;    // bytes of a block of sixteen rows
    Block weights, scales, biases;

    int64_t bands() const { return rounded_up(n, BAND) / BAND; }
    size_t size() const { return weights.size() + scales.size() + biases.size(); }
};

// Rows of x as the kernels of one kind read them.
struct Input {
    Kind kind;
    const char* numbers;   // at row m: numbers + m * stride
    int64_t stride;        // bytes
    const float* scales;   // at row m: scales + m * groups
    const int32_t* moved;  // what the unsigned weights add to each group's sum, taken away
    int64_t groups;
};

// Bytes that `converted` needs for so many rows.
size_t input_size(Kind kind, int64_t rows, int64_t k);

// Where the parts of an input of so many rows stand in `space`; float32 is read where it is.
Input input_in(char* space, Kind kind, int64_t rows, int64_t k, const float* x, int64_t stride);

// Convert row `m` of x into it.
void convert(const Input& input, int64_t m, const float* x, int64_t k);

// What a map's sums become.
struct Output {
    float* y;
    int64_t stride;
    int activation = NONE;
    const float* residual = nullptr;  // added, at residual + m * residual_stride
    int64_t residual_stride = 0;
};

// One band of rows of W times rows `first` to `last` of x.
void multiply(const Linear& linear, int64_t band, const Input& input, int64_t first, int64_t last, const Output& output);

// The bare kernels on packed float32 or, where the processor multiplies it, bfloat16, for attention: sums[m][block][16] of
// `blocks` blocks. x, its rows and the blocks are counted in numbers of that kind.
void multiply_block(Kind kind, const void* x, int64_t x_stride, int rows, const void* packed, int64_t block_stride,
                    int blocks, int64_t k, float* sums, int64_t sums_stride);

}  // namespace glassformer
