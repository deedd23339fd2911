// Causal attention with grouped heads, a cache, left padding and a sliding window, as in src/ops/attention.ts:
//
//   y = softmax(scale q kᵀ + mask) v
//   dv = pᵀ dy,   dp = dy vᵀ,   ds = p (dp - Σ dp p),   dq = scale ds k,   dk = scale dsᵀ q
//
// attention:           q [B, T, H, D], k, v [B, S, K, D], padding int32 [B] -> y [B, T, H, D]
// attentionGrad:       dy, q, k, v, padding -> dq, dk, dv
// numbers:             B, T, S, H, K, D, window, scale
//
// prefixAttention:     q, k, v [B, capacity, K, D], padding, prefix keys and values [R, P, K, D], rows int32 [B] -> y
// prefixAttentionGrad: dy, q, k, v, padding, prefix keys, prefix values, rows -> dq, dk, dv, dprefix keys, dprefix values
// numbers:             B, T, S, H, K, D, window, scale, P, capacity, R
//
// With a prefix the S keys of row b are the P of prefix row rows[b], then its own: the first S - P of the `capacity` that are
// there, whatever the others hold. For the gradient capacity = S - P. P may be 0.
//
// Query head h reads key head ⌊h K / H⌋; query t attends to keys max(padding[b], S - T + t - window + 1) <= s <= S - T + t. A
// query without a key (a padding position) gives zeros, and no gradient. Tiles of keys before the window of all queries of a
// block are skipped.
//
// Order of sums: keys count from the row's first valid key, j = s - padding[b]. A score is one chain over D of (scale q) k; the
// sum of the softmax and Σ dp p run in 16 lanes over j mod 16, then sum(); y and dq are one chain over j, dk and dv one over the
// queries (t, then head). So a query has the same bits alone on the cache and among T, and in any batch, and with its first keys
// in a prefix. A prefix row's gradients are the sums of what its rows b give, b ascending.
//
// The keys that a query may not see are left out, not multiplied by zero: what they hold does not matter.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "attentionParts.h"

namespace ISA {
namespace attentionParts {

/** What a thread keeps for the key head and the block of queries at hand. */
struct Scratch {
  std::vector<std::vector<float>> keys, values;  // tiles, by key head
  std::vector<float> keyRows, valueRows, query, queryRows, dy, dyRows, scores, gradScores, out, dk, dv;
};

/** The tiles of a key head; without a prefix nothing is kept for the next row, and the heads take turns in one place. */
static inline float* tilesFor(std::vector<std::vector<float>>& tiles, const Sizes& z, int64_t head, int64_t size) {
  return room(tiles[size_t(z.P > 0 ? head : 0)], size);
}

/** What the rows first..first + R of a key head see, after the padding and whole tiles that none sees: before[r]..n[r]. */
template <int R>
struct Seen {
  int64_t skipped, before[R], n[R];
  Seen(const Sizes& z, int64_t first, int64_t padding) : skipped(z.skipped(first, padding)) {
    for (int r = 0; r < R; r++) {
      n[r] = z.keys(first + r, padding) - skipped;
      before[r] = std::max<int64_t>(0, n[r] - z.window);
    }
  }
};

/** R rows of queries times `scale`: as [D][R], and as [R][width] if asked for. Rows without a key are zeros. */
template <int R>
static inline void packQueries(const float* x, const Sizes& z, int64_t b, int64_t head, int64_t first, const int64_t* n,
                               float scale, float* columns, float* rows) {
  const int64_t width = z.paddedD();
  for (int r = 0; r < R; r++) {
    const float* row = x + z.query(b, head, first + r);
    for (int64_t d = 0; d < z.D; d++) columns[d * R + r] = n[r] > 0 ? row[d] * scale : 0;
    if (!rows) continue;
    for (int64_t d = 0; d < width; d++) rows[r * width + d] = d < z.D ? columns[d * R + r] : 0;
  }
}

/** The queries first..first + R of a key head. */
template <int R>
static inline void forwardBlock(const float* q, float* y, const Sizes& z, int64_t b, int64_t head, int64_t first,
                                int64_t padding, const float* tiles, const Rows& values, Scratch& scratch) {
  const Seen<R> seen(z, first, padding);
  const int64_t* n = seen.n;
  const int64_t count = tilesOf(n[R - 1]), width = z.paddedD();
  float* query = room(scratch.query, z.D * R);
  float* scores = room(scratch.scores, count * R * LANES);
  float* out = room(scratch.out, R * width);
  packQueries<R>(q, z, b, head, first, n, float(z.scale), query, nullptr);
  dots<R>(query, tiles + seen.skipped * z.D, count, z.D, scores);
  float total[R];
  for (int r = 0; r < R; r++) {
    hide<R>(scores, r, seen.before[r], -std::numeric_limits<float>::infinity());
    total[r] = exponentials<R>(scores, r, n[r], count);
  }
  mix<R>(scores, values.after(seen.skipped), seen.before, n, width, out);
  for (int r = 0; r < R; r++) {
    float* to = y + z.query(b, head, first + r);
    for (int64_t d = 0; d < z.D; d += LANES) {
      const V mean = n[r] > 0 ? load(out + r * width + d) / splat(total[r]) : splat(0);
      if (z.D - d >= LANES) {
        store(to + d, mean);
      } else {
        storePart(to + d, mean, int(z.D - d));
      }
    }
  }
}

/** Row r of a block: p = exponentials / total in place; ds = p (dp - Σ dp p) in place of dp, 0 past its n keys. */
template <int R>
static inline void softmaxGrad(float* p, float* dp, int r, int64_t n, int64_t tiles, float total) {
  V dot = splat(0);
  for (int64_t i = 0; i < tiles; i++) {
    const int64_t at = (i * R + r) * LANES;
    const V weight = n > 0 ? load(p + at) / splat(total) : splat(0);
    const V grad = (i + 1) * LANES <= n ? load(dp + at) : (lanesBefore(n - i * LANES) ? load(dp + at) : splat(0));
    store(p + at, weight);
    store(dp + at, grad);
    dot = fma(grad, weight, dot);
  }
  const V mean = splat(sum(dot));
  for (int64_t i = 0; i < tiles; i++) {
    const int64_t at = (i * R + r) * LANES;
    store(dp + at, load(p + at) * (load(dp + at) - mean));
  }
}

struct GradHead {
  const float *keyTiles, *valueTiles;
  Rows keys;
  float *dk, *dv;
};

template <int R>
static inline void gradBlock(const float* dy, const float* q, float* dq, const Sizes& z, int64_t b, int64_t head,
                             int64_t first, int64_t padding, const GradHead& g, Scratch& scratch) {
  const Seen<R> seen(z, first, padding);
  const int64_t* n = seen.n;
  const int64_t count = tilesOf(n[R - 1]), width = z.paddedD();
  float* query = room(scratch.query, z.D * R);
  float* queryRows = room(scratch.queryRows, width * R);
  float* gradColumns = room(scratch.dy, z.D * R);
  float* gradRows = room(scratch.dyRows, width * R);
  float* p = room(scratch.scores, count * R * LANES);
  float* ds = room(scratch.gradScores, count * R * LANES);
  float* out = room(scratch.out, R * width);
  const float scale = float(z.scale);
  packQueries<R>(q, z, b, head, first, n, scale, query, queryRows);
  packQueries<R>(dy, z, b, head, first, n, 1, gradColumns, gradRows);
  dots<R>(query, g.keyTiles + seen.skipped * z.D, count, z.D, p);
  dots<R>(gradColumns, g.valueTiles + seen.skipped * z.D, count, z.D, ds);
  for (int r = 0; r < R; r++) {
    hide<R>(p, r, seen.before[r], -std::numeric_limits<float>::infinity());
    hide<R>(ds, r, seen.before[r], 0);
    softmaxGrad<R>(p, ds, r, n[r], count, exponentials<R>(p, r, n[r], count));
    // Zero even where a total of NaN made NaN of it: `spread` takes whole tiles.
    hide<R>(p, r, seen.before[r], 0);
    hide<R>(ds, r, seen.before[r], 0);
  }
  spread<R>(p, gradRows, count, width, g.dv + seen.skipped * width);
  spread<R>(ds, queryRows, count, width, g.dk + seen.skipped * width);
  mix<R>(ds, g.keys.after(seen.skipped), seen.before, n, width, out);
  for (int r = 0; r < R; r++)
    for (int64_t d = 0; d < z.D; d++)
      dq[z.query(b, head, first + r) + d] = n[r] > 0 ? out[r * width + d] * scale : 0;
}

/** Rows `[n, width]` of one key head into `[B, P, K, D]` and `[B, S - P, K, D]`, zeros for the padding before them. */
static inline void storeKeys(const float* rows, const Sizes& z, int64_t b, int64_t head, int64_t padding, float* prefix,
                             float* own) {
  for (int64_t s = 0; s < z.S; s++) {
    float* at = s < z.P ? prefix + ((b * z.P + s) * z.K + head) * z.D : own + ((b * z.capacity + s - z.P) * z.K + head) * z.D;
    if (s < padding) {
      std::fill(at, at + z.D, 0.0f);
    } else {
      std::copy(rows + (s - padding) * z.paddedD(), rows + (s - padding) * z.paddedD() + z.D, at);
    }
  }
}

/** to[r] = Σ of x[b] over {rows[b] = r}, b ascending: `[B, size]` -> `[R, size]`. */
static inline void sumRowsOf(const float* x, const Sizes& z, const int32_t* rows, float* to) {
  const int64_t size = z.P * z.stride(), piece = 1024, pieces = (size + piece - 1) / piece;
  parallelFor(z.R * pieces, piece * std::max<int64_t>(1, z.B / z.R), [=](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; task++) {
      const int64_t r = task / pieces, first = task % pieces * piece, count = std::min(piece, size - first);
      float* sum = to + r * size + first;
      std::fill(sum, sum + count, 0.0f);
      for (int64_t b = 0; b < z.B; b++) {
        if (rows[b] != r) continue;
        const float* from = x + b * size + first;
        for (int64_t i = 0; i < count; i++) sum[i] += from[i];
      }
    }
  });
}

static inline Scratch& scratchOfThread(const Sizes& z) {
  static thread_local Scratch scratch;
  for (auto* tiles : {&scratch.keys, &scratch.values})
    if (tiles->size() < size_t(z.K)) tiles->resize(size_t(z.K));
  return scratch;
}

/** The softmax weights of one query, in double: those of its keys, from `begin` on. */
static inline std::vector<double> weightsDefinition(const float* q, const Source& k, const Sizes& z, int64_t b, int64_t head,
                                                    int64_t row, int64_t begin) {
  std::vector<double> p(size_t(z.keys(row, begin)));
  double top = -std::numeric_limits<double>::infinity(), total = 0;
  for (size_t j = 0; j < p.size(); j++) {
    const float* key = k.key(z, b, head, begin + int64_t(j));
    double s = 0;
    for (int64_t d = 0; d < z.D; d++) s += double(q[z.query(b, head, row) + d]) * double(key[d]);
    p[j] = s * z.scale;
    top = std::max(top, p[j]);
  }
  for (double& x : p) total += x = std::exp(x - top);
  for (double& x : p) x /= total;
  return p;
}

/** f(b, key head, row, its first key) for every query. */
template <class F>
static inline void forEachQuery(const Sizes& z, const int32_t* lengths, F f) {
  for (int64_t b = 0; b < z.B; b++)
    for (int64_t head = 0; head < z.K; head++)
      for (int64_t row = 0; row < z.rows(); row++) {
        const int64_t padding = z.padding(lengths, b);
        f(b, head, row, padding + z.before(z.keys(row, padding)));
      }
}

static inline void forwardDefinition(const Sizes& z, const float* q, const Source& k, const Source& v, const int32_t* lengths,
                                     float* y) {
  forEachQuery(z, lengths, [&](int64_t b, int64_t head, int64_t row, int64_t begin) {
    const std::vector<double> p = weightsDefinition(q, k, z, b, head, row, begin);
    for (int64_t d = 0; d < z.D; d++) {
      double mean = 0;
      for (size_t j = 0; j < p.size(); j++) mean += p[j] * double(v.key(z, b, head, begin + int64_t(j))[d]);
      y[z.query(b, head, row) + d] = float(mean);
    }
  });
}

/** Where the gradients go; those of the prefix are nullptr without one. */
struct Gradients {
  float *q, *k, *v, *prefixKeys, *prefixValues;
};

static inline void backwardDefinition(const Sizes& z, const float* dy, const float* q, const Source& k, const Source& v,
                                      const int32_t* lengths, const Gradients& to) {
  const int64_t own = z.B * (z.S - z.P) * z.stride();
  std::vector<double> dq(size_t(z.B * z.T * z.H * z.D)), dk(size_t(own + z.R * z.P * z.stride())), dv(dk.size());
  forEachQuery(z, lengths, [&](int64_t b, int64_t head, int64_t row, int64_t begin) {
    const std::vector<double> p = weightsDefinition(q, k, z, b, head, row, begin);
    std::vector<double> dp(p.size());
    const int64_t query = z.query(b, head, row);
    double mean = 0;
    for (size_t j = 0; j < p.size(); j++) {
      const float* value = v.key(z, b, head, begin + int64_t(j));
      for (int64_t d = 0; d < z.D; d++) dp[j] += double(dy[query + d]) * double(value[d]);
      mean += dp[j] * p[j];
    }
    for (size_t j = 0; j < p.size(); j++) {
      const double ds = p[j] * (dp[j] - mean) * z.scale;
      const int64_t s = begin + int64_t(j);
      const float* key = k.key(z, b, head, s);
      const int64_t at = s < z.P ? own + key - k.prefix : key - k.own;  // the prefix's lie after all rows' own
      for (int64_t d = 0; d < z.D; d++) {
        dq[size_t(query + d)] += ds * double(key[d]);
        dk[size_t(at + d)] += ds * double(q[query + d]);
        dv[size_t(at + d)] += p[j] * double(dy[query + d]);
      }
    }
  });
  std::copy(dq.begin(), dq.end(), to.q);
  std::copy(dk.begin(), dk.begin() + own, to.k);
  std::copy(dv.begin(), dv.begin() + own, to.v);
  if (z.P == 0) return;
  std::copy(dk.begin() + own, dk.end(), to.prefixKeys);
  std::copy(dv.begin() + own, dv.end(), to.prefixValues);
}

static inline void forward(const Sizes& z, const float* q, const Source& k, const Source& v, const int32_t* lengths, float* y) {
  const int64_t blocks = (z.rows() + ROWS - 1) / ROWS;
  const int64_t cost = std::min<int64_t>(ROWS, z.rows()) * z.widest() * (2 * z.D + 32);
  parallelFor(z.B * z.K * blocks, cost, [&](int64_t begin, int64_t end) {
    Scratch& scratch = scratchOfThread(z);
    PackedPrefix packed(z);
    float* tiles = nullptr;
    Rows values{};
    for (int64_t task = begin; task < end; task++) {
      const int64_t b = task / blocks / z.K, head = task / blocks % z.K, first = task % blocks * ROWS;
      const int64_t padding = z.padding(lengths, b);
      // The blocks of one key head follow one another: its keys are packed at the first of them.
      if (task == begin || first == 0) {
        const Rows keys = rowsOf(k, z, b, head, padding);
        const int64_t skipped = z.skipped(first, padding);
        tiles = tilesFor(scratch.keys, z, head, tilesOf(keys.n) * LANES * z.D);
        packKeys(keys, z.D, packed.done(k, z, b, head, padding, skipped, keys), tiles);
        values = padRows(rowsOf(v, z, b, head, padding), z.D, skipped, scratch.valueRows);
      }
      withRows(std::min<int64_t>(ROWS, z.rows() - first), [&](auto rows) {
        forwardBlock<decltype(rows)::value>(q, y, z, b, head, first, padding, tiles, values, scratch);
      });
    }
  });
}

static inline void backward(const Sizes& z, const float* dy, const float* q, const Source& k, const Source& v,
                            const int32_t* lengths, const Gradients& to) {
  const int64_t width = z.paddedD(), part = z.B * z.P * z.stride();
  // What each row gives to its prefix, [B, P, K, D], summed when all are there.
  const std::unique_ptr<float[]> parts(part > 0 ? new float[size_t(2 * part)] : nullptr);
  // One thread a row and key head: its dk and dv are sums over all queries, in order.
  parallelFor(z.B * z.K, z.rows() * z.widest() * (5 * z.D + 48), [&](int64_t begin, int64_t end) {
    Scratch& scratch = scratchOfThread(z);
    PackedPrefix packed(z);
    for (int64_t task = begin; task < end; task++) {
      const int64_t b = task / z.K, head = task % z.K, padding = z.padding(lengths, b);
      const Rows keys = rowsOf(k, z, b, head, padding), values = rowsOf(v, z, b, head, padding);
      const int64_t size = tilesOf(keys.n) * LANES, skipped = z.skipped(0, padding);
      const int64_t done = packed.done(k, z, b, head, padding, skipped, keys);
      float *keyTiles = tilesFor(scratch.keys, z, head, size * z.D);
      float* valueTiles = tilesFor(scratch.values, z, head, size * z.D);
      packKeys(keys, z.D, done, keyTiles);
      packKeys(values, z.D, done, valueTiles);
      float *dKeys = room(scratch.dk, size * width), *dValues = room(scratch.dv, size * width);
      std::fill(dKeys, dKeys + size * width, 0.0f);
      std::fill(dValues, dValues + size * width, 0.0f);
      const GradHead held{keyTiles, valueTiles, padRows(keys, z.D, skipped, scratch.keyRows), dKeys, dValues};
      for (int64_t first = 0; first < z.rows(); first += ROWS)
        withRows(std::min<int64_t>(ROWS, z.rows() - first), [&](auto rows) {
          gradBlock<decltype(rows)::value>(dy, q, to.q, z, b, head, first, padding, held, scratch);
        });
      storeKeys(dKeys, z, b, head, padding, parts.get(), to.k);
      storeKeys(dValues, z, b, head, padding, parts.get() + part, to.v);
    }
  });
  if (part == 0) return;
  sumRowsOf(parts.get(), z, k.rows, to.prefixKeys);
  sumRowsOf(parts.get() + part, z, k.rows, to.prefixValues);
}

static inline const float* floats(void* array) { return static_cast<const float*>(array); }
static inline const int32_t* ints(void* array) { return static_cast<const int32_t*>(array); }

/** Keys and values that are all the row's own. */
static inline Source ownKeys(void* keys) { return {floats(keys), nullptr, nullptr}; }

/** Hands the arrays and numbers of an entry point to `f`, forward or backward, by kernels or by definition. */
template <class F>
static inline void callForward(Arrays a, Numbers numbers, bool prefix, F f) {
  const Sizes z(numbers, prefix);
  if (!prefix) return f(z, floats(a[0]), ownKeys(a[1]), ownKeys(a[2]), ints(a[3]), static_cast<float*>(a[4]));
  const int32_t* rows = ints(a[6]);
  f(z, floats(a[0]), Source{floats(a[1]), floats(a[4]), rows}, Source{floats(a[2]), floats(a[5]), rows}, ints(a[3]),
    static_cast<float*>(a[7]));
}

template <class F>
static inline void callBackward(Arrays a, Numbers numbers, bool prefix, F f) {
  const Sizes z(numbers, prefix);
  const auto output = [a](int i) { return static_cast<float*>(a[i]); };
  if (!prefix)
    return f(z, floats(a[0]), floats(a[1]), ownKeys(a[2]), ownKeys(a[3]), ints(a[4]),
             Gradients{output(5), output(6), output(7), nullptr, nullptr});
  const int32_t* rows = ints(a[7]);
  f(z, floats(a[0]), floats(a[1]), Source{floats(a[2]), floats(a[5]), rows}, Source{floats(a[3]), floats(a[6]), rows},
    ints(a[4]), Gradients{output(8), output(9), output(10), output(11), output(12)});
}

}  // namespace attentionParts

static inline void attention(Arrays arrays, Numbers numbers) {
  attentionParts::callForward(arrays, numbers, false, attentionParts::forward);
}
static inline void attentionGrad(Arrays arrays, Numbers numbers) {
  attentionParts::callBackward(arrays, numbers, false, attentionParts::backward);
}
static inline void prefixAttention(Arrays arrays, Numbers numbers) {
  attentionParts::callForward(arrays, numbers, true, attentionParts::forward);
}
static inline void prefixAttentionGrad(Arrays arrays, Numbers numbers) {
  attentionParts::callBackward(arrays, numbers, true, attentionParts::backward);
}

// The same in double.
static inline void attentionDefinition(Arrays arrays, Numbers numbers) {
  attentionParts::callForward(arrays, numbers, false, attentionParts::forwardDefinition);
}
static inline void attentionGradDefinition(Arrays arrays, Numbers numbers) {
  attentionParts::callBackward(arrays, numbers, false, attentionParts::backwardDefinition);
}
static inline void prefixAttentionDefinition(Arrays arrays, Numbers numbers) {
  attentionParts::callForward(arrays, numbers, true, attentionParts::forwardDefinition);
}
static inline void prefixAttentionGradDefinition(Arrays arrays, Numbers numbers) {
  attentionParts::callBackward(arrays, numbers, true, attentionParts::backwardDefinition);
}

}  // namespace ISA
