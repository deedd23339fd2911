// What touches the vocabulary: log-probabilities of ids and mixtures of embeddings, with their gradients.
//
//   z = W h,   p = softmax(z / τ)
//   log-probability: y = log p[id],   dz = (onehot(id) - p) dy / τ
//   mixture:         m = p E,   dp = E dm,   dz = p (dp - Σ p dp) / τ,   dE = pᵀ dm
//   dh = dz W,   dW = dzᵀ h
//
// The gradients [V, d] and [V, e] are made where a number asks for them: those of weights that are not trained are not.
//
// Rows go through in chunks; of [N, V] nothing more is held than a chunk's rows in the scratch, and the backward pass computes the
// logits again. A row's sums run in sixteen lanes by the id mod 16, so its value does not depend on the rows beside it.
// Letters: N rows, d hidden size, V vocabulary size, e embedding size, C rows of a chunk, S the distance of rows in the scratch
// (rows a power of two apart would share few places of the caches). w: W [V, d], or its panels where `form` says so (matMul.h).
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace ISA {

using V16 = V;  // V is the vocabulary size here

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

/** What all four are told. */
struct HeadSizes {
  int64_t N, d, V, e, C, S;
  float temperature;
  explicit HeadSizes(Numbers n)
      : N(static_cast<int64_t>(n[0])), d(static_cast<int64_t>(n[1])), V(static_cast<int64_t>(n[2])), e(static_cast<int64_t>(n[3])),
        C(static_cast<int64_t>(n[4])), S(static_cast<int64_t>(n[5])), temperature(static_cast<float>(n[6])) {}
};

/** f(first, rows) for each chunk. */
template <class F>
static void forChunks(const HeadSizes& z, F f) {
  for (int64_t first = 0; first < z.N; first += z.C) f(first, std::min(z.C, z.N - first));
}

/** hidden [N, d], w, ids int32 [N], scratch [C, S], y [N]: N, d, V, e (unused), C, S, τ, form of w. */
static void headLogProb(Arrays arrays, Numbers numbers) {
  const HeadSizes z(numbers);
  const auto* hidden = static_cast<const float*>(arrays[0]);
  const Operand w = operandOf(arrays[1], numbers[7], z.d, z.V);
  const auto* ids = static_cast<const int32_t*>(arrays[2]);
  auto* logits = static_cast<float*>(arrays[3]);
  auto* y = static_cast<float*>(arrays[4]);
  forChunks(z, [=](int64_t first, int64_t rows) {
    gemm(hidden + first * z.d, z.d, false, w, logits, z.S, rows, z.V, z.d, false);
    parallelFor(rows, 6 * z.V, [=](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; r++) {
        float* row = logits + r * z.S;
        const float total = gapsRow(row, z.V, z.temperature);
        y[first + r] = row[ids[first + r]] - std::log(total);
      }
    });
  });
}

/** dy [N], hidden, W, ids, scratch [C, S], dhidden [N, d], dW [V, d]: N, d, V, e (unused), C, S, τ, whether dW. */
static void headLogProbGrad(Arrays arrays, Numbers numbers) {
  const HeadSizes z(numbers);
  const auto* dy = static_cast<const float*>(arrays[0]);
  const auto* hidden = static_cast<const float*>(arrays[1]);
  const auto* w = static_cast<const float*>(arrays[2]);
  const auto* ids = static_cast<const int32_t*>(arrays[3]);
  auto* logits = static_cast<float*>(arrays[4]);
  auto* dhidden = static_cast<float*>(arrays[5]);
  auto* dW = numbers[7] != 0 ? static_cast<float*>(arrays[6]) : nullptr;
  if (z.N == 0 && dW) std::memset(dW, 0, static_cast<size_t>(z.V * z.d) * 4);
  forChunks(z, [=](int64_t first, int64_t rows) {
    gemm(hidden + first * z.d, z.d, false, {w, z.d, Form::TRANSPOSED}, logits, z.S, rows, z.V, z.d, false);
    parallelFor(rows, 12 * z.V, [=](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; r++) {
        float* row = logits + r * z.S;
        softmaxGaps(row, z.V, gapsRow(row, z.V, z.temperature));
        const float scale = dy[first + r] / z.temperature;
        const V16 negative = splat(-scale);
        const float chosen = (1.0f - row[ids[first + r]]) * scale;
        int64_t v = 0;
        for (; v + LANES <= z.V; v += LANES) store(row + v, load(row + v) * negative);
        if (v < z.V) storePart(row + v, loadPart(row + v, static_cast<int>(z.V - v)) * negative, static_cast<int>(z.V - v));
        row[ids[first + r]] = chosen;
      }
    });
    gemm(logits, z.S, false, {w, z.d, Form::PLAIN}, dhidden + first * z.d, z.d, rows, z.d, z.V, false);
    if (dW) gemm(logits, z.S, true, {hidden + first * z.d, z.d, Form::PLAIN}, dW, z.d, z.V, z.d, rows, first > 0);
  });
}

/** hidden [N, d], w, E [V, e], scratch [C, S], m [N, e]: N, d, V, e, C, S, τ, form of w. */
static void headMixture(Arrays arrays, Numbers numbers) {
  const HeadSizes z(numbers);
  const auto* hidden = static_cast<const float*>(arrays[0]);
  const Operand w = operandOf(arrays[1], numbers[7], z.d, z.V);
  const Operand embedding{static_cast<const float*>(arrays[2]), z.e, Form::PLAIN};
  auto* logits = static_cast<float*>(arrays[3]);
  auto* mixture = static_cast<float*>(arrays[4]);
  forChunks(z, [=](int64_t first, int64_t rows) {
    gemm(hidden + first * z.d, z.d, false, w, logits, z.S, rows, z.V, z.d, false);
    parallelFor(rows, 12 * z.V, [=](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; r++) softmaxGaps(logits + r * z.S, z.V, gapsRow(logits + r * z.S, z.V, z.temperature));
    });
    gemm(logits, z.S, false, embedding, mixture + first * z.e, z.e, rows, z.e, z.V, false);
  });
}

/** dm [N, e], hidden, W, E, scratch [2, C, S], dhidden, dW [V, d], dE [V, e]: N, d, V, e, C, S, τ, whether dW, whether dE. */
static void headMixtureGrad(Arrays arrays, Numbers numbers) {
  const HeadSizes z(numbers);
  const auto* dm = static_cast<const float*>(arrays[0]);
  const auto* hidden = static_cast<const float*>(arrays[1]);
  const auto* w = static_cast<const float*>(arrays[2]);
  const auto* embedding = static_cast<const float*>(arrays[3]);
  auto* logits = static_cast<float*>(arrays[4]);
  float* const slopes = logits + z.C * z.S;
  auto* dhidden = static_cast<float*>(arrays[5]);
  auto* dW = numbers[7] != 0 ? static_cast<float*>(arrays[6]) : nullptr;
  auto* dE = numbers[8] != 0 ? static_cast<float*>(arrays[7]) : nullptr;
  if (z.N == 0 && dW) std::memset(dW, 0, static_cast<size_t>(z.V * z.d) * 4);
  if (z.N == 0 && dE) std::memset(dE, 0, static_cast<size_t>(z.V * z.e) * 4);
  forChunks(z, [=](int64_t first, int64_t rows) {
    gemm(hidden + first * z.d, z.d, false, {w, z.d, Form::TRANSPOSED}, logits, z.S, rows, z.V, z.d, false);
    gemm(dm + first * z.e, z.e, false, {embedding, z.e, Form::TRANSPOSED}, slopes, z.S, rows, z.V, z.e, false);
    parallelFor(rows, 20 * z.V, [=](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; r++) {
        float* p = logits + r * z.S;
        float* slope = slopes + r * z.S;
        softmaxGaps(p, z.V, gapsRow(p, z.V, z.temperature));
        V16 products = splat(0);
        int64_t v = 0;
        for (; v + LANES <= z.V; v += LANES) products = fma(load(p + v), load(slope + v), products);
        const int rest = static_cast<int>(z.V - v);
        if (rest > 0) products = fma(loadPart(p + v, rest), loadPart(slope + v, rest), products);
        const V16 mean = splat(sum(products)), tau = splat(z.temperature);
        for (v = 0; v + LANES <= z.V; v += LANES) store(slope + v, load(p + v) * (load(slope + v) - mean) / tau);
        if (rest > 0) storePart(slope + v, loadPart(p + v, rest) * (loadPart(slope + v, rest) - mean) / tau, rest);
      }
    });
    gemm(slopes, z.S, false, {w, z.d, Form::PLAIN}, dhidden + first * z.d, z.d, rows, z.d, z.V, false);
    if (dW) gemm(slopes, z.S, true, {hidden + first * z.d, z.d, Form::PLAIN}, dW, z.d, z.V, z.d, rows, first > 0);
    if (dE) gemm(logits, z.S, true, {dm + first * z.e, z.e, Form::PLAIN}, dE, z.e, z.V, z.e, rows, first > 0);
  });
}

// The definitions, in double precision; the scratch is not needed.

/** p = softmax(W h / τ) of row n; `logP`, if asked for: its logarithm. */
static inline std::vector<double> softmaxDefinition(const HeadSizes& z, double temperature, const float* hidden, const Operand& w, int64_t n,
                                                    std::vector<double>* logP = nullptr) {
  std::vector<double> p(static_cast<size_t>(z.V));
  double top = -std::numeric_limits<double>::infinity(), total = 0;
  for (int64_t v = 0; v < z.V; v++) {
    double logit = 0;
    for (int64_t i = 0; i < z.d; i++) logit += double{hidden[n * z.d + i]} * elementOf(w, z.d, i, v);
    p[static_cast<size_t>(v)] = logit;
    top = std::max(top, logit);
  }
  for (double& logit : p) total += std::exp(logit = (logit - top) / temperature);
  if (logP != nullptr)
    for (const double gap : p) logP->push_back(gap - std::log(total));
  for (double& gap : p) gap = std::exp(gap) / total;
  return p;
}

/** dh = dz W, dW = dzᵀ h unless `dW` is null; dz [N, V]. */
static inline void logitsGradDefinition(const HeadSizes& z, const std::vector<double>& dz, const float* hidden, const float* w, float* dhidden,
                                        float* dW) {
  std::vector<double> dh(static_cast<size_t>(z.N * z.d)), dw(static_cast<size_t>(z.V * z.d));
  for (int64_t n = 0; n < z.N; n++)
    for (int64_t v = 0; v < z.V; v++)
      for (int64_t i = 0; i < z.d; i++) {
        dh[static_cast<size_t>(n * z.d + i)] += dz[static_cast<size_t>(n * z.V + v)] * w[v * z.d + i];
        dw[static_cast<size_t>(v * z.d + i)] += dz[static_cast<size_t>(n * z.V + v)] * hidden[n * z.d + i];
      }
  for (size_t i = 0; i < dh.size(); i++) dhidden[i] = static_cast<float>(dh[i]);
  for (size_t i = 0; dW && i < dw.size(); i++) dW[i] = static_cast<float>(dw[i]);
}

[[maybe_unused]] static void headLogProbDefinition(Arrays arrays, Numbers numbers) {
  const HeadSizes z(numbers);
  const auto* hidden = static_cast<const float*>(arrays[0]);
  const Operand w = operandOf(arrays[1], numbers[7], z.d, z.V);
  const auto* ids = static_cast<const int32_t*>(arrays[2]);
  auto* y = static_cast<float*>(arrays[4]);
  for (int64_t n = 0; n < z.N; n++) {
    std::vector<double> logP;
    softmaxDefinition(z, numbers[6], hidden, w, n, &logP);
    y[n] = static_cast<float>(logP[static_cast<size_t>(ids[n])]);
  }
}

[[maybe_unused]] static void headLogProbGradDefinition(Arrays arrays, Numbers numbers) {
  const HeadSizes z(numbers);
  const auto *dy = static_cast<const float*>(arrays[0]), *hidden = static_cast<const float*>(arrays[1]);
  const auto* w = static_cast<const float*>(arrays[2]);
  const auto* ids = static_cast<const int32_t*>(arrays[3]);
  std::vector<double> dz;
  for (int64_t n = 0; n < z.N; n++) {
    const std::vector<double> p = softmaxDefinition(z, numbers[6], hidden, {w, z.d, Form::TRANSPOSED}, n);
    for (int64_t v = 0; v < z.V; v++) dz.push_back(((v == ids[n] ? 1 : 0) - p[static_cast<size_t>(v)]) * dy[n] / numbers[6]);
  }
  logitsGradDefinition(z, dz, hidden, w, static_cast<float*>(arrays[5]), numbers[7] != 0 ? static_cast<float*>(arrays[6]) : nullptr);
}

[[maybe_unused]] static void headMixtureDefinition(Arrays arrays, Numbers numbers) {
  const HeadSizes z(numbers);
  const auto* hidden = static_cast<const float*>(arrays[0]);
  const Operand w = operandOf(arrays[1], numbers[7], z.d, z.V);
  const auto* embedding = static_cast<const float*>(arrays[2]);
  auto* mixture = static_cast<float*>(arrays[4]);
  for (int64_t n = 0; n < z.N; n++) {
    const std::vector<double> p = softmaxDefinition(z, numbers[6], hidden, w, n);
    for (int64_t i = 0; i < z.e; i++) {
      double total = 0;
      for (int64_t v = 0; v < z.V; v++) total += p[static_cast<size_t>(v)] * embedding[v * z.e + i];
      mixture[n * z.e + i] = static_cast<float>(total);
    }
  }
}

[[maybe_unused]] static void headMixtureGradDefinition(Arrays arrays, Numbers numbers) {
  const HeadSizes z(numbers);
  const auto *dm = static_cast<const float*>(arrays[0]), *hidden = static_cast<const float*>(arrays[1]);
  const auto *w = static_cast<const float*>(arrays[2]), *embedding = static_cast<const float*>(arrays[3]);
  auto* dE = static_cast<float*>(arrays[7]);
  std::vector<double> dz, dEmbedding(static_cast<size_t>(z.V * z.e));
  for (int64_t n = 0; n < z.N; n++) {
    const std::vector<double> p = softmaxDefinition(z, numbers[6], hidden, {w, z.d, Form::TRANSPOSED}, n);
    std::vector<double> dp(static_cast<size_t>(z.V));
    double mean = 0;
    for (int64_t v = 0; v < z.V; v++) {
      const auto at = static_cast<size_t>(v);
      for (int64_t i = 0; i < z.e; i++) {
        dp[at] += double{dm[n * z.e + i]} * embedding[v * z.e + i];
        dEmbedding[static_cast<size_t>(v * z.e + i)] += p[at] * dm[n * z.e + i];
      }
      mean += p[at] * dp[at];
    }
    for (size_t v = 0; v < p.size(); v++) dz.push_back(p[v] * (dp[v] - mean) / numbers[6]);
  }
  logitsGradDefinition(z, dz, hidden, w, static_cast<float*>(arrays[5]), numbers[7] != 0 ? static_cast<float*>(arrays[6]) : nullptr);
  for (size_t i = 0; numbers[8] != 0 && i < dEmbedding.size(); i++) dE[i] = static_cast<float>(dEmbedding[i]);
}

}  // namespace ISA
