// Prim's minimum spanning tree of mutual reachability distances, one point a step, all blocks resident.
//
// The order of the CPU's code, ties included: it moves the last point into the place of each that joins the tree, and
// of points equally near takes the one in the lowest place. Here points stay and only their places change.
//
// THREADS, of a block, comes from gpuseg/engine/gpu/spanning.py.

typedef unsigned long long u64;

constexpr int LANES = 32;
constexpr unsigned ALL = 0xffffffffu;
constexpr int WARPS = THREADS / LANES;
constexpr u64 NONE = ~u64(0);
constexpr int GONE = -1;

// What a step begins with: the point that joins the tree, its place, and the point that moves there.
struct Step {
    int current, place, last;
};

// Squared distances are compared as their bits, which order numbers from zero on alike and are never flushed.
__device__ __forceinline__ unsigned square(float value) { return __float_as_uint(exact_product(value, value)); }

// A point's place at the start of a step. What the step before moved is not yet in `id_at`, where others still read it.
__device__ __forceinline__ int point_at(const int* id_at, int place, const Step& before) {
    return place == before.place ? before.last : static_cast<const volatile int*>(id_at)[place];
}

__device__ __forceinline__ u64 least_of_warp(u64 value) {
#pragma unroll
    for (int distance = LANES / 2; distance; distance /= 2) value = min(value, __shfl_xor_sync(ALL, value, distance));
    return value;
}

// Grow the tree from point 0.
//
//   columns, cores   (d, n) coordinates and (n,) core distances
//   best, source     (n,) least squared distance to the tree, as bits, and to which point of it: +inf and 0 at first
//   place, id_at     (n,) place of each point and point at each place: 0, 1, ... at first
//   winners          (n - 1,) of each step: bits of the distance, and below them the place; all ones at first
//   edges            (n - 1,) of each step: the point in the tree, and below it the one that joins
//   arrived          0 at first
extern "C" __global__ void __launch_bounds__(THREADS, 2)
    span(const float* __restrict__ columns, const float* __restrict__ cores, int n, int d, unsigned* best, int* source,
         int* places, int* id_at, u64* winners, u64* edges, unsigned* arrived) {
    SHARED_MEMORY(memory);
    u64* warps = reinterpret_cast<u64*>(memory);
    Step* shared = reinterpret_cast<Step*>(warps + WARPS);
    float* own = reinterpret_cast<float*>(shared + 1);
    int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    Step before = {0, GONE, 0};
    for (int step = 0; step < n; ++step) {
        int left = n - 1 - step;
        if (!warp) {
            Step now = {0, 0, left};
            if (step) {
                now.place = static_cast<int>(static_cast<const volatile u64*>(winners)[step - 1]);
                now.current = point_at(id_at, now.place, before);
                now.last = point_at(id_at, left, before);
                if (!blockIdx.x && !lane) id_at[before.place] = before.last;
            }
            before = now;
            for (int feature = lane; feature < d; feature += LANES)
                own[feature] = columns[static_cast<long long>(feature) * n + now.current];
            if (!lane) {
                *shared = now;
                own[d] = cores[now.current];
            }
        }
        __syncthreads();
        int current = shared->current, last = shared->last;
        unsigned core = square(own[d]);
        u64 least = NONE;
        for (int i = blockIdx.x * THREADS + threadIdx.x; i < n; i += gridDim.x * THREADS) {
            int place = places[i];
            if (place == GONE) continue;
            if (i == current) {
                places[i] = GONE;
                if (step) edges[step - 1] = u64(source[i]) << 32 | unsigned(i);
                continue;
            }
            if (i == last) places[i] = place = shared->place;
            const float* column = columns + i;
            float sum = 0.0f;
#pragma unroll 8
            for (int feature = 0; feature < d; ++feature, column += n) {
                float gap = exact_difference(*column, own[feature]);
                sum = exact_sum(sum, exact_product(gap, gap));
            }
            unsigned gap = max(__float_as_uint(sum), max(core, square(cores[i]))), nearest = best[i];
            if (gap < nearest) {
                best[i] = nearest = gap;
                source[i] = current;
            }
            least = min(least, u64(nearest) << 32 | unsigned(place));
        }
        if (!left) return;
        least = least_of_warp(least);
        if (!lane) warps[warp] = least;
        __syncthreads();
        if (!warp) {
            least = least_of_warp(lane < WARPS ? warps[lane] : NONE);
            if (!lane) {
                if (least != NONE) atomicMin(winners + step, least);
                wait_for_blocks(arrived, (step + 1) * gridDim.x);
            }
            __syncwarp();
        }
    }
}
