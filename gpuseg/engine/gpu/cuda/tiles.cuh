// Tiles of 32 rows: fetched by one warp, ranked against centers on tensor cores, and measured exactly, one lane a row.
//
// Compiled for one shape; the macros come from gpuseg/engine/gpu/lloyd_kernel.py:
//   FEATURES       columns of the rows, 1 to 128
//   WARPS, STAGES  warps of a block, and tiles that each of them has in shared memory
//   ALIGNED        1 where rows begin at multiples of 16 bytes
//   WITH_SECOND    1 where the second center is wanted as well as the nearest
//   COARSE         1 where rows are bfloat16 numbers, padded to a multiple of four, and the shift is zero

typedef unsigned long long u64;
typedef long long i64;

// -inf: what nothing has come to yet.
#define NEVER __uint_as_float(0xff800000u)

constexpr int LANES = 32;
constexpr unsigned ALL = 0xffffffffu;
constexpr int TILE = LANES;
constexpr int CHUNKS = (FEATURES + 3) / 4;
// An odd number of chunks a row: lanes that read the same chunk of different rows meet no bank twice.
constexpr int PITCH = CHUNKS | 1;
// Numbers from one row to the next in global memory.
constexpr int STRIDE = COARSE ? 4 * CHUNKS : FEATURES;
constexpr int STEPS = (FEATURES + 15) / 16;
constexpr int GROUP = 8;
// Halves of a tile whose numbers are in registers together.
constexpr int HELD = FEATURES <= 64 ? 2 : 1;

// Four numbers of a row.
#if COARSE
typedef unsigned short Value;
typedef uint2 Chunk;
#else
typedef float Value;
typedef float4 Chunk;
#endif

// The best of what a lane, or a row, has seen; larger is nearer.
struct Ranks {
    float best = NEVER, second = NEVER, third = NEVER;
    int label = 0, runner = 0;
};

// Where lanes that rank hand over to lanes that measure.
struct Handover {
    float best[TILE], second[TILE];
    int label[TILE];
#if WITH_SECOND
    float third[TILE];
    int runner[TILE];
#endif
};

// Coordinates less a fixed point, as sums of two bfloat16 numbers, off by at most 2^-16 of themselves.
struct Split {
    unsigned high, low;
};

__device__ __forceinline__ Split split(float first, float second) {
    unsigned high = rounded_pair(first, second);
    return {high, rounded_pair(first - __uint_as_float(high << 16), second - __uint_as_float(high & 0xffff0000u))};
}

__device__ __forceinline__ float4 numbers(float4 chunk) { return chunk; }

__device__ __forceinline__ float4 numbers(uint2 chunk) {
    return make_float4(__uint_as_float(chunk.x << 16), __uint_as_float(chunk.x & 0xffff0000u),
                       __uint_as_float(chunk.y << 16), __uint_as_float(chunk.y & 0xffff0000u));
}

template <class Row> __device__ __forceinline__ Row chunk_of(const Row* row, int chunk) {
    return chunk < CHUNKS ? row[chunk] : Row{};
}

__device__ __forceinline__ float number_of(const Chunk* row, int feature) {
    Value value = reinterpret_cast<const Value*>(row)[feature];
#if COARSE
    return __uint_as_float(unsigned(value) << 16);
#else
    return value;
#endif
}

__device__ __forceinline__ float4 less(float4 left, float4 right) {
    return make_float4(left.x - right.x, left.y - right.y, left.z - right.z, left.w - right.w);
}

// Begin to copy rows first to first + TILE, as far as there are any; what lies between rows stays as it is.
__device__ void fetch(Chunk* tile, const Value* rows, i64 first, i64 n, int lane) {
    int present = static_cast<int>(n - first < TILE ? n - first : TILE);
    const Value* from = rows + first * STRIDE;
    if constexpr (ALIGNED) {
        for (int i = lane; i < present * CHUNKS; i += LANES)
            begin_copy<sizeof(Chunk)>(tile + i / CHUNKS * PITCH + i % CHUNKS, from + 4 * i);
    } else {
        for (int i = lane; i < present * FEATURES; i += LANES)
            begin_copy<sizeof(Value)>(reinterpret_cast<Value*>(tile + i / FEATURES * PITCH) + i % FEATURES, from + i);
    }
}

// Coordinates of centers, less the shift, in the order in which lanes of `rank` take them: 8 centers after another.
__device__ void pack(uint4* packed, const float4* centers, const float4* shift, int k, int first_group, int n_groups) {
    for (int i = threadIdx.x; i < n_groups * STEPS * LANES; i += blockDim.x) {
        int lane = i % LANES, step = i / LANES % STEPS, group = first_group + i / LANES / STEPS;
        int center = group * GROUP + lane / 4, chunk = 4 * step + lane % 4;
        float4 gap = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
        if (center < k) gap = less(chunk_of(centers + i64(center) * PITCH, chunk), chunk_of(shift, chunk));
        Split front = split(gap.x, gap.y), back = split(gap.z, gap.w);
        packed[i] = make_uint4(front.high, back.high, front.low, back.low);
    }
}

__device__ __forceinline__ void consider(Ranks& ranks, float score, int center) {
    bool nearest = score > ranks.best;
#if WITH_SECOND
    bool nearer = score > ranks.second;
    ranks.third = fmaxf(ranks.third, fminf(ranks.second, score));
    ranks.runner = nearest ? ranks.label : nearer ? center : ranks.runner;
#endif
    ranks.second = fmaxf(ranks.second, fminf(ranks.best, score));
    ranks.label = nearest ? center : ranks.label;
    ranks.best = nearest ? score : ranks.best;
}

// What two sets of centers come to together.
__device__ __forceinline__ Ranks joined(const Ranks& left, const Ranks& right) {
    bool other = right.best > left.best;
    Ranks found;
    found.best = other ? right.best : left.best;
    found.label = other ? right.label : left.label;
    float beaten = other ? left.best : right.best, runner_up = other ? right.second : left.second;
    found.second = fmaxf(beaten, runner_up);
#if WITH_SECOND
    bool was_best = beaten >= runner_up;
    found.runner = was_best ? (other ? left.label : right.label) : (other ? right.runner : left.runner);
    float left_out = other ? left.second : right.second, last = other ? right.third : left.third;
    found.third = was_best ? fmaxf(left_out, runner_up) : fmaxf(beaten, last);
#endif
    return found;
}

__device__ __forceinline__ Ranks of_neighbour(const Ranks& ranks, int distance) {
    Ranks other;
    other.best = __shfl_xor_sync(ALL, ranks.best, distance);
    other.second = __shfl_xor_sync(ALL, ranks.second, distance);
    other.label = __shfl_xor_sync(ALL, ranks.label, distance);
#if WITH_SECOND
    other.third = __shfl_xor_sync(ALL, ranks.third, distance);
    other.runner = __shfl_xor_sync(ALL, ranks.runner, distance);
#endif
    return other;
}

// Rank all centers of `packed` for every row of a tile by (x - m)(c - m) - (c - m)^2 / 2, m being the shift.
//
// `halves` has minus half the squared length of each center, less the shift, and -inf behind the last one. A lane reads
// four neighbouring columns where the layout of fragments names two and two: products do not mind the order of columns.
__device__ void rank(const Chunk* tile, const uint4* packed, const float* halves, const float4* shift, int n_groups,
                     Handover& out, int lane) {
    int place = lane / 4, quarter = lane % 4;
#pragma unroll
    for (int part = 0; part < 2 / HELD; ++part) {
        unsigned high[HELD][STEPS][4];
#if !COARSE
        unsigned low[HELD][STEPS][4];
#endif
#pragma unroll
        for (int half = 0; half < HELD; ++half)
#pragma unroll
            for (int step = 0; step < STEPS; ++step)
#pragma unroll
                for (int lower = 0; lower < 2; ++lower) {
                    int row = 16 * (part * HELD + half) + 8 * lower + place, chunk = 4 * step + quarter;
                    Chunk own = chunk_of(tile + row * PITCH, chunk);
#if COARSE
                    high[half][step][lower] = own.x, high[half][step][2 + lower] = own.y;
#else
                    float4 gap = less(own, chunk_of(shift, chunk));
                    Split front = split(gap.x, gap.y), back = split(gap.z, gap.w);
                    high[half][step][lower] = front.high, low[half][step][lower] = front.low;
                    high[half][step][2 + lower] = back.high, low[half][step][2 + lower] = back.low;
#endif
                }
        Ranks ranks[HELD][2];
#pragma unroll 2
        for (int group = 0; group < n_groups; ++group) {
            float2 half_squares = reinterpret_cast<const float2*>(halves)[group * (GROUP / 2) + quarter];
            float sum[HELD][4];
#pragma unroll
            for (int half = 0; half < HELD; ++half) {
                sum[half][0] = sum[half][2] = half_squares.x;
                sum[half][1] = sum[half][3] = half_squares.y;
            }
#pragma unroll
            for (int step = 0; step < STEPS; ++step) {
                uint4 center = packed[(group * STEPS + step) * LANES + lane];
#pragma unroll
                for (int half = 0; half < HELD; ++half) multiply_add(sum[half], high[half][step], center.x, center.y);
#pragma unroll
                for (int half = 0; half < HELD; ++half) multiply_add(sum[half], high[half][step], center.z, center.w);
#if !COARSE
#pragma unroll
                for (int half = 0; half < HELD; ++half) multiply_add(sum[half], low[half][step], center.x, center.y);
#endif
            }
#pragma unroll
            for (int half = 0; half < HELD; ++half)
#pragma unroll
                for (int i = 0; i < 4; ++i)
                    consider(ranks[half][i / 2], sum[half][i], group * GROUP + 2 * quarter + i % 2);
        }
#pragma unroll
        for (int half = 0; half < HELD; ++half)
#pragma unroll
            for (int lower = 0; lower < 2; ++lower) {
                Ranks found = ranks[half][lower];
                found = joined(found, of_neighbour(found, 1));
                found = joined(found, of_neighbour(found, 2));
                if (!quarter) {
                    int row = 16 * (part * HELD + half) + 8 * lower + place;
                    out.best[row] = found.best, out.second[row] = found.second, out.label[row] = found.label;
#if WITH_SECOND
                    out.third[row] = found.third, out.runner[row] = found.runner;
#endif
                }
            }
    }
}

__device__ __forceinline__ Ranks handed_over(const Handover& from, int lane) {
    Ranks ranks;
    ranks.best = from.best[lane], ranks.second = from.second[lane], ranks.label = from.label[lane];
#if WITH_SECOND
    ranks.third = from.third[lane], ranks.runner = from.runner[lane];
#endif
    return ranks;
}

__device__ __forceinline__ void add_square(float& total, float row, float center) {
    float gap = exact_difference(row, center);
    total = exact_sum(total, exact_product(gap, gap));
}

// The squared distance as gpuseg defines it: feature after feature, every operation rounded by itself.
__device__ __forceinline__ float distance(const Chunk* row, const float4* center) {
    float total = 0.0f;
#pragma unroll
    for (int chunk = 0; chunk < CHUNKS; ++chunk) {
        float4 x = numbers(row[chunk]), c = center[chunk];
        add_square(total, x.x, c.x);
        if (4 * chunk + 1 < FEATURES) add_square(total, x.y, c.y);
        if (4 * chunk + 2 < FEATURES) add_square(total, x.z, c.z);
        if (4 * chunk + 3 < FEATURES) add_square(total, x.w, c.w);
    }
    return total;
}

// The nearest center of a row, the lower of equals, and the second distance. Distances are told apart by their patterns,
// whose order is theirs, also where comparisons take subnormal numbers for zero; what is no number comes last.
struct Nearest {
    float first, second;
    int label;
};

__device__ __forceinline__ unsigned pattern(float distance) { return __float_as_uint(distance); }

__device__ __forceinline__ float least(float left, float right) { return pattern(right) < pattern(left) ? right : left; }

__device__ __forceinline__ Nearest nearer(const Nearest& left, const Nearest& right) {
    unsigned one = pattern(left.first), two = pattern(right.first);
    bool other = two < one || (two == one && right.label < left.label);
    Nearest found = other ? right : left;
    found.second = least(found.second, other ? left.first : right.first);
    return found;
}

// All distances of one row of a tile, by all lanes of a warp: what products cannot tell apart.
__device__ Nearest compared(const Chunk* row, const float4* centers, int k, int lane) {
    float never = -NEVER;
    Nearest found = {never, never, 0};
    for (int center = lane; center < k; center += LANES) {
        float told = distance(row, centers + i64(center) * PITCH);
        if (pattern(told) < pattern(found.first)) {
            found.second = found.first;
            found.first = told, found.label = center;
        } else {
            found.second = least(found.second, told);
        }
    }
#pragma unroll
    for (int step = LANES / 2; step; step /= 2) {
        Nearest other;
        other.first = __shfl_xor_sync(ALL, found.first, step);
        other.second = __shfl_xor_sync(ALL, found.second, step);
        other.label = __shfl_xor_sync(ALL, found.label, step);
        found = nearer(found, other);
    }
    return found;
}

// How far products may be off; see `Bounds` in lloyd_kernel.py.
struct Bounds {
    float reach, products, distances, least;
};

// The nearest center of this lane's row. `ranks` decide where they lie further apart than they can be off.
__device__ Nearest settled(const Chunk* tile, const Ranks& ranks, const float4* centers, int k, Bounds bounds,
                           bool present, int lane) {
    const Chunk* row = tile + lane * PITCH;
    Nearest found = {distance(row, centers + i64(ranks.label) * PITCH), -NEVER, ranks.label};
    float far = sqrtf(found.first) * 1.0001f + bounds.reach;
    // The square first: it is inf before any rank can be.
    float off = far * far * bounds.products + bounds.least;
    bool sure = ranks.best - ranks.second > off + bounds.distances * found.first;
#if WITH_SECOND
    if (k > 1) {
        found.second = distance(row, centers + i64(ranks.runner) * PITCH);
        sure = sure && ranks.second - ranks.third > off + bounds.distances * found.second;
    }
#endif
    unsigned open = __ballot_sync(ALL, present && !sure);
    while (open) {
        int which = __ffs(open) - 1;
        open &= open - 1;
        Nearest exact = compared(tile + which * PITCH, centers, k, lane);
        if (which == lane) found = exact;
    }
    return found;
}
