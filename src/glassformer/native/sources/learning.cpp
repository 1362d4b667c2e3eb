#include "learning.h"

#include <memory>

#include "learning_parts.h"

namespace glassformer {

namespace {

// `y = made(x)` of sixteen numbers at a time, with a copy of `made` for each part: `made(i, left, x)`, i counting vectors.
template <class As, class Made>
void each(const typename As::Number* x, typename As::Number* y, int64_t count, int threads, const Made& made) {
    in_parts(rounded_up(count, WIDE) / WIDE, WIDE, threads, [&](int64_t first, int64_t end) {
        Made mine = made;
        vectors(first, end, count, [&](int64_t i, int64_t left) AT_ONCE {
            put_some<As>(y + i * WIDE, mine(i, left, get_some<As>(x + i * WIDE, left)), left);
        });
    });
}

// ---------------------------------------------------------------- activations

// The derivative of gelu by tanh; u the logistic function's argument, as in `activated`.
inline Floats slope(Floats x) {
    const Floats one = splat(1.0f), twice = splat(1.5957691216057308f);
    const Floats u = twice * (x + splat(0.044715f) * x * x * x);
    const Floats s = over(one, one + exponential(-u)), made = s + x * s * (one - s) * twice * (one + splat(0.134145f) * x * x);
    return u < splat(LEAST) ? splat(0.0f) : made;
}

// ---------------------------------------------------------------- the weights of attention

// `row(r, seen, space)` for every row of scores: how many keys it sees, and room for as many vectors.
template <class Row>
void rows(const Scores& scores, int threads, Row&& row) {
    const int64_t width = rounded_up(scores.keys, WIDE), count = scores.batches * scores.heads * scores.queries;
    if (count * width == 0) return;
    threads = std::max(threads, 1);
    const std::unique_ptr<Floats[]> room(new Floats[threads * width / WIDE]);
    in_parts(threads, count * scores.keys / threads, threads, [&](int64_t first, int64_t end) {
        for (int64_t part = first; part < end; ++part)
            for (int64_t r = part * count / threads; r < (part + 1) * count / threads; ++r)
                row(r, seen_by(scores, r), room.get() + part * width / WIDE);
    });
}

}  // namespace

void gelu_tanh(Stored kind, const void* x, void* y, int64_t count, int threads) {
    stored_as(kind, [&](auto as) {
        using As = decltype(as);
        using Number = typename As::Number;
        each<As>(static_cast<const Number*>(x), static_cast<Number*>(y), count, threads,
                 [](int64_t, int64_t, Floats v) AT_ONCE { return activated(GELU_TANH, v); });
    });
}

void gelu_tanh_back(Stored kind, const void* x, const void* gradient, void* y, int64_t count, int threads) {
    stored_as(kind, [&](auto as) {
        using As = decltype(as);
        using Number = typename As::Number;
        const Number* g = static_cast<const Number*>(gradient);
        each<As>(static_cast<const Number*>(x), static_cast<Number*>(y), count, threads,
                 [=](int64_t i, int64_t left, Floats v) AT_ONCE {
                     return get_some<As>(g + i * WIDE, left) * slope(v);
                 });
    });
}

void drop(Stored kind, const void* x, void* y, int64_t count, const Fate& fate, int threads) {
    stored_as(kind, [&](auto as) {
        using As = decltype(as);
        using Number = typename As::Number;
        each<As>(static_cast<const Number*>(x), static_cast<Number*>(y), count, threads,
                 [fates = Fates(fate)](int64_t i, int64_t, Floats v) mutable AT_ONCE { return fates.spared(v, i); });
    });
}

void drop_onto(Stored kind, const float* stream, const void* x, float* y, int64_t count, const Fate& fate,
               int threads) {
    stored_as(kind, [&](auto as) {
        using As = decltype(as);
        const auto* from = static_cast<const typename As::Number*>(x);
        if (!fate.zeros)
            return each<AsFloats>(stream, y, count, threads, [from](int64_t i, int64_t left, Floats v) AT_ONCE {
                return v + get_some<As>(from + i * WIDE, left);
            });
        each<AsFloats>(stream, y, count, threads,
                       [from, fates = Fates(fate)](int64_t i, int64_t left, Floats v) mutable AT_ONCE {
                           return v + stored<As>(fates.spared(get_some<As>(from + i * WIDE, left), i));
                       });
    });
}

void drop_back(Stored kind, const float* gradient, void* y, int64_t count, const Fate& fate, int threads) {
    stored_as(kind, [&](auto as) {
        using As = decltype(as);
        auto* to = static_cast<typename As::Number*>(y);
        in_parts(rounded_up(count, WIDE) / WIDE, WIDE, threads, [&](int64_t first, int64_t end) {
            if (!fate.zeros)
                return vectors(first, end, count, [&](int64_t i, int64_t left) AT_ONCE {
                    put_some<As>(to + i * WIDE, get_some<AsFloats>(gradient + i * WIDE, left), left);
                });
            Fates fates(fate);
            vectors(first, end, count, [&](int64_t i, int64_t left) AT_ONCE {
                put_some<As>(to + i * WIDE, fates.spared(get_some<AsFloats>(gradient + i * WIDE, left), i), left);
            });
        });
    });
}

void weigh(Stored kind, const Scores& scores, const void* x, void* weights, void* dropped, const Fate& fate,
           int threads) {
    stored_as(kind, [&](auto as) {
        using As = decltype(as);
        using Number = typename As::Number;
        rows(scores, threads, [&](int64_t r, int64_t seen, Floats* space) {
            const int64_t at = r * scores.keys;
            weigh_row<As, As>(scores, r, seen, scores.keys, static_cast<const Number*>(x) + at,
                              static_cast<Number*>(weights) + at, dropped ? static_cast<Number*>(dropped) + at : nullptr,
                              of_row(fate, r), space);
        });
    });
}

void weigh_back(Stored kind, const Scores& scores, const void* weights, const void* gradient, void* y,
                const Fate& fate, int threads) {
    stored_as(kind, [&](auto as) {
        using As = decltype(as);
        using Number = typename As::Number;
        rows(scores, threads, [&](int64_t r, int64_t seen, Floats* space) {
            const int64_t at = r * scores.keys;
            weigh_row_back<As, As>(scores, seen, scores.keys, static_cast<const Number*>(weights) + at,
                                   static_cast<const Number*>(gradient) + at, static_cast<Number*>(y) + at, nullptr,
                                   of_row(fate, r), space);
        });
    });
}

}  // namespace glassformer
