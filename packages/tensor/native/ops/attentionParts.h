// The pieces of attention.h: where keys and values lie, keys in tiles of sixteen, and the products of a block of queries with them.
// Letters and the order of sums as there.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

namespace ISA {
namespace attentionParts {

// ROWS are the queries that are computed together, ACCUMULATORS the registers that are summed into at once. Where every lane is a
// chain of its own, the width of a register does not show in the numbers.
#if defined(__AVX512F__)
constexpr int ROWS = 8, ACCUMULATORS = 16;
#elif defined(__AVX2__)
constexpr int ROWS = 6, ACCUMULATORS = 12;
#elif defined(__aarch64__)
constexpr int ROWS = 8, ACCUMULATORS = 16;
#else
constexpr int ROWS = 4, ACCUMULATORS = 8;
#endif

/** The registers a row that fit with R rows: 1, 2 or 4. */
constexpr int vectorsFor(int R) { return ACCUMULATORS / R >= 4 ? 4 : ACCUMULATORS / R >= 2 ? 2 : 1; }

struct Sizes {
  int64_t B, T, S, H, K, D, window;
  double scale;
  int64_t P, capacity, R;
  Sizes(Numbers n, bool prefix)
      : B(int64_t(n[0])), T(int64_t(n[1])), S(int64_t(n[2])), H(int64_t(n[3])), K(int64_t(n[4])), D(int64_t(n[5])),
        window(int64_t(n[6])), scale(n[7]), P(prefix ? int64_t(n[8]) : 0), capacity(prefix ? int64_t(n[9]) : S),
        R(prefix ? int64_t(n[10]) : 0) {}
  int64_t group() const { return H / K; }
  /** Queries that read one key head: (t, head of the group). */
  int64_t rows() const { return T * group(); }
  int64_t paddedD() const { return (D + LANES - 1) / LANES * LANES; }
  int64_t query(int64_t b, int64_t head, int64_t row) const {
    return ((b * T + row / group()) * H + head * group() + row % group()) * D;
  }
  /** How far apart the keys of one head lie. */
  int64_t stride() const { return K * D; }
  /** The number of keys after `padding` keys that come no later than a row, the window's and those before it. */
  int64_t keys(int64_t row, int64_t padding) const {
    return std::max<int64_t>(0, S - T + row / group() + 1 - padding);
  }
  /** How many of a row's n keys lie before its window. */
  int64_t before(int64_t n) const { return std::max<int64_t>(0, n - window); }
  /** About the most keys that a row reads, whole tiles of them. */
  int64_t widest() const { return std::min(S, window + LANES); }
  /** Those that lie in whole tiles before the window of a row, and so of all later rows. */
  int64_t skipped(int64_t row, int64_t padding) const { return before(keys(row, padding)) / LANES * LANES; }
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
  /** Without the first j. */
  Rows after(int64_t j) const {
    const int64_t later = std::max<int64_t>(0, j - split);
    return {first + std::min(j, split) * stride, second + later * stride, std::max<int64_t>(0, split - j), n - j, stride};
  }
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

/** n keys `[n, D]` -> n columns of a tile `[D, 16]`. */
static inline void packColumns(const float* x, int64_t stride, int64_t n, int64_t D, float* tile) {
  const int64_t n4 = n / 4 * 4, D4 = D / 4 * 4;
  for (int64_t j = 0; j < n4; j += 4)
    for (int64_t d = 0; d < D4; d += 4) transpose4x4(x + j * stride + d, stride, tile + d * LANES + j, LANES);
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

/** The vectors themselves where D is a multiple of 16, else copies from `begin` on with zeros after them, for registers. */
static inline Rows padRows(const Rows& x, int64_t D, int64_t begin, std::vector<float>& scratch) {
  if (D % LANES == 0) return x;
  const int64_t width = (D + LANES - 1) / LANES * LANES;
  float* copy = room(scratch, x.n * width);
  for (int64_t j = begin; j < x.n; j++) {
    std::copy(x.row(j), x.row(j) + D, copy + j * width);
    std::fill(copy + j * width + D, copy + (j + 1) * width, 0.0f);
  }
  return {copy, copy, x.n, x.n, width};
}

/** Which prefix a thread has in the tiles of each key head: rows that share it and stand side by side pack it once. */
class PackedPrefix {
  struct Prefix {
    int64_t row, padding, begin;
  };
  std::vector<Prefix> heads;

 public:
  explicit PackedPrefix(const Sizes& z) : heads(size_t(z.P > 0 ? z.K : 0), Prefix{-1, -1, 0}) {}
  /**
   * Of the keys from `begin` on, the first that is not packed: those before it are, in whole tiles. From here on all are.
   */
  int64_t done(const Source& x, const Sizes& z, int64_t b, int64_t head, int64_t padding, int64_t begin, const Rows& keys) {
    if (z.P == 0) return begin;
    Prefix& held = heads[size_t(head)];
    const bool same = held.row == x.rows[b] && held.padding == padding && held.begin <= begin;
    if (!same) held = {x.rows[b], padding, begin};
    return same ? std::max(begin, keys.split / LANES * LANES) : begin;
  }
};

/** out[c][r] = x[r] · key for one register of keys in each of C tiles; x lies as [D][R]. */
template <int R, int C>
static inline void dotTiles(const float* x, const float* tiles, int64_t D, float* out) {
  Part acc[C][R];
  for (int c = 0; c < C; c++)
    for (int r = 0; r < R; r++) acc[c][r] = splatRegister(0);
  for (int64_t d = 0; d < D; d++) {
    Part key[C];
    for (int c = 0; c < C; c++) key[c] = loadRegister(tiles + (c * D + d) * LANES);
    for (int r = 0; r < R; r++) {
      const Part xr = splatRegister(x[d * R + r]);
      for (int c = 0; c < C; c++) acc[c][r] = fmaPart(xr, key[c], acc[c][r]);
    }
  }
  for (int c = 0; c < C; c++)
    for (int r = 0; r < R; r++) storeRegister(out + (c * R + r) * LANES, acc[c][r]);
}

/** R rows against all tiles: `[tiles, R, 16]`, the layout of every block of scores. */
template <int R>
static inline void dots(const float* x, const float* tiles, int64_t count, int64_t D, float* out) {
  constexpr int C = vectorsFor(R);
  for (int lane = 0; lane < LANES; lane += PART) {
    int64_t i = 0;
    for (; i + C <= count; i += C) dotTiles<R, C>(x, tiles + i * D * LANES + lane, D, out + i * R * LANES + lane);
    for (; i < count; i++) dotTiles<R, 1>(x, tiles + i * D * LANES + lane, D, out + i * R * LANES + lane);
  }
}

/** Row r of a block of scores: `value` for its first n keys, which lie before its window. */
template <int R>
static inline void hide(float* scores, int r, int64_t n, float value) {
  for (int64_t j = 0; j < n; j++) scores[(j / LANES * R + r) * LANES + j % LANES] = value;
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
  for (int lane = 0; lane < LANES && whole > 0; lane += PART) {
    Part most = loadRegister(row + lane);
    for (int64_t i = 1; i < whole; i++) {
      const Part next = loadRegister(row + i * R * LANES + lane);
      most = next > most ? next : most;
    }
    storeRegister(reinterpret_cast<float*>(&greatest) + lane, most);
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

/** out[r] = Σ_j w[r][j] x[j] over the keys begin..end, C registers wide; added to what is there where `begin` > 0. */
template <int R, int C>
static inline void mixColumns(const float* w, const Rows& x, int64_t begin, int64_t end, float* out, int64_t width) {
  Part acc[R][C];
  for (int r = 0; r < R; r++)
    for (int c = 0; c < C; c++) acc[r][c] = begin > 0 ? loadRegister(out + r * width + c * PART) : splatRegister(0);
  for (int64_t j = begin; j < end;) {
    const float* tile = w + j / LANES * LANES * R + j % LANES;
    const float* row = x.row(j);
    const int64_t count = std::min((j < x.split ? std::min(x.split, end) : end) - j, LANES - j % LANES);
    for (int64_t i = 0; i < count; i++, row += x.stride) {
      Part value[C];
      for (int c = 0; c < C; c++) value[c] = loadRegister(row + c * PART);
      for (int r = 0; r < R; r++) {
        const Part weight = splatRegister(tile[r * LANES + i]);
        for (int c = 0; c < C; c++) acc[r][c] = fmaPart(weight, value[c], acc[r][c]);
      }
    }
    j += count;
  }
  for (int r = 0; r < R; r++)
    for (int c = 0; c < C; c++) storeRegister(out + r * width + c * PART, acc[r][c]);
}

/** out += w[j] x[j] over the keys begin..end of one row r of R. */
template <int R>
static inline void mixRow(const float* w, const Rows& x, int r, int64_t begin, int64_t end, int64_t width, float* out) {
  for (int64_t j = begin; j < end; j++) {
    const Part weight = splatRegister(w[(j / LANES * R + r) * LANES + j % LANES]);
    const float* row = x.row(j);
    for (int64_t d = 0; d < width; d += PART)
      storeRegister(out + d, fmaPart(weight, loadRegister(row + d), loadRegister(out + d)));
  }
}

/** out[r] = Σ_j w[r][j] x[j] over the keys before[r]..n[r] of each row, both ascending; `[R, width]`. */
template <int R>
static inline void mix(const float* w, const Rows& x, const int64_t* before, const int64_t* n, int64_t width, float* out) {
  constexpr int C = vectorsFor(R);
  // The keys that all rows see, and before and after them those that some see; a narrow window leaves nothing in common.
  const int64_t begin = before[R - 1], end = std::max(begin, n[0]);
  if (begin > 0) {
    std::fill(out, out + R * width, 0.0f);
    for (int r = 0; r < R; r++) mixRow<R>(w, x, r, before[r], std::min(begin, n[r]), width, out + r * width);
  }
  int64_t c = 0;
  for (; c + C * PART <= width; c += C * PART) mixColumns<R, C>(w, x.from(c), begin, end, out + c, width);
  if constexpr (C == 4)
    for (; c + 2 * PART <= width; c += 2 * PART) mixColumns<R, 2>(w, x.from(c), begin, end, out + c, width);
  for (; c < width; c += PART) mixColumns<R, 1>(w, x.from(c), begin, end, out + c, width);
  for (int r = 0; r < R; r++) mixRow<R>(w, x, r, end, n[r], width, out + r * width);
}

/** J keys, C registers wide: out[j] += Σ_r w[r][j] x[r], rows in order. */
template <int R, int J, int C>
static inline void spreadColumns(const float* w, const float* x, int64_t width, float* out) {
  Part acc[J][C];
  for (int j = 0; j < J; j++)
    for (int c = 0; c < C; c++) acc[j][c] = loadRegister(out + j * width + c * PART);
  for (int r = 0; r < R; r++) {
    Part value[C];
    for (int c = 0; c < C; c++) value[c] = loadRegister(x + r * width + c * PART);
    for (int j = 0; j < J; j++) {
      const Part weight = splatRegister(w[r * LANES + j]);
      for (int c = 0; c < C; c++) acc[j][c] = fmaPart(weight, value[c], acc[j][c]);
    }
  }
  for (int j = 0; j < J; j++)
    for (int c = 0; c < C; c++) storeRegister(out + j * width + c * PART, acc[j][c]);
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
      for (; c + C * PART <= width; c += C * PART) spreadColumns<R, J, C>(tile, x + c, width, at + c);
      for (; c < width; c += PART) spreadColumns<R, J, 1>(tile, x + c, width, at + c);
    }
}

}  // namespace attentionParts
}  // namespace ISA
