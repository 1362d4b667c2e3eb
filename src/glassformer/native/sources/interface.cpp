// What Python calls, through ctypes. A call that fails says so by its answer: there are no exceptions across the border.
#include <algorithm>
#include <exception>

#include "continuations.h"
#include "learning.h"
#include "stack.h"

using namespace glassformer;

namespace {

// 0: done; 1: there was not enough memory.
template <class Work>
int64_t guarded(Work&& work) {
    try {
        work();
        return 0;
    } catch (const std::exception&) {
        return 1;
    }
}

template <class Made, class Make>
Made* made(Make&& make) {
    try {
        return make();
    } catch (const std::exception&) {
        return nullptr;
    }
}

}  // namespace

extern "C" {

Linear* linear_new(int64_t kind, int64_t n, int64_t k, const float* weight, const float* bias) {
    return made<Linear>([&] { return new Linear(Kind(kind), n, k, weight, bias); });
}

void linear_free(Linear* linear) { delete linear; }

int64_t linear_size(const Linear* linear) { return int64_t(linear->size()); }

int64_t linear_run(const Linear* linear, const float* x, int64_t rows, float* y, int64_t threads) {
    return guarded([&] {
        Block space(input_size(linear->kind, rows, linear->k));
        const Input input = input_in(space.as<char>(), linear->kind, rows, linear->k, x, linear->k);
        Workers::all().run(int(threads), [&](Team& team, int) {
            team.share(rows, [&](int64_t m) { convert(input, m, x + m * linear->k, linear->k); });
            team.meet();
            team.share(linear->bands(), [&](int64_t band) { multiply(*linear, band, input, 0, rows, {y, linear->n}); });
        });
    });
}

Stack* stack_new(const Sizes* sizes, const Ends* ends, const LayerPart* layers, int64_t count) {
    return made<Stack>([&] {
        Stack* stack = new Stack();
        stack->sizes = *sizes, stack->ends = *ends;
        stack->layers.assign(layers, layers + count);
        return stack;
    });
}

void stack_free(Stack* stack) { delete stack; }

void stack_place(Stack* stack, const Places* places) {
    std::lock_guard<std::mutex> hold(stack->in_use);
    stack->places = *places;
}

Source* source_new(Stack* stack, int64_t rows, const int64_t* lengths, const float* memory, int64_t threads) {
    return made<Source>([&] {
        auto source = std::make_unique<Source>();
        int64_t start = 0;
        for (int64_t r = 0; r < rows; ++r) {
            source->starts.push_back(start);
            source->lengths.push_back(lengths[r]);
            start += lengths[r];
        }
        read_source(*stack, *source, memory, threads);
        return source.release();
    });
}

void source_free(Source* source) { delete source; }

// `keeps` 0: for one step alone.
Past* past_new(Stack* stack, int64_t rows, int64_t keeps, const Source* source) {
    return made<Past>([&] {
        auto past = std::make_unique<Past>(stack->spare);
        past->rows.resize(rows);
        past->pages.resize(stack->layers.size());
        past->keeps = keeps != 0;
        past->source = source;
        for (int64_t r = 0; r < rows; ++r) past->sources.push_back(int32_t(r));
        return past.release();
    });
}

void past_free(Past* past) { delete past; }

// From now on logits are what this map makes, of some rows of the head, in place of the whole head.
void past_choose(Past* past, const Linear* output) { past->output = output; }

void past_select(Past* past, const int64_t* rows, int64_t count) {
    std::vector<std::vector<int32_t>> chosen(count);
    std::vector<int32_t> sources(count);
    for (int64_t r = 0; r < count; ++r) {
        chosen[r] = past->rows[rows[r]];
        sources[r] = past->sources[rows[r]];
    }
    past->rows.swap(chosen);
    past->sources.swap(sources);
}

// Of each row only so many of its first tokens; the room of what no row holds any more is used again.
void past_crop(Past* past, const int64_t* lengths) {
    int64_t used = 0;
    for (size_t r = 0; r < past->rows.size(); ++r) {
        past->rows[r].resize(lengths[r]);
        for (const int32_t entry : past->rows[r]) used = std::max<int64_t>(used, entry + 1);
    }
    past->used = used;
}

int64_t step_run(Stack* stack, const Step* step) {
    return guarded([&] { run(*stack, *step); });
}

int64_t weighing_run(const Weighing* weighing) {
    return guarded([&] { weigh(*weighing); });
}

int64_t learn_gelu_tanh(int64_t kind, const void* x, void* y, int64_t count, int64_t threads) {
    return guarded([&] { gelu_tanh(Stored(kind), x, y, count, int(threads)); });
}

int64_t learn_gelu_tanh_back(int64_t kind, const void* x, const void* gradient, void* y, int64_t count,
                             int64_t threads) {
    return guarded([&] { gelu_tanh_back(Stored(kind), x, gradient, y, count, int(threads)); });
}

int64_t learn_drop(int64_t kind, const Fate* fate, const void* x, void* y, int64_t count, int64_t threads) {
    return guarded([&] { drop(Stored(kind), x, y, count, *fate, int(threads)); });
}

int64_t learn_drop_onto(int64_t kind, const Fate* fate, const float* stream, const void* x, float* y, int64_t count,
                        int64_t threads) {
    return guarded([&] { drop_onto(Stored(kind), stream, x, y, count, *fate, int(threads)); });
}

int64_t learn_drop_back(int64_t kind, const Fate* fate, const float* gradient, void* y, int64_t count,
                        int64_t threads) {
    return guarded([&] { drop_back(Stored(kind), gradient, y, count, *fate, int(threads)); });
}

int64_t learn_weigh(int64_t kind, const Fate* fate, const Scores* scores, const void* x, void* weights, void* dropped,
                    int64_t threads) {
    return guarded([&] { weigh(Stored(kind), *scores, x, weights, dropped, *fate, int(threads)); });
}

int64_t learn_weigh_back(int64_t kind, const Fate* fate, const Scores* scores, const void* weights,
                         const void* gradient, void* y, int64_t threads) {
    return guarded([&] { weigh_back(Stored(kind), *scores, weights, gradient, y, *fate, int(threads)); });
}

int64_t learn_has_pairs() { return has_pairs(); }

int64_t learn_turn_columns(const void* x, int64_t rows, int64_t size, void* turned, float* sums, int64_t threads) {
    return guarded([&] { turn_columns(x, rows, size, turned, sums, int(threads)); });
}

int64_t learn_turned_width(int64_t rows) { return turned_width(rows); }

int64_t learn_attends(int64_t size) { return attends(size); }

int64_t learn_attention_width(int64_t keys) { return attention_width(keys); }

int64_t learn_attend(const Fate* fate, const Scores* scores, const Mix* mix, int64_t threads) {
    return guarded([&] { attend(*scores, *mix, *fate, int(threads)); });
}

int64_t learn_attend_back(const Fate* fate, const Scores* scores, const Mix* mix, const Mix* gradients,
                          int64_t threads) {
    return guarded([&] { attend_back(*scores, *mix, *gradients, *fate, int(threads)); });
}

int64_t learn_step_table(const Adam* adam, const Table* table, int64_t threads) {
    return guarded([&] { step_table(*adam, *table, int(threads)); });
}

int64_t parcels_run(const int64_t* lengths, int64_t rows, int64_t threads) {  // for the tests
    return parcels(lengths, rows, threads);
}

int64_t activation_run(int64_t activation, const float* x, float* y, int64_t count) {  // for the tests
    for (int64_t i = 0; i < count; ++i) y[i] = activated(int(activation), splat(x[i]))[0];
    return 0;
}

}  // extern "C"
