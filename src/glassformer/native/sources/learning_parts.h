// What the kernels of training are made of: torch's threads, numbers however they are stored, dropout's fates, and a row
// of attention's weights.
#pragma once
#include <algorithm>
#include <dlfcn.h>
#include <limits>
#include <type_traits>

#include "learning.h"
#include "vectors.h"

namespace glassformer {

constexpr int64_t LITTLE = 1 << 14;  // numbers that one thread has done sooner than it could share them out
constexpr float LEAST = -80.0f;  // e^ of less is nothing here: below the least normal number products are slow
constexpr float NEVER = -std::numeric_limits<float>::infinity();

// ---------------------------------------------------------------- torch's own threads

// The work between two of torch's operations is done by the threads that torch does its own with, the process's OpenMP:
// a second team would find the cores taken by the first, which waits for its next piece by looking.
struct Pool {
    using Part = void (*)(void*);
    void (*run)(Part, void*, unsigned, unsigned) = found<decltype(run)>("GOMP_parallel");
    int (*number)() = found<decltype(number)>("omp_get_thread_num");
    int (*size)() = found<decltype(size)>("omp_get_num_threads");

    bool there() const { return run && number && size; }

    static const Pool& torchs() {
        static const Pool pool;
        return pool;
    }

private:
    template <class Function>
    static Function found(const char* name) {
        return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
    }
};

// `piece(first, end)` for parts of 0 to `count` that lie side by side; each stands for `weight` numbers. It may not throw.
template <class Piece>
void in_parts(int64_t count, int64_t weight, int threads, Piece&& piece) {
    threads = int(std::min<int64_t>(threads, count * weight / LITTLE));
    if (threads <= 1 || !Pool::torchs().there()) {
        piece(0, count);
        return;
    }
    struct Shared {
        std::remove_reference_t<Piece>* piece;
        int64_t count;
    } shared{&piece, count};
    const auto part = [](void* given) {
        const Shared& all = *static_cast<Shared*>(given);
        const int64_t here = Pool::torchs().number(), parts = Pool::torchs().size();
        (*all.piece)(here * all.count / parts, (here + 1) * all.count / parts);
    };
    Pool::torchs().run(part, &shared, unsigned(threads), 0);
}

// ---------------------------------------------------------------- sixteen numbers, however they are stored

struct AsFloats {
    using Number = float;
    static Floats get(const float* from) { return load<Floats>(from); }
    static void put(float* to, Floats v) { store(to, v); }
};

struct AsHalves {
    using Number = uint16_t;
    typedef uint16_t Shorts __attribute__((vector_size(32)));

    static Floats get(const uint16_t* from) {
        return (Floats)(__builtin_convertvector(load<Shorts>(from), Words) << 16);
    }
    static void put(uint16_t* to, Floats v) {  // to nearest, ties to even
#ifdef __AVX512BF16__
        const __m256bh rounded = _mm512_cvtneps_pbh((__m512)v);
        std::memcpy(to, &rounded, sizeof rounded);
#else
        const Words bits = (Words)v, nearest = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
        const Words none = Words{} + 0x7fc0u;
        store(to, __builtin_convertvector(v == v ? nearest : none, Shorts));
#endif
    }
};

// What storing and reading them again makes of numbers.
template <class As>
inline Floats stored(Floats v) {
    if constexpr (std::is_same_v<As, AsFloats>) return v;
    typename As::Number between[WIDE];
    As::put(between, v);
    return As::get(between);
}

// The first few of sixteen numbers, the others 0.
template <class As>
inline Floats get_some(const typename As::Number* from, int64_t count) {
    if (count >= WIDE) return As::get(from);
    typename As::Number some[WIDE] = {};
    std::memcpy(some, from, count * sizeof *some);
    return As::get(some);
}

template <class As>
inline void put_some(typename As::Number* to, Floats v, int64_t count) {
    if (count >= WIDE) return As::put(to, v);
    typename As::Number some[WIDE];
    As::put(some, v);
    std::memcpy(to, some, count * sizeof *some);
}

// Calls `work` with the way in which numbers of this kind are stored.
template <class Work>
void stored_as(Stored kind, Work&& work) {
    if (kind == HALVES) work(AsHalves{});
    else work(AsFloats{});
}

// `work(i, left)` for the vectors from `first` to `end` of `count` numbers: how many of them are left, sixteen at most.
template <class Work>
inline void vectors(int64_t first, int64_t end, int64_t count, Work&& work) {
    const int64_t whole = std::min(end, count / WIDE);
    for (int64_t i = first; i < whole; ++i) work(i, int64_t(WIDE));  // known to the compiler, so that it leaves out the rest
    if (whole < end && first < end) work(end - 1, count - (end - 1) * WIDE);
}

#define AT_ONCE __attribute__((always_inline))

// ---------------------------------------------------------------- dropout

inline Words stirred(Words h) {  // MurmurHash3's finalizer
    h ^= h >> 16;
    h *= 0x85ebca6bu;
    h ^= h >> 13;
    h *= 0xc2b2ae35u;
    return h ^ (h >> 16);
}

// The fates of numbers, vector after vector: each number has 16 bits of its own, two vectors share one draw.
class Fates {
public:
    explicit Fates(const Fate& fate) : fate(fate) {}

    // The i-th vector, of which those that the seed chooses become 0.
    Floats spared(Floats v, int64_t i) {
        if (i / 2 != drawn_for) draw(i / 2);
        const Ints mine = (Ints)(i % 2 ? drawn >> 16 : drawn & 0xffffu);
        return mine >= splat(int32_t(fate.zeros)) ? v * splat(fate.keep) : splat(0.0f);
    }

private:
    void draw(int64_t pair) {
        const Words lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
        const uint64_t first = uint64_t(pair) * WIDE;
        const uint32_t low = uint32_t(fate.seed), high = uint32_t(fate.seed >> 32) ^ uint32_t(first >> 32);
        drawn = stirred(stirred((lanes + uint32_t(first)) ^ low) + high);
        drawn_for = pair;
    }

    const Fate fate;
    int64_t drawn_for = -1;
    Words drawn = {};
};

// A row's own seed (SplitMix64's steps).
inline Fate of_row(const Fate& fate, int64_t row) {
    uint64_t z = fate.seed + (uint64_t(row) + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return {fate.zeros, fate.keep, z ^ (z >> 31)};
}

// ---------------------------------------------------------------- the weights of attention

// The first `left` of sixteen numbers; the others are `other`.
inline Floats counted(Floats v, int64_t left, float other) {
    if (left >= WIDE) return v;
    const Ints lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return lanes < splat(int32_t(left)) ? v : splat(other);
}

// e^v of v that is at most 0; of what is no number none, which `exponential` would not say.
inline Floats weight_of(Floats v) { return v < splat(LEAST) ? splat(0.0f) : exponential(v) + (v - v); }

// Row r of scores, of which it sees so many keys -> the weights of the first `keys`, and the same with some dropped unless
// that is null. What comes in is stored as `In`, what goes out and what is added as `As`; `space` has room for a row.
template <class In, class As>
void weigh_row(const Scores& scores, int64_t r, int64_t seen, int64_t keys, const typename In::Number* x,
               typename As::Number* weights, typename As::Number* dropped, const Fate& fate, Floats* space) {
    using Number = typename As::Number;
    const int64_t q = r % scores.queries, h = r / scores.queries % scores.heads, b = r / scores.queries / scores.heads;
    const Number* added = static_cast<const Number*>(scores.added);
    if (added) added += b * scores.strides[0] + h * scores.strides[1] + q * scores.strides[2];
    const int64_t used = rounded_up(seen, WIDE) / WIDE, all = rounded_up(keys, WIDE) / WIDE;
    Floats top = splat(NEVER), sums = splat(0.0f);
    vectors(0, used, keys, [&](int64_t i, int64_t left) AT_ONCE {
        Floats v = get_some<In>(x + i * WIDE, left) * splat(scores.scale);
        if (added) v += get_some<As>(added + i * WIDE, std::min(left, scores.keys - i * WIDE));
        space[i] = counted(v, seen - i * WIDE, NEVER);
        top = larger(space[i], top);
    });
    const Floats most = splat(largest(top));
    for (int64_t i = 0; i < used; ++i) {
        space[i] = weight_of(space[i] - most);
        sums += space[i];
    }
    const Floats share = splat(1.0f / sum(sums));
    for (int64_t i = used; i < all; ++i) space[i] = splat(0.0f);
    Fates fates(fate);
    vectors(0, all, keys, [&](int64_t i, int64_t left) AT_ONCE {
        const Floats weight = space[i] * share;
        put_some<As>(weights + i * WIDE, weight, left);
        if (dropped) put_some<As>(dropped + i * WIDE, fates.spared(stored<As>(weight), i), left);
    });
}

// Of weights w of the first `keys`, and gradients g of what was not dropped of them: y = scale * w * (g - sum of w g). Unless that is null,
// `dropped` becomes what `weigh_row` made it.
template <class In, class As>
void weigh_row_back(const Scores& scores, int64_t seen, int64_t keys, const typename As::Number* weights,
                    const typename In::Number* gradient, typename As::Number* y, typename As::Number* dropped,
                    const Fate& fate, Floats* space) {
    const int64_t used = rounded_up(seen, WIDE) / WIDE, all = rounded_up(keys, WIDE) / WIDE;
    Floats sums = splat(0.0f);
    Fates fates(fate);
    vectors(0, used, keys, [&](int64_t i, int64_t left) AT_ONCE {
        const Floats g = get_some<In>(gradient + i * WIDE, left), w = get_some<As>(weights + i * WIDE, left);
        space[i] = fate.zeros ? fates.spared(g, i) : g;
        sums += space[i] * w;
        if (dropped) put_some<As>(dropped + i * WIDE, fates.spared(w, i), left);
    });
    const Floats mean = splat(sum(sums)), scale = splat(scores.scale);
    vectors(0, used, keys, [&](int64_t i, int64_t left) AT_ONCE {
        const Floats w = get_some<As>(weights + i * WIDE, left);
        put_some<As>(y + i * WIDE, w * scale * (space[i] - mean), left);
    });
    vectors(used, all, keys, [&](int64_t i, int64_t left) AT_ONCE {
        put_some<As>(y + i * WIDE, splat(0.0f), left);
        if (dropped) put_some<As>(dropped + i * WIDE, splat(0.0f), left);
    });
}

// Of the keys, how many the r-th row of scores sees.
inline int64_t seen_by(const Scores& scores, int64_t r) {
    const int64_t hidden = scores.causal ? scores.queries - 1 - r % scores.queries : 0;
    return std::max<int64_t>(scores.keys - hidden, 1);
}

}  // namespace glassformer
