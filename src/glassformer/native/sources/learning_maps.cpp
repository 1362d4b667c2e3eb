// What the way back of a linear map needs beside its products, in bfloat16.
#include "learning_parts.h"
#include "turning.h"

namespace glassformer {

#ifdef __AVX512BF16__

namespace {

constexpr int64_t PAIRED = 2 * WIDE;

// The first few of sixteen numbers, the others 0.
Words some_widened(const Half* from, int64_t count) {
    if (count >= WIDE) return widened(from);
    Half some[WIDE] = {};
    std::memcpy(some, from, std::max<int64_t>(count, 0) * sizeof *some);
    return widened(some);
}

// Up to 32 rows of up to sixteen columns become columns of `to`, whose rows are `apart` numbers long, and are added to
// `sums`, if there are any.
void turn_block(const Half* x, int64_t size, int64_t rows, int64_t columns, Half* to, int64_t apart, float* sums) {
    __m512i block[WIDE];
    Floats sum = splat(0.0f);
    const auto numbers = [&](int64_t r) AT_ONCE { return r < rows ? some_widened(x + r * size, columns) : Words{}; };
    turned(
        [&](int64_t i) AT_ONCE {
            const Words even = numbers(2 * i), odd = numbers(2 * i + 1);
            sum += (Floats)(even << 16) + (Floats)(odd << 16);
            return even | odd << 16;
        },
        block);
    for (int64_t i = 0; i < std::min<int64_t>(columns, WIDE); ++i) {
        if (rows >= PAIRED) store(to + i * apart, block[i]);
        else std::memcpy(to + i * apart, &block[i], rows * sizeof(Half));
        if (sums) sums[i] += sum[i];
    }
}

}  // namespace

void turn_columns(const void* x, int64_t rows, int64_t size, void* turned, float* sums, int threads) {
    const Half* from = static_cast<const Half*>(x);
    Half* to = static_cast<Half*>(turned);
    in_parts(rounded_up(size, PAIRED) / PAIRED, rows * PAIRED, threads, [&](int64_t first, int64_t end) {
        end = std::min(end * PAIRED, size);
        if (sums) std::fill(sums + first * PAIRED, sums + end, 0.0f);
        for (int64_t r = 0; r < rows; r += PAIRED)
            for (int64_t c = first * PAIRED; c < end; c += WIDE)
                turn_block(from + r * size + c, size, rows - r, size - c, to + c * rows + r, rows, sums ? sums + c : nullptr);
    });
}

void sum_up(const void* const* others, int64_t number, float* y, int64_t count, int threads) {
    in_parts(rounded_up(count, WIDE) / WIDE, WIDE, threads, [&](int64_t first, int64_t end) {
        vectors(first, end, count, [&](int64_t i, int64_t left) AT_ONCE {
            Floats sum = splat(0.0f);
            for (int64_t n = 0; n < number; ++n)
                sum += get_some<AsHalves>(static_cast<const Half*>(others[n]) + i * WIDE, left);
            put_some<AsFloats>(y + i * WIDE, sum, left);
        });
    });
}

#else

void turn_columns(const void*, int64_t, int64_t, void*, float*, int) {}
void sum_up(const void* const*, int64_t, float*, int64_t, int) {}

#endif

}  // namespace glassformer
