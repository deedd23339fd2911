// Rows of a table, and their gradient.
//
//   y[n] = table[ids[n]],   dtable[v] = Σ over {ids[n] = v} of dy[n]
//
// table, dtable: [V, d]; ids: int32 [N], each in 0..V-1, which the caller has checked; y, dy: [N, d]. Rows with one id are added
// in the order of n.
#include <vector>

#include "lanes.h"

namespace ISA {

/** table, ids, y: N, d, V. */
static void embeddingLookup(Arrays arrays, Numbers numbers) {
  const float* table = floatsAt(arrays, 0);
  const auto* ids = static_cast<const int32_t*>(arrays[1]);
  float* y = floatsAt(arrays, 2);
  const int64_t N = integerAt(numbers, 0), d = integerAt(numbers, 1);
  parallelFor(N, d, [=](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; n++) std::memcpy(y + n * d, table + ids[n] * d, static_cast<size_t>(d) * sizeof(float));
  });
}

/** dy, ids, dtable: N, d, V. */
static void embeddingLookupGrad(Arrays arrays, Numbers numbers) {
  const float* dy = floatsAt(arrays, 0);
  const auto* ids = static_cast<const int32_t*>(arrays[1]);
  float* dtable = floatsAt(arrays, 2);
  const int64_t N = integerAt(numbers, 0), d = integerAt(numbers, 1), rows = integerAt(numbers, 2);
  if (rows == 0) return;
  // A range of the table a task: it clears its rows and looks through all ids for its own.
  parallelFor(rows, d + N * d / rows, [=](int64_t begin, int64_t end) {
    std::memset(dtable + begin * d, 0, static_cast<size_t>((end - begin) * d) * sizeof(float));
    for (int64_t n = 0; n < N; n++) {
      if (ids[n] < begin || ids[n] >= end) continue;
      const float* from = dy + n * d;
      float* to = dtable + ids[n] * d;
      forLanes(0, d, [&](int64_t i, int lanes) { storeUpTo(to + i, loadUpTo(to + i, lanes) + loadUpTo(from + i, lanes), lanes); });
    }
  });
}

[[maybe_unused]] static void embeddingLookupDefinition(Arrays arrays, Numbers numbers) {
  const float* table = floatsAt(arrays, 0);
  const auto* ids = static_cast<const int32_t*>(arrays[1]);
  float* y = floatsAt(arrays, 2);
  const int64_t N = integerAt(numbers, 0), d = integerAt(numbers, 1);
  for (int64_t n = 0; n < N; n++)
    for (int64_t i = 0; i < d; i++) y[n * d + i] = table[ids[n] * d + i];
}

[[maybe_unused]] static void embeddingLookupGradDefinition(Arrays arrays, Numbers numbers) {
  const float* dy = floatsAt(arrays, 0);
  const auto* ids = static_cast<const int32_t*>(arrays[1]);
  float* dtable = floatsAt(arrays, 2);
  const int64_t N = integerAt(numbers, 0), d = integerAt(numbers, 1), rows = integerAt(numbers, 2);
  std::vector<double> total(static_cast<size_t>(rows * d));
  for (int64_t n = 0; n < N; n++)
    for (int64_t i = 0; i < d; i++) total[static_cast<size_t>(ids[n] * d + i)] += dy[n * d + i];
  for (int64_t i = 0; i < rows * d; i++) dtable[i] = static_cast<float>(total[static_cast<size_t>(i)]);
}

}  // namespace ISA
