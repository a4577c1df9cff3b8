// Rows grouped by (rank, second, third) in a hash table of global memory. Not yet run on a GPU.
//
// `survey_keys` learns the ranges of the keys and about how many groups there are; `clear_table` makes the table ready;
// `group_rows` adds every row to its group; `collect_groups` lists the slots that are taken, for a sort of the keys;
// `read_groups` writes columns.
// A slot is its key and its sums side by side, so that a row touches one place of memory. All that is added up are
// integers, by atomics, so no order of rows changes a bit.
//
// Compiled for one shape; the macros come from group_by_kernel.py:
//   CELLS     1: least and largest `at`, number of rows and sums of measures; 0: the least `at` alone
//   MEASURES  columns to add up, 0 where CELLS is
//   WIDE      0: a key is one number of up to KEY_BITS bits; 1: two numbers
//   CACHE     groups that a block keeps in shared memory, a power of two; 0 where CELLS is

typedef unsigned long long u64;
typedef long long i64;

#ifdef EMULATED

// What others may change is old by the time it is used, now and then.
template <bool SHARED = false, class Value> Value seen(const Value* from) {
    Value found = *from;
    bool waited = emulator::chance() % 8 != 0;
    emulator::wait_until([&waited] { return std::exchange(waited, true); });
    return found;
}

inline int leading_zeros(u64 value) { return __builtin_clzll(value); }

#else

#define SHARED_MEMORY(name) extern __shared__ __align__(16) unsigned char name[]

// Read past the multiprocessor's own cache, which would show a hot group as it was long ago.
template <bool SHARED = false, class Value> __device__ __forceinline__ Value seen(const Value* from) {
    if constexpr (SHARED)
        return *static_cast<const volatile Value*>(from);
    else
        return __ldcg(from);
}

__device__ __forceinline__ int leading_zeros(u64 value) { return __clzll(static_cast<i64>(value)); }

#endif

#if CELLS
typedef int Second;
typedef i64 Time;
#else
typedef i64 Second;
typedef int Time;
#endif

constexpr unsigned ALL = 0xffffffffu;
constexpr int LANES = 32;
constexpr int THREADS = 512;
constexpr int WORDS = 1 + WIDE;
constexpr int VALUES = CELLS ? 3 + MEASURES : 1;
constexpr int SLOT = WORDS + VALUES;
// No number of a key has all bits.
constexpr u64 EMPTY = ~u64(0);
constexpr i64 MOST = 0x7fffffffffffffffLL, LEAST = -MOST - 1;
// How far from its home a key may lie; what `collect_groups` puts below a key of one number.
constexpr int PROBE_BITS = 8;
constexpr int PROBES = 1 << PROBE_BITS;
constexpr int SKETCH_BITS = 12;
constexpr int SKETCH = 1 << SKETCH_BITS;
constexpr int FULL = 0, GROUPS = 1;
constexpr int BATCH = 8;

struct Key {
    u64 words[WORDS];
};

// How columns become keys.
struct Packing {
    i64 second_least;
    int third_least, third_bits, tail_bits;
};

struct Table {
    u64* slots;
    i64 capacity;
};

// What a row, or some rows of one group, add to it.
struct Part {
    i64 first;
#if CELLS
    i64 last;
    u64 n, sums[MEASURES];
#endif
};

__device__ __forceinline__ u64 mixed(u64 bits) {
    bits = (bits ^ bits >> 33) * 0xff51afd7ed558ccdull;
    bits = (bits ^ bits >> 33) * 0xc4ceb9fe1a85ec53ull;
    return bits ^ bits >> 33;
}

__device__ __forceinline__ u64 hash_of(const Key& key) {
    u64 found = mixed(key.words[0]);
#if WIDE
    found = mixed(found ^ key.words[1]);
#endif
    return found;
}

__device__ __forceinline__ i64 home_of(u64 hash, i64 capacity) {
    return static_cast<i64>((hash >> 32) * capacity >> 32);
}

__device__ __forceinline__ Key packed(int rank, Second second, int third, const Packing& by) {
    u64 from_second = static_cast<u64>(static_cast<i64>(second)) - static_cast<u64>(by.second_least);
    u64 tail = from_second << by.third_bits | static_cast<u64>(static_cast<i64>(third) - by.third_least);
#if WIDE
    return {{static_cast<u64>(rank) << 32 | tail >> 32, tail & ALL}};
#else
    return {{static_cast<u64>(rank) << by.tail_bits | tail}};
#endif
}

__device__ __forceinline__ void unpack(const Key& key, const Packing& by, int& rank, Second& second, int& third) {
#if WIDE
    u64 tail = key.words[0] << 32 | key.words[1];
    rank = static_cast<int>(key.words[0] >> 32);
#else
    u64 tail = key.words[0] & ((u64(1) << by.tail_bits) - 1);
    rank = static_cast<int>(key.words[0] >> by.tail_bits);
#endif
    second = static_cast<Second>((tail >> by.third_bits) + static_cast<u64>(by.second_least));
    third = static_cast<int>(static_cast<i64>(tail & ((u64(1) << by.third_bits) - 1)) + by.third_least);
}

// Whether a place for a key, whose words lie `apart`, is this key's or becomes it. What is once in a place stays, so
// all threads with one key end at the same place. The first of two words may be set by one thread and the second by
// another; then the place is the other's, and the one goes on.
template <bool SHARED>
__device__ __forceinline__ bool takes(u64* place, int apart, const Key& key, unsigned& n_new) {
    u64 before = EMPTY;
#pragma unroll
    for (int word = 0; word < WORDS; ++word) {
        before = seen<SHARED>(place + word * apart);
        if (before == EMPTY) before = atomicCAS(place + word * apart, EMPTY, key.words[word]);
        if (before != EMPTY && before != key.words[word]) return false;
    }
    n_new += before == EMPTY;
    return true;
}

// Add to a group of the table; false where it has no place for it.
__device__ __forceinline__ bool add(const Table& table, const Key& key, u64 hash, const Part& part, unsigned& n_new) {
    i64 at = home_of(hash, table.capacity);
    for (int probe = 0; probe < PROBES; ++probe) {
        u64* slot = table.slots + at * SLOT;
        if (takes<false>(slot, 1, key, n_new)) {
            i64* values = reinterpret_cast<i64*>(slot + WORDS);
            // Bounds settle soon, and a look is cheaper than an atomic.
            if (part.first < seen(values)) atomicMin(values, part.first);
#if CELLS
            if (part.last > seen(values + 1)) atomicMax(values + 1, part.last);
            u64* sums = slot + WORDS + 2;
            atomicAdd(sums, part.n);
#pragma unroll
            for (int measure = 0; measure < MEASURES; ++measure) atomicAdd(sums + 1 + measure, part.sums[measure]);
#endif
            return true;
        }
        at = at + 1 < table.capacity ? at + 1 : 0;
    }
    return false;
}

#if CELLS

// The first groups that a block meets, one for each value of some bits of their hash. Rows of a group that is hot then
// meet in shared memory, and the table sees one sum a block. A place is never given up, so rows need no barrier; a
// group with a share p of all rows has its place with probability p * CACHE / (p * CACHE + 1 - p).
struct Cache {
    u64* keys;
    i64 *first, *last;
    unsigned *n, *low, *high;

    __device__ __forceinline__ explicit Cache(unsigned char* memory) {
        keys = reinterpret_cast<u64*>(memory);
        first = reinterpret_cast<i64*>(keys + WORDS * CACHE);
        last = first + CACHE;
        n = reinterpret_cast<unsigned*>(last + CACHE);
        low = n + CACHE;
        high = low + MEASURES * CACHE;
    }

    __device__ __forceinline__ void clear(int place) {
        for (int word = 0; word < WORDS; ++word) keys[word * CACHE + place] = EMPTY;
        first[place] = MOST;
        last[place] = LEAST;
        n[place] = 0;
        for (int measure = 0; measure < MEASURES; ++measure)
            low[measure * CACHE + place] = high[measure * CACHE + place] = 0;
    }

    // Add a row to its group; false where another group has its place.
    __device__ __forceinline__ bool add(const Key& key, u64 hash, const Part& part) {
        int place = static_cast<int>(hash & (CACHE - 1));
        unsigned n_new = 0;
        if (!takes<true>(keys + place, CACHE, key, n_new)) return false;
        if (part.first < seen<true>(first + place)) atomicMin(first + place, part.first);
        if (part.last > seen<true>(last + place)) atomicMax(last + place, part.last);
        atomicAdd(n + place, 1u);
#pragma unroll
        for (int measure = 0; measure < MEASURES; ++measure) {
            // Shared memory adds 32 bits at once, but 64 only by trying until it fits.
            unsigned addend = static_cast<unsigned>(part.sums[measure]);
            unsigned before = atomicAdd(low + measure * CACHE + place, addend);
            unsigned rest = static_cast<unsigned>(part.sums[measure] >> 32) + (before + addend < before);
            if (rest) atomicAdd(high + measure * CACHE + place, rest);
        }
        return true;
    }

    __device__ __forceinline__ bool has(int place) const { return keys[(WORDS - 1) * CACHE + place] != EMPTY; }

    __device__ __forceinline__ Key key(int place) const {
        Key found;
        for (int word = 0; word < WORDS; ++word) found.words[word] = keys[word * CACHE + place];
        return found;
    }

    __device__ __forceinline__ Part part(int place) const {
        Part found = {first[place], last[place], n[place], {}};
        for (int measure = 0; measure < MEASURES; ++measure)
            found.sums[measure] = u64(high[measure * CACHE + place]) << 32 | low[measure * CACHE + place];
        return found;
    }
};

#endif

__device__ __forceinline__ i64 first_item() { return i64(blockIdx.x) * THREADS + threadIdx.x; }
__device__ __forceinline__ i64 step() { return i64(gridDim.x) * THREADS; }

// ranges: largest rank, largest second, its least, largest third, its least; begun by the caller.
// sketch: of each part of all hashes the longest run of zeros, and one.
extern "C" __global__ void __launch_bounds__(THREADS)
    survey_keys(const int* __restrict__ ranks, const Second* __restrict__ seconds, const int* __restrict__ thirds,
                i64 n, i64* ranges, unsigned* sketch) {
    SHARED_MEMORY(memory);
    unsigned* runs = reinterpret_cast<unsigned*>(memory);
    for (int i = threadIdx.x; i < SKETCH; i += THREADS) runs[i] = 0;
    __syncthreads();
    i64 bounds[5] = {LEAST, LEAST, MOST, LEAST, MOST};
    for (i64 row = first_item(); row < n; row += step()) {
        i64 rank = ranks[row], second = seconds[row], third = CELLS ? thirds[row] : 0;
        bounds[0] = max(bounds[0], rank);
        bounds[1] = max(bounds[1], second);
        bounds[2] = min(bounds[2], second);
        bounds[3] = max(bounds[3], third);
        bounds[4] = min(bounds[4], third);
        u64 others = static_cast<u64>(rank) << 32 | (static_cast<u64>(third) & ALL);
        u64 hash = mixed(mixed(static_cast<u64>(second)) ^ others);
        u64 rest = hash << SKETCH_BITS;
        unsigned run = rest ? leading_zeros(rest) + 1 : 64 - SKETCH_BITS + 1;
        unsigned* kept = runs + (hash >> (64 - SKETCH_BITS));
        if (run > seen<true>(kept)) atomicMax(kept, run);
    }
#pragma unroll
    for (int i = 0; i < 5; ++i) {
        bool least = i == 2 || i == 4;
        for (int distance = 1; distance < LANES; distance *= 2) {
            i64 other = __shfl_xor_sync(ALL, bounds[i], distance);
            bounds[i] = least ? min(bounds[i], other) : max(bounds[i], other);
        }
        if (threadIdx.x % LANES == 0) {
            if (least) atomicMin(ranges + i, bounds[i]);
            else atomicMax(ranges + i, bounds[i]);
        }
    }
    __syncthreads();
    for (int i = threadIdx.x; i < SKETCH; i += THREADS)
        if (runs[i] > seen(sketch + i)) atomicMax(sketch + i, runs[i]);
}

extern "C" __global__ void __launch_bounds__(THREADS) clear_table(u64* slots, i64 capacity) {
    for (i64 i = first_item(); i < capacity * SLOT; i += step()) {
        int word = static_cast<int>(i % SLOT) - WORDS;
        slots[i] = word < 0 ? EMPTY : word == 0 ? u64(MOST) : CELLS && word == 1 ? u64(LEAST) : 0;
    }
}

// state: whether the table is full, and groups.
extern "C" __global__ void __launch_bounds__(THREADS, WIDE || MEASURES > 4 ? 2 : 3)
    group_rows(const int* __restrict__ ranks, const Second* __restrict__ seconds, const int* __restrict__ thirds,
               const Time* __restrict__ at, const i64* __restrict__ measures, i64 n, i64 second_least, int third_least,
               int third_bits, int tail_bits, u64* slots, i64 capacity, u64* state) {
    const Packing by = {second_least, third_least, third_bits, tail_bits};
    const Table table = {slots, capacity};
    unsigned n_new = 0;
    bool full = false;
#if CELLS
    SHARED_MEMORY(memory);
    Cache cache(memory);
    for (int place = threadIdx.x; place < CACHE; place += THREADS) cache.clear(place);
    __syncthreads();
#endif
    for (i64 row = first_item(); row < n && !full; row += step()) {
        Key key = packed(ranks[row], seconds[row], CELLS ? thirds[row] : 0, by);
        u64 hash = hash_of(key);
        Part part;
        part.first = at[row];
#if CELLS
        part.last = part.first;
        part.n = 1;
#pragma unroll
        for (int measure = 0; measure < MEASURES; ++measure) part.sums[measure] = u64(measures[measure * n + row]);
        if (cache.add(key, hash, part)) continue;
#endif
        full = !add(table, key, hash, part, n_new) || seen(state + FULL);
    }
#if CELLS
    __syncthreads();
    for (int place = threadIdx.x; place < CACHE && !full; place += THREADS) {
        if (!cache.has(place)) continue;
        Key key = cache.key(place);
        full = !add(table, key, hash_of(key), cache.part(place), n_new);
    }
#endif
    if (full) atomicOr(state + FULL, u64(1));
    for (int distance = 1; distance < LANES; distance *= 2) n_new += __shfl_xor_sync(ALL, n_new, distance);
    if (threadIdx.x % LANES == 0 && n_new) atomicAdd(state + GROUPS, u64(n_new));
}

// Taken slots, in any order. Of one number: keys with the distance from home in their lowest bits, which tell the slot.
// Of two: n_groups lower numbers, then as many higher ones, and slots.
extern "C" __global__ void __launch_bounds__(THREADS)
    collect_groups(const u64* __restrict__ slots, i64 capacity, i64 n_groups, u64* keys, u64* places,
                   u64* n_written) {
    int lane = threadIdx.x % LANES;
    i64 warp = first_item() / LANES, all = step() / LANES;
    for (i64 begin = warp * LANES * BATCH; begin < capacity; begin += all * LANES * BATCH) {
        unsigned taken[BATCH], n = 0;
#pragma unroll
        for (int i = 0; i < BATCH; ++i) {
            i64 at = begin + i * LANES + lane;
            taken[i] = __ballot_sync(ALL, at < capacity && slots[at * SLOT] != EMPTY);
            n += __popc(taken[i]);
        }
        u64 to = lane == 0 && n ? atomicAdd(n_written, u64(n)) : 0;
        to = __shfl_sync(ALL, to, 0);
#pragma unroll
        for (int i = 0; i < BATCH; ++i) {
            i64 at = begin + i * LANES + lane;
            if (taken[i] >> lane & 1) {
                u64 place = to + __popc(taken[i] & ((1u << lane) - 1));
                const u64* slot = slots + at * SLOT;
#if WIDE
                keys[place] = slot[1];
                keys[n_groups + place] = slot[0];
                places[place] = at;
#else
                i64 away = at - home_of(hash_of({{slot[0]}}), capacity);
                keys[place] = slot[0] << PROBE_BITS | static_cast<u64>(away < 0 ? away + capacity : away);
#endif
            }
            to += __popc(taken[i]);
        }
    }
}

// Columns of the groups, in the order of `sorted`: what `collect_groups` gave, of two numbers the slots.
extern "C" __global__ void __launch_bounds__(THREADS)
    read_groups(const u64* __restrict__ slots, i64 capacity, const u64* __restrict__ sorted, i64 n_groups,
                i64 second_least, int third_least, int third_bits, int tail_bits, int* ranks, Second* seconds,
                int* thirds, Time* first, i64* last, i64* n, i64* sums) {
    const Packing by = {second_least, third_least, third_bits, tail_bits};
    for (i64 i = first_item(); i < n_groups; i += step()) {
        u64 told = sorted[i];
        Key key;
#if WIDE
        const u64* slot = slots + told * SLOT;
        key = {{slot[0], slot[1]}};
#else
        key = {{told >> PROBE_BITS}};
        i64 at = home_of(hash_of(key), capacity) + static_cast<i64>(told % PROBES);
        const u64* slot = slots + (at < capacity ? at : at - capacity) * SLOT;
#endif
        int rank, third;
        Second second;
        unpack(key, by, rank, second, third);
        ranks[i] = rank;
        seconds[i] = second;
        first[i] = static_cast<Time>(slot[WORDS]);
#if CELLS
        thirds[i] = third;
        last[i] = static_cast<i64>(slot[WORDS + 1]);
        n[i] = static_cast<i64>(slot[WORDS + 2]);
#pragma unroll
        for (int measure = 0; measure < MEASURES; ++measure)
            sums[measure * n_groups + i] = static_cast<i64>(slot[WORDS + 3 + measure]);
#endif
    }
}
