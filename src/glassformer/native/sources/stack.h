// A stack of layers as numbers and packed maps, what it keeps between steps, and one step of it.
//
// Rows of a batch stand one after the other without padding: row r has lengths[r] new tokens. A token's position is its
// number in its row, as everywhere in this library.
#pragma once
#include <memory>
#include <mutex>
#include <vector>

#include "linear.h"
#include "team.h"

namespace glassformer {

// ---------------------------------------------------------------- what Python fills in; see native/library.py

extern "C" {

struct Sizes {
    int64_t d_model, heads, groups, head_size, padded_head, vocabulary, embedding_width, rotary_size;
    int64_t causal, norm_first, parallel, gated, activation, norm, output_activation;
    float norm_eps, attention_scale, embedding_scale, output_scale;
};

struct NormPart {
    const float *weight, *bias;  // both null: no norm
};

struct AttentionPart {
    const Linear *query, *key_value, *output;  // a text's own attention has query, key and value in `query`
    NormPart query_norm, key_norm;
};

struct LayerPart {
    AttentionPart self, cross;  // without a source, cross.query is null
    NormPart self_norm, cross_norm, feed_forward_norm;
    const Linear *up, *down;  // gated: gate, then up
    int64_t window;
};

struct Ends {
    const float *tokens, *segments;  // tables: (V, E), (S, E)
    NormPart embedding_norm, final_norm, transform_norm;
    const Linear *projection, *transform, *output;
};

// Tables that grow with the longest text so far.
struct Places {
    const float *rows;          // (reach, E), added to the tokens
    const float *cosines, *sines;  // (reach, rotary_size / 2)
    const float *bias;          // (heads, 2 * reach - 1), by distance
    int64_t reach;
};
}

// Pages that a search has done with, for the next one: new memory costs the system more than what is written there.
class Spare {
public:
    Block take(size_t bytes) {
        std::lock_guard<std::mutex> hold(in_use);
        if (pages.empty()) return Block(bytes);
        Block page = std::move(pages.back());
        pages.pop_back();
        return page;
    }
    void put(std::vector<Block>& done) {
        std::lock_guard<std::mutex> hold(in_use);
        for (Block& page : done)
            if ((pages.size() + 1) * page.size() <= MOST_BYTES) pages.push_back(std::move(page));
        done.clear();
    }

private:
    static constexpr size_t MOST_BYTES = 32 << 20;
    std::mutex in_use;
    std::vector<Block> pages;
};

// Rows for everything on the way; grown when needed.
struct Space {
    Block stream, normed, projected, mixed, wide, active, top, transformed, input;
    std::vector<Block> of_threads;
};

struct Stack {
    Sizes sizes;
    Ends ends;
    Places places{};
    std::vector<LayerPart> layers;

    std::mutex in_use;          // one step at a time
    std::vector<Space> spaces;  // one a thread; threads that walk together use the first
    std::shared_ptr<Spare> spare = std::make_shared<Spare>();

    int64_t entry() const { return 2 * sizes.groups * sizes.padded_head; }  // numbers of a key and a value
};

// The keys and values of encoded sources, for each layer that reads them.
struct Source {
    std::vector<int64_t> starts, lengths;
    std::vector<Block> kept;  // one a layer: a key and a value for each token
};

// The keys and values of what has been read. Each token's are written once and never moved: a row is a list of numbers
// of entries, so rows are dropped, repeated and put in another order by copying lists.
struct Past {
    static constexpr int64_t PAGE = 64;  // entries that are allotted at once

    explicit Past(std::shared_ptr<Spare> spare) : spare(std::move(spare)) {}
    ~Past() {
        for (std::vector<Block>& each : pages) spare->put(each);
    }
    std::shared_ptr<Spare> spare;  // the stack's

    std::vector<std::vector<int32_t>> rows;
    std::vector<std::vector<Block>> pages;  // one list a layer
    bool keeps = true;                      // false: for one step alone, which reads keys and values where they were made
    int64_t used = 0;
    const Source* source = nullptr;
    std::vector<int32_t> sources;  // which source each row reads
    const Linear* output = nullptr;  // the head's rows that are asked for alone; null: all of them

    float* at(size_t layer, int32_t entry, int64_t size) const {
        return pages[layer][entry / PAGE].as<float>() + entry % PAGE * size;
    }
};

struct Step {
    int64_t rows;
    const int64_t *lengths, *ids, *segments;  // segments may be null
    Past* past;
    float *hidden;   // (tokens, C), or null
    float *logits;   // (rows or tokens, as many as the head has rows), or null
    int64_t each;    // logits of every token, not of the last one of each row alone
    int64_t threads;
};

void run(Stack& stack, const Step& step);
int64_t parcels(const int64_t* lengths, int64_t rows, int64_t threads);  // how many a step is taken apart into
void read_source(Stack& stack, Source& source, const float* memory, int64_t threads);

void normalize(const Sizes& sizes, const NormPart& norm, const float* x, int64_t size, float* y);

}  // namespace glassformer
