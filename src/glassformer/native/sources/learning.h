// What training computes besides products: gelu by tanh, dropout, the weights of attention, forwards and backwards; and
// the steps of tables.
//
// Each is one pass over memory. Whether a number is dropped is a function of a seed and of its place alone, so that the
// way back draws the same fates anew and nothing of them is kept.
#pragma once
#include <cstdint>

namespace glassformer {

enum Stored { FLOATS = 0, HALVES };  // float32; bfloat16: how the numbers of a tensor are stored

// Some numbers are zero, the others are multiplied: `zeros` of 2^16 on average are dropped, `keep` makes up for them.
struct Fate {
    int64_t zeros;
    float keep;
    uint64_t seed;
};

// Scores (batches, heads, queries, keys) as they are in memory, and what is added to them at (b, h, q): from
// b * strides[0] + h * strides[1] + q * strides[2] on, in the same kind of number; null: nothing. Where `causal`, the
// last query sees every key, each before it one less.
struct Scores {
    int64_t batches, heads, queries, keys;
    const void* added;
    int64_t strides[3];
    int64_t causal;
    float scale;
};

void gelu_tanh(Stored kind, const void* x, void* y, int64_t count, int threads);

// The gradient with respect to x, from the one with respect to what was made of it.
void gelu_tanh_back(Stored kind, const void* x, const void* gradient, void* y, int64_t count, int threads);

void drop(Stored kind, const void* x, void* y, int64_t count, const Fate& fate, int threads);

// y = stream + x, of which some is dropped; stream and y are float32.
void drop_onto(Stored kind, const float* stream, const void* x, float* y, int64_t count, const Fate& fate, int threads);

// The way back of it with respect to x.
void drop_back(Stored kind, const float* gradient, void* y, int64_t count, const Fate& fate, int threads);

// weights = softmax(scale * scores + added); `dropped` are the same with some dropped, and not asked for where none is.
void weigh(Stored kind, const Scores& scores, const void* x, void* weights, void* dropped, const Fate& fate, int threads);

// The gradient with respect to the scores, from the one with respect to what `weigh` gave last.
void weigh_back(Stored kind, const Scores& scores, const void* weights, const void* gradient, void* y, const Fate& fate,
                int threads);

// Whether the processor multiplies pairs of bfloat16: what follows is there for those that do.
bool has_pairs();

// Columns of x (rows, size) as rows, and the sum of each: of the gradient of what a linear map made, what those of its
// weight and its bias are made of. A row of `turned` begins on a boundary of a cache line and takes `turned_width` numbers.
void turn_columns(const void* x, int64_t rows, int64_t size, void* turned, float* sums, int threads);
int64_t turned_width(int64_t rows);

// Where the numbers of a tensor (batches, heads, rows, size) in bfloat16 are: those of a row side by side, the others so
// many numbers apart.
struct Rows {
    void* at;
    int64_t batch, head, row;
};

// What attention reads and makes: queries, keys and values, what is mixed of the values, and the weights, row after row
// (each as many numbers as `attention_width` says, zero behind the last key).
struct Mix {
    int64_t size;  // numbers of a row of queries, keys or values
    Rows query, key, value, mixed;
    void* weights;
};

// Whether `attend` can be used with rows of so many numbers.
bool attends(int64_t size);

// Numbers that a row of weights of so many keys takes.
int64_t attention_width(int64_t keys);

// From queries, keys and values to what is mixed, and its weights, in one go: nothing is laid out anew in memory.
void attend(const Scores& scores, const Mix& mix, const Fate& fate, int threads);

// The way back: from the gradient with respect to what was mixed, which `gradients` brings, to those with respect to
// queries, keys and values.
void attend_back(const Scores& scores, const Mix& mix, const Mix& gradients, const Fate& fate, int threads);

// A step of AdamW (Loshchilov and Hutter 2019), by its factors: what is left of a value; how much of a gradient comes into
// its mean; how much of the mean square stays and how much of a square comes in; what makes up, in its root, for the start
// at zero; what keeps the division finite; how far to go.
struct Adam {
    float decay, new_mean, old_square, new_square, root_left, eps, rate;
};

// A table (rows, size) and its moments, of which `count` rows, `ids` in order, have a gradient. `moved`: 1 for the rows
// whose moments are not zero. All others only decay, and their moments are not read.
struct Table {
    int64_t rows, size, count;
    const int64_t* ids;
    const float* gradient;
    float *values, *mean, *square;
    uint8_t* moved;
};

void step_table(const Adam& adam, const Table& table, int threads);

}  // namespace glassformer
