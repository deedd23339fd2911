// Root-mean-square normalisation over the last axis.
//
//   y = w x̂,   x̂ = x s,   s = 1 / √(mean(x²) + ε)
//   dx = (g - x̂ mean(g x̂)) s  with g = w dy,   dw = Σ over rows of dy x̂
//
// x, y, dy, dx: [rows, d]; weight, dw: [d]. A sum over a row runs in 16 lanes, index mod 16, added as a tree. The sum over rows
// runs in order within blocks of 32 rows, then over the blocks in order.
#include <vector>

#include "lanes.h"

namespace ISA {

constexpr int64_t RMS_NORM_BLOCK = 32;

static inline float rmsNormScale(float squares, int64_t d, double eps) {
  return static_cast<float>(1 / std::sqrt(static_cast<double>(squares) / static_cast<double>(d) + eps));
}

/** x, weight, y: rows, d, eps. */
static void rmsNorm(Arrays arrays, Numbers numbers) {
  const float *x = floatsAt(arrays, 0), *weight = floatsAt(arrays, 1);
  float* y = floatsAt(arrays, 2);
  const int64_t rows = integerAt(numbers, 0), d = integerAt(numbers, 1);
  const double eps = numbers[2];
  parallelFor(rows, d, [=](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; row++) {
      const float* from = x + row * d;
      float* to = y + row * d;
      V squares = splat(0);
      forLanes(0, d, [&](int64_t i, int n) {
        const V v = loadUpTo(from + i, n);
        squares = fma(v, v, squares);
      });
      const V scale = splat(rmsNormScale(sum(squares), d, eps));
      forLanes(0, d, [&](int64_t i, int n) { storeUpTo(to + i, loadUpTo(from + i, n) * scale * loadUpTo(weight + i, n), n); });
    }
  });
}

/** dy, x, weight, dx, dw: rows, d, eps, whether dw: that of a weight that is not trained is not made. */
static void rmsNormGrad(Arrays arrays, Numbers numbers) {
  const float *dy = floatsAt(arrays, 0), *x = floatsAt(arrays, 1), *weight = floatsAt(arrays, 2);
  float *dx = floatsAt(arrays, 3), *dw = floatsAt(arrays, 4);
  const int64_t rows = integerAt(numbers, 0), d = integerAt(numbers, 1);
  const double eps = numbers[2];
  const bool wantsDw = numbers[3] != 0;
  const int64_t blocks = (rows + RMS_NORM_BLOCK - 1) / RMS_NORM_BLOCK;
  // dw of each block, [blocks, d]: made in the pass that makes dx, so that dy and x are read from memory once.
  thread_local std::vector<float> scratch;
  if (wantsDw && static_cast<int64_t>(scratch.size()) < blocks * d) scratch.resize(static_cast<size_t>(blocks * d));
  float* const partial = scratch.data();
  parallelFor(blocks, 3 * RMS_NORM_BLOCK * d, [=](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; block++) {
      float* const blockDw = wantsDw ? partial + block * d : nullptr;
      if (wantsDw) std::memset(blockDw, 0, static_cast<size_t>(d) * sizeof(float));
      const int64_t last = (block + 1) * RMS_NORM_BLOCK < rows ? (block + 1) * RMS_NORM_BLOCK : rows;
      for (int64_t row = block * RMS_NORM_BLOCK; row < last; row++) {
        const float *rowDy = dy + row * d, *rowX = x + row * d;
        float* to = dx + row * d;
        V squares = splat(0), products = splat(0);
        forLanes(0, d, [&](int64_t i, int n) {
          const V v = loadUpTo(rowX + i, n);
          squares = fma(v, v, squares);
          products = fma(loadUpTo(rowDy + i, n) * loadUpTo(weight + i, n), v, products);
        });
        const float s = rmsNormScale(sum(squares), d, eps);
        const V scale = splat(s);
        const V mean = splat(static_cast<float>(static_cast<double>(s) * sum(products) / static_cast<double>(d)));
        forLanes(0, d, [&](int64_t i, int n) {
          const V g = loadUpTo(rowDy + i, n), xHat = loadUpTo(rowX + i, n) * scale;
          if (wantsDw) storeUpTo(blockDw + i, fma(g, xHat, loadUpTo(blockDw + i, n)), n);
          storeUpTo(to + i, fma(-xHat, mean, g * loadUpTo(weight + i, n)) * scale, n);
        });
      }
    }
  });
  if (!wantsDw) return;
  parallelLanes(d, blocks, [=](int64_t i, int n) {
    V total = splat(0);
    for (int64_t block = 0; block < blocks; block++) total += loadUpTo(partial + block * d + i, n);
    storeUpTo(dw + i, total, n);
  });
}

[[maybe_unused]] static void rmsNormDefinition(Arrays arrays, Numbers numbers) {
  const float *x = floatsAt(arrays, 0), *weight = floatsAt(arrays, 1);
  float* y = floatsAt(arrays, 2);
  const int64_t rows = integerAt(numbers, 0), d = integerAt(numbers, 1);
  for (int64_t row = 0; row < rows; row++, x += d, y += d) {
    double squares = 0;
    for (int64_t i = 0; i < d; i++) squares += double{x[i]} * x[i];
    const double scale = 1 / std::sqrt(squares / static_cast<double>(d) + numbers[2]);
    for (int64_t i = 0; i < d; i++) y[i] = static_cast<float>(x[i] * scale * weight[i]);
  }
}

[[maybe_unused]] static void rmsNormGradDefinition(Arrays arrays, Numbers numbers) {
  const float *dy = floatsAt(arrays, 0), *x = floatsAt(arrays, 1), *weight = floatsAt(arrays, 2);
  float *dx = floatsAt(arrays, 3), *dw = floatsAt(arrays, 4);
  const int64_t rows = integerAt(numbers, 0), d = integerAt(numbers, 1);
  std::vector<double> total(static_cast<size_t>(d));
  for (int64_t row = 0; row < rows; row++, dy += d, x += d, dx += d) {
    double squares = 0, products = 0;
    for (int64_t i = 0; i < d; i++) {
      squares += double{x[i]} * x[i];
      products += double{dy[i]} * weight[i] * x[i];
    }
    const double scale = 1 / std::sqrt(squares / static_cast<double>(d) + numbers[2]);
    const double mean = products * scale / static_cast<double>(d);
    for (int64_t i = 0; i < d; i++) {
      const double xHat = x[i] * scale;
      dx[i] = static_cast<float>((double{dy[i]} * weight[i] - xHat * mean) * scale);
      total[static_cast<size_t>(i)] += dy[i] * xHat;
    }
  }
  for (int64_t i = 0; numbers[3] != 0 && i < d; i++) dw[i] = static_cast<float>(total[static_cast<size_t>(i)]);
}

}  // namespace ISA
