// Whether this processor can run the rest of the library; this function itself runs on any.
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
    return runs;
}
