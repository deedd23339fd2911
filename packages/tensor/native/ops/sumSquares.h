// The sum of squares of a vector, in double.
//
//   out = Σ x²
//
// x: [n]; out: float64 [1]. In chunks of 2^14 elements, each in 32 lanes of doubles, index mod 32, added as a tree; then the chunks
// in order. A square of a float is exact in double, so every instruction set gives the same bits.
#include <vector>

#include "lanes.h"

namespace ISA {

constexpr int64_t SUM_SQUARES_CHUNK = 1 << 14;

// A register of doubles, and the floats that fill it.
constexpr int WIDE = PART / 2;
typedef double Wide __attribute__((vector_size(WIDE * 8)));
typedef float Narrow __attribute__((vector_size(WIDE * 4)));
typedef float NarrowAt __attribute__((vector_size(WIDE * 4), aligned(4), may_alias));

constexpr int SUM_SQUARES_LANES = 32;

static inline double chunkSquares(const float* x, int64_t n) {
  Wide totals[SUM_SQUARES_LANES / WIDE] = {};
  const auto add = [&](const float* p) {
#pragma GCC unroll 16
    for (int i = 0; i < SUM_SQUARES_LANES / WIDE; i++) {
      const Narrow narrow = *reinterpret_cast<const NarrowAt*>(p + i * WIDE);
      const Wide wide = __builtin_convertvector(narrow, Wide);
      totals[i] += wide * wide;
    }
  };
  int64_t i = 0;
  for (; i + SUM_SQUARES_LANES <= n; i += SUM_SQUARES_LANES) add(x + i);
  if (i < n) {
    float rest[SUM_SQUARES_LANES] = {};
    std::memcpy(rest, x + i, static_cast<size_t>(n - i) * sizeof(float));
    add(rest);
  }
  double lanes[SUM_SQUARES_LANES];
  std::memcpy(lanes, totals, sizeof lanes);
  for (int half = SUM_SQUARES_LANES / 2; half > 0; half /= 2)
    for (int lane = 0; lane < half; lane++) lanes[lane] += lanes[lane + half];
  return lanes[0];
}

/** x, out (float64): n. */
static void sumSquares(Arrays arrays, Numbers numbers) {
  const float* x = floatsAt(arrays, 0);
  const int64_t n = integerAt(numbers, 0), chunks = (n + SUM_SQUARES_CHUNK - 1) / SUM_SQUARES_CHUNK;
  thread_local std::vector<double> scratch;
  scratch.resize(static_cast<size_t>(chunks));
  double* const sums = scratch.data();
  parallelFor(chunks, SUM_SQUARES_CHUNK, [=](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; chunk++) {
      const int64_t first = chunk * SUM_SQUARES_CHUNK;
      sums[chunk] = chunkSquares(x + first, n - first < SUM_SQUARES_CHUNK ? n - first : SUM_SQUARES_CHUNK);
    }
  });
  double total = 0;
  for (int64_t chunk = 0; chunk < chunks; chunk++) total += sums[chunk];
  *static_cast<double*>(arrays[1]) = total;
}

[[maybe_unused]] static void sumSquaresDefinition(Arrays arrays, Numbers numbers) {
  const float* x = floatsAt(arrays, 0);
  double total = 0;
  for (int64_t i = 0; i < integerAt(numbers, 0); i++) total += double{x[i]} * x[i];
  *static_cast<double*>(arrays[1]) = total;
}

}  // namespace ISA
