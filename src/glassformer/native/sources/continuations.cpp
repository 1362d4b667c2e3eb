#include "continuations.h"

#include "team.h"
#include "vectors.h"

namespace glassformer {

namespace {

// What a row's logits are above its log-probabilities: the logarithm of the sum of e^x, in two parts.
struct Norm {
    float largest, log_sum;
    float of(float logit) const { return (logit - largest) - log_sum; }
};

Floats first_of(const float* x, int64_t count) {
    if (count >= WIDE) return load<Floats>(x);
    Floats some = splat(-INFINITY);
    for (int64_t i = 0; i < count; ++i) some[i] = x[i];
    return some;
}

Norm norm_of(const float* x, int64_t count) {
    constexpr int LANES = 4;
    Floats most[LANES] = {splat(-INFINITY), splat(-INFINITY), splat(-INFINITY), splat(-INFINITY)};
    int64_t i = 0;
    for (; i + LANES * WIDE <= count; i += LANES * WIDE)
        for (int lane = 0; lane < LANES; ++lane) most[lane] = larger(load<Floats>(x + i + lane * WIDE), most[lane]);
    for (; i < count; i += WIDE) most[0] = larger(first_of(x + i, count - i), most[0]);
    const float found = largest(larger(larger(most[0], most[1]), larger(most[2], most[3])));
    Floats total = splat(0.0f);
    for (i = 0; i < count; i += WIDE) total += exponential(first_of(x + i, count - i) - splat(found));
    return {found, std::log(sum(total))};
}

// The best so far of one sentence, best first, in the places where they are wanted.
class Best {
public:
    Best(const Weighing& weighing, int64_t sentence)
        : width(weighing.width), tokens(weighing.tokens + sentence * width), parents(weighing.parents + sentence * width),
          totals(weighing.totals + sentence * width), logs(weighing.log_probabilities + sentence * width) {}

    double least() const { return count < width ? -INFINITY : totals[width - 1]; }

    void consider(double total, float log, int64_t token, int64_t parent) {
        if (count == width && !(total > totals[width - 1])) return;
        int64_t place = count < width ? count++ : width - 1;
        for (; place > 0 && total > totals[place - 1]; --place) {
            totals[place] = totals[place - 1], logs[place] = logs[place - 1];
            tokens[place] = tokens[place - 1], parents[place] = parents[place - 1];
        }
        totals[place] = total, logs[place] = log;
        tokens[place] = int32_t(token), parents[place] = int32_t(parent);
    }

    // Where there are too few, the other places say that nothing more is possible.
    void close() {
        for (; count < width; ++count)
            totals[count] = -INFINITY, logs[count] = -INFINITY, tokens[count] = 0, parents[count] = 0;
    }

private:
    const int64_t width;
    int32_t *tokens, *parents;
    double* totals;
    float* logs;
    int64_t count = 0;
};

// A logit that no number below can help into the best, a little too low, since what decides is the sum in doubles.
float bar(double least, double before, const Norm& norm) {
    const double needed = least - before + norm.log_sum + norm.largest;
    return float(needed - 1e-5 * (1.0 + std::fabs(needed)));
}

void weigh_row(Best& best, const float* x, int64_t vocabulary, double before, int64_t parent) {
    if (before == -INFINITY) return;  // an idle row
    const Norm norm = norm_of(x, vocabulary);
    float low = bar(best.least(), before, norm);
    for (int64_t i = 0; i < vocabulary; i += WIDE) {
        uint32_t bits = above(first_of(x + i, vocabulary - i), low);
        if (bits == 0) continue;
        for (; bits != 0; bits &= bits - 1) {
            const int64_t token = i + __builtin_ctz(bits);
            if (token >= vocabulary) break;
            const float log = norm.of(x[token]);
            best.consider(before + double(log), log, token, parent);
        }
        low = bar(best.least(), before, norm);
    }
}

}  // namespace

void weigh(const Weighing& weighing) {
    Workers::all().run(int(weighing.threads), [&](Team& team, int) {
        team.share(weighing.sentences, [&](int64_t sentence) {
            Best best(weighing, sentence);
            for (int64_t beam = 0; beam < weighing.beams; ++beam) {
                const int64_t row = sentence * weighing.beams + beam;
                weigh_row(best, weighing.logits + row * weighing.vocabulary, weighing.vocabulary, weighing.before[row], beam);
            }
            best.close();
        });
    });
}

}  // namespace glassformer
