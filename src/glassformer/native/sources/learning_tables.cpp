// A step of AdamW for a table of which few rows were looked up.
#include "learning_parts.h"

namespace glassformer {

namespace {

constexpr int64_t BLOCK = 64;  // rows that a thread does at once: in a vocabulary those that are used often lie together

// A row that has a gradient, or had one before; null: none this time.
void step_row(const Adam& adam, int64_t size, const float* gradient, float* row, float* mean, float* square) {
    vectors(0, rounded_up(size, WIDE) / WIDE, size, [&](int64_t i, int64_t left) AT_ONCE {
        const int64_t at = i * WIDE;
        const Floats g = gradient ? get_some<AsFloats>(gradient + at, left) : splat(0.0f);
        const Floats before = get_some<AsFloats>(mean + at, left), x = get_some<AsFloats>(row + at, left);
        const Floats m = before + splat(adam.new_mean) * (g - before);
        const Floats v = splat(adam.old_square) * get_some<AsFloats>(square + at, left) + splat(adam.new_square) * g * g;
        const Floats by = root(v) / splat(adam.root_left) + splat(adam.eps);
        put_some<AsFloats>(mean + at, m, left);
        put_some<AsFloats>(square + at, v, left);
        put_some<AsFloats>(row + at, splat(adam.decay) * x - splat(adam.rate) * (m / by), left);
    });
}

void decay_row(float decay, int64_t size, float* row) {
    vectors(0, rounded_up(size, WIDE) / WIDE, size, [&](int64_t i, int64_t left) AT_ONCE {
        put_some<AsFloats>(row + i * WIDE, splat(decay) * get_some<AsFloats>(row + i * WIDE, left), left);
    });
}

void step_rows(const Adam& adam, const Table& table, int64_t begin, int64_t end) {
    const int64_t size = table.size, *last = table.ids + table.count, *id = std::lower_bound(table.ids, last, begin);
    for (int64_t r = begin; r < end; ++r) {
        const float* gradient = nullptr;
        if (id < last && *id == r) {
            gradient = table.gradient + (id++ - table.ids) * size;
            table.moved[r] = 1;
        }
        const int64_t at = r * size;
        if (table.moved[r]) step_row(adam, size, gradient, table.values + at, table.mean + at, table.square + at);
        else if (adam.decay != 1.0f) decay_row(adam.decay, size, table.values + at);
    }
}

}  // namespace

void step_table(const Adam& adam, const Table& table, int threads) {
    threads = std::max(threads, 1);
    in_parts(threads, table.rows * table.size / threads, threads, [&](int64_t first, int64_t end) {
        for (int64_t part = first; part < end; ++part)
            for (int64_t r = part * BLOCK; r < table.rows; r += threads * BLOCK)
                step_rows(adam, table, r, std::min(r + BLOCK, table.rows));
    });
}

}  // namespace glassformer
