// What the kernels ask of the hardware beyond CUDA C++: bfloat16 products on tensor cores, and copies that overlap with
// work. Needs compute capability 8.0. Layouts of fragments: PTX ISA, "Matrix Fragments for mma.m16n8k16". What emulates
// the hardware defines EMULATED and has its own.

#ifndef EMULATED

#define SHARED_MEMORY(name) extern __shared__ __align__(16) unsigned char name[]

// Operations that round once and keep subnormal numbers: CuPy has NVRTC flush those to zero everywhere else.
__device__ __forceinline__ float exact_sum(float left, float right) {
    float found;
    asm("add.rn.f32 %0, %1, %2;" : "=f"(found) : "f"(left), "f"(right));
    return found;
}

__device__ __forceinline__ float exact_difference(float left, float right) {
    float found;
    asm("sub.rn.f32 %0, %1, %2;" : "=f"(found) : "f"(left), "f"(right));
    return found;
}

__device__ __forceinline__ float exact_product(float left, float right) {
    float found;
    asm("mul.rn.f32 %0, %1, %2;" : "=f"(found) : "f"(left), "f"(right));
    return found;
}

__device__ __forceinline__ double exact_double(float value) {
    double found;
    asm("cvt.f64.f32 %0, %1;" : "=d"(found) : "f"(value));
    return found;
}

// Two numbers rounded to bfloat16, the first in the lower half.
__device__ __forceinline__ unsigned rounded_pair(float first, float second) {
    unsigned pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
    return pair;
}

// sum[16 x 8] += left[16 x 16] times right[16 x 8], by all lanes of a warp.
__device__ __forceinline__ void multiply_add(float (&sum)[4], const unsigned (&left)[4], unsigned right0,
                                             unsigned right1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right0), "r"(right1));
}

// Begin to copy 4, 8 or 16 bytes from global to shared memory; both addresses are multiples of as many bytes.
template <int BYTES> __device__ __forceinline__ void begin_copy(void* to, const void* from) {
    unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(to));
    if constexpr (BYTES == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address), "l"(from) : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(address), "l"(from), "n"(BYTES) : "memory");
}

// The copies begun by this thread since the last call are one group.
__device__ __forceinline__ void end_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Wait until at most PENDING groups of this thread are under way.
template <int PENDING> __device__ __forceinline__ void wait_for_groups() {
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

#endif
