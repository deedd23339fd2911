// Causal attention with grouped heads, a cache and left padding, as in src/ops/attention.ts:
//
//   y = softmax(q kᵀ / √D + mask) v
//   dv = pᵀ dy,   dp = dy vᵀ,   ds = p (dp - Σ dp p),   dq = ds k / √D,   dk = dsᵀ q / √D
//
// attention:     q [B, T, H, D], k, v [B, S, K, D], padding int32 [B] -> y [B, T, H, D]
// attentionGrad: dy, q, k, v, padding -> dq, dk, dv
// numbers:       B, T, S, H, K, D
//
// Query head h reads key head ⌊h K / H⌋; query t attends to keys padding[b] <= s <= S - T + t. A query without a key (a padding
// position) gives zeros, and no gradient.
//
// Order of sums: keys count from the row's first valid key, j = s - padding[b]. A score is one chain over D of (q / √D) k; the
// sum of the softmax and Σ dp p run in 16 lanes over j mod 16, then sum(); y and dq are one chain over j, dk and dv one over the
// queries (t, then head). So a query has the same bits alone on the cache and among T, and in any batch.
//
// The keys that a query may not see are left out, not multiplied by zero: what they hold does not matter.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

namespace ISA {
namespace attentionParts {

// N is one register of WIDTH floats: where every lane is a chain of its own, the width does not show in the numbers, and
// compilers keep vectors in registers only if one holds them. ROWS are the queries that are computed together, ACCUMULATORS
// the registers that are summed into at once.
#if defined(__AVX512F__)
constexpr int WIDTH = 16, ROWS = 8, ACCUMULATORS = 16;
#elif defined(__AVX2__)
constexpr int WIDTH = 8, ROWS = 6, ACCUMULATORS = 12;
#elif defined(__aarch64__)
constexpr int WIDTH = 4, ROWS = 8, ACCUMULATORS = 16;
#else
constexpr int WIDTH = 4, ROWS = 4, ACCUMULATORS = 8;
#endif

typedef float N __attribute__((vector_size(WIDTH * 4)));
typedef float NAt __attribute__((vector_size(WIDTH * 4), aligned(4), may_alias));

static inline N loadN(const float* p) { return *reinterpret_cast<const NAt*>(p); }
static inline void storeN(float* p, N v) { *reinterpret_cast<NAt*>(p) = v; }
static inline N splatN(float x) { return x - N{}; }

/** a b + c, rounded as by fma(V, V, V). */
static inline N fmaN(N a, N b, N c) {
#if defined(__AVX512F__)
  return (N)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__) && defined(__AVX2__)
  return (N)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
  return (N)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}

/** The registers a row that fit with R rows: 1, 2 or 4. */
constexpr int vectorsFor(int R) { return ACCUMULATORS / R >= 4 ? 4 : ACCUMULATORS / R >= 2 ? 2 : 1; }

struct Sizes {
  int64_t B, T, S, H, K, D;
  explicit Sizes(Numbers n)
      : B(int64_t(n[0])), T(int64_t(n[1])), S(int64_t(n[2])), H(int64_t(n[3])), K(int64_t(n[4])), D(int64_t(n[5])) {}
  int64_t group() const { return H / K; }
  /** Queries that read one key head: (t, head of the group). */
  int64_t rows() const { return T * group(); }
  int64_t paddedD() const { return (D + LANES - 1) / LANES * LANES; }
  int64_t query(int64_t b, int64_t head, int64_t row) const {
    return ((b * T + row / group()) * H + head * group() + row % group()) * D;
  }
  int64_t key(int64_t b, int64_t head, int64_t s) const { return ((b * S + s) * K + head) * D; }
  /** The number of keys that a row sees after `padding` keys. */
  int64_t keys(int64_t row, int64_t padding) const {
    return std::max<int64_t>(0, S - T + row / group() + 1 - padding);
  }
  int64_t padding(const int32_t* lengths, int64_t b) const {
    return std::min(S, std::max<int64_t>(0, lengths[b]));
  }
};

/** Vectors under one another, `stride` floats apart, each readable to a multiple of 16. */
struct Rows {
  const float* at;
  int64_t stride;
};

static inline float* room(std::vector<float>& scratch, int64_t size) {
  if (int64_t(scratch.size()) < size) scratch.resize(size_t(size));
  return scratch.data();
}

static inline int64_t tilesOf(int64_t keys) { return (keys + LANES - 1) / LANES; }

/** Calls f with `rows`, from 1 to R, as a compile-time constant. */
template <int R = ROWS, class F>
static inline void withRows(int64_t rows, F f) {
  if (rows == R) {
    f(std::integral_constant<int, R>{});
  } else if constexpr (R > 1) {
    withRows<R - 1>(rows, f);
  }
}

/** 4 rows of 4 floats, transposed into 4 rows of a tile. */
static inline void transpose4(const float* x, int64_t stride, float* tile) {
  typedef float Q __attribute__((vector_size(16)));
  typedef float QAt __attribute__((vector_size(16), aligned(4), may_alias));
  const Q a = *reinterpret_cast<const QAt*>(x), b = *reinterpret_cast<const QAt*>(x + stride);
  const Q c = *reinterpret_cast<const QAt*>(x + 2 * stride), d = *reinterpret_cast<const QAt*>(x + 3 * stride);
  const Q ab0 = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab1 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Q cd0 = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd1 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  *reinterpret_cast<QAt*>(tile) = __builtin_shufflevector(ab0, cd0, 0, 1, 4, 5);
  *reinterpret_cast<QAt*>(tile + LANES) = __builtin_shufflevector(ab0, cd0, 2, 3, 6, 7);
  *reinterpret_cast<QAt*>(tile + 2 * LANES) = __builtin_shufflevector(ab1, cd1, 0, 1, 4, 5);
  *reinterpret_cast<QAt*>(tile + 3 * LANES) = __builtin_shufflevector(ab1, cd1, 2, 3, 6, 7);
}

/** n <= 16 keys `[n, D]` -> `[D, 16]`, zeros for the missing ones. */
static inline void packTile(const float* x, int64_t stride, int64_t n, int64_t D, float* tile) {
  if (n < LANES) std::fill(tile, tile + D * LANES, 0.0f);
  const int64_t n4 = n / 4 * 4, D4 = D / 4 * 4;
  for (int64_t j = 0; j < n4; j += 4)
    for (int64_t d = 0; d < D4; d += 4) transpose4(x + j * stride + d, stride, tile + d * LANES + j);
  for (int64_t j = 0; j < n; j++)
    for (int64_t d = j < n4 ? D4 : 0; d < D; d++) tile[d * LANES + j] = x[j * stride + d];
}

/** Keys `[n, D]` -> tiles of 16 keys `[n / 16, D, 16]`. */
static inline void packKeys(const float* x, int64_t stride, int64_t n, int64_t D, float* tiles) {
  for (int64_t j = 0; j < n; j += LANES)
    packTile(x + j * stride, stride, std::min<int64_t>(LANES, n - j), D, tiles + j * D);
}

/** The vectors themselves where D is a multiple of 16, else copies with zeros after them. */
static inline Rows padRows(const float* x, int64_t stride, int64_t n, int64_t D, std::vector<float>& scratch) {
  if (D % LANES == 0) return {x, stride};
  const int64_t width = (D + LANES - 1) / LANES * LANES;
  float* copy = room(scratch, n * width);
  for (int64_t j = 0; j < n; j++) {
    std::copy(x + j * stride, x + j * stride + D, copy + j * width);
    std::fill(copy + j * width + D, copy + (j + 1) * width, 0.0f);
  }
  return {copy, width};
}

/** out[c][r] = x[r] · key for one register of keys in each of C tiles; x lies as [D][R]. */
template <int R, int C>
static inline void dotTiles(const float* x, const float* tiles, int64_t D, float* out) {
  N acc[C][R];
  for (int c = 0; c < C; c++)
    for (int r = 0; r < R; r++) acc[c][r] = splatN(0);
  for (int64_t d = 0; d < D; d++) {
    N key[C];
    for (int c = 0; c < C; c++) key[c] = loadN(tiles + (c * D + d) * LANES);
    for (int r = 0; r < R; r++) {
      const N xr = splatN(x[d * R + r]);
      for (int c = 0; c < C; c++) acc[c][r] = fmaN(xr, key[c], acc[c][r]);
    }
  }
  for (int c = 0; c < C; c++)
    for (int r = 0; r < R; r++) storeN(out + (c * R + r) * LANES, acc[c][r]);
}

/** R rows against all tiles: `[tiles, R, 16]`, the layout of every block of scores. */
template <int R>
static inline void dots(const float* x, const float* tiles, int64_t count, int64_t D, float* out) {
  constexpr int C = vectorsFor(R);
  for (int lane = 0; lane < LANES; lane += WIDTH) {
    int64_t i = 0;
    for (; i + C <= count; i += C) dotTiles<R, C>(x, tiles + i * D * LANES + lane, D, out + i * R * LANES + lane);
    for (; i < count; i++) dotTiles<R, 1>(x, tiles + i * D * LANES + lane, D, out + i * R * LANES + lane);
  }
}

/** All ones in the lanes before n. */
static inline VI lanesBefore(int64_t n) {
  const VI lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const int32_t bound = int32_t(std::min<int64_t>(LANES, std::max<int64_t>(0, n)));
  return lane < (lane - lane + bound);
}

/** Row r of a block of scores -> exp(score - max), 0 past its n keys; returns their sum. */
template <int R>
static inline float exponentials(float* scores, int r, int64_t n, int64_t tiles) {
  const int64_t whole = n / LANES;
  const VI inside = lanesBefore(n % LANES);
  float* row = scores + r * LANES;
  V greatest = splat(-std::numeric_limits<float>::infinity());
  for (int lane = 0; lane < LANES && whole > 0; lane += WIDTH) {
    N most = loadN(row + lane);
    for (int64_t i = 1; i < whole; i++) {
      const N next = loadN(row + i * R * LANES + lane);
      most = next > most ? next : most;
    }
    storeN(reinterpret_cast<float*>(&greatest) + lane, most);
  }
  if (whole < tiles) greatest = vmax(inside ? load(row + whole * R * LANES) : greatest, greatest);
  const V top = splat(max(greatest));
  V total = splat(0);
  for (int64_t i = 0; i < whole; i++) {
    const V p = vexp(load(row + i * R * LANES) - top);
    store(row + i * R * LANES, p);
    total = total + p;
  }
  if (whole < tiles) {
    const V p = inside ? vexp(load(row + whole * R * LANES) - top) : splat(0);
    store(row + whole * R * LANES, p);
    total = total + p;
  }
  for (int64_t i = whole + 1; i < tiles; i++) store(row + i * R * LANES, splat(0));
  return sum(total);
}

/** out[r] = Σ_j w[r][j] x[j] over the `common` keys, C registers wide. */
template <int R, int C>
static inline void mixColumns(const float* w, Rows x, int64_t common, float* out, int64_t width) {
  N acc[R][C];
  for (int r = 0; r < R; r++)
    for (int c = 0; c < C; c++) acc[r][c] = splatN(0);
  for (int64_t first = 0; first < common; first += LANES) {
    const float* tile = w + first * R;
    const float* row = x.at + first * x.stride;
    const int64_t count = std::min<int64_t>(LANES, common - first);
    for (int64_t j = 0; j < count; j++, row += x.stride) {
      N value[C];
      for (int c = 0; c < C; c++) value[c] = loadN(row + c * WIDTH);
      for (int r = 0; r < R; r++) {
        const N weight = splatN(tile[r * LANES + j]);
        for (int c = 0; c < C; c++) acc[r][c] = fmaN(weight, value[c], acc[r][c]);
      }
    }
  }
  for (int r = 0; r < R; r++)
    for (int c = 0; c < C; c++) storeN(out + r * width + c * WIDTH, acc[r][c]);
}

/** out[r] = Σ_j w[r][j] x[j] over the n[r] keys of each row, n ascending; `[R, width]`. */
template <int R>
static inline void mix(const float* w, Rows x, const int64_t* n, int64_t width, float* out) {
  constexpr int C = vectorsFor(R);
  int64_t c = 0;
  for (; c + C * WIDTH <= width; c += C * WIDTH) mixColumns<R, C>(w, {x.at + c, x.stride}, n[0], out + c, width);
  if constexpr (C == 4)
    for (; c + 2 * WIDTH <= width; c += 2 * WIDTH) mixColumns<R, 2>(w, {x.at + c, x.stride}, n[0], out + c, width);
  for (; c < width; c += WIDTH) mixColumns<R, 1>(w, {x.at + c, x.stride}, n[0], out + c, width);
  for (int r = 0; r < R; r++)
    for (int64_t j = n[0]; j < n[r]; j++) {
      const N weight = splatN(w[(j / LANES * R + r) * LANES + j % LANES]);
      for (int64_t d = 0; d < width; d += WIDTH)
        storeN(out + r * width + d, fmaN(weight, loadN(x.at + j * x.stride + d), loadN(out + r * width + d)));
    }
}

/** J keys, C registers wide: out[j] += Σ_r w[r][j] x[r], rows in order. */
template <int R, int J, int C>
static inline void spreadColumns(const float* w, const float* x, int64_t width, float* out) {
  N acc[J][C];
  for (int j = 0; j < J; j++)
    for (int c = 0; c < C; c++) acc[j][c] = loadN(out + j * width + c * WIDTH);
  for (int r = 0; r < R; r++) {
    N value[C];
    for (int c = 0; c < C; c++) value[c] = loadN(x + r * width + c * WIDTH);
    for (int j = 0; j < J; j++) {
      const N weight = splatN(w[r * LANES + j]);
      for (int c = 0; c < C; c++) acc[j][c] = fmaN(weight, value[c], acc[j][c]);
    }
  }
  for (int j = 0; j < J; j++)
    for (int c = 0; c < C; c++) storeN(out + j * width + c * WIDTH, acc[j][c]);
}

/** out[j] += Σ_r w[r][j] x[r] for all keys of the tiles: the transpose of `mix`. */
template <int R>
static inline void spread(const float* w, const float* x, int64_t tiles, int64_t width, float* out) {
  constexpr int J = ACCUMULATORS >= 16 ? 8 : 4, C = 2;
  for (int64_t i = 0; i < tiles; i++)
    for (int64_t j = 0; j < LANES; j += J) {
      const float* tile = w + i * R * LANES + j;
      float* at = out + (i * LANES + j) * width;
      int64_t c = 0;
      for (; c + C * WIDTH <= width; c += C * WIDTH) spreadColumns<R, J, C>(tile, x + c, width, at + c);
      for (; c < width; c += WIDTH) spreadColumns<R, J, 1>(tile, x + c, width, at + c);
    }
}

/** What a thread keeps for the key head and the block of queries at hand. */
struct Scratch {
  std::vector<float> keys, values, keyRows, valueRows, query, queryRows, dy, dyRows, scores, gradScores, out, dk, dv;
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
                                int64_t padding, const float* tiles, Rows values, Scratch& scratch) {
  int64_t n[R];
  for (int r = 0; r < R; r++) n[r] = z.keys(first + r, padding);
  const int64_t count = tilesOf(n[R - 1]), width = z.paddedD();
  float* query = room(scratch.query, z.D * R);
  float* scores = room(scratch.scores, count * R * LANES);
  float* out = room(scratch.out, R * width);
  packQueries<R>(q, z, b, head, first, n, float(1 / std::sqrt(double(z.D))), query, nullptr);
  dots<R>(query, tiles, count, z.D, scores);
  float total[R];
  for (int r = 0; r < R; r++) total[r] = exponentials<R>(scores, r, n[r], count);
  mix<R>(scores, values, n, width, out);
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
  int64_t n[R];
  for (int r = 0; r < R; r++) n[r] = z.keys(first + r, padding);
  const int64_t count = tilesOf(n[R - 1]), width = z.paddedD();
  float* query = room(scratch.query, z.D * R);
  float* queryRows = room(scratch.queryRows, width * R);
  float* gradColumns = room(scratch.dy, z.D * R);
  float* gradRows = room(scratch.dyRows, width * R);
  float* p = room(scratch.scores, count * R * LANES);
  float* ds = room(scratch.gradScores, count * R * LANES);
  float* out = room(scratch.out, R * width);
  const float scale = float(1 / std::sqrt(double(z.D)));
  packQueries<R>(q, z, b, head, first, n, scale, query, queryRows);
  packQueries<R>(dy, z, b, head, first, n, 1, gradColumns, gradRows);
  dots<R>(query, g.keyTiles, count, z.D, p);
  dots<R>(gradColumns, g.valueTiles, count, z.D, ds);
  for (int r = 0; r < R; r++) softmaxGrad<R>(p, ds, r, n[r], count, exponentials<R>(p, r, n[r], count));
  spread<R>(p, gradRows, count, width, g.dv);
  spread<R>(ds, queryRows, count, width, g.dk);
  mix<R>(ds, g.keys, n, width, out);
  for (int r = 0; r < R; r++)
    for (int64_t d = 0; d < z.D; d++)
      dq[z.query(b, head, first + r) + d] = n[r] > 0 ? out[r * width + d] * scale : 0;
}

/** Rows `[n, width]` of one key head into `[B, S, K, D]`, zeros for the padding before them. */
static inline void storeKeys(const float* rows, const Sizes& z, int64_t b, int64_t head, int64_t padding, float* to) {
  for (int64_t s = 0; s < z.S; s++) {
    float* at = to + z.key(b, head, s);
    if (s < padding) {
      std::fill(at, at + z.D, 0.0f);
    } else {
      std::copy(rows + (s - padding) * z.paddedD(), rows + (s - padding) * z.paddedD() + z.D, at);
    }
  }
}

static inline Scratch& scratchOfThread() {
  static thread_local Scratch scratch;
  return scratch;
}

/** The softmax weights of one query, in double: its n keys after `padding`. */
static inline std::vector<double> weightsDefinition(const float* q, const float* k, const Sizes& z, int64_t b, int64_t head,
                                                    int64_t row, int64_t padding) {
  std::vector<double> p(size_t(z.keys(row, padding)));
  double top = -std::numeric_limits<double>::infinity(), total = 0;
  for (size_t j = 0; j < p.size(); j++) {
    double s = 0;
    for (int64_t d = 0; d < z.D; d++)
      s += double(q[z.query(b, head, row) + d]) * double(k[z.key(b, head, padding + int64_t(j)) + d]);
    p[j] = s / std::sqrt(double(z.D));
    top = std::max(top, p[j]);
  }
  for (double& x : p) total += x = std::exp(x - top);
  for (double& x : p) x /= total;
  return p;
}

/** f(b, key head, row, padding) for every query. */
template <class F>
static inline void forEachQuery(const Sizes& z, const int32_t* lengths, F f) {
  for (int64_t b = 0; b < z.B; b++)
    for (int64_t head = 0; head < z.K; head++)
      for (int64_t row = 0; row < z.rows(); row++) f(b, head, row, z.padding(lengths, b));
}

}  // namespace attentionParts

/** y = softmax(q kᵀ / √D + mask) v, in double. */
static inline void attentionDefinition(Arrays arrays, Numbers numbers) {
  using namespace attentionParts;
  const Sizes z(numbers);
  const float *q = static_cast<const float*>(arrays[0]), *k = static_cast<const float*>(arrays[1]);
  const float* v = static_cast<const float*>(arrays[2]);
  float* y = static_cast<float*>(arrays[4]);
  forEachQuery(z, static_cast<const int32_t*>(arrays[3]), [&](int64_t b, int64_t head, int64_t row, int64_t padding) {
    const std::vector<double> p = weightsDefinition(q, k, z, b, head, row, padding);
    for (int64_t d = 0; d < z.D; d++) {
      double mean = 0;
      for (size_t j = 0; j < p.size(); j++) mean += p[j] * double(v[z.key(b, head, padding + int64_t(j)) + d]);
      y[z.query(b, head, row) + d] = float(mean);
    }
  });
}

/** dq, dk, dv of attention, in double. */
static inline void attentionGradDefinition(Arrays arrays, Numbers numbers) {
  using namespace attentionParts;
  const Sizes z(numbers);
  const float *dy = static_cast<const float*>(arrays[0]), *q = static_cast<const float*>(arrays[1]);
  const float *k = static_cast<const float*>(arrays[2]), *v = static_cast<const float*>(arrays[3]);
  const double scale = 1 / std::sqrt(double(z.D));
  std::vector<double> dq(size_t(z.B * z.T * z.H * z.D)), dk(size_t(z.B * z.S * z.K * z.D)), dv(dk.size());
  forEachQuery(z, static_cast<const int32_t*>(arrays[4]), [&](int64_t b, int64_t head, int64_t row, int64_t padding) {
    const std::vector<double> p = weightsDefinition(q, k, z, b, head, row, padding);
    std::vector<double> dp(p.size());
    const int64_t query = z.query(b, head, row);
    double mean = 0;
    for (size_t j = 0; j < p.size(); j++) {
      for (int64_t d = 0; d < z.D; d++) dp[j] += double(dy[query + d]) * double(v[z.key(b, head, padding + int64_t(j)) + d]);
      mean += dp[j] * p[j];
    }
    for (size_t j = 0; j < p.size(); j++) {
      const double ds = p[j] * (dp[j] - mean) * scale;
      const int64_t key = z.key(b, head, padding + int64_t(j));
      for (int64_t d = 0; d < z.D; d++) {
        dq[size_t(query + d)] += ds * double(k[key + d]);
        dk[size_t(key + d)] += ds * double(q[query + d]);
        dv[size_t(key + d)] += p[j] * double(dy[query + d]);
      }
    }
  });
  std::copy(dq.begin(), dq.end(), static_cast<float*>(arrays[5]));
  std::copy(dk.begin(), dk.end(), static_cast<float*>(arrays[6]));
  std::copy(dv.begin(), dv.end(), static_cast<float*>(arrays[7]));
}

static inline void attention(Arrays arrays, Numbers numbers) {
  using namespace attentionParts;
  const Sizes z(numbers);
  const float *q = static_cast<const float*>(arrays[0]), *k = static_cast<const float*>(arrays[1]);
  const float* v = static_cast<const float*>(arrays[2]);
  const int32_t* lengths = static_cast<const int32_t*>(arrays[3]);
  float* y = static_cast<float*>(arrays[4]);
  const int64_t blocks = (z.rows() + ROWS - 1) / ROWS, stride = z.K * z.D;
  const int64_t cost = std::min<int64_t>(ROWS, z.rows()) * z.S * (2 * z.D + 32);
  parallelFor(z.B * z.K * blocks, cost, [&](int64_t begin, int64_t end) {
    Scratch& scratch = scratchOfThread();
    const float* tiles = nullptr;
    Rows values{nullptr, 0};
    for (int64_t task = begin; task < end; task++) {
      const int64_t b = task / blocks / z.K, head = task / blocks % z.K, first = task % blocks * ROWS;
      const int64_t padding = z.padding(lengths, b), n = z.S - padding;
      // The blocks of one key head follow one another: its keys are packed at the first of them.
      if (task == begin || first == 0) {
        float* packed = room(scratch.keys, tilesOf(n) * LANES * z.D);
        packKeys(k + z.key(b, head, padding), stride, n, z.D, packed);
        tiles = packed;
        values = padRows(v + z.key(b, head, padding), stride, n, z.D, scratch.valueRows);
      }
      withRows(std::min<int64_t>(ROWS, z.rows() - first), [&](auto rows) {
        forwardBlock<decltype(rows)::value>(q, y, z, b, head, first, padding, tiles, values, scratch);
      });
    }
  });
}

static inline void attentionGrad(Arrays arrays, Numbers numbers) {
  using namespace attentionParts;
  const Sizes z(numbers);
  const float *dy = static_cast<const float*>(arrays[0]), *q = static_cast<const float*>(arrays[1]);
  const float *k = static_cast<const float*>(arrays[2]), *v = static_cast<const float*>(arrays[3]);
  const int32_t* lengths = static_cast<const int32_t*>(arrays[4]);
  float *dq = static_cast<float*>(arrays[5]), *dk = static_cast<float*>(arrays[6]), *dv = static_cast<float*>(arrays[7]);
  const int64_t stride = z.K * z.D, width = z.paddedD();
  // One thread a key head: its dk and dv are sums over all queries, in order.
  parallelFor(z.B * z.K, z.rows() * z.S * (5 * z.D + 48), [&](int64_t begin, int64_t end) {
    Scratch& scratch = scratchOfThread();
    for (int64_t task = begin; task < end; task++) {
      const int64_t b = task / z.K, head = task % z.K;
      const int64_t padding = z.padding(lengths, b), n = z.S - padding, size = tilesOf(n) * LANES;
      const float *keys = k + z.key(b, head, padding), *values = v + z.key(b, head, padding);
      float *keyTiles = room(scratch.keys, size * z.D), *valueTiles = room(scratch.values, size * z.D);
      packKeys(keys, stride, n, z.D, keyTiles);
      packKeys(values, stride, n, z.D, valueTiles);
      float *dKeys = room(scratch.dk, size * width), *dValues = room(scratch.dv, size * width);
      std::fill(dKeys, dKeys + size * width, 0.0f);
      std::fill(dValues, dValues + size * width, 0.0f);
      const Rows keyRows = padRows(keys, stride, n, z.D, scratch.keyRows);
      const GradHead parts{keyTiles, valueTiles, keyRows, dKeys, dValues};
      for (int64_t first = 0; first < z.rows(); first += ROWS)
        withRows(std::min<int64_t>(ROWS, z.rows() - first), [&](auto rows) {
          gradBlock<decltype(rows)::value>(dy, q, dq, z, b, head, first, padding, parts, scratch);
        });
      storeKeys(dKeys, z, b, head, padding, dk);
      storeKeys(dValues, z, b, head, padding, dv);
    }
  });
}

}  // namespace ISA
