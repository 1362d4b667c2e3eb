// Whether this processor can run the rest of the library; this function itself runs on any.
#ifdef __AMX_TILE__
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

// The processor has to have tiles of bytes and of bfloat16, and the system has to keep room for them.
__attribute__((target("arch=x86-64"))) static bool has_tiles() {
    constexpr unsigned BFLOAT16 = 1u << 22, TILES = 1u << 24, BYTES = 1u << 25;  // of EDX, in leaf 7
    constexpr long ASK = 0x1023, TILE_DATA = 18;                                 // ARCH_REQ_XCOMP_PERM
    unsigned a, b, c, d = 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    return (d & BFLOAT16) && (d & TILES) && (d & BYTES) && syscall(SYS_arch_prctl, ASK, TILE_DATA) == 0;
}
#endif

extern "C" __attribute__((target("arch=x86-64"))) int runs_here() {
    __builtin_cpu_init();
    int runs = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#ifdef __AVX512VNNI__
    runs = runs && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni");
#endif
#ifdef __AVX512BF16__
    runs = runs && __builtin_cpu_supports("avx512bf16");
#endif
#ifdef __AMX_TILE__
    runs = runs && has_tiles();
#endif
    return runs;
}
