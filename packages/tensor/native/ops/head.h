// What touches the vocabulary: log-probabilities of ids and mixtures of embeddings, with their gradients.
//
//   z = W h,   p = softmax(z / τ)
//   log-probability: y = log p[id],   dz = (onehot(id) - p) dy / τ
//   mixture:         m = p E,   dp = E dm,   dz = p (dp - Σ p dp) / τ,   dE = pᵀ dm
//   dh = dz W,   dW = dzᵀ h
//
// Rows go through in chunks of about CHUNK logits; of [N, V] nothing more is held, and the backward pass computes the logits
// again. A row's sums run in sixteen lanes by the id mod 16, so its value does not depend on the rows beside it.
// Letters: N rows, d hidden size, V vocabulary size, e embedding size. W is also taken packed (wT: as [d, V]; w: as [V, d]).
#include <algorithm>
#include <cmath>
#include <vector>

namespace ISA {

using V16 = V;  // V is the vocabulary size here

constexpr int64_t CHUNK = int64_t{1} << 22;

static inline int64_t chunkRows(int64_t N, int64_t V) {
  return std::min(N, std::max<int64_t>(64, CHUNK / std::max<int64_t>(V, 1)));
}

/** A row of logits becomes (z - max z) / τ; returns Σ exp of it. The maximum comes off first: at τ = 1e-4 that keeps the digits. */
static float gapsRow(float* z, int64_t V, float temperature) {
  V16 top = splat(-INFINITY);
  int64_t v = 0;
  for (; v + LANES <= V; v += LANES) top = vmax(load(z + v), top);
  if (v < V) top = vmax(loadPart(z + v, static_cast<int>(V - v), -INFINITY), top);
  const V16 greatest = splat(max(top)), tau = splat(temperature);
  V16 total = splat(0);
  for (v = 0; v + LANES <= V; v += LANES) {
    const V16 gap = (load(z + v) - greatest) / tau;
    store(z + v, gap);
    total += vexp(gap);
  }
  if (v < V) {
    const int rest = static_cast<int>(V - v);
    const V16 gap = (loadPart(z + v, rest, -INFINITY) - greatest) / tau;
    storePart(z + v, gap, rest);
    total += vexp(gap);
  }
  return sum(total);
}

/** A row of gaps becomes softmax: exp(gap) / total. */
static void softmaxGaps(float* z, int64_t V, float total) {
  const V16 divisor = splat(total);
  int64_t v = 0;
  for (; v + LANES <= V; v += LANES) store(z + v, vexp(load(z + v)) / divisor);
  if (v < V) {
    const int rest = static_cast<int>(V - v);
    storePart(z + v, vexp(loadPart(z + v, rest)) / divisor, rest);
  }
}

/** hidden [N, d], wT, ids int32 [N], y [N]: N, d, V, τ. */
static void headLogProb(Arrays arrays, Numbers numbers) {
  const auto* hidden = static_cast<const float*>(arrays[0]);
  const auto* wT = static_cast<const float*>(arrays[1]);
  const auto* ids = static_cast<const int32_t*>(arrays[2]);
  auto* y = static_cast<float*>(arrays[3]);
  const auto N = static_cast<int64_t>(numbers[0]), d = static_cast<int64_t>(numbers[1]), V = static_cast<int64_t>(numbers[2]);
  const auto temperature = static_cast<float>(numbers[3]);
  const int64_t step = chunkRows(N, V);
  std::vector<float> z(static_cast<size_t>(step * V));
  float* const logits = z.data();
  for (int64_t first = 0; first < N; first += step) {
    const int64_t rows = std::min(step, N - first);
    gemm(hidden + first * d, d, false, wT, logits, V, rows, V, d, false);
    parallelFor(rows, 6 * V, [=](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; r++) {
        float* row = logits + r * V;
        const float total = gapsRow(row, V, temperature);
        y[first + r] = row[ids[first + r]] - std::log(total);
      }
    });
  }
}

/** dy [N], hidden, wT, w, ids, dhidden [N, d], dW [V, d]: N, d, V, τ. */
static void headLogProbGrad(Arrays arrays, Numbers numbers) {
  const auto* dy = static_cast<const float*>(arrays[0]);
  const auto* hidden = static_cast<const float*>(arrays[1]);
  const auto* wT = static_cast<const float*>(arrays[2]);
  const auto* w = static_cast<const float*>(arrays[3]);
  const auto* ids = static_cast<const int32_t*>(arrays[4]);
  auto* dhidden = static_cast<float*>(arrays[5]);
  auto* dW = static_cast<float*>(arrays[6]);
  const auto N = static_cast<int64_t>(numbers[0]), d = static_cast<int64_t>(numbers[1]), V = static_cast<int64_t>(numbers[2]);
  const auto temperature = static_cast<float>(numbers[3]);
  if (N == 0) std::memset(dW, 0, static_cast<size_t>(V * d) * 4);
  const int64_t step = chunkRows(N, V / 4 + 1);
  std::vector<float> z(static_cast<size_t>(step * V));
  std::vector<float> packedRows;
  float* const logits = z.data();
  for (int64_t first = 0; first < N; first += step) {
    const int64_t rows = std::min(step, N - first);
    gemm(hidden + first * d, d, false, wT, logits, V, rows, V, d, false);
    parallelFor(rows, 12 * V, [=](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; r++) {
        float* row = logits + r * V;
        softmaxGaps(row, V, gapsRow(row, V, temperature));
        const float scale = dy[first + r] / temperature;
        const V16 negative = splat(-scale);
        const float chosen = (1.0f - row[ids[first + r]]) * scale;
        int64_t v = 0;
        for (; v + LANES <= V; v += LANES) store(row + v, load(row + v) * negative);
        if (v < V) storePart(row + v, loadPart(row + v, static_cast<int>(V - v)) * negative, static_cast<int>(V - v));
        row[ids[first + r]] = chosen;
      }
    });
    gemm(logits, V, false, w, dhidden + first * d, d, rows, d, V, false);
    packedRows.resize(static_cast<size_t>(packedSize(rows, d)));
    pack(hidden + first * d, packedRows.data(), rows, d, false);
    gemm(logits, V, true, packedRows.data(), dW, d, V, d, rows, first > 0);
  }
}

/** hidden [N, d], wT, E packed as [V, e], m [N, e]: N, d, V, e, τ. */
static void headMixture(Arrays arrays, Numbers numbers) {
  const auto* hidden = static_cast<const float*>(arrays[0]);
  const auto* wT = static_cast<const float*>(arrays[1]);
  const auto* embedding = static_cast<const float*>(arrays[2]);
  auto* mixture = static_cast<float*>(arrays[3]);
  const auto N = static_cast<int64_t>(numbers[0]), d = static_cast<int64_t>(numbers[1]), V = static_cast<int64_t>(numbers[2]);
  const auto e = static_cast<int64_t>(numbers[3]);
  const auto temperature = static_cast<float>(numbers[4]);
  const int64_t step = chunkRows(N, V);
  std::vector<float> z(static_cast<size_t>(step * V));
  float* const logits = z.data();
  for (int64_t first = 0; first < N; first += step) {
    const int64_t rows = std::min(step, N - first);
    gemm(hidden + first * d, d, false, wT, logits, V, rows, V, d, false);
    parallelFor(rows, 12 * V, [=](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; r++) softmaxGaps(logits + r * V, V, gapsRow(logits + r * V, V, temperature));
    });
    gemm(logits, V, false, embedding, mixture + first * e, e, rows, e, V, false);
  }
}

/** dm [N, e], hidden, wT, w, eT (E packed as [e, V]), dhidden, dW [V, d], dE [V, e]: N, d, V, e, τ. */
static void headMixtureGrad(Arrays arrays, Numbers numbers) {
  const auto* dm = static_cast<const float*>(arrays[0]);
  const auto* hidden = static_cast<const float*>(arrays[1]);
  const auto* wT = static_cast<const float*>(arrays[2]);
  const auto* w = static_cast<const float*>(arrays[3]);
  const auto* eT = static_cast<const float*>(arrays[4]);
  auto* dhidden = static_cast<float*>(arrays[5]);
  auto* dW = static_cast<float*>(arrays[6]);
  auto* dE = static_cast<float*>(arrays[7]);
  const auto N = static_cast<int64_t>(numbers[0]), d = static_cast<int64_t>(numbers[1]), V = static_cast<int64_t>(numbers[2]);
  const auto e = static_cast<int64_t>(numbers[3]);
  const auto temperature = static_cast<float>(numbers[4]);
  if (N == 0) {
    std::memset(dW, 0, static_cast<size_t>(V * d) * 4);
    std::memset(dE, 0, static_cast<size_t>(V * e) * 4);
  }
  const int64_t step = chunkRows(N, V / 4 + 1);
  std::vector<float> z(static_cast<size_t>(step * V)), dp(static_cast<size_t>(step * V)), packedRows;
  float* const logits = z.data();
  float* const slopes = dp.data();
  for (int64_t first = 0; first < N; first += step) {
    const int64_t rows = std::min(step, N - first);
    gemm(hidden + first * d, d, false, wT, logits, V, rows, V, d, false);
    gemm(dm + first * e, e, false, eT, slopes, V, rows, V, e, false);
    parallelFor(rows, 20 * V, [=](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; r++) {
        float* p = logits + r * V;
        float* slope = slopes + r * V;
        softmaxGaps(p, V, gapsRow(p, V, temperature));
        V16 products = splat(0);
        int64_t v = 0;
        for (; v + LANES <= V; v += LANES) products = fma(load(p + v), load(slope + v), products);
        const int rest = static_cast<int>(V - v);
        if (rest > 0) products = fma(loadPart(p + v, rest), loadPart(slope + v, rest), products);
        const V16 mean = splat(sum(products)), tau = splat(temperature);
        for (v = 0; v + LANES <= V; v += LANES) store(slope + v, load(p + v) * (load(slope + v) - mean) / tau);
        if (rest > 0) storePart(slope + v, loadPart(p + v, rest) * (loadPart(slope + v, rest) - mean) / tau, rest);
      }
    });
    gemm(slopes, V, false, w, dhidden + first * d, d, rows, d, V, false);
    packedRows.resize(static_cast<size_t>(packedSize(rows, d)));
    pack(hidden + first * d, packedRows.data(), rows, d, false);
    gemm(slopes, V, true, packedRows.data(), dW, d, V, d, rows, first > 0);
    packedRows.resize(static_cast<size_t>(packedSize(rows, e)));
    pack(dm + first * e, packedRows.data(), rows, e, false);
    gemm(logits, V, true, packedRows.data(), dE, e, V, e, rows, first > 0);
  }
}

}  // namespace ISA
