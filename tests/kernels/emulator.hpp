// CUDA C++ on a processor: enough of it to run gpuseg's kernels, thread by thread, in tests.
//
// Every thread of a block (of a grid, where its blocks wait for each other) is a fiber that runs until it waits for
// others, in an order drawn anew each time, so that a barrier that is missing shows. Copies to shared memory arrive as late as they may. Products of tensor cores are
// added up with the error that gpuseg's bounds allow for, drawn at random.

#include <ucontext.h>
#ifdef __SSE2__
#include <immintrin.h>
#endif

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <tuple>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__
#define SHARED_MEMORY(name) unsigned char* name = emulator::shared()

struct float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct dim3 { unsigned x = 1, y = 1, z = 1; };

inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

inline dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {

constexpr unsigned LANES = 32;
constexpr size_t STACK_BYTES = 128 << 10;

// Whether operations keep subnormal numbers, as long as this lives. CuPy compiles kernels so that they do not.
struct Subnormals {
#ifdef __SSE2__
    unsigned before = _mm_getcsr();
    explicit Subnormals(bool kept) { _mm_setcsr(kept ? before & ~0x8040u : before | 0x8040u); }
    ~Subnormals() { _mm_setcsr(before); }
#else
    explicit Subnormals(bool) {}
#endif
    Subnormals(const Subnormals&) = delete;
};

struct Copy {
    void* to;
    const void* from;
    int bytes;
};

struct Fiber {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    std::deque<std::vector<Copy>> groups;
    std::vector<Copy> begun;
    const std::function<bool()>* waits_for = nullptr;
    bool done = false;
};

// What lanes, or all threads of a block, give each other; two rounds, so that none overwrites what another has to read.
struct Meeting {
    std::vector<uint64_t> given[2];
    uint64_t round = 0;
    unsigned arrived = 0;
};

struct Block {
    ucontext_t scheduler;
    std::vector<Fiber> fibers;
    std::vector<Meeting> warps;
    Meeting all;
    std::vector<unsigned char> memory;
    unsigned running = 0;
};

inline Block* block;
inline std::mt19937_64 chance(1);
inline void (*body)(void*);
inline void* body_data;

inline unsigned char* shared() {
    auto address = reinterpret_cast<uintptr_t>(block->memory.data());
    return reinterpret_cast<unsigned char*>((address + 127) / 128 * 128);
}

[[noreturn]] inline void fail(const char* what) {
    std::fprintf(stderr, "emulator: %s\n", what);
    std::abort();
}

inline Fiber& fiber() { return block->fibers[block->running]; }

inline void wait_until(const std::function<bool()>& condition) {
    if (condition()) return;
    Fiber& mine = fiber();
    mine.waits_for = &condition;
    swapcontext(&mine.context, &block->scheduler);
}

// Give a value, wait for the others, and get what all gave.
inline const std::vector<uint64_t>& meet(Meeting& meeting, unsigned n, unsigned place, uint64_t value) {
    uint64_t round = meeting.round;
    auto& given = meeting.given[round % 2];
    given.resize(n);
    given[place] = value;
    if (++meeting.arrived == n) {
        meeting.arrived = 0;
        ++meeting.round;
    } else {
        wait_until([&meeting, round] { return meeting.round != round; });
    }
    return meeting.given[round % 2];
}

inline const std::vector<uint64_t>& meet_lanes(uint64_t value) {
    return meet(block->warps[threadIdx.x / LANES], LANES, threadIdx.x % LANES, value);
}

inline void begin_fiber() {
    body(body_data);
    fiber().done = true;
    swapcontext(&fiber().context, &block->scheduler);
}

inline void make(Block& made, unsigned n_threads, size_t shared_bytes) {
    // Shared memory begins as anything: here as numbers that are not.
    made.memory.assign(shared_bytes + 128, 0xff);
    made.fibers.resize(n_threads);
    made.warps.resize((n_threads + LANES - 1) / LANES);
    for (Fiber& one : made.fibers) {
        one.stack.reset(new char[STACK_BYTES]);
        getcontext(&one.context);
        one.context.uc_stack.ss_sp = one.stack.get();
        one.context.uc_stack.ss_size = STACK_BYTES;
        one.context.uc_link = nullptr;
        makecontext(&one.context, begin_fiber, 0);
    }
}

// Run some blocks at once, from the first one on.
inline void run_blocks(unsigned first, unsigned n_blocks, unsigned n_threads, size_t shared_bytes) {
    std::vector<Block> made(n_blocks);
    for (Block& one : made) make(one, n_threads, shared_bytes);
    std::vector<unsigned> order(n_blocks * n_threads);
    for (unsigned i = 0; i < order.size(); ++i) order[i] = i;
    // Now and then one warp runs ahead of the others, as far as barriers let it.
    constexpr unsigned NONE = ~0u, MOST_TURNS = 64;
    unsigned ahead = NONE, turns = 0;
    for (unsigned left = n_blocks * n_threads; left;) {
        std::shuffle(order.begin(), order.end(), chance);
        if (!turns) turns = 1 + chance() % MOST_TURNS, ahead = chance() % 2 ? order[0] / LANES : NONE;
        --turns;
        bool moved = false;
        for (unsigned i : order) {
            block = &made[i / n_threads];
            Fiber& one = block->fibers[i % n_threads];
            if (one.done || (ahead != NONE && i / LANES != ahead) || (one.waits_for && !(*one.waits_for)())) continue;
            one.waits_for = nullptr;
            block->running = threadIdx.x = i % n_threads;
            blockIdx.x = first + i / n_threads;
            swapcontext(&block->scheduler, &one.context);
            moved = true;
            left -= one.done;
        }
        if (!moved && ahead == NONE) fail("threads wait for each other for ever");
        if (!moved) turns = 1, ahead = NONE;
    }
}

template <class... Args, size_t... I>
void call(void (*kernel)(Args...), void** args, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_reference_t<Args>*>(args[I])...);
}

template <class... Args> void launch(void (*kernel)(Args...), void** args, unsigned n_blocks, unsigned n_threads, size_t bytes, bool together) {
    auto run = [&] { call(kernel, args, std::index_sequence_for<Args...>()); };
    Subnormals flushed(false);
    body_data = &run;
    body = [](void* data) { (*static_cast<decltype(run)*>(data))(); };
    gridDim.x = n_blocks;
    blockDim.x = n_threads;
    unsigned at_once = together ? n_blocks : 1;
    for (unsigned i = 0; i < n_blocks; i += at_once) run_blocks(i, at_once, n_threads, bytes);
}

template <class Value> uint64_t bits(Value value) {
    uint64_t found = 0;
    std::memcpy(&found, &value, sizeof value);
    return found;
}

template <class Value> Value from_bits(uint64_t value) {
    Value found;
    std::memcpy(&found, &value, sizeof found);
    return found;
}

}  // namespace emulator

inline void __syncwarp(unsigned = 0xffffffffu) { emulator::meet_lanes(0); }
inline void __syncthreads() { emulator::meet(emulator::block->all, blockDim.x, threadIdx.x, 0); }

inline void wait_for_blocks(unsigned* arrived, unsigned target) {
    ++*arrived;
    emulator::wait_until([arrived, target] { return *arrived >= target; });
}

template <class Value> Value __shfl_xor_sync(unsigned, Value value, int distance) {
    unsigned lane = threadIdx.x % emulator::LANES;
    return emulator::from_bits<Value>(emulator::meet_lanes(emulator::bits(value))[lane ^ distance]);
}

template <class Value> Value __shfl_sync(unsigned, Value value, int lane) {
    return emulator::from_bits<Value>(emulator::meet_lanes(emulator::bits(value))[lane]);
}

inline unsigned __ballot_sync(unsigned, bool condition) {
    const auto& given = emulator::meet_lanes(condition);
    unsigned found = 0;
    for (unsigned lane = 0; lane < emulator::LANES; ++lane) found |= unsigned(given[lane] != 0) << lane;
    return found;
}

template <class Value> Value atomicAdd(Value* to, Value value) { return std::exchange(*to, Value(*to + value)); }
template <class Value> Value atomicOr(Value* to, Value value) { return std::exchange(*to, Value(*to | value)); }
template <class Value> Value atomicMin(Value* to, Value value) { return std::exchange(*to, std::min(*to, value)); }
template <class Value> Value atomicMax(Value* to, Value value) { return std::exchange(*to, std::max(*to, value)); }
template <class Value> Value atomicCAS(Value* to, Value expected, Value value) {
    Value found = *to;
    if (found == expected) *to = value;
    return found;
}

inline int __ffs(int value) { return __builtin_ffs(value); }
inline int __popc(unsigned value) { return __builtin_popcount(value); }
inline float exact_sum(float left, float right) {
    emulator::Subnormals kept(true);
    volatile float found = left + right;
    return found;
}
inline float exact_difference(float left, float right) {
    emulator::Subnormals kept(true);
    volatile float found = left - right;
    return found;
}
inline float exact_product(float left, float right) {
    emulator::Subnormals kept(true);
    volatile float found = left * right;
    return found;
}
inline double exact_double(float value) {
    emulator::Subnormals kept(true);
    volatile double found = value;
    return found;
}
inline float __fadd_rn(float left, float right) { return left + right; }
inline float __fsub_rn(float left, float right) { return left - right; }
inline float __fmul_rn(float left, float right) { return left * right; }
inline float __int2float_rn(int value) { return float(value); }
inline float __uint_as_float(unsigned value) { return emulator::from_bits<float>(value); }
inline unsigned __float_as_uint(float value) { return unsigned(emulator::bits(value)); }

// As the hardware: the end of the range where a value lies beyond it, and 0 for what is no number.
inline int __float2int_rn(float value) {
    if (std::isnan(value)) return 0;
    if (value >= 2147483648.0f) return INT32_MAX;
    if (value < -2147483648.0f) return INT32_MIN;
    return int(std::nearbyint(value));
}

using std::max;
using std::min;

inline unsigned to_bfloat16(float value) {
    unsigned pattern = __float_as_uint(value);
    if (std::isnan(value)) return 0x7fff;
    return (pattern + 0x7fff + (pattern >> 16 & 1)) >> 16;
}

inline unsigned rounded_pair(float first, float second) { return to_bfloat16(first) | to_bfloat16(second) << 16; }

// A product of 16 x 16 with 16 x 8 numbers whose addends each lose up to a unit in the last place of the largest.
inline void multiply_add(float (&sum)[4], const unsigned (&left)[4], unsigned right0, unsigned right1) {
    using namespace emulator;
    uint64_t rows[4][LANES], columns[2][LANES];
    for (int i = 0; i < 4; ++i) std::copy_n(meet_lanes(left[i]).begin(), LANES, rows[i]);
    std::copy_n(meet_lanes(right0).begin(), LANES, columns[0]);
    std::copy_n(meet_lanes(right1).begin(), LANES, columns[1]);
    auto number = [](uint64_t pair, int which) { return __uint_as_float(which ? pair & 0xffff0000u : pair << 16); };
    unsigned lane = threadIdx.x % LANES;
    for (int i = 0; i < 4; ++i) {
        unsigned row = lane / 4 + i / 2 * 8, column = 2 * (lane % 4) + i % 2;
        double exact = sum[i], largest = std::abs(sum[i]);
        for (unsigned inner = 0; inner < 16; ++inner) {
            uint64_t a = rows[row / 8 + inner / 8 * 2][row % 8 * 4 + inner % 8 / 2];
            uint64_t b = columns[inner / 8][column * 4 + inner % 8 / 2];
            double product = double(number(a, inner % 2)) * number(b, inner % 2);
            exact += product;
            largest = std::max(largest, std::abs(product));
        }
        double share = std::uniform_real_distribution<>(-1, 1)(chance);
        sum[i] = float(std::isfinite(exact) ? exact + share * 17 * std::ldexp(largest, -23) : exact);
    }
}

template <int BYTES> void begin_copy(void* to, const void* from) {
    if (reinterpret_cast<uintptr_t>(to) % BYTES || reinterpret_cast<uintptr_t>(from) % BYTES)
        emulator::fail("a copy from or to an address that is no multiple of its size");
    emulator::fiber().begun.push_back({to, from, BYTES});
}

inline void end_group() {
    auto& mine = emulator::fiber();
    mine.groups.push_back(std::move(mine.begun));
    mine.begun.clear();
}

template <int PENDING> void wait_for_groups() {
    auto& mine = emulator::fiber();
    for (; mine.groups.size() > PENDING; mine.groups.pop_front())
        for (const auto& copy : mine.groups.front()) std::memcpy(copy.to, copy.from, copy.bytes);
}
