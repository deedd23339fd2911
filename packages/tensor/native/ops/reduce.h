// Sums, maxima and what is made of them, along rows or columns.
//
//   sumRows      y[r] = Σ_i x[r, i]                        arrays x, y; numbers rows, n
//   sumMiddle    y[b, i] = Σ_r x[b, r, i]                  arrays x, y; numbers batch, rows, n
//   maxRows      y[r] = max_i x[r, i], NaN if one is NaN   arrays x, y; numbers rows, n
//   softmaxRows  y[r, i] = e^(x[r, i] - m) / Σ_j e^(x[r, j] - m), m = max_j x[r, j]   arrays x, y; numbers rows, n
//   argMaxRows   y[r] = the first i of the maximum (int32); NaN is never greater, nor is anything than a NaN at 0
//   cumsumRows   y[r, i] = x[r, 0] + ... + x[r, i]         arrays x, y; numbers rows, n
//
// Order: a row's sum runs in 16 partial sums, index mod 16, and these are added by sum(). In rows of more than 4096 each block
// of 4096 has its 16 sums, added up block after block: the error grows with n / 4096, and one long row has work for all threads.
// Sums of columns and running sums are chains from first to last. Every n here is at least 1.
#include <algorithm>
#include <limits>
#include <vector>

namespace ISA {

constexpr int64_t SUM_BLOCK = 4096;

/** The 16 partial sums of value(i, count) over begin..end, where value gives the elements i .. i+count-1 and zeros after. */
template <class F>
static inline V laneSums(int64_t begin, int64_t end, F value) {
  V s = splat(0);
  int64_t i = begin;
  for (; i + LANES <= end; i += LANES) s += value(i, LANES);
  if (i < end) s += value(i, static_cast<int>(end - i));
  return s;
}

template <class F>
static inline float blockedSum(int64_t n, F value) {
  if (n <= SUM_BLOCK) return sum(laneSums(0, n, value));
  V s = splat(0);
  for (int64_t i = 0; i < n; i += SUM_BLOCK) s += laneSums(i, std::min(n, i + SUM_BLOCK), value);
  return sum(s);
}

static inline void sumRowsDefinition(Arrays a, Numbers numbers) {
  const int64_t rows = static_cast<int64_t>(numbers[0]), n = static_cast<int64_t>(numbers[1]);
  for (int64_t r = 0; r < rows; r++) {
    double s = 0;
    for (int64_t i = 0; i < n; i++) s += static_cast<const float*>(a[0])[r * n + i];
    static_cast<float*>(a[1])[r] = static_cast<float>(s);
  }
}

static inline void sumRows(Arrays a, Numbers numbers) {
  const float* x = static_cast<const float*>(a[0]);
  float* y = static_cast<float*>(a[1]);
  const int64_t rows = static_cast<int64_t>(numbers[0]), n = static_cast<int64_t>(numbers[1]);
  const auto of = [](const float* p) {
    return [p](int64_t i, int count) { return count == LANES ? load(p + i) : loadPart(p + i, count); };
  };
  if (rows == 1 && n >= 64 * SUM_BLOCK) {  // one long row: the blocks side by side, then their sums in order
    const int64_t blocks = (n + SUM_BLOCK - 1) / SUM_BLOCK;
    thread_local std::vector<float> scratch;
    scratch.resize(static_cast<size_t>(blocks * LANES));
    float* partial = scratch.data();
    parallelFor(blocks, SUM_BLOCK, [=](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; b++)
        store(partial + b * LANES, laneSums(b * SUM_BLOCK, std::min(n, (b + 1) * SUM_BLOCK), of(x)));
    });
    V s = splat(0);
    for (int64_t b = 0; b < blocks; b++) s += load(partial + b * LANES);
    y[0] = sum(s);
    return;
  }
  parallelFor(rows, n, [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) y[r] = blockedSum(n, of(x + r * n));
  });
}

static inline void sumMiddleDefinition(Arrays a, Numbers numbers) {
  const int64_t batch = static_cast<int64_t>(numbers[0]), rows = static_cast<int64_t>(numbers[1]);
  const int64_t n = static_cast<int64_t>(numbers[2]);
  for (int64_t i = 0; i < batch * n; i++) {
    double s = 0;
    for (int64_t r = 0; r < rows; r++) s += static_cast<const float*>(a[0])[(i / n * rows + r) * n + i % n];
    static_cast<float*>(a[1])[i] = static_cast<float>(s);
  }
}

/** y[0..n) = y (or 0) + `rows` rows of x that lie `stride` apart, first to last; n is a few cache lines to a part of a cache. */
static inline void addRows(const float* x, int64_t rows, int64_t stride, float* y, int64_t n) {
  constexpr int64_t UNROLL = 8;  // rows added for one read and write of y
  for (int64_t r = 0; r < rows; r += UNROLL) {
    const int64_t count = std::min(UNROLL, rows - r);
    const float* from = x + r * stride;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
      V s = r == 0 ? splat(0) : load(y + i);
      if (count == UNROLL) {
        for (int64_t k = 0; k < UNROLL; k++) s += load(from + k * stride + i);
      } else {
        for (int64_t k = 0; k < count; k++) s += load(from + k * stride + i);
      }
      store(y + i, s);
    }
    if (i == n) continue;
    const int rest = static_cast<int>(n - i);
    V s = r == 0 ? splat(0) : loadPart(y + i, rest);
    for (int64_t k = 0; k < count; k++) s += loadPart(from + k * stride + i, rest);
    storePart(y + i, s, rest);
  }
}

static inline void sumMiddle(Arrays a, Numbers numbers) {
  const float* x = static_cast<const float*>(a[0]);
  float* y = static_cast<float*>(a[1]);
  const int64_t batch = static_cast<int64_t>(numbers[0]), rows = static_cast<int64_t>(numbers[1]);
  const int64_t n = static_cast<int64_t>(numbers[2]);
  if (rows == 0) std::fill(y, y + batch * n, 0.0f);
  // Wide pieces stream best; with many threads and few columns they are narrower, down to four vectors.
  int64_t width = 1024;
  while (width > 64 && batch * ((n + width - 1) / width) < 2 * threadCount()) width /= 2;
  const int64_t pieces = (n + width - 1) / width;
  parallelFor(batch * pieces, rows * std::min(n, width), [=](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; task++) {
      const int64_t b = task / pieces, i = task % pieces * width;
      addRows(x + b * rows * n + i, rows, n, y + b * n + i, std::min(width, n - i));
    }
  });
}

static inline void maxRowsDefinition(Arrays a, Numbers numbers) {
  const int64_t rows = static_cast<int64_t>(numbers[0]), n = static_cast<int64_t>(numbers[1]);
  for (int64_t r = 0; r < rows; r++) {
    const float* x = static_cast<const float*>(a[0]) + r * n;
    float m = x[0];
    for (int64_t i = 0; i < n; i++) m = std::isnan(x[i]) || x[i] > m ? x[i] : m;
    static_cast<float*>(a[1])[r] = m;
  }
}

/** The greatest of x[0..n); NaN where `nan` asks for it and one is. */
template <bool nan>
static inline float rowMax(const float* x, int64_t n) {
  const float least = -std::numeric_limits<float>::infinity();
  V m[4] = {splat(least), splat(least), splat(least), splat(least)};
  VI ordered = ~VI{};
  const auto take = [&](int k, V v) {
    m[k] = vmax(v, m[k]);
    if (nan) ordered &= v == v;
  };
  int64_t i = 0;
  for (; i + 4 * LANES <= n; i += 4 * LANES)
    for (int k = 0; k < 4; k++) take(k, load(x + i + k * LANES));
  for (; i + LANES <= n; i += LANES) take(0, load(x + i));
  if (i < n) take(0, loadPart(x + i, static_cast<int>(n - i), least));
  if (nan) {
    int32_t all = -1;
    for (int k = 0; k < LANES; k++) all &= ordered[k];
    if (!all) return std::numeric_limits<float>::quiet_NaN();
  }
  return max(vmax(vmax(m[0], m[1]), vmax(m[2], m[3])));
}

static inline void maxRows(Arrays a, Numbers numbers) {
  const float* x = static_cast<const float*>(a[0]);
  float* y = static_cast<float*>(a[1]);
  const int64_t rows = static_cast<int64_t>(numbers[0]), n = static_cast<int64_t>(numbers[1]);
  parallelFor(rows, n, [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) y[r] = rowMax<true>(x + r * n, n);
  });
}

static inline void softmaxRowsDefinition(Arrays a, Numbers numbers) {
  const int64_t rows = static_cast<int64_t>(numbers[0]), n = static_cast<int64_t>(numbers[1]);
  for (int64_t r = 0; r < rows; r++) {
    const float* x = static_cast<const float*>(a[0]) + r * n;
    double m = x[0], s = 0;
    for (int64_t i = 0; i < n; i++) m = std::isnan(x[i]) || x[i] > m ? x[i] : m;
    for (int64_t i = 0; i < n; i++) s += std::exp(x[i] - m);
    for (int64_t i = 0; i < n; i++) static_cast<float*>(a[1])[r * n + i] = static_cast<float>(std::exp(x[i] - m) / s);
  }
}

static inline void softmaxRows(Arrays a, Numbers numbers) {
  const float* x = static_cast<const float*>(a[0]);
  float* y = static_cast<float*>(a[1]);
  const int64_t rows = static_cast<int64_t>(numbers[0]), n = static_cast<int64_t>(numbers[1]);
  parallelFor(rows, n * 12, [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      const float* from = x + r * n;
      float* to = y + r * n;
      // A NaN need not be the maximum: its own exponential makes the sum NaN, and so the row.
      const V m = splat(rowMax<false>(from, n));
      const V s = splat(blockedSum(n, [=](int64_t i, int count) {
        if (count == LANES) {
          const V e = vexp(load(from + i) - m);
          store(to + i, e);
          return e;
        }
        const V e = vexp(loadPart(from + i, count, -std::numeric_limits<float>::infinity()) - m);
        storePart(to + i, e, count);
        return e;
      }));
      int64_t i = 0;
      for (; i + LANES <= n; i += LANES) store(to + i, load(to + i) / s);
      if (i < n) storePart(to + i, loadPart(to + i, static_cast<int>(n - i)) / s, static_cast<int>(n - i));
    }
  });
}

static inline void argMaxRowsDefinition(Arrays a, Numbers numbers) {
  const int64_t rows = static_cast<int64_t>(numbers[0]), n = static_cast<int64_t>(numbers[1]);
  for (int64_t r = 0; r < rows; r++) {
    const float* x = static_cast<const float*>(a[0]) + r * n;
    int64_t at = 0;
    for (int64_t i = 0; i < n; i++) at = x[i] > x[at] ? i : at;
    static_cast<int32_t*>(a[1])[r] = static_cast<int32_t>(at);
  }
}

static inline void argMaxRows(Arrays a, Numbers numbers) {
  const float* x = static_cast<const float*>(a[0]);
  int32_t* y = static_cast<int32_t*>(a[1]);
  const int64_t rows = static_cast<int64_t>(numbers[0]), n = static_cast<int64_t>(numbers[1]);
  parallelFor(rows, n * 2, [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      const float* row = x + r * n;
      V best = splat(row[0]);  // in each lane, at index 0: if it is NaN nothing is ever greater
      VI at{};
      VI index{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
      int64_t i = 0;
      for (; i < n; i += LANES) {
        const V v = n - i >= LANES ? load(row + i) : loadPart(row + i, static_cast<int>(n - i), row[0]);
        at = v > best ? index : at;
        best = v > best ? v : best;
        index += LANES;
      }
      const float greatest = max(best);
      int32_t first = std::numeric_limits<int32_t>::max();
      for (int k = 0; k < LANES; k++)
        if (best[k] == greatest) first = std::min(first, static_cast<int32_t>(at[k]));
      y[r] = row[0] == row[0] ? first : 0;
    }
  });
}

static inline void cumsumRowsDefinition(Arrays a, Numbers numbers) {
  const int64_t rows = static_cast<int64_t>(numbers[0]), n = static_cast<int64_t>(numbers[1]);
  for (int64_t r = 0; r < rows; r++) {
    double s = 0;
    for (int64_t i = r * n; i < (r + 1) * n; i++)
      static_cast<float*>(a[1])[i] = static_cast<float>(s += static_cast<const float*>(a[0])[i]);
  }
}

static inline void cumsumRows(Arrays a, Numbers numbers) {
  const float* x = static_cast<const float*>(a[0]);
  float* y = static_cast<float*>(a[1]);
  const int64_t rows = static_cast<int64_t>(numbers[0]), n = static_cast<int64_t>(numbers[1]);
  parallelFor(rows, n * 4, [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      float s = x[r * n];
      y[r * n] = s;
      for (int64_t i = r * n + 1; i < (r + 1) * n; i++) y[i] = s = s + x[i];
    }
  });
}

}  // namespace ISA
