// The best continuations of sentences that a search weighs, straight from logits.
#pragma once
#include <cstdint>

namespace glassformer {

extern "C" {

// See nn/twin.py. Each sentence has `beams` rows of logits side by side; what is found stands sentence by sentence,
// best first, `width` of each, which are no more than it has.
struct Weighing {
    int64_t sentences, beams, width, vocabulary, threads;
    const float* logits;
    const double* before;  // the score of each row so far
    int32_t *tokens, *parents;
    double* totals;
    float* log_probabilities;
};
}

void weigh(const Weighing& weighing);

}  // namespace glassformer
