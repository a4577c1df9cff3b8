// What a kernel whose blocks wait for each other asks of the hardware: that all of them are resident at once, as a
// cooperative launch makes sure. What emulates the hardware defines EMULATED and has its own.

#ifndef EMULATED

// Called by one thread of every block, which has seen the others at a barrier: `arrived` counts blocks, and rises to
// `target` as the last one comes. What any of them wrote before can then be read past the first cache.
__device__ __forceinline__ void wait_for_blocks(unsigned* arrived, unsigned target) {
    __threadfence();
    atomicAdd(arrived, 1u);
    while (*static_cast<volatile unsigned*>(arrived) < target) {
    }
    __threadfence();
}

#endif
