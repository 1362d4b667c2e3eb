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
// `sums`. What is written is not read again soon: it goes by the caches.
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
        _mm512_stream_si512(reinterpret_cast<__m512i*>(to + i * apart), block[i]);
        sums[i] += sum[i];
    }
}

}  // namespace

int64_t turned_width(int64_t rows) { return rounded_up(rows, PAIRED); }

void turn_columns(const void* x, int64_t rows, int64_t size, void* turned, float* sums, int threads) {
    const Half* from = static_cast<const Half*>(x);
    Half* to = static_cast<Half*>(turned);
    const int64_t apart = turned_width(rows);
    in_parts(rounded_up(size, PAIRED) / PAIRED, rows * PAIRED, threads, [&](int64_t first, int64_t end) {
        end = std::min(end * PAIRED, size);
        std::fill(sums + first * PAIRED, sums + end, 0.0f);
        for (int64_t r = 0; r < rows; r += PAIRED)
            for (int64_t c = first * PAIRED; c < end; c += WIDE)
                turn_block(from + r * size + c, size, rows - r, size - c, to + c * apart + r, apart, sums + c);
        _mm_sfence();
    });
}

#else

int64_t turned_width(int64_t rows) { return rows; }
void turn_columns(const void*, int64_t, int64_t, void*, float*, int) {}

#endif

}  // namespace glassformer
