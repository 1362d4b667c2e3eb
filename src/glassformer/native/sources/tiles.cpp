#include "tiles.h"

#ifdef __AMX_TILE__
#include <algorithm>

#include "finished.h"

namespace glassformer {

namespace {

constexpr int64_t TILE = 64;      // bytes of a row of a tile
constexpr int64_t WHOLE = 1024;   // bytes of a tile
constexpr int BLOCKS = TILED / WIDE;
constexpr int64_t LEAST_BYTES = 9;  // rows of whole numbers: fewer are quicker without; of bfloat16 even one is not slower

// The shapes of the eight tiles: sums of (rows of x, rows of W) 0 to 3, rows of x 4 and 5, rows of W 6 and 7. They hold
// while this object lives; others use the unit too and set their own.
class Shapes {
public:
    explicit Shapes(int rows) {
        struct alignas(64) {
            uint8_t palette = 1, start = 0, none[14] = {};
            uint16_t bytes[16] = {};
            uint8_t rows[16] = {};
        } shapes;
        const uint8_t above = uint8_t(std::min(rows, WIDE)), below = uint8_t(std::max(rows - WIDE, 1));
        const uint8_t of[8] = {above, above, below, below, above, below, WIDE, WIDE};
        for (int t = 0; t < 8; ++t) shapes.bytes[t] = TILE, shapes.rows[t] = of[t];
        // GCC believes that this and the loads of tiles read no more than a pointer's bytes: all has to be in memory before.
        asm volatile("" : : "r"(&shapes) : "memory");
        _tile_loadconfig(&shapes);
    }
    Shapes(const Shapes&) = delete;
    Shapes& operator=(const Shapes&) = delete;
    ~Shapes() { _tile_release(); }
};

// How the sums of 32 rows of x and 32 rows of W lie in memory.
template <class T>
struct Square {
    alignas(64) T at[TILED][TILED];
};

inline void clear() {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

// One tile of columns further, of rows of x that are `stride` bytes apart and one or two blocks of W. `BELOW`: there are
// more than sixteen rows; `BESIDE`: there is a second block.
template <int KIND, bool BELOW, bool BESIDE>
inline void onward(const char* x, int64_t stride, const char* w, int64_t step) {
    _tile_loadd(6, w, TILE);
    _tile_loadd(4, x, stride);
    if constexpr (BESIDE) _tile_loadd(7, w + step, TILE);
    if constexpr (BELOW) _tile_loadd(5, x + WIDE * stride, stride);
    if constexpr (KIND == BFLOAT16) {
        _tile_dpbf16ps(0, 4, 6);
        if constexpr (BESIDE) _tile_dpbf16ps(1, 4, 7);
        if constexpr (BELOW) _tile_dpbf16ps(2, 5, 6);
        if constexpr (BELOW && BESIDE) _tile_dpbf16ps(3, 5, 7);
    } else {
        _tile_dpbsud(0, 4, 6);
        if constexpr (BESIDE) _tile_dpbsud(1, 4, 7);
        if constexpr (BELOW) _tile_dpbsud(2, 5, 6);
        if constexpr (BELOW && BESIDE) _tile_dpbsud(3, 5, 7);
    }
}

template <bool BELOW, bool BESIDE, class T>
inline void put(T* to, int64_t stride) {  // stride in numbers
    _tile_stored(0, to, stride * 4);
    if constexpr (BESIDE) _tile_stored(1, to + WIDE, stride * 4);
    if constexpr (BELOW) _tile_stored(2, to + WIDE * stride, stride * 4);
    if constexpr (BELOW && BESIDE) _tile_stored(3, to + WIDE * stride + WIDE, stride * 4);
}

template <bool BELOW, bool BESIDE>
void blocks_bfloat16(const char* x, int64_t stride, const char* w, int64_t step, int64_t tiles, float* to, int64_t to_stride) {
    clear();
    for (int64_t i = 0; i < tiles; ++i) onward<BFLOAT16, BELOW, BESIDE>(x + i * TILE, stride, w + i * WHOLE, step);
    put<BELOW, BESIDE>(to, to_stride);
}

// Sums of whole numbers, a group of columns at a time, become numbers: those of the group before while the unit is at work
// on the next ones.
template <bool BELOW>
void blocks_int8(const Input& in, int64_t first, int rows, const char* w, int64_t step, Square<float>& sums) {
    constexpr int64_t TILES = GROUP8 / TILE;
    const char* x = in.numbers + first * in.stride;
    const int64_t tiles = in.stride / TILE;
    Square<int32_t> whole[2];
    const auto scaled = [&](int64_t g) {
        const int32_t* moved = in.moved + first * in.groups + g;
        const float* scales = in.scales + first * in.groups + g;
        for (int m = 0; m < rows; ++m, moved += in.groups, scales += in.groups)
            for (int b = 0; b < BLOCKS; ++b) {
                const Ints made = load<Ints>(whole[g % 2].at[m] + b * WIDE) + splat(*moved);
                const Floats part = splat(*scales) * __builtin_convertvector(made, Floats);
                float* sum = sums.at[m] + b * WIDE;
                store(sum, g == 0 ? part : load<Floats>(sum) + part);
            }
    };
    for (int64_t g = 0; g < in.groups; ++g) {
        clear();
        for (int64_t i = g * TILES; i < std::min(tiles, (g + 1) * TILES); ++i)
            onward<INT8, BELOW, true>(x + i * TILE, in.stride, w + i * WHOLE, step);
        put<BELOW, true>(&whole[g % 2].at[0][0], TILED);
        if (g > 0) scaled(g - 1);
    }
    scaled(in.groups - 1);
}

template <int KIND, bool BELOW>
void square(const Linear& linear, int64_t block, const Input& in, int64_t first, int rows, const Output& out) {
    const char* w = linear.weights.as<char>() + block * linear.stride;
    Square<float> sums;
    if constexpr (KIND == BFLOAT16)
        blocks_bfloat16<BELOW, true>(in.numbers + first * in.stride, in.stride, w, linear.stride, linear.padded * 2 / TILE,
                                     &sums.at[0][0], TILED);
    else
        blocks_int8<BELOW>(in, first, rows, w, linear.stride, sums);
    for (int b = 0; b < BLOCKS; ++b) {
        const Finished<KIND> finished(linear, block + b, out);
        if (finished.empty()) return;
        for (int m = 0; m < rows; ++m) finished.row(first + m, load<Floats>(sums.at[m] + b * WIDE));
    }
}

template <int KIND>
void band_of_squares(const Linear& linear, int64_t band, const Input& in, int64_t first, int rows, const Output& out) {
    constexpr int IN_BAND = BAND / WIDE;
    for (int64_t block = band * IN_BAND; block < (band + 1) * IN_BAND && block * WIDE < linear.n; block += BLOCKS)
        (rows > WIDE ? square<KIND, true> : square<KIND, false>)(linear, block, in, first, rows, out);
}

}  // namespace

bool tiled(Kind kind, int64_t rows, int64_t k) {
    return kind == INT8 ? rows >= LEAST_BYTES : kind == BFLOAT16 && k * 2 % TILE == 0;
}

void multiply_tiled(const Linear& linear, int64_t band, const Input& in, int64_t first, int64_t last, const Output& out) {
    const auto some = in.kind == BFLOAT16 ? band_of_squares<BFLOAT16> : band_of_squares<INT8>;
    for (; first < last; first += TILED) {
        const int rows = int(std::min<int64_t>(TILED, last - first));
        const Shapes shapes(rows);
        some(linear, band, in, first, rows, out);
    }
}

void multiply_block_tiled(const Input& in, int rows, const char* packed, int64_t block_bytes, int blocks, int64_t k,
                          float* sums, int64_t sums_stride) {
    const Shapes shapes(rows);
    const auto two = rows > WIDE ? blocks_bfloat16<true, true> : blocks_bfloat16<false, true>;
    const auto last = rows > WIDE ? blocks_bfloat16<true, false> : blocks_bfloat16<false, false>;
    for (int b = 0; b < blocks; b += 2)
        (b + 1 < blocks ? two : last)(in.numbers, in.stride, packed + b * block_bytes, block_bytes, k * 2 / TILE,
                                      sums + b * WIDE, sums_stride);
}

}  // namespace glassformer
#endif
