// Attention of a model that learns in bfloat16: one head of one text after the other, all of it while it is in the cache.
//
// A product of matrices is `multiply_block`: rows of x, as they lie in memory, times rows of W, packed sixteen side by
// side with pairs of their numbers together. What stands in W's place is packed here, by head.
#include <memory>

#include "learning_parts.h"
#include "linear.h"
#include "turning.h"

namespace glassformer {

int64_t attention_width(int64_t keys) { return rounded_up(keys, 32); }

#ifdef __AVX512BF16__

namespace {

constexpr int64_t TOGETHER = 32;  // rows of x to a product, and numbers of a row to a step of one
constexpr int64_t PAIRED = 2 * WIDE;  // numbers of a row of a packed block: a pair of each of sixteen

int64_t whole(int64_t count) { return rounded_up(count, TOGETHER); }

// A row of a head, of `count` rows; beyond them none.
struct Head {
    Head(const Rows& rows, int64_t count, int64_t b, int64_t h)
        : first(static_cast<Half*>(rows.at) + b * rows.batch + h * rows.head), stride(rows.row), count(count) {}

    Half* operator()(int64_t r) const { return first + r * stride; }
    Words words(int64_t r, int64_t from) const {  // sixteen pairs of neighbours
        return r < count ? load<Words>((*this)(r) + from) : Words{};
    }
    Words wide(int64_t r, int64_t from) const {  // sixteen numbers, each by itself
        return r < count ? widened((*this)(r) + from) : Words{};
    }

    Half* first;
    int64_t stride, count;
};

// A pair of rows of a head, number beside number.
Words paired(const Head& head, int64_t r, int64_t from) { return head.wide(r, from) | head.wide(r + 1, from) << 16; }

// A head's rows in W's place: a product gives a number for each of them.
void pack_across(const Head& head, int64_t size, Half* to) {
    __m512i rows[WIDE];
    for (int64_t r = 0; r < whole(head.count); r += WIDE)
        for (int64_t from = 0; from < size; from += PAIRED) {
            turned([&](int i) { return head.words(r + i, from); }, rows);
            for (int i = 0; i < WIDE; ++i) store(to + r * size + (from / 2 + i) * PAIRED, rows[i]);
        }
}

// A head's columns in W's place: a product gives sums over the rows.
void pack_along(const Head& head, int64_t size, Half* to) {
    const int64_t padded = whole(head.count);
    for (int64_t from = 0; from < size; from += WIDE)
        for (int64_t r = 0; r < padded; r += 2) store(to + from * padded + r * WIDE, paired(head, r, from));
}

// A head's columns as rows of x.
void pack_columns(const Head& head, int64_t size, Half* to) {
    const int64_t padded = whole(head.count);
    __m512i rows[WIDE];
    for (int64_t from = 0; from < size; from += WIDE)
        for (int64_t r = 0; r < padded; r += PAIRED) {
            turned([&](int i) { return paired(head, r + 2 * i, from); }, rows);
            for (int i = 0; i < WIDE; ++i) store(to + (from + i) * padded + r, rows[i]);
        }
}

// sums[m][n] of `rows` rows of x, TOGETHER at most, and sixteen times `blocks` packed rows, `apart` numbers from one
// sixteen to the next.
void multiplied(const Half* x, int64_t stride, int64_t rows, const Half* packed, int64_t apart, int64_t blocks, int64_t k,
                float* sums, int64_t sums_stride) {
    multiply_block(BFLOAT16, x, stride, int(rows), packed, apart, int(blocks), k, sums, sums_stride);
}

void put_rows(const float* from, int64_t stride, int64_t rows, int64_t size, const Head& to, int64_t first) {
    for (int64_t m = 0; m < rows; ++m)
        for (int64_t d = 0; d < size; d += WIDE)
            AsHalves::put(to(first + m) + d, load<Floats>(from + m * stride + d));
}

// What every head needs to know, and the room that one thread has.
struct Plan {
    Plan(const Scores& scores, const Mix& mix)
        : scores(scores), mix(mix), queries(scores.queries), keys(scores.keys), size(mix.size),
          all_queries(whole(queries)), all_keys(whole(keys)) {}

    const Scores& scores;
    const Mix& mix;
    const int64_t queries, keys, size, all_queries, all_keys;

    int64_t rows_from(int64_t start) const { return std::min(TOGETHER, queries - start); }

    // Keys that some row of a stretch of them sees, in whole steps.
    int64_t reach(int64_t start) const { return whole(seen_by(scores, start + rows_from(start) - 1)); }

    // The first query that may see a key.
    int64_t first_query(int64_t key) const {
        if (!scores.causal || key == 0) return 0;
        return std::max<int64_t>(0, key - (keys - queries)) / TOGETHER * TOGETHER;
    }

    Half* weights(int64_t r) const { return static_cast<Half*>(mix.weights) + r * all_keys; }
};

// Room by the piece, each from a boundary of a cache line on.
class Room {
public:
    explicit Room(char* at) : at(at) {}

    template <class T>
    T* take(int64_t count) {
        T* taken = reinterpret_cast<T*>(at + used);
        used += rounded_up(count * int64_t(sizeof(T)), 64);
        return taken;
    }
    int64_t size() const { return used; }

private:
    char* at;
    int64_t used = 0;
};

struct Forward {
    Forward(const Plan& plan, Room room)
        : keys(room.take<Half>(plan.all_keys * plan.size)), values(room.take<Half>(plan.all_keys * plan.size)),
          dropped(room.take<Half>(TOGETHER * plan.all_keys)), scores(room.take<float>(TOGETHER * plan.all_keys)),
          mixed(room.take<float>(TOGETHER * plan.size)), space(room.take<Floats>(plan.all_keys / WIDE)), bytes(room.size()) {}

    Half *keys, *values, *dropped;
    float *scores, *mixed;
    Floats* space;
    int64_t bytes;

    void head(const Plan& plan, const Fate& fate, int64_t b, int64_t h) const {
        const int64_t size = plan.size, width = plan.all_keys, first = (b * plan.scores.heads + h) * plan.queries;
        const Head query(plan.mix.query, plan.queries, b, h), output(plan.mix.mixed, plan.queries, b, h);
        pack_across(Head(plan.mix.key, plan.keys, b, h), size, keys);
        pack_along(Head(plan.mix.value, plan.keys, b, h), size, values);
        for (int64_t start = 0; start < plan.queries; start += TOGETHER) {
            const int64_t rows = plan.rows_from(start), reach = plan.reach(start);
            multiplied(query(start), query.stride, rows, keys, WIDE * size, reach / WIDE, size, scores, width);
            Half* kept = plan.weights(first + start);
            for (int64_t m = 0; m < rows; ++m) {
                const int64_t r = first + start + m;
                Half *row = kept + m * width, *second = fate.zeros ? dropped + m * width : nullptr;
                weigh_row<AsFloats, AsHalves>(plan.scores, r, seen_by(plan.scores, r), reach, scores + m * width, row, second,
                                              of_row(fate, r), space);
            }
            multiplied(fate.zeros ? dropped : kept, width, rows, values, WIDE * width, size / WIDE, reach, mixed, size);
            put_rows(mixed, size, rows, size, output, start);
        }
    }
};

struct Backward {
    Backward(const Plan& plan, Room room)
        : values(room.take<Half>(plan.all_keys * plan.size)), keys(room.take<Half>(plan.all_keys * plan.size)),
          queries(room.take<Half>(plan.all_queries * plan.size)), mixed(room.take<Half>(plan.all_queries * plan.size)),
          weights(room.take<Half>(plan.all_queries * plan.all_keys)),
          scores(room.take<Half>(plan.all_queries * plan.all_keys)), dropped(room.take<Half>(TOGETHER * plan.all_keys)),
          of_scores(room.take<Half>(TOGETHER * plan.all_keys)), of_weights(room.take<float>(TOGETHER * plan.all_keys)),
          sums(room.take<float>(TOGETHER * std::max(plan.size, PAIRED))), space(room.take<Floats>(plan.all_keys / WIDE)),
          bytes(room.size()) {}

    Half *values, *keys, *queries, *mixed;  // packed
    Half *weights, *scores;  // weights and gradients of scores in W's place, for the sums over queries
    Half *dropped, *of_scores;
    float *of_weights, *sums;
    Floats* space;
    int64_t bytes;

    void head(const Plan& plan, const Mix& gradients, const Fate& fate, int64_t b, int64_t h) const {
        const Head key(plan.mix.key, plan.keys, b, h), query(plan.mix.query, plan.queries, b, h);
        const Head gradient(gradients.mixed, plan.queries, b, h), to_query(gradients.query, plan.queries, b, h);
        const int64_t size = plan.size, width = plan.all_keys, first = (b * plan.scores.heads + h) * plan.queries;
        pack_across(Head(plan.mix.value, plan.keys, b, h), size, values);
        pack_along(key, size, keys);
        pack_columns(query, size, queries);
        pack_columns(gradient, size, mixed);
        for (int64_t start = 0; start < plan.queries; start += TOGETHER) {
            const int64_t rows = plan.rows_from(start), reach = plan.reach(start);
            multiplied(gradient(start), gradient.stride, rows, values, WIDE * size, reach / WIDE, size, of_weights, width);
            const Half* kept = plan.weights(first + start);
            for (int64_t m = 0; m < rows; ++m) {
                const int64_t r = first + start + m;
                Half *row = of_scores + m * width, *second = fate.zeros ? dropped + m * width : nullptr;
                weigh_row_back<AsFloats, AsHalves>(plan.scores, seen_by(plan.scores, r), reach, kept + m * width,
                                                   of_weights + m * width, row, second, of_row(fate, r), space);
            }
            multiplied(of_scores, width, rows, keys, WIDE * width, size / WIDE, reach, sums, size);
            put_rows(sums, size, rows, size, to_query, start);
            pack_stretch(plan, fate.zeros ? dropped : kept, rows, reach, start, weights);
            pack_stretch(plan, of_scores, rows, reach, start, scores);
        }
        sum_over_queries(plan, mixed, weights, Head(gradients.value, plan.keys, b, h));
        sum_over_queries(plan, queries, scores, Head(gradients.key, plan.keys, b, h));
    }

    // A stretch of queries' rows among the pairs of all of them, key by key.
    void pack_stretch(const Plan& plan, const Half* from, int64_t rows, int64_t reach, int64_t start, Half* to) const {
        const Head stretch({const_cast<Half*>(from), 0, 0, plan.all_keys}, rows, 0, 0);
        for (int64_t key = 0; key < reach; key += WIDE)
            for (int64_t m = 0; m < TOGETHER; m += 2)
                store(to + key * plan.all_queries + (start + m) * WIDE, paired(stretch, m, key));
    }

    // For each key the sum over queries of a column of x times what is packed of it.
    void sum_over_queries(const Plan& plan, const Half* columns, const Half* packed, const Head& to) const {
        const int64_t step = plan.all_queries;
        __m512i rows[WIDE];
        for (int64_t key = 0; key < plan.keys; key += PAIRED) {
            const int64_t from = plan.first_query(key);
            for (int64_t d = 0; d < plan.size; d += TOGETHER) {
                multiplied(columns + d * step + from, step, TOGETHER, packed + key * step + from * WIDE, WIDE * step,
                           PAIRED / WIDE, step - from, sums, PAIRED);
                for (int64_t i = 0; i < TOGETHER; i += WIDE)
                    for (int64_t j = 0; j < PAIRED && key + j < plan.keys; j += WIDE) {
                        turned([&](int64_t m) { return load<Words>(sums + (i + m) * PAIRED + j); }, rows);
                        for (int64_t m = 0; m < std::min<int64_t>(WIDE, plan.keys - key - j); ++m)
                            AsHalves::put(to(key + j + m) + d + i, (Floats)rows[m]);
                    }
            }
        }
    }
};

// `work(room, b, h)` for every head of every text, by threads that have room of their own.
template <class Parts, class Work>
void each_head(const Plan& plan, int threads, Work&& work) {
    const int64_t count = plan.scores.batches * plan.scores.heads, parts = std::max(1, threads);
    if (count * plan.queries * plan.keys == 0) return;
    const int64_t bytes = rounded_up(Parts(plan, Room(nullptr)).bytes, 64);
    const std::unique_ptr<char, void (*)(void*)> room(static_cast<char*>(std::aligned_alloc(64, parts * bytes)), std::free);
    if (room == nullptr) throw std::bad_alloc();
    in_parts(parts, count * plan.queries * plan.keys / parts, threads, [&](int64_t first, int64_t end) {
        for (int64_t part = first; part < end; ++part) {
            const Parts own(plan, Room(room.get() + part * bytes));
            for (int64_t i = part * count / parts; i < (part + 1) * count / parts; ++i)
                work(own, i / plan.scores.heads, i % plan.scores.heads);
        }
    });
}

}  // namespace

bool has_pairs() { return true; }
bool attends(int64_t size) { return size % TOGETHER == 0; }

void attend(const Scores& scores, const Mix& mix, const Fate& fate, int threads) {
    const Plan plan(scores, mix);
    each_head<Forward>(plan, threads, [&](const Forward& own, int64_t b, int64_t h) { own.head(plan, fate, b, h); });
}

void attend_back(const Scores& scores, const Mix& mix, const Mix& gradients, const Fate& fate, int threads) {
    const Plan plan(scores, mix);
    each_head<Backward>(plan, threads,
                        [&](const Backward& own, int64_t b, int64_t h) { own.head(plan, gradients, fate, b, h); });
}

#else

bool has_pairs() { return false; }
bool attends(int64_t) { return false; }
void attend(const Scores&, const Mix&, const Fate&, int) {}
void attend_back(const Scores&, const Mix&, const Mix&, const Fate&, int) {}

#endif

}  // namespace glassformer
