// One step of a whole stack. All threads walk through it together and meet where one needs what others made; where there
// are rows enough, each takes some of them through all layers alone.
#include "stack.h"

#include <atomic>
#include <numeric>

#include "attention.h"

namespace glassformer {

enum Norm { NO_NORM = 0, LAYER_NORM, RMS_NORM };

constexpr int64_t LITTLE = 12'288;    // numbers that each thread rather computes for itself than waits for
constexpr int64_t PANEL = 128;        // rows of x that go through all of W before the next ones do
constexpr int64_t ALONE = 128;        // new tokens that a thread takes through all layers at once
constexpr int64_t LEAST_ALONE = 64;   // fewer for each thread do not pay for reading all weights
constexpr double MOST_UNEQUAL = 1.1;  // what the busiest thread may have to do, over its fair share

void normalize(const Sizes& sizes, const NormPart& norm, const float* x, int64_t size, float* y) {
    const int64_t whole = size / WIDE * WIDE;
    Floats sums = splat(0.0f);
    float mean = 0, rest = 0;
    if (sizes.norm == LAYER_NORM) {
        for (int64_t i = 0; i < whole; i += WIDE) sums += load<Floats>(x + i);
        for (int64_t i = whole; i < size; ++i) rest += x[i];
        mean = (sum(sums) + rest) / float(size);
        sums = splat(0.0f), rest = 0;
    }
    for (int64_t i = 0; i < whole; i += WIDE) {
        const Floats from_mean = load<Floats>(x + i) - splat(mean);
        sums += from_mean * from_mean;
    }
    for (int64_t i = whole; i < size; ++i) rest += (x[i] - mean) * (x[i] - mean);
    const float scale = 1.0f / std::sqrt((sum(sums) + rest) / float(size) + sizes.norm_eps);
    const float* bias = norm.bias;
    for (int64_t i = 0; i < whole; i += WIDE) {
        const Floats made = (load<Floats>(x + i) - splat(mean)) * splat(scale) * load<Floats>(norm.weight + i);
        store(y + i, bias == nullptr ? made : made + load<Floats>(bias + i));
    }
    for (int64_t i = whole; i < size; ++i) y[i] = (x[i] - mean) * scale * norm.weight[i] + (bias == nullptr ? 0 : bias[i]);
}

namespace {

// Rows of numbers side by side.
struct Rows {
    float* at;
    int64_t stride;
    float* operator[](int64_t row) const { return at + row * stride; }
};

Rows rows_in(Block& block, int64_t rows, int64_t width) {
    const int64_t stride = rounded_up(width, WIDE);
    block.reserve(rows * stride * 4);
    return {block.as<float>(), stride};
}

// What one thread has for itself.
struct Own {
    Rows normed, active;
    char* input;
    float* scores;
    std::vector<const float*> entries{};  // where the keys of `row` are in `layer`
    int64_t layer = -1, row = -1;
};

// Some rows of a step, one after the other.
struct Parcel {
    int64_t row, rows;      // the first of them, and how many
    int64_t token, tokens;  // the same of their new tokens
};

// A walk of one or several threads through all layers with the rows of a parcel. The entries of the new tokens are there.
class Run {
public:
    Run(Stack& stack, Space& space, const Step& all, const Parcel& parcel, int64_t threads)
        : stack(stack), space(space), sizes(stack.sizes), step(part_of(stack, all, parcel, threads)), past(*all.past),
          held(past.rows.data() + parcel.row), sources(past.sources.data() + parcel.row), size(stack.sizes.padded_head),
          together(int(stack.sizes.heads / stack.sizes.groups)) {
        for (int64_t r = 0; r < step.rows; ++r) {
            starts.push_back(tokens);
            before.push_back(int64_t(held[r].size()) - step.lengths[r]);
            row_of.insert(row_of.end(), step.lengths[r], r);
            tokens += step.lengths[r];
            longest = std::max(longest, int64_t(held[r].size()));
        }
        single = std::all_of(step.lengths, step.lengths + step.rows, [](int64_t length) { return length == 1; });
        make_room();
    }

    void walk(Team& team, int number) {
        Own& own = owned[number];
        embed(team, own);
        for (size_t l = 0; l < stack.layers.size(); ++l) layer(team, own, l);
        finish(team, own);
    }

private:
    Stack& stack;
    Space& space;
    const Sizes& sizes;
    const Step step;  // of the parcel alone
    Past& past;
    const std::vector<int32_t>* held;  // the entries of each row
    const int32_t* sources;            // which source it reads
    const int64_t size;  // of a head, padded
    const int together;  // heads that share keys and values
    const int64_t apart = sizes.groups * size;  // from a key to its value
    int64_t tokens = 0, longest = 0, sources_longest = 0;
    bool single;  // one new token in each row
    // Whether attention multiplies rounded numbers, as the maps do; not where more may follow, which has to be the same
    // whether it is read token by token or at once.
    const bool rounds = !past.keeps && stack.layers.front().self.output->kind != FLOAT32;
    std::vector<int64_t> starts, before, row_of;
    Rows x, normed, projected, mixed, wide, active, top, transformed;
    std::vector<Own> owned;

    static Step part_of(const Stack& stack, Step step, const Parcel& parcel, int64_t threads) {
        step.rows = parcel.rows, step.threads = threads;
        step.lengths += parcel.row, step.ids += parcel.token;
        if (step.segments != nullptr) step.segments += parcel.token;
        if (step.hidden != nullptr) step.hidden += parcel.token * stack.sizes.d_model;
        if (step.logits != nullptr)
            step.logits += (step.each ? parcel.token : parcel.row) * head_of(stack, *step.past).n;
        return step;
    }

    static const Linear& head_of(const Stack& stack, const Past& past) {
        return past.output != nullptr ? *past.output : *stack.ends.output;
    }

    void make_room() {
        int64_t widest = sizes.d_model, projected_width = 1, wide_width = 1, input_bytes = 64;
        const auto fits = [&](const Linear* linear) {
            if (linear == nullptr) return;
            widest = std::max(widest, linear->k);
            input_bytes = std::max<int64_t>(input_bytes, input_size(linear->kind, tokens, linear->k));
        };
        for (const LayerPart& part : stack.layers) {
            for (const Linear* each : {part.self.query, part.self.output, part.cross.query, part.cross.output, part.up,
                                       part.down})
                fits(each);
            projected_width = std::max(projected_width, part.self.query->n);
            wide_width = std::max(wide_width, part.up->n);
        }
        for (const Linear* each : {stack.ends.projection, stack.ends.transform, stack.ends.output}) fits(each);
        x = rows_in(space.stream, tokens, std::max(sizes.d_model, sizes.embedding_width));
        normed = rows_in(space.normed, tokens, std::max(sizes.d_model, sizes.embedding_width));
        projected = rows_in(space.projected, tokens, projected_width);
        mixed = rows_in(space.mixed, tokens, sizes.heads * size);
        wide = rows_in(space.wide, tokens, wide_width);
        active = rows_in(space.active, tokens, sizes.gated ? wide_width / 2 : 1);
        top = rows_in(space.top, tokens, sizes.d_model);
        transformed = rows_in(space.transformed, tokens, std::max(sizes.d_model, sizes.embedding_width));
        space.input.reserve(input_bytes);
        if (past.source != nullptr)
            for (const int64_t length : past.source->lengths) sources_longest = std::max(sources_longest, length);
        make_private_room(input_bytes, wide_width);
    }

    void make_private_room(int64_t input_bytes, int64_t wide_width) {
        const int64_t width = rounded_up(std::max(sizes.d_model, sizes.embedding_width), WIDE);
        const int64_t gated = sizes.gated ? rounded_up(wide_width / 2, WIDE) : 0;
        int64_t narrowest = std::min(sizes.d_model, sizes.embedding_width);
        if (sizes.gated) narrowest = std::min(narrowest, wide_width / 2);
        const int64_t rows = std::min(tokens, LITTLE / narrowest + 1);
        const int64_t scores = attention_space(std::max(longest, sources_longest), size);
        const int64_t numbers = rows * (width + gated) + scores / 4 + 4 * WIDE;
        if (int64_t(space.of_threads.size()) < step.threads) space.of_threads.resize(step.threads);
        for (int64_t i = 0; i < step.threads; ++i) {
            Block& block = space.of_threads[i];
            block.reserve(numbers * 4 + input_bytes);
            float* at = block.as<float>();
            Own own{{at, width}, {at + rows * width, gated}, nullptr, at + rows * (width + gated), {}, -1, -1};
            own.input = reinterpret_cast<char*>(own.scores + rounded_up(scores / 4, WIDE));
            owned.push_back(own);
            owned.back().entries.reserve(std::max(longest, sources_longest));  // so that no thread runs out of memory
        }
    }

    bool known(const NormPart& norm) const { return norm.weight != nullptr; }

    // ------------------------------------------------------------ the pieces that a layer is made of

    // Rows of `from`, normed if a norm is given, as the kernels of `kind` read them. Few of them each thread makes for
    // itself, which is quicker than to wait; `result` is where the normed rows are.
    Input ready(Team& team, Own& own, Rows from, int64_t rows, int64_t width, const NormPart* norm, Kind kind, Rows* result) {
        const bool alone = rows * width <= LITTLE || team.size == 1;
        const bool small = rows * width <= LITTLE;
        Rows made = norm == nullptr ? from : small ? own.normed : normed;
        char* to = small ? own.input : space.input.as<char>();
        const Input input = input_in(to, kind, rows, width, made.at, made.stride);
        const auto one = [&](int64_t m) {
            if (norm != nullptr) normalize(sizes, *norm, from[m], width, made[m]);
            convert(input, m, made[m], width);
        };
        if (alone) {
            for (int64_t m = 0; m < rows; ++m) one(m);
        } else {
            if (norm != nullptr || kind != FLOAT32) team.share(rows, one), team.meet();
        }
        if (result != nullptr) *result = made;
        return input;
    }

    // W x for all rows, a band of W and a panel of x at a time.
    void spread(Team& team, const Linear& linear, const Input& input, int64_t rows, const Output& output) {
        const int64_t panels = (rows + PANEL - 1) / PANEL, bands = linear.bands();
        team.share(panels * bands, [&](int64_t item) {
            const int64_t panel = item / bands;
            multiply(linear, item % bands, input, panel * rows / panels, (panel + 1) * rows / panels, output);
        });
    }

    Output added_to_stream(Rows base) const { return {x.at, x.stride, NONE, base.at, base.stride}; }

    // ------------------------------------------------------------ embedding

    void embed(Team& team, Own& own) {
        const Ends& ends = stack.ends;
        const int64_t width = sizes.embedding_width;
        const Rows to = ends.projection == nullptr ? x : normed;
        team.share(tokens, [&](int64_t t) {
            const int64_t r = row_of[t], position = before[r] + t - starts[r];
            const float* token = ends.tokens + step.ids[t] * width;
            float* row = to[t];
            for (int64_t i = 0; i < width; ++i) row[i] = token[i] * sizes.embedding_scale;
            if (ends.segments != nullptr) {
                const float* segment = ends.segments + (step.segments == nullptr ? 0 : step.segments[t]) * width;
                for (int64_t i = 0; i < width; ++i) row[i] += segment[i];
            }
            if (stack.places.rows != nullptr) {
                const float* place = stack.places.rows + position * width;
                for (int64_t i = 0; i < width; ++i) row[i] += place[i];
            }
            if (known(ends.embedding_norm)) normalize(sizes, ends.embedding_norm, row, width, row);
        });
        team.meet();
        if (ends.projection == nullptr) return;
        const Input input = ready(team, own, normed, tokens, width, nullptr, ends.projection->kind, nullptr);
        spread(team, *ends.projection, input, tokens, {x.at, x.stride});
        team.meet();
    }

    // ------------------------------------------------------------ a layer

    // The norm that stands before what reads the stream: the sub-layer's own, or the one that closed the last sub-layer.
    const NormPart* before_reading(const NormPart& own, const NormPart* closing) const {
        const NormPart* norm = sizes.norm_first ? &own : closing;
        return norm != nullptr && known(*norm) ? norm : nullptr;
    }

    void layer(Team& team, Own& own, size_t l) {
        const LayerPart& part = stack.layers[l];
        const NormPart* closing = l == 0 ? nullptr : &stack.layers[l - 1].feed_forward_norm;
        Rows read;
        const NormPart* norm = before_reading(part.self_norm, closing);
        const Input input = ready(team, own, x, tokens, sizes.d_model, norm, part.self.query->kind, &read);
        spread(team, *part.self.query, input, tokens, {projected.at, projected.stride});
        team.meet();
        attend_to_itself(team, own, l);
        if (sizes.parallel) return side_by_side(team, own, part, read);
        close_attention(team, own, *part.self.output, sizes.norm_first ? x : read);
        closing = &part.self_norm;
        if (part.cross.query != nullptr) {
            attend_to_source(team, own, l, before_reading(part.cross_norm, closing));
            closing = &part.cross_norm;
        }
        feed_forward(team, own, part, before_reading(part.feed_forward_norm, closing));
    }

    void close_attention(Team& team, Own& own, const Linear& output, Rows base) {
        const Input input = ready(team, own, mixed, tokens, sizes.heads * size, nullptr, output.kind, nullptr);
        spread(team, output, input, tokens, added_to_stream(base));
        team.meet();
    }

    void side_by_side(Team& team, Own& own, const LayerPart& part, Rows read) {
        if (known(part.feed_forward_norm)) {
            const Input input = ready(team, own, x, tokens, sizes.d_model, &part.feed_forward_norm, part.up->kind, nullptr);
            think(team, own, part, input);
        } else {
            think(team, own, part, ready(team, own, read, tokens, sizes.d_model, nullptr, part.up->kind, nullptr));
        }
        close_attention(team, own, *part.self.output, x);
        close_feed_forward(team, own, part, x);
    }

    void feed_forward(Team& team, Own& own, const LayerPart& part, const NormPart* norm) {
        Rows read;
        think(team, own, part, ready(team, own, x, tokens, sizes.d_model, norm, part.up->kind, &read));
        close_feed_forward(team, own, part, sizes.norm_first ? x : read);
    }

    void think(Team& team, Own&, const LayerPart& part, const Input& input) {
        const int activation = sizes.gated ? int(NONE) : int(sizes.activation);
        spread(team, *part.up, input, tokens, {wide.at, wide.stride, activation});
        team.meet();
    }

    void close_feed_forward(Team& team, Own& own, const LayerPart& part, Rows base) {
        const int64_t width = part.down->k;
        Rows from = wide;
        if (sizes.gated) {
            const bool small = tokens * width <= LITTLE;
            from = small ? own.active : active;
            const auto one = [&](int64_t t) {
                const float *gate = wide[t], *up = gate + width;
                int64_t i = 0;
                for (; i + WIDE <= width; i += WIDE)
                    store(from[t] + i, activated(int(sizes.activation), load<Floats>(gate + i)) * load<Floats>(up + i));
                for (; i < width; ++i) from[t][i] = activated(int(sizes.activation), splat(gate[i]))[0] * up[i];
            };
            if (small) {
                for (int64_t t = 0; t < tokens; ++t) one(t);
            } else {
                team.share(tokens, one);
                team.meet();
            }
        }
        const Input input = ready(team, own, from, tokens, width, nullptr, part.down->kind, nullptr);
        spread(team, *part.down, input, tokens, added_to_stream(base));
        team.meet();
    }

    // ------------------------------------------------------------ attention

    // A query or a key as the scores want it: normed, then turned by its position.
    void placed(float* head, const NormPart& norm, int64_t position, bool turns) const {
        if (known(norm)) normalize(sizes, norm, head, sizes.head_size, head);
        if (!turns || stack.places.cosines == nullptr) return;
        const int64_t half = sizes.rotary_size / 2;
        const float *cosines = stack.places.cosines + position * half, *sines = stack.places.sines + position * half;
        for (int64_t i = 0; i < half; ++i) {
            const float left = head[i], right = head[half + i];
            head[i] = left * cosines[i] - right * sines[i];
            head[half + i] = right * cosines[i] + left * sines[i];
        }
    }

    // The queries of a group of heads at one token, ready, and its key; key and value are kept for later steps.
    void place(size_t l, int64_t t, int64_t group) {
        const AttentionPart& part = stack.layers[l].self;
        const int64_t r = row_of[t], position = before[r] + t - starts[r];
        float* row = projected[t];
        for (int h = 0; h < together; ++h) placed(row + (group * together + h) * size, part.query_norm, position, true);
        float* key = row + (sizes.heads + group) * size;
        placed(key, part.key_norm, position, true);
        if (!past.keeps) return;
        float* kept = past.at(l, held[r][position], stack.entry()) + group * size;
        std::memcpy(kept, key, size * 4);
        std::memcpy(kept + sizes.groups * size, key + sizes.groups * size, size * 4);
    }

    Sight sight_of(size_t l, int64_t group) const {
        Sight sight{sizes.attention_scale, sizes.causal != 0, stack.layers[l].window, nullptr, 0};
        if (stack.places.bias != nullptr) {
            sight.bias_heads = 2 * stack.places.reach - 1;
            sight.bias = stack.places.bias + group * together * sight.bias_heads + stack.places.reach - 1;
        }
        return sight;
    }

    // Found once for all heads of a row that a thread takes.
    const float* const* entries_of(Own& own, size_t l, int64_t r) const {
        if (own.layer != int64_t(l) || own.row != r) {
            const std::vector<int32_t>& row = held[r];
            own.entries.resize(row.size());
            for (size_t p = 0; p < row.size(); ++p) own.entries[p] = past.at(l, row[p], stack.entry());
            own.layer = int64_t(l), own.row = r;
        }
        return own.entries.data();
    }

    void attend_to_itself(Team& team, Own& own, size_t l) {
        const AttentionPart& part = stack.layers[l].self;
        const bool placing = past.keeps || stack.places.cosines != nullptr || known(part.query_norm) || known(part.key_norm);
        if (placing && !single) {
            team.share(tokens * sizes.groups, [&](int64_t i) { place(l, i / sizes.groups, i % sizes.groups); });
            team.meet();
        }
        team.share(step.rows * sizes.groups, [&](int64_t i) {
            const int64_t r = i / sizes.groups, group = i % sizes.groups;
            if (placing && single) place(l, r, group);
            if (past.keeps) {
                const float* const* entries = entries_of(own, l, r);
                const auto keys = [=, offset = group * size](int64_t p) { return entries[p] + offset; };
                attend(own, r, group, keys, int64_t(held[r].size()), before[r], sight_of(l, group));
            } else {
                const Rows made{projected[starts[r]] + (sizes.heads + group) * size, projected.stride};
                const auto keys = [=](int64_t p) { return made[p]; };
                attend(own, r, group, keys, step.lengths[r], 0, sight_of(l, group));
            }
        });
        team.meet();
    }

    void attend_to_source(Team& team, Own& own, size_t l, const NormPart* norm) {
        const AttentionPart& part = stack.layers[l].cross;
        Rows read;
        const Input input = ready(team, own, x, tokens, sizes.d_model, norm, part.query->kind, &read);
        spread(team, *part.query, input, tokens, {projected.at, projected.stride});
        team.meet();
        const float* kept = past.source->kept[l].as<float>();
        team.share(step.rows * sizes.groups, [&](int64_t i) {
            const int64_t r = i / sizes.groups, group = i % sizes.groups, source = sources[r];
            for (int64_t t = starts[r]; t < starts[r] + step.lengths[r]; ++t)
                for (int h = 0; h < together; ++h)
                    placed(projected[t] + (group * together + h) * size, part.query_norm, 0, false);
            const float* first = kept + past.source->starts[source] * stack.entry() + group * size;
            const auto keys = [&](int64_t p) { return first + p * stack.entry(); };
            attend(own, r, group, keys, past.source->lengths[source], 0, {sizes.attention_scale, false, 0, nullptr, 0});
        });
        team.meet();
        close_attention(team, own, *part.output, sizes.norm_first ? x : read);
    }

    template <class Keys>
    void attend(Own& own, int64_t r, int64_t group, const Keys& keys, int64_t count, int64_t position, const Sight& sight) {
        const int64_t first = starts[r], queries = step.lengths[r], head = group * together * size;
        if (queries > 2) {
            const auto many = rounds ? attend_many<Pairs, Keys> : attend_many<Singles, Keys>;
            many(projected[first] + head, projected.stride, queries, together, size, keys, apart, count, position, sight,
                 own.scores, mixed[first] + head, mixed.stride);
            return;
        }
        for (int64_t q = 0; q < queries; ++q)
            attend_one(projected[first + q] + head, together, size, keys, apart, count, position + q, sight, own.scores,
                       mixed[first + q] + head);
    }

    // ------------------------------------------------------------ what comes out

    void finish(Team& team, Own& own) {
        const NormPart* closing = sizes.norm_first ? nullptr : &stack.layers.back().feed_forward_norm;
        team.share(tokens, [&](int64_t t) {
            const int64_t r = row_of[t];
            float* row = x[t];
            if (closing != nullptr && known(*closing)) normalize(sizes, *closing, row, sizes.d_model, row);
            if (known(stack.ends.final_norm)) normalize(sizes, stack.ends.final_norm, row, sizes.d_model, row);
            if (step.hidden != nullptr) std::memcpy(step.hidden + t * sizes.d_model, row, sizes.d_model * 4);
            const bool last = t == starts[r] + step.lengths[r] - 1;
            if (!step.each && !last) return;
            float* to = top[step.each ? t : r];
            for (int64_t i = 0; i < sizes.d_model; ++i) to[i] = row[i] * sizes.output_scale;
        });
        team.meet();
        if (step.logits == nullptr) return;
        const int64_t rows = step.each ? tokens : step.rows;
        Rows from = top;
        int64_t width = sizes.d_model;
        const NormPart* norm = nullptr;
        if (const Linear* transform = stack.ends.transform) {
            const Input input = ready(team, own, top, rows, width, nullptr, transform->kind, nullptr);
            spread(team, *transform, input, rows, {transformed.at, transformed.stride, int(sizes.output_activation)});
            team.meet();
            from = transformed, width = transform->n;
            if (known(stack.ends.transform_norm)) norm = &stack.ends.transform_norm;
        }
        const Linear& output = head_of(stack, past);
        const Input input = ready(team, own, from, rows, width, norm, output.kind, nullptr);
        spread(team, output, input, rows, {step.logits, output.n});
        team.meet();
    }
};

// The numbers of the entries of all new tokens.
void make_entries(const Step& step) {
    Past& past = *step.past;
    for (int64_t r = 0; r < step.rows; ++r) past.rows[r].reserve(past.rows[r].size() + step.lengths[r]);
    for (int64_t r = 0; r < step.rows; ++r)
        for (int64_t i = 0; i < step.lengths[r]; ++i) past.rows[r].push_back(int32_t(past.used++));
}

void make_pages(Stack& stack, Past& past) {
    const int64_t pages = past.keeps ? rounded_up(past.used, Past::PAGE) / Past::PAGE : 0;
    for (auto& layer : past.pages)
        while (int64_t(layer.size()) < pages) layer.push_back(past.spare->take(Past::PAGE * stack.entry() * 4));
}

// As if the step had not been: what was not made must not be read.
void forget(const Step& step) {
    Past& past = *step.past;
    for (int64_t r = 0; r < step.rows; ++r) {
        past.rows[r].resize(past.rows[r].size() - step.lengths[r]);
        past.used -= step.lengths[r];
    }
}

// Rows that threads take through all layers alone, without meeting, so that what is made on the way stays in their
// caches; a single parcel if they had better walk together: where there is little to do for each, or too unequal.
std::vector<Parcel> parcels_of(const int64_t* lengths, int64_t rows, int64_t threads) {
    const int64_t tokens = std::accumulate(lengths, lengths + rows, int64_t(0));
    const std::vector<Parcel> whole{{0, rows, 0, tokens}};
    if (tokens < LEAST_ALONE * threads || (threads == 1 && tokens < 2 * ALONE)) return whole;
    const int64_t wanted = rounded_up((tokens + ALONE - 1) / ALONE, threads);  // as many for each thread
    std::vector<Parcel> parcels;
    for (int64_t r = 0, before = 0; r < rows; before += lengths[r++]) {
        if (before * wanted >= int64_t(parcels.size()) * tokens) parcels.push_back({r, 0, before, 0});
        ++parcels.back().rows;
        parcels.back().tokens += lengths[r];
    }
    std::vector<int64_t> taken(threads);  // by each thread, if the first one that is free takes the next parcel
    for (const Parcel& parcel : parcels) *std::min_element(taken.begin(), taken.end()) += parcel.tokens;
    const bool equal = *std::max_element(taken.begin(), taken.end()) * threads <= tokens * MOST_UNEQUAL;
    return equal ? parcels : whole;
}

void walk(Stack& stack, const Step& step) {
    const std::vector<Parcel> parcels = parcels_of(step.lengths, step.rows, step.threads);
    if (parcels.size() == 1) {
        Run together(stack, stack.spaces[0], step, parcels[0], step.threads);
        Workers::all().run(int(step.threads), [&](Team& team, int number) { together.walk(team, number); });
        return;
    }
    std::atomic<bool> failed{false};
    Workers::all().run(int(step.threads), [&](Team& team, int number) {
        team.share(int64_t(parcels.size()), [&](int64_t i) {
            try {
                Team alone(1);
                Run(stack, stack.spaces[number], step, parcels[i], 1).walk(alone, 0);
            } catch (const std::exception&) {
                failed = true;
            }
        });
    });
    if (failed) throw std::bad_alloc();
}

}  // namespace

int64_t parcels(const int64_t* lengths, int64_t rows, int64_t threads) {
    return int64_t(parcels_of(lengths, rows, threads).size());
}

void run(Stack& stack, const Step& step) {
    std::lock_guard<std::mutex> hold(stack.in_use);
    if (int64_t(stack.spaces.size()) < step.threads) stack.spaces.resize(step.threads);
    make_entries(step);
    try {
        make_pages(stack, *step.past);
        walk(stack, step);
    } catch (...) {
        forget(step);
        throw;
    }
}

void read_source(Stack& stack, Source& source, const float* memory, int64_t threads) {
    const Sizes& sizes = stack.sizes;
    const int64_t tokens = source.starts.back() + source.lengths.back();
    std::lock_guard<std::mutex> hold(stack.in_use);
    if (stack.spaces.empty()) stack.spaces.resize(1);
    Block& room = stack.spaces[0].input;
    for (const LayerPart& part : stack.layers) {
        const Linear& map = *part.cross.key_value;
        source.kept.emplace_back(tokens * stack.entry() * 4);
        float* kept = source.kept.back().as<float>();
        room.reserve(input_size(map.kind, tokens, map.k));
        const Input input = input_in(room.as<char>(), map.kind, tokens, map.k, memory, sizes.d_model);
        const int64_t panels = (tokens + PANEL - 1) / PANEL;
        Workers::all().run(int(threads), [&](Team& team, int) {
            team.share(tokens, [&](int64_t t) { convert(input, t, memory + t * sizes.d_model, map.k); });
            team.meet();
            team.share(panels * map.bands(), [&](int64_t item) {
                const int64_t panel = item / map.bands();
                multiply(map, item % map.bands(), input, panel * tokens / panels, (panel + 1) * tokens / panels,
                         {kept, stack.entry()});
            });
            if (part.cross.key_norm.weight == nullptr) return;
            team.meet();
            team.share(tokens, [&](int64_t t) {
                for (int64_t group = 0; group < sizes.groups; ++group) {
                    float* key = kept + t * stack.entry() + group * sizes.padded_head;
                    normalize(sizes, part.cross.key_norm, key, sizes.head_size, key);
                }
            });
        });
    }
}

}  // namespace glassformer
