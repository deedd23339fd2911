// How fast the processor multiplies and adds: chains of fused multiply-adds in registers alone, as many as hide their latency.
//
//   x ← x a + b
//
// A measure for the product kernel (bench/), no operation of a model. y: float64 [tasks], the floating-point operations that each
// task did, 2 × 384 a step; numbers: tasks, steps.
#include <cstdint>

namespace ISA {

/** As many registers as the instruction set has room for, and how often 384 floats go through them. */
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int CHAINS = 24;
#else
constexpr int CHAINS = 12;
#endif
constexpr int STEP = 384;
constexpr int64_t TURNS = STEP / (CHAINS * PART);

static void multiplyAdds(Arrays arrays, Numbers numbers) {
  auto* y = static_cast<double*>(arrays[0]);
  const auto tasks = static_cast<int64_t>(numbers[0]), steps = static_cast<int64_t>(numbers[1]);
  parallelTasks(tasks, PARALLEL_COST, [=](int64_t task) {
    Part x[CHAINS];
    const Part a = Part{} + 0.999f, b = Part{} + 0.001f;
#pragma GCC unroll 32
    for (int i = 0; i < CHAINS; i++) x[i] = Part{} + static_cast<float>(i + task);
    for (int64_t turn = 0; turn < steps * TURNS; turn++) {
#pragma GCC unroll 32
      for (int i = 0; i < CHAINS; i++) x[i] = fmaPart(x[i], a, b);
    }
    Part all{};
#pragma GCC unroll 32
    for (int i = 0; i < CHAINS; i++) all += x[i];
    // The result must matter, or there is nothing to compute: it never is NaN.
    y[task] = all[0] == all[0] ? 2.0 * STEP * static_cast<double>(steps) : 0;
  });
}

[[maybe_unused]] static void multiplyAddsDefinition(Arrays arrays, Numbers numbers) {
  for (int64_t task = 0; task < static_cast<int64_t>(numbers[0]); task++)
    static_cast<double*>(arrays[0])[task] = 2.0 * STEP * numbers[1];
}

}  // namespace ISA
