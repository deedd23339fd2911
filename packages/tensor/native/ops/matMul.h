// The matrix product, c = op(a) op(b).
//
//   c[m, n] = Σ_k a[m, k] b[k, n]
//
// k is cut into the fewest nearly equal blocks of at most 288. Each element is a chain of fused multiply-adds over each block,
// and the blocks are added in order, whatever the shape around it. So a row of c has the same bits in every batch, and on every
// instruction set that has the fused multiply-add. (One chain over all k would lose what is small beside the sum: in dz W, over a
// vocabulary of 2^18 ids, up to a part in a thousand.)
//
// b goes through in panels of 32 columns, [depth, 32] of a block of k: in that block a panel stays in the first cache while the
// tiles of a, packed as [depth, rows] and read once a panel, come from the second. A b that few rows are multiplied with, again
// and again, is better packed beforehand, whole: panels [K, 32], zeros beyond column N.
#include <algorithm>
#include <cmath>
#include <vector>

namespace ISA {

constexpr int64_t PANEL = 32;
constexpr int64_t BLOCK_K = 288;
constexpr int64_t BLOCK_M = 384;

// How many rows of 32 columns the instruction set's registers hold beside the operands.
#if defined(__AVX512F__)
constexpr int TILE = 12;
#elif (defined(__AVX2__) && defined(__FMA__)) || defined(__aarch64__)
constexpr int TILE = 3;
#else
constexpr int TILE = 1;
#endif
constexpr int REGISTERS = PANEL / PART;

/** How b lies in memory. */
enum class Form { PLAIN, TRANSPOSED, PACKED };

/** b: its rows `[K, N]`, or its columns `[N, K]`, `stride` floats apart; or all of its panels. */
struct Operand {
  const float* at;
  int64_t stride;
  Form form;
};

/** The number of floats of b packed. */
static inline int64_t packedSize(int64_t K, int64_t N) { return (N + PANEL - 1) / PANEL * PANEL * K; }

/** `rows` rows of `depth` floats become columns: to[k * toStride + r] = from[r * stride + k]. */
static inline void transposeInto(const float* from, int64_t stride, int64_t rows, int64_t depth, float* to, int64_t toStride) {
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    int64_t k = 0;
    for (; k + 4 <= depth; k += 4) transpose4x4(from + r * stride + k, stride, to + k * toStride + r, toStride);
    for (; k < depth; k++)
      for (int64_t i = r; i < r + 4; i++) to[k * toStride + i] = from[i * stride + k];
  }
  for (; r < rows; r++)
    for (int64_t k = 0; k < depth; k++) to[k * toStride + r] = from[r * stride + k];
}

/** One panel, [depth, 32], of the columns n0 .. n0 + columns in the rows k0 .. k0 + depth of b. */
static void packPanel(const Operand& b, int64_t n0, int64_t columns, int64_t k0, int64_t depth, float* to) {
  if (b.form == Form::TRANSPOSED) {
    transposeInto(b.at + n0 * b.stride + k0, b.stride, columns, depth, to, PANEL);
  } else if (columns == PANEL) {
    for (int64_t k = 0; k < depth; k++) std::memcpy(to + k * PANEL, b.at + (k0 + k) * b.stride + n0, PANEL * 4);
  } else {
    for (int64_t k = 0; k < depth; k++)
      std::memcpy(to + k * PANEL, b.at + (k0 + k) * b.stride + n0, static_cast<size_t>(columns) * 4);
  }
  if (columns == PANEL) return;
  for (int64_t k = 0; k < depth; k++) std::fill(to + k * PANEL + columns, to + (k + 1) * PANEL, 0.0f);
}

/** All panels of b. */
static void pack(const Operand& b, float* packed, int64_t K, int64_t N) {
  parallelFor((N + PANEL - 1) / PANEL, K * PANEL / 2, [=](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; panel++)
      packPanel(b, panel * PANEL, std::min(PANEL, N - panel * PANEL), 0, K, packed + panel * PANEL * K);
  });
}

/** Where the next panel lies in memory: two lines of it for each k, at (k & mask) stride + (k >> 5) jump. */
struct Ahead {
  const float* at;
  int64_t mask, stride, jump;
};

/** The panel [depth, 32] of column n0 and row k0 of b. */
static inline Ahead aheadOf(const Operand& b, int64_t n0, int64_t k0, int64_t K) {
  if (b.form == Form::PACKED) return {b.at + n0 * K + k0 * PANEL, -1, PANEL, 0};
  if (b.form == Form::PLAIN) return {b.at + k0 * b.stride + n0, -1, b.stride, 0};
  return {b.at + n0 * b.stride + k0, PANEL - 1, b.stride, PANEL};  // 32 rows, 32 of their floats at a time
}

/**
 * ROWS rows of c against one panel: a packed [K, ROWS]; added to c where `accumulate`. With FETCH the next panel comes from memory
 * meanwhile, which for few rows takes as long as the arithmetic.
 */
template <int ROWS, bool FETCH>
static void tile(const float* a, const float* b, const Ahead& ahead, int64_t K, float* c, int64_t ldc, int64_t columns, bool accumulate) {
  Part sums[ROWS][REGISTERS];
  alignas(64) float edge[PANEL];
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; r++) {
#pragma GCC unroll 16
    for (int i = 0; i < REGISTERS; i++) sums[r][i] = Part{};
  }
  for (int64_t k = 0; k < K; k++) {
    if constexpr (FETCH) {
      const float* next = ahead.at + (k & ahead.mask) * ahead.stride + (k >> 5) * ahead.jump;
      __builtin_prefetch(next, 0, 2);
      __builtin_prefetch(next + PANEL / 2, 0, 2);
    }
    Part row[REGISTERS];
#pragma GCC unroll 16
    for (int i = 0; i < REGISTERS; i++) row[i] = loadRegister(b + k * PANEL + i * PART);
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; r++) {
#pragma GCC unroll 16
      for (int i = 0; i < REGISTERS; i++) sums[r][i] = fmaPart(splatRegister(a[k * ROWS + r]), row[i], sums[r][i]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; r++) {
    float* to = columns < PANEL ? edge : c + r * ldc;
    if (accumulate) {
      if (columns < PANEL) {
        std::memset(edge, 0, sizeof edge);
        std::memcpy(edge, c + r * ldc, static_cast<size_t>(columns) * 4);
      }
#pragma GCC unroll 16
      for (int i = 0; i < REGISTERS; i++) sums[r][i] = loadRegister(to + i * PART) + sums[r][i];
    }
#pragma GCC unroll 16
    for (int i = 0; i < REGISTERS; i++) storeRegister(to + i * PART, sums[r][i]);
    if (columns < PANEL) std::memcpy(c + r * ldc, edge, static_cast<size_t>(columns) * 4);
  }
}

using Tile = void (*)(const float*, const float*, const Ahead&, int64_t, float*, int64_t, int64_t, bool);
template <int... ROWS>
struct Tiles {
  static constexpr Tile of[] = {nullptr, tile<ROWS, false>...};
  static constexpr Tile fetching[] = {nullptr, tile<ROWS, true>...};
};
#if defined(__AVX512F__)
using AllTiles = Tiles<1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12>;
#elif (defined(__AVX2__) && defined(__FMA__)) || defined(__aarch64__)
using AllTiles = Tiles<1, 2, 3>;
#else
using AllTiles = Tiles<1>;
#endif

/** Rows m0 .. m0 + rows of a, [M, K] or transposed [K, M], and k0 .. k0 + depth of k, as [depth, rows]. */
static inline void packTile(const float* a, int64_t lda, bool transposed, int64_t m0, int64_t rows, int64_t k0, int64_t depth, float* to) {
  if (!transposed) {
    transposeInto(a + m0 * lda + k0, lda, rows, depth, to, rows);
  } else if (rows == TILE) {
    for (int64_t k = 0; k < depth; k++) std::memcpy(to + k * TILE, a + (k0 + k) * lda + m0, TILE * 4);
  } else {
    for (int64_t k = 0; k < depth; k++)
      for (int64_t r = 0; r < rows; r++) to[k * rows + r] = a[(k0 + k) * lda + m0 + r];
  }
}

/** The i-th of `parts` nearly equal ranges of `size` starts here. */
static inline int64_t partStart(int64_t size, int64_t parts, int64_t i) { return size * i / parts; }

/** Memory of this thread, on a cache line; what it held is lost. */
static inline float* threadScratch(int64_t size) {
  static thread_local std::vector<float> memory;
  if (static_cast<int64_t>(memory.size()) < size + LANES) memory.resize(static_cast<size_t>(size + LANES));
  const auto address = reinterpret_cast<uintptr_t>(memory.data());
  return reinterpret_cast<float*>((address + 63) / 64 * 64);
}

/** How a product is shared out: so many blocks of rows by so many ranges of panels. */
struct Shares {
  int64_t blocks, ranges;
};

/**
 * The shares that end first. Each task packs its rows anew, and its panels where they are not packed: the smaller its block, the
 * more that weighs. The weights are measured, in turns of one row by one panel.
 */
static Shares sharesOf(int64_t M, int64_t panels, int64_t steps, Form form, int64_t threads) {
  const double packRow = 0.3, packPanel = form == Form::PACKED ? 0 : form == Form::PLAIN ? 2 : 10;
  const double inside = (1 << 19) / (4.0 * PANEL);  // a block of c that stays in the second cache between steps of k
  const int64_t least = (M + BLOCK_M - 1) / BLOCK_M;
  Shares best{least, 1};
  double bestCost = -1;
  for (int64_t ranges = 1; ranges <= std::min(panels, 8 * threads); ranges++)
    for (int64_t turns = 2; turns <= 8; turns += 2) {  // two for each thread, so that one that is held up does not hold up all
      const int64_t blocks = std::min(std::max(least, (turns * threads + ranges - 1) / ranges), std::max(least, (M + TILE - 1) / TILE));
      const auto rows = static_cast<double>((M + blocks - 1) / blocks), width = static_cast<double>((panels + ranges - 1) / ranges);
      const auto rounds = static_cast<double>((blocks * ranges + threads - 1) / threads);
      const double turn = steps > 1 && rows * width > inside ? 1 + 0.05 * std::min(3.0, std::log2(rows * width / inside)) : 1;
      const double cost = rounds * (turn * rows * width + packRow * rows + packPanel * width);
      if (bestCost >= 0 && cost >= bestCost) continue;
      bestCost = cost;
      best = {blocks, ranges};
    }
  return best;
}

/** c [M, N] = op(a) b, or c + op(a) b; lda, ldc: the distance of rows in memory. */
static void gemm(const float* a, int64_t lda, bool transposeA, const Operand& b, float* c, int64_t ldc, int64_t M, int64_t N,
                 int64_t K, bool accumulate) {
  if (M == 0 || N == 0) return;
  if (K == 0) {
    if (!accumulate)
      for (int64_t m = 0; m < M; m++) std::memset(c + m * ldc, 0, static_cast<size_t>(N) * 4);
    return;
  }
  const int64_t panels = (N + PANEL - 1) / PANEL;
  const int64_t steps = (K + BLOCK_K - 1) / BLOCK_K;
  const Shares shares = sharesOf(M, panels, steps, b.form, threadCount());
  const int64_t blocks = shares.blocks, ranges = shares.ranges, tasks = blocks * ranges;
  parallelTasks(tasks, M * N / tasks * K / 4 + 1, [=](int64_t task) {
    const int64_t block = task / ranges, range = task % ranges;
    const int64_t first = partStart(M, blocks, block), rows = partStart(M, blocks, block + 1) - first;
    const int64_t firstPanel = partStart(panels, ranges, range), lastPanel = partStart(panels, ranges, range + 1);
    const int64_t tiles = (rows + TILE - 1) / TILE;
    float* const panelScratch = threadScratch((BLOCK_M + PANEL) * BLOCK_K);
    float* const tileScratch = panelScratch + PANEL * BLOCK_K;
    for (int64_t step = 0; step < steps; step++) {
      const int64_t k0 = partStart(K, steps, step), depth = partStart(K, steps, step + 1) - k0;
      for (int64_t t = 0; t < tiles; t++) {
        const int64_t from = partStart(rows, tiles, t), size = partStart(rows, tiles, t + 1) - from;
        packTile(a, lda, transposeA, first + from, size, k0, depth, tileScratch + from * depth);
      }
      for (int64_t panel = firstPanel; panel < lastPanel; panel++) {
        const int64_t columns = std::min(PANEL, N - panel * PANEL);
        const float* at = panelScratch;
        if (b.form == Form::PACKED)
          at = b.at + (panel * K + k0) * PANEL;
        else
          packPanel(b, panel * PANEL, columns, k0, depth, panelScratch);
        // No panel follows the last; and beyond the columns of one that is cut short there need be no memory.
        const bool more = panel + 1 < lastPanel && (panel + 2) * PANEL <= N;
        const Ahead ahead = more ? aheadOf(b, (panel + 1) * PANEL, k0, K) : Ahead{at, 0, 0, 0};
        for (int64_t t = 0; t < tiles; t++) {
          const int64_t from = partStart(rows, tiles, t), size = partStart(rows, tiles, t + 1) - from;
          const Tile product = more && (t == 0 || t == tiles - 1) ? AllTiles::fetching[size] : AllTiles::of[size];
          product(tileScratch + from * depth, at, ahead, depth, c + (first + from) * ldc + panel * PANEL, ldc, columns,
                  accumulate || step > 0);
        }
      }
    }
  });
}

/** How b comes from JavaScript: 0 as it is, 1 transposed, 2 packed. */
static inline Operand operandOf(const void* at, double form, int64_t K, int64_t N) {
  const auto* values = static_cast<const float*>(at);
  if (form == 2) return {values, 0, Form::PACKED};
  return form == 1 ? Operand{values, K, Form::TRANSPOSED} : Operand{values, N, Form::PLAIN};
}

/** b, packed: K, N, form. */
static void packMatrix(Arrays arrays, Numbers numbers) {
  const auto K = static_cast<int64_t>(numbers[0]), N = static_cast<int64_t>(numbers[1]);
  pack(operandOf(arrays[0], numbers[2], K, N), static_cast<float*>(arrays[1]), K, N);
}

/** a, b, c: M, N, K, transposeA, form of b. */
static void matMul(Arrays arrays, Numbers numbers) {
  const auto M = static_cast<int64_t>(numbers[0]), N = static_cast<int64_t>(numbers[1]), K = static_cast<int64_t>(numbers[2]);
  const bool transposeA = numbers[3] != 0;
  gemm(static_cast<const float*>(arrays[0]), transposeA ? M : K, transposeA, operandOf(arrays[1], numbers[4], K, N),
       static_cast<float*>(arrays[2]), N, M, N, K, false);
}

/** a [batchA, ...], b [batchB, ...], c [batch, M, N]: batch, batchA, batchB, M, N, K, transposeA, transposeB; batchA, batchB 1 or batch. */
static void batchMatMul(Arrays arrays, Numbers numbers) {
  const auto* a = static_cast<const float*>(arrays[0]);
  const auto* b = static_cast<const float*>(arrays[1]);
  auto* c = static_cast<float*>(arrays[2]);
  const auto batch = static_cast<int64_t>(numbers[0]);
  const int64_t stepA = numbers[1] == 1 ? 0 : 1, stepB = numbers[2] == 1 ? 0 : 1;
  const auto M = static_cast<int64_t>(numbers[3]), N = static_cast<int64_t>(numbers[4]), K = static_cast<int64_t>(numbers[5]);
  const bool transposeA = numbers[6] != 0;
  const double form = numbers[7];
  parallelTasks(batch, M * N * K / 4 + 1, [=](int64_t i) {
    gemm(a + i * stepA * M * K, transposeA ? M : K, transposeA, operandOf(b + i * stepB * K * N, form, K, N), c + i * M * N, N, M, N, K, false);
  });
}

/** Element (k, n) of b. */
static inline float elementOf(const Operand& b, int64_t K, int64_t k, int64_t n) {
  if (b.form == Form::PACKED) return b.at[n / PANEL * PANEL * K + k * PANEL + n % PANEL];
  return b.form == Form::TRANSPOSED ? b.at[n * b.stride + k] : b.at[k * b.stride + n];
}

[[maybe_unused]] static void packMatrixDefinition(Arrays arrays, Numbers numbers) {
  const auto K = static_cast<int64_t>(numbers[0]), N = static_cast<int64_t>(numbers[1]);
  const Operand b = operandOf(arrays[0], numbers[2], K, N);
  auto* packed = static_cast<float*>(arrays[1]);
  for (int64_t i = 0; i < packedSize(K, N); i++) {
    const int64_t n = i / (PANEL * K) * PANEL + i % PANEL;
    packed[i] = n < N ? elementOf(b, K, i / PANEL % K, n) : 0;
  }
}

/** In double precision, sum by sum; so is what follows. */
[[maybe_unused]] static void matMulDefinition(Arrays arrays, Numbers numbers) {
  const auto* a = static_cast<const float*>(arrays[0]);
  auto* c = static_cast<float*>(arrays[2]);
  const auto M = static_cast<int64_t>(numbers[0]), N = static_cast<int64_t>(numbers[1]), K = static_cast<int64_t>(numbers[2]);
  const Operand b = operandOf(arrays[1], numbers[4], K, N);
  for (int64_t m = 0; m < M; m++)
    for (int64_t n = 0; n < N; n++) {
      double total = 0;
      for (int64_t k = 0; k < K; k++) total += double{a[numbers[3] != 0 ? k * M + m : m * K + k]} * elementOf(b, K, k, n);
      c[m * N + n] = static_cast<float>(total);
    }
}

[[maybe_unused]] static void batchMatMulDefinition(Arrays arrays, Numbers numbers) {
  const auto* a = static_cast<const float*>(arrays[0]);
  const auto* b = static_cast<const float*>(arrays[1]);
  auto* c = static_cast<float*>(arrays[2]);
  const auto batch = static_cast<int64_t>(numbers[0]);
  const int64_t stepA = numbers[1] == 1 ? 0 : 1, stepB = numbers[2] == 1 ? 0 : 1;
  const auto M = static_cast<int64_t>(numbers[3]), N = static_cast<int64_t>(numbers[4]), K = static_cast<int64_t>(numbers[5]);
  for (int64_t i = 0; i < batch; i++)
    for (int64_t m = 0; m < M; m++)
      for (int64_t n = 0; n < N; n++) {
        double total = 0;
        for (int64_t k = 0; k < K; k++) {
          const double x = a[i * stepA * M * K + (numbers[6] != 0 ? k * M + m : m * K + k)];
          total += x * b[i * stepB * K * N + (numbers[7] != 0 ? n * K + k : k * N + n)];
        }
        c[(i * M + m) * N + n] = static_cast<float>(total);
      }
}

}  // namespace ISA
