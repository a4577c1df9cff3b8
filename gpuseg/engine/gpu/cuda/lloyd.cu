// One pass of Lloyd's algorithm. `assign` reads each row once: ranks centers, settles labels, adds rows up. Centers that
// are too many for shared memory go through `rank_rows`, part by part, and `finish_rows`.
//
// Sums are integers: a value times a power of two of its column, rounded, so no order of rows changes a bit. In shared
// memory they are kept as two halves of 32 bits, which hold 65,536 rows.

constexpr int FRACTION_BITS = 15;
constexpr int FRACTION = (1 << FRACTION_BITS) - 1;
constexpr float TOO_LARGE = 1 << 30;
constexpr int FLUSH_ROWS = 65536;
// Lanes that share a row when rows are added up.
constexpr int ABREAST = FEATURES > 16 ? 32 : FEATURES > 8 ? 16 : FEATURES > 4 ? 8 : FEATURES > 2 ? 4 : FEATURES;
constexpr int AT_A_TIME = LANES / ABREAST;
constexpr unsigned ROUNDED = 1, OVERFLOWED = 2;
constexpr int SUMMED_TILES = 2048, MOST_EXPONENT = 126;

// What a pass writes; null where it is not wanted.
struct Wanted {
    u64* totals;       // (k, FEATURES) sums, then k counts
    double* inertias;  // of each tile
    int* labels;
    float *nearest, *second;
};

// What a row has come to after some of the centers.
struct State {
    float *best, *second, *third;
    int *label, *runner;
};

// An integer of a value, and what befell it.
__device__ __forceinline__ int fixed(float value, float scale, unsigned& flags) {
    float scaled = exact_product(value, scale);
    int found = __float2int_rn(scaled);
    if (__int2float_rn(found) != scaled) flags |= ROUNDED;
    if (!(fabsf(scaled) < TOO_LARGE)) flags |= OVERFLOWED;
    return found;
}

// Hand every value of a tile whose row has a label to `add(place of the sum, integer)`.
template <class Add>
__device__ __forceinline__ void each_value(const Chunk* tile, const int* labels, const float* scales, unsigned& flags,
                                           int lane, Add add) {
#pragma unroll
    for (int first = 0; first < FEATURES; first += ABREAST) {
        int feature = first + lane % ABREAST;
        if (feature >= FEATURES) continue;
        float scale = scales[feature];
#pragma unroll 4
        for (int row = lane / ABREAST; row < TILE; row += AT_A_TIME) {
            int label = labels[row];
            if (label < 0) continue;
            add(label * FEATURES + feature, fixed(number_of(tile + row * PITCH, feature), scale, flags));
        }
    }
}

// Call `work(tile, first row, rows)` for every tile of this warp, and `between(number of the round)` after each round.
template <class Work, class Between>
__device__ __forceinline__ void each_tile(const Value* rows, i64 n, Chunk* ring, int lane, int warp, Work work,
                                          Between between) {
    for (int i = lane; i < STAGES * TILE * PITCH; i += LANES) ring[i] = Chunk{};
    __syncwarp();
    i64 step = i64(gridDim.x) * WARPS * TILE, first = (i64(blockIdx.x) * WARPS + warp) * TILE;
    for (int stage = 0; stage < STAGES - 1; ++stage) {
        if (first + stage * step < n) fetch(ring + stage * TILE * PITCH, rows, first + stage * step, n, lane);
        end_group();
    }
    i64 round = 0;
    for (i64 begin = 0; begin < n; begin += step, first += step, ++round) {
        wait_for_groups<STAGES - 2>();
        // The tile is there for all lanes, and all are done with the one that the next fetch replaces.
        __syncwarp();
        i64 next = first + (STAGES - 1) * step;
        if (next < n) fetch(ring + (round + STAGES - 1) % STAGES * TILE * PITCH, rows, next, n, lane);
        end_group();
        if (first < n)
            work(ring + round % STAGES * TILE * PITCH, first, static_cast<int>(n - first < TILE ? n - first : TILE));
        between(round);
    }
}

__device__ __forceinline__ void write(const Wanted& wanted, i64 row, const Nearest& found) {
    if (wanted.labels) wanted.labels[row] = found.label;
    if (wanted.nearest) wanted.nearest[row] = found.first;
    if (wanted.second) wanted.second[row] = found.second;
}

// The inertia of a tile, added up as a tree of pairs whatever lane calls.
__device__ __forceinline__ void write_inertia(const Wanted& wanted, i64 first, float nearest, bool present, int lane) {
    double total = present ? exact_double(nearest) : 0.0;
#pragma unroll
    for (int step = 1; step < LANES; step *= 2) total += __shfl_xor_sync(ALL, total, step);
    if (lane == 0) wanted.inertias[first / TILE] = total;
}

// Take n items of 4 bytes from shared memory, and what lies behind them.
template <class Item> __device__ __forceinline__ Item* taken(unsigned char*& from, i64 n) {
    Item* found = reinterpret_cast<Item*>(from);
    from += (n * sizeof(Item) + 15) / 16 * 16;
    return found;
}

extern "C" __global__ void __launch_bounds__(WARPS* LANES)
    assign(const Value* rows, i64 n, const float4* all_centers, const float4* all_shift, const float* all_halves, int k,
           float reach, float products, float distances, float least, const float* scales, u64* totals, unsigned* flag,
           double* inertias, int* labels, float* nearest, float* second) {
    SHARED_MEMORY(memory);
    const Bounds bounds = {reach, products, distances, least};
    const Wanted wanted = {totals, inertias, labels, nearest, second};
    int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES, n_groups = (k + GROUP - 1) / GROUP;
    unsigned char* rest = memory;
    float4* centers = taken<float4>(rest, k * PITCH);
    uint4* packed = taken<uint4>(rest, n_groups * STEPS * LANES);
    float4* shift = taken<float4>(rest, STEPS * 4);
    float* halves = taken<float>(rest, n_groups * GROUP);
    Handover& handover = taken<Handover>(rest, WARPS)[warp];
    Chunk* ring = taken<Chunk>(rest, WARPS * STAGES * TILE * PITCH) + warp * STAGES * TILE * PITCH;
    int* low = taken<int>(rest, wanted.totals ? k * FEATURES : 0);
    int* high = taken<int>(rest, wanted.totals ? k * FEATURES : 0);
    int* counts = taken<int>(rest, wanted.totals ? k : 0);
    for (int i = threadIdx.x; i < k * PITCH; i += blockDim.x) centers[i] = all_centers[i];
    for (int i = threadIdx.x; i < STEPS * 4; i += blockDim.x) shift[i] = all_shift[i];
    for (int i = threadIdx.x; i < n_groups * GROUP; i += blockDim.x) halves[i] = all_halves[i];
    if (wanted.totals) {
        for (int i = threadIdx.x; i < k * FEATURES; i += blockDim.x) low[i] = high[i] = 0;
        for (int i = threadIdx.x; i < k; i += blockDim.x) counts[i] = 0;
    }
    pack(packed, all_centers, all_shift, k, 0, n_groups);
    __syncthreads();

    unsigned flags = 0;
    auto work = [&](const Chunk* tile, i64 first, int n_present) {
        bool present = lane < n_present;
        rank(tile, packed, halves, shift, n_groups, handover, lane);
        __syncwarp();
        Nearest found = settled(tile, handed_over(handover, lane), centers, k, bounds, present, lane);
        if (present) write(wanted, first + lane, found);
        if (!wanted.totals) return;
        write_inertia(wanted, first, found.first, present, lane);
        handover.label[lane] = present ? found.label : -1;
        if (present) atomicAdd(counts + found.label, 1);
        __syncwarp();
        each_value(tile, handover.label, scales, flags, lane, [&](int place, int value) {
            atomicAdd(low + place, value & FRACTION);
            atomicAdd(high + place, value >> FRACTION_BITS);
        });
    };
    auto flush = [&]() {
        __syncthreads();
        for (int i = threadIdx.x; i < k * FEATURES; i += blockDim.x) {
            i64 value = i64(high[i]) * (FRACTION + 1) + low[i];
            if (value) atomicAdd(wanted.totals + i, static_cast<u64>(value));
            low[i] = high[i] = 0;
        }
        for (int i = threadIdx.x; i < k; i += blockDim.x) {
            if (counts[i]) atomicAdd(wanted.totals + i64(k) * FEATURES + i, static_cast<u64>(counts[i]));
            counts[i] = 0;
        }
        __syncthreads();
    };
    constexpr int ROUNDS = FLUSH_ROWS / (WARPS * TILE);
    each_tile(rows, n, ring, lane, warp, work, [&](i64 round) {
        if (wanted.totals && (round + 1) % ROUNDS == 0) flush();
    });
    if (!wanted.totals) return;
    flush();
    if (flags) atomicOr(flag, flags);
}

extern "C" __global__ void __launch_bounds__(WARPS* LANES)
    rank_rows(const Value* rows, i64 n, const float4* all_centers, const float4* all_shift, const float* all_halves,
              int k, int first_group, int n_groups, float* best, float* second, float* third, int* label,
              int* runner) {
    SHARED_MEMORY(memory);
    const State state = {best, second, third, label, runner};
    int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    unsigned char* rest = memory;
    uint4* packed = taken<uint4>(rest, n_groups * STEPS * LANES);
    float4* shift = taken<float4>(rest, STEPS * 4);
    float* halves = taken<float>(rest, n_groups * GROUP);
    Handover& handover = taken<Handover>(rest, WARPS)[warp];
    Chunk* ring = taken<Chunk>(rest, WARPS * STAGES * TILE * PITCH) + warp * STAGES * TILE * PITCH;
    for (int i = threadIdx.x; i < STEPS * 4; i += blockDim.x) shift[i] = all_shift[i];
    for (int i = threadIdx.x; i < n_groups * GROUP; i += blockDim.x) halves[i] = all_halves[first_group * GROUP + i];
    pack(packed, all_centers, all_shift, k, first_group, n_groups);
    __syncthreads();

    auto work = [&](const Chunk* tile, i64 first, int n_present) {
        rank(tile, packed, halves, shift, n_groups, handover, lane);
        __syncwarp();
        Ranks found = handed_over(handover, lane);
        found.label += first_group * GROUP;
        i64 row = first + lane;
#if WITH_SECOND
        found.runner += first_group * GROUP;
#endif
        if (lane < n_present) {
            if (first_group) {
                Ranks before;
                before.best = state.best[row], before.second = state.second[row], before.label = state.label[row];
#if WITH_SECOND
                before.third = state.third[row], before.runner = state.runner[row];
#endif
                found = joined(before, found);
            }
            state.best[row] = found.best, state.second[row] = found.second, state.label[row] = found.label;
#if WITH_SECOND
            state.third[row] = found.third, state.runner[row] = found.runner;
#endif
        }
    };
    each_tile(rows, n, ring, lane, warp, work, [](i64) {});
}

extern "C" __global__ void __launch_bounds__(WARPS* LANES)
    finish_rows(const Value* rows, i64 n, const float4* centers, int k, float reach, float products, float distances,
                float least, const float* scales, float* ranked_best, float* ranked_second, float* ranked_third,
                int* ranked_label, int* ranked_runner, u64* totals, unsigned* flag, double* inertias, int* labels,
                float* nearest, float* second) {
    SHARED_MEMORY(memory);
    const Bounds bounds = {reach, products, distances, least};
    const State state = {ranked_best, ranked_second, ranked_third, ranked_label, ranked_runner};
    const Wanted wanted = {totals, inertias, labels, nearest, second};
    int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    unsigned char* rest = memory;
    int* own_labels = taken<int>(rest, WARPS * TILE) + warp * TILE;
    Chunk* ring = taken<Chunk>(rest, WARPS * STAGES * TILE * PITCH) + warp * STAGES * TILE * PITCH;
    unsigned flags = 0;
    auto work = [&](const Chunk* tile, i64 first, int n_present) {
        bool present = lane < n_present;
        Ranks ranks;
        if (present) {
            i64 row = first + lane;
            ranks.best = state.best[row], ranks.second = state.second[row], ranks.label = state.label[row];
#if WITH_SECOND
            ranks.third = state.third[row], ranks.runner = state.runner[row];
#endif
        }
        Nearest found = settled(tile, ranks, centers, k, bounds, present, lane);
        if (present) write(wanted, first + lane, found);
        if (!wanted.totals) return;
        write_inertia(wanted, first, found.first, present, lane);
        own_labels[lane] = present ? found.label : -1;
        if (present) atomicAdd(wanted.totals + i64(k) * FEATURES + found.label, u64(1));
        __syncwarp();
        each_value(tile, own_labels, scales, flags, lane, [&](int place, int value) {
            atomicAdd(wanted.totals + place, static_cast<u64>(i64(value)));
        });
    };
    each_tile(rows, n, ring, lane, warp, work, [](i64) {});
    if (flags) atomicOr(flag, flags);
}

// Powers of two that make integers of the columns, from the largest of some rows: one block a column.
extern "C" __global__ void choose_scales(const Value* rows, i64 n, int n_sampled, float* scales, int* exponents) {
    SHARED_MEMORY(memory);
    float* largest = reinterpret_cast<float*>(memory);
    float mine = 0.0f;
    for (i64 i = threadIdx.x; i < n_sampled; i += blockDim.x)
        mine = fmaxf(mine, fabsf(number_of(reinterpret_cast<const Chunk*>(rows + i * n / n_sampled * STRIDE), blockIdx.x)));
    largest[threadIdx.x] = mine;
    for (int half = blockDim.x / 2; half; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) largest[threadIdx.x] = fmaxf(largest[threadIdx.x], largest[threadIdx.x + half]);
    }
    if (threadIdx.x) return;
    // Where all are zero, any other value is too large, so that all rows are looked at.
    int exponent = MOST_EXPONENT;
    if (largest[0] > 0.0f) {
        int above;
        frexpf(fminf(largest[0], 1e30f), &above);
        exponent = 28 - above;
        // On the matrix's grid of 2^-20 while the largest fits.
        if (above <= 10) exponent = max(exponent, 20);
        exponent = max(-MOST_EXPONENT, min(MOST_EXPONENT, exponent));
    }
    exponents[blockIdx.x] = exponent;
    scales[blockIdx.x] = ldexpf(1.0f, exponent);
}

// Inertias of tiles, as many together as make 65,536 rows, in an order that depends on nothing.
extern "C" __global__ void add_inertias(const double* tiles, i64 n_tiles, double* sums) {
    SHARED_MEMORY(memory);
    double* part = reinterpret_cast<double*>(memory);
    i64 begin = i64(blockIdx.x) * SUMMED_TILES;
    double mine = 0.0;
    for (int i = threadIdx.x; i < SUMMED_TILES; i += blockDim.x)
        if (begin + i < n_tiles) mine += tiles[begin + i];
    part[threadIdx.x] = mine;
    for (int half = blockDim.x / 2; half; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
    }
    if (threadIdx.x == 0) sums[blockIdx.x] = part[0];
}
