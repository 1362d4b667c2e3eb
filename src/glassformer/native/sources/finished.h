// What a map's sums become: scaled back, moved by the bias, through the activation, added to the residual.
#pragma once
#include "linear.h"

namespace glassformer {

// The sixteen outputs of one block of W.
template <int KIND>
class Finished {
public:
    Finished(const Linear& linear, int64_t block, const Output& out)
        : out(out), start(block * WIDE), left(linear.n - start), bias(load<Floats>(linear.biases.as<float>() + start)) {
        if constexpr (KIND == INT8) scale = load<Floats>(linear.scales.as<float>() + start);
    }

    bool empty() const { return left <= 0; }

    void row(int64_t m, Floats sums) const {
        const Floats made = activated(out.activation, KIND == INT8 ? sums * scale + bias : sums + bias);
        float* y = out.y + m * out.stride + start;
        const float* residual = out.residual == nullptr ? nullptr : out.residual + m * out.residual_stride + start;
        if (left >= WIDE)
            store(y, residual == nullptr ? made : made + load<Floats>(residual));
        else
            for (int i = 0; i < left; ++i) y[i] = residual == nullptr ? made[i] : made[i] + residual[i];
    }

private:
    const Output out;  // a copy: y may be anything, so that a pointer to it would be read again after every store
    const int64_t start, left;
    const Floats bias;
    Floats scale = {};
};

}  // namespace glassformer
