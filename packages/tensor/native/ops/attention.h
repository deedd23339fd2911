// Causal attention with grouped heads, a cache and left padding, as in src/ops/attention.ts:
//
//   y = softmax(q kᵀ / √D + mask) v
//   dv = pᵀ dy,   dp = dy vᵀ,   ds = p (dp - Σ dp p),   dq = ds k / √D,   dk = dsᵀ q / √D
//
// attention:           q [B, T, H, D], k, v [B, S, K, D], padding int32 [B] -> y [B, T, H, D]
// attentionGrad:       dy, q, k, v, padding -> dq, dk, dv
// numbers:             B, T, S, H, K, D
//
// prefixAttention:     q, k, v [B, capacity, K, D], padding, prefix keys and values [R, P, K, D], rows int32 [B] -> y
// prefixAttentionGrad: dy, q, k, v, padding, prefix keys, prefix values, rows -> dq, dk, dv, dprefix keys, dprefix values
// numbers:             B, T, S, H, K, D, P, capacity, R
//
// With a prefix the S keys of row b are the P of prefix row rows[b], then its own: the first S - P of the `capacity` that are
// there, whatever the others hold. For the gradient capacity = S - P. P may be 0.
//
// Query head h reads key head ⌊h K / H⌋; query t attends to keys padding[b] <= s <= S - T + t. A query without a key (a padding
// position) gives zeros, and no gradient.
//
// Order of sums: keys count from the row's first valid key, j = s - padding[b]. A score is one chain over D of (q / √D) k; the
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
  int64_t B, T, S, H, K, D, P, capacity, R;
  Sizes(Numbers n, bool prefix)
      : B(int64_t(n[0])), T(int64_t(n[1])), S(int64_t(n[2])), H(int64_t(n[3])), K(int64_t(n[4])), D(int64_t(n[5])),
        P(prefix ? int64_t(n[6]) : 0), capacity(prefix ? int64_t(n[7]) : S), R(prefix ? int64_t(n[8]) : 0) {}
  int64_t group() const { return H / K; }
  /** Queries that read one key head: (t, head of the group). */
  int64_t rows() const { return T * group(); }
  int64_t paddedD() const { return (D + LANES - 1) / LANES * LANES; }
  int64_t query(int64_t b, int64_t head, int64_t row) const {
    return ((b * T + row / group()) * H + head * group() + row % group()) * D;
  }
  /** How far apart the keys of one head lie. */
  int64_t stride() const { return K * D; }
  /** The number of keys that a row sees after `padding` keys. */
  int64_t keys(int64_t row, int64_t padding) const {
    return std::max<int64_t>(0, S - T + row / group() + 1 - padding);
  }
  int64_t padding(const int32_t* lengths, int64_t b) const {
    return std::min(S, std::max<int64_t>(0, lengths[b]));
  }
};

/** The keys, or the values, of all rows: their own `[B, capacity, K, D]`, and `[R, P, K, D]` of which row b reads rows[b]. */
struct Source {
  const float *own, *prefix;
  const int32_t* rows;
  /** Of row b and a key head, counted from the prefix's first. */
  const float* key(const Sizes& z, int64_t b, int64_t head, int64_t s) const {
    const int64_t position = s < z.P ? rows[b] * z.P + s : b * z.capacity + s - z.P;
    return (s < z.P ? prefix : own) + (position * z.K + head) * z.D;
  }
};

/** n vectors, `stride` floats apart: the first `split` from one place, the rest from another. */
struct Rows {
  const float *first, *second;
  int64_t split, n, stride;
  const float* row(int64_t j) const { return j < split ? first + j * stride : second + (j - split) * stride; }
  Rows from(int64_t column) const { return {first + column, second + column, split, n, stride}; }
};

/** The vectors of one row and key head after its padding. */
static inline Rows rowsOf(const Source& x, const Sizes& z, int64_t b, int64_t head, int64_t padding) {
  const int64_t split = std::max<int64_t>(0, z.P - padding), begin = std::max(z.P, padding);
  const float* second = x.own + ((b * z.capacity + begin - z.P) * z.K + head) * z.D;
  return {split > 0 ? x.key(z, b, head, padding) : second, second, split, z.S - padding, z.stride()};
}

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

/** n keys `[n, D]` -> n columns of a tile `[D, 16]`. */
static inline void packColumns(const float* x, int64_t stride, int64_t n, int64_t D, float* tile) {
  const int64_t n4 = n / 4 * 4, D4 = D / 4 * 4;
  for (int64_t j = 0; j < n4; j += 4)
    for (int64_t d = 0; d < D4; d += 4) transpose4(x + j * stride + d, stride, tile + d * LANES + j);
  for (int64_t j = 0; j < n; j++)
    for (int64_t d = j < n4 ? D4 : 0; d < D; d++) tile[d * LANES + j] = x[j * stride + d];
}

/** Keys -> tiles of 16 `[n / 16, D, 16]`, zeros after the last; the first `done` are there already, a multiple of 16. */
static inline void packKeys(const Rows& x, int64_t D, int64_t done, float* tiles) {
  for (int64_t j = done; j < x.n; j += LANES) {
    const int64_t end = std::min(x.n, j + LANES), middle = std::min(end, std::max(j, x.split));
    float* tile = tiles + j * D;
    if (end < j + LANES) std::fill(tile, tile + D * LANES, 0.0f);
    if (j < middle) packColumns(x.row(j), x.stride, middle - j, D, tile);
    if (middle < end) packColumns(x.row(middle), x.stride, end - middle, D, tile + middle - j);
  }
}

/** The vectors themselves where D is a multiple of 16, else copies with zeros after them: readable by registers. */
static inline Rows padRows(const Rows& x, int64_t D, std::vector<float>& scratch) {
  if (D % LANES == 0) return x;
  const int64_t width = (D + LANES - 1) / LANES * LANES;
  float* copy = room(scratch, x.n * width);
  for (int64_t j = 0; j < x.n; j++) {
    std::copy(x.row(j), x.row(j) + D, copy + j * width);
    std::fill(copy + j * width + D, copy + (j + 1) * width, 0.0f);
  }
  return {copy, copy, x.n, x.n, width};
}

/** Which prefix a thread has in the tiles of each key head: rows that share it and stand side by side pack it once. */
class PackedPrefix {
  struct Prefix {
    int64_t row, padding;
  };
  std::vector<Prefix> heads;

 public:
  explicit PackedPrefix(const Sizes& z) : heads(size_t(z.P > 0 ? z.K : 0), Prefix{-1, -1}) {}
  /** How many of these keys are packed already, all in whole tiles or none; from here on they all are. */
  int64_t done(const Source& x, const Sizes& z, int64_t b, int64_t head, int64_t padding, const Rows& keys) {
    if (z.P == 0) return 0;
    Prefix& held = heads[size_t(head)];
    const bool same = held.row == x.rows[b] && held.padding == padding;
    held = {x.rows[b], padding};
    return same ? keys.split / LANES * LANES : 0;
  }
};

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
static inline void mixColumns(const float* w, const Rows& x, int64_t common, float* out, int64_t width) {
  N acc[R][C];
  for (int r = 0; r < R; r++)
    for (int c = 0; c < C; c++) acc[r][c] = splatN(0);
  for (int64_t j = 0; j < common;) {
    const float* tile = w + j / LANES * LANES * R + j % LANES;
    const float* row = x.row(j);
    const int64_t count = std::min((j < x.split ? std::min(x.split, common) : common) - j, LANES - j % LANES);
    for (int64_t i = 0; i < count; i++, row += x.stride) {
      N value[C];
      for (int c = 0; c < C; c++) value[c] = loadN(row + c * WIDTH);
      for (int r = 0; r < R; r++) {
        const N weight = splatN(tile[r * LANES + i]);
        for (int c = 0; c < C; c++) acc[r][c] = fmaN(weight, value[c], acc[r][c]);
      }
    }
    j += count;
  }
  for (int r = 0; r < R; r++)
    for (int c = 0; c < C; c++) storeN(out + r * width + c * WIDTH, acc[r][c]);
}

/** out[r] = Σ_j w[r][j] x[j] over the n[r] keys of each row, n ascending; `[R, width]`. */
template <int R>
static inline void mix(const float* w, const Rows& x, const int64_t* n, int64_t width, float* out) {
  constexpr int C = vectorsFor(R);
  int64_t c = 0;
  for (; c + C * WIDTH <= width; c += C * WIDTH) mixColumns<R, C>(w, x.from(c), n[0], out + c, width);
  if constexpr (C == 4)
    for (; c + 2 * WIDTH <= width; c += 2 * WIDTH) mixColumns<R, 2>(w, x.from(c), n[0], out + c, width);
  for (; c < width; c += WIDTH) mixColumns<R, 1>(w, x.from(c), n[0], out + c, width);
  for (int r = 0; r < R; r++)
    for (int64_t j = n[0]; j < n[r]; j++) {
      const N weight = splatN(w[(j / LANES * R + r) * LANES + j % LANES]);
      const float* row = x.row(j);
      for (int64_t d = 0; d < width; d += WIDTH)
        storeN(out + r * width + d, fmaN(weight, loadN(row + d), loadN(out + r * width + d)));
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
  std::vector<std::vector<float>> keys, values;  // tiles, by key head
  std::vector<float> keyRows, valueRows, query, queryRows, dy, dyRows, scores, gradScores, out, dk, dv;
};

/** The tiles of a key head; without a prefix nothing is kept for the next row, and the heads take turns in one place. */
static inline float* tilesFor(std::vector<std::vector<float>>& tiles, const Sizes& z, int64_t head, int64_t size) {
  return room(tiles[size_t(z.P > 0 ? head : 0)], size);
}

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

/** The softmax weights of one query, in double: its n keys after `padding`. */
static inline std::vector<double> weightsDefinition(const float* q, const Source& k, const Sizes& z, int64_t b, int64_t head,
                                                    int64_t row, int64_t padding) {
  std::vector<double> p(size_t(z.keys(row, padding)));
  double top = -std::numeric_limits<double>::infinity(), total = 0;
  for (size_t j = 0; j < p.size(); j++) {
    const float* key = k.key(z, b, head, padding + int64_t(j));
    double s = 0;
    for (int64_t d = 0; d < z.D; d++) s += double(q[z.query(b, head, row) + d]) * double(key[d]);
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

static inline void forwardDefinition(const Sizes& z, const float* q, const Source& k, const Source& v, const int32_t* lengths,
                                     float* y) {
  forEachQuery(z, lengths, [&](int64_t b, int64_t head, int64_t row, int64_t padding) {
    const std::vector<double> p = weightsDefinition(q, k, z, b, head, row, padding);
    for (int64_t d = 0; d < z.D; d++) {
      double mean = 0;
      for (size_t j = 0; j < p.size(); j++) mean += p[j] * double(v.key(z, b, head, padding + int64_t(j))[d]);
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
  const double scale = 1 / std::sqrt(double(z.D));
  const int64_t own = z.B * (z.S - z.P) * z.stride();
  std::vector<double> dq(size_t(z.B * z.T * z.H * z.D)), dk(size_t(own + z.R * z.P * z.stride())), dv(dk.size());
  forEachQuery(z, lengths, [&](int64_t b, int64_t head, int64_t row, int64_t padding) {
    const std::vector<double> p = weightsDefinition(q, k, z, b, head, row, padding);
    std::vector<double> dp(p.size());
    const int64_t query = z.query(b, head, row);
    double mean = 0;
    for (size_t j = 0; j < p.size(); j++) {
      const float* value = v.key(z, b, head, padding + int64_t(j));
      for (int64_t d = 0; d < z.D; d++) dp[j] += double(dy[query + d]) * double(value[d]);
      mean += dp[j] * p[j];
    }
    for (size_t j = 0; j < p.size(); j++) {
      const double ds = p[j] * (dp[j] - mean) * scale;
      const int64_t s = padding + int64_t(j);
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
  const int64_t cost = std::min<int64_t>(ROWS, z.rows()) * z.S * (2 * z.D + 32);
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
        tiles = tilesFor(scratch.keys, z, head, tilesOf(keys.n) * LANES * z.D);
        packKeys(keys, z.D, packed.done(k, z, b, head, padding, keys), tiles);
        values = padRows(rowsOf(v, z, b, head, padding), z.D, scratch.valueRows);
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
  parallelFor(z.B * z.K, z.rows() * z.S * (5 * z.D + 48), [&](int64_t begin, int64_t end) {
    Scratch& scratch = scratchOfThread(z);
    PackedPrefix packed(z);
    for (int64_t task = begin; task < end; task++) {
      const int64_t b = task / z.K, head = task % z.K, padding = z.padding(lengths, b);
      const Rows keys = rowsOf(k, z, b, head, padding), values = rowsOf(v, z, b, head, padding);
      const int64_t size = tilesOf(keys.n) * LANES, done = packed.done(k, z, b, head, padding, keys);
      float *keyTiles = tilesFor(scratch.keys, z, head, size * z.D);
      float* valueTiles = tilesFor(scratch.values, z, head, size * z.D);
      packKeys(keys, z.D, done, keyTiles);
      packKeys(values, z.D, done, valueTiles);
      float *dKeys = room(scratch.dk, size * width), *dValues = room(scratch.dv, size * width);
      std::fill(dKeys, dKeys + size * width, 0.0f);
      std::fill(dValues, dValues + size * width, 0.0f);
      const GradHead held{keyTiles, valueTiles, padRows(keys, z.D, scratch.keyRows), dKeys, dValues};
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
