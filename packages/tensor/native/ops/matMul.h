// The matrix product, c = op(a) op(b), with b packed beforehand.
//
//   c[m, n] = Σ_k a[m, k] b[k, n]
//
// Each element is one chain of fused multiply-adds over k = 0 .. K-1, whatever the shape around it, so a row of c has the same
// bits in every batch, and on every instruction set that has the fused multiply-add.
//
// Packed b: panels of 32 columns, each [K, 32], zeros beyond column N. In a block of KC values of k a panel stays in the first
// cache while the tiles of a, packed as [KC, rows] and read once a panel, come from the second.
#include <algorithm>
#include <vector>

namespace ISA {

constexpr int64_t PANEL = 32;
constexpr int64_t BLOCK_K = 256;
constexpr int64_t BLOCK_M = 192;

// A register of the instruction set, and how many rows of 32 columns its register file holds beside the operands.
#if defined(__AVX512F__)
constexpr int REGISTER = 16, TILE = 12;
#elif defined(__AVX2__) && defined(__FMA__)
constexpr int REGISTER = 8, TILE = 3;
#elif defined(__aarch64__)
constexpr int REGISTER = 4, TILE = 3;
#else
constexpr int REGISTER = 4, TILE = 1;
#endif
constexpr int REGISTERS = PANEL / REGISTER;
typedef float R __attribute__((vector_size(REGISTER * 4)));
typedef float RAt __attribute__((vector_size(REGISTER * 4), aligned(4), may_alias));

static inline R fmaR(float x, R b, R c) {
#if defined(__AVX512F__)
  return (R)_mm512_fmadd_ps(_mm512_set1_ps(x), (__m512)b, (__m512)c);
#elif defined(__AVX2__) && defined(__FMA__)
  return (R)_mm256_fmadd_ps(_mm256_set1_ps(x), (__m256)b, (__m256)c);
#elif defined(__aarch64__)
  return (R)vfmaq_n_f32((float32x4_t)c, (float32x4_t)b, x);
#else
  return x * b + c;
#endif
}

/** The number of floats of b packed. */
static inline int64_t packedSize(int64_t K, int64_t N) { return (N + PANEL - 1) / PANEL * PANEL * K; }

/** Packs b, [K, N] or transposed [N, K]. */
static void pack(const float* b, float* packed, int64_t K, int64_t N, bool transposed) {
  parallelFor((N + PANEL - 1) / PANEL, K * PANEL, [=](int64_t begin, int64_t end) {
    for (int64_t panel = begin; panel < end; panel++) {
      float* to = packed + panel * PANEL * K;
      const int64_t n0 = panel * PANEL;
      const int64_t columns = std::min(PANEL, N - n0);
      if (!transposed) {
        for (int64_t k = 0; k < K; k++) {
          std::memcpy(to + k * PANEL, b + k * N + n0, static_cast<size_t>(columns) * 4);
          if (columns < PANEL) std::memset(to + k * PANEL + columns, 0, static_cast<size_t>(PANEL - columns) * 4);
        }
        continue;
      }
      // Sixteen values of k at a time: a line of each of the 32 rows is read whole.
      for (int64_t k0 = 0; k0 < K; k0 += 16) {
        const int64_t k1 = std::min(K, k0 + 16);
        for (int64_t n = 0; n < PANEL; n++)
          for (int64_t k = k0; k < k1; k++) to[k * PANEL + n] = n < columns ? b[(n0 + n) * K + k] : 0.0f;
      }
    }
  });
}

/** ROWS rows of c against one panel: a packed [K, ROWS]; goes on from c where `accumulate`. */
template <int ROWS>
static void tile(const float* a, const float* b, int64_t K, float* c, int64_t ldc, int64_t columns, bool accumulate) {
  R sums[ROWS][REGISTERS];
  alignas(64) float edge[PANEL];
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; r++) {
    const float* from = c + r * ldc;
    if (accumulate && columns < PANEL) {
      std::memset(edge, 0, sizeof edge);
      std::memcpy(edge, from, static_cast<size_t>(columns) * 4);
      from = edge;
    }
#pragma GCC unroll 16
    for (int i = 0; i < REGISTERS; i++) sums[r][i] = accumulate ? (R) * reinterpret_cast<const RAt*>(from + i * REGISTER) : R{};
  }
  for (int64_t k = 0; k < K; k++) {
    R row[REGISTERS];
#pragma GCC unroll 16
    for (int i = 0; i < REGISTERS; i++) row[i] = *reinterpret_cast<const RAt*>(b + k * PANEL + i * REGISTER);
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; r++) {
#pragma GCC unroll 16
      for (int i = 0; i < REGISTERS; i++) sums[r][i] = fmaR(a[k * ROWS + r], row[i], sums[r][i]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; r++) {
    float* to = columns < PANEL ? edge : c + r * ldc;
#pragma GCC unroll 16
    for (int i = 0; i < REGISTERS; i++) *reinterpret_cast<RAt*>(to + i * REGISTER) = sums[r][i];
    if (columns < PANEL) std::memcpy(c + r * ldc, edge, static_cast<size_t>(columns) * 4);
  }
}

using Tile = void (*)(const float*, const float*, int64_t, float*, int64_t, int64_t, bool);
template <int... ROWS>
struct Tiles {
  static constexpr Tile of[] = {nullptr, tile<ROWS>...};
};
#if defined(__AVX512F__)
using AllTiles = Tiles<1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12>;
#elif (defined(__AVX2__) && defined(__FMA__)) || defined(__aarch64__)
using AllTiles = Tiles<1, 2, 3>;
#else
using AllTiles = Tiles<1>;
#endif

/** Rows m0 .. m0 + rows of a, [M, K] or transposed [K, M], and k0 .. k0 + depth of k, as [depth, rows]. */
static inline void packTile(const float* a, int64_t lda, bool transposed, int64_t m0, int rows, int64_t k0, int64_t depth, float* to) {
  if (transposed) {
    for (int64_t k = 0; k < depth; k++)
      for (int r = 0; r < rows; r++) to[k * rows + r] = a[(k0 + k) * lda + m0 + r];
    return;
  }
  for (int64_t k = 0; k < depth; k += 16) {
    const int64_t end = std::min(depth, k + 16);
    for (int r = 0; r < rows; r++) {
      const float* from = a + (m0 + r) * lda + k0;
      for (int64_t i = k; i < end; i++) to[i * rows + r] = from[i];
    }
  }
}

/** c [M, N] = op(a) b, or c + op(a) b; lda, ldc: the distance of rows in memory. */
static void gemm(const float* a, int64_t lda, bool transposeA, const float* packed, float* c, int64_t ldc, int64_t M, int64_t N,
                     int64_t K, bool accumulate) {
  if (M == 0 || N == 0) return;
  if (K == 0) {
    if (!accumulate)
      for (int64_t m = 0; m < M; m++) std::memset(c + m * ldc, 0, static_cast<size_t>(N) * 4);
    return;
  }
  const int64_t panels = (N + PANEL - 1) / PANEL;
  const int64_t blocks = (M + BLOCK_M - 1) / BLOCK_M;
  // Few rows: the panels are shared out instead, each range of them with its own packed copy of the rows.
  const int64_t ranges = std::min(panels, std::max<int64_t>(1, (4 * threadCount() + blocks - 1) / blocks));
  const int64_t tasks = blocks * ranges;
  parallelFor(tasks, M * N / tasks * K / 4 + 1, [=](int64_t begin, int64_t end) {
    thread_local std::vector<float> scratch;
    scratch.resize(BLOCK_M * BLOCK_K + 64);
    for (int64_t task = begin; task < end; task++) {
      const int64_t block = task / ranges, range = task % ranges;
      const int64_t first = M * block / blocks, rows = M * (block + 1) / blocks - first;
      const int64_t firstPanel = panels * range / ranges, lastPanel = panels * (range + 1) / ranges;
      const int64_t tiles = (rows + TILE - 1) / TILE;
      for (int64_t k0 = 0; k0 < K; k0 += BLOCK_K) {
        const int64_t depth = std::min(BLOCK_K, K - k0);
        for (int64_t t = 0; t < tiles; t++) {
          const int64_t from = rows * t / tiles, size = rows * (t + 1) / tiles - from;
          packTile(a, lda, transposeA, first + from, static_cast<int>(size), k0, depth, scratch.data() + from * depth);
        }
        for (int64_t panel = firstPanel; panel < lastPanel; panel++) {
          const float* b = packed + panel * PANEL * K + k0 * PANEL;
          const int64_t columns = std::min(PANEL, N - panel * PANEL);
          for (int64_t t = 0; t < tiles; t++) {
            const int64_t from = rows * t / tiles, size = rows * (t + 1) / tiles - from;
            AllTiles::of[size](scratch.data() + from * depth, b, depth, c + (first + from) * ldc + panel * PANEL, ldc, columns,
                               accumulate || k0 > 0);
          }
        }
      }
    }
  });
}

/** b, packed: K, N, transposed. */
static void packMatrix(Arrays arrays, Numbers numbers) {
  pack(static_cast<const float*>(arrays[0]), static_cast<float*>(arrays[1]), static_cast<int64_t>(numbers[0]),
       static_cast<int64_t>(numbers[1]), numbers[2] != 0);
}

/** a, packed b, c: M, N, K, transposeA. */
static void matMulPacked(Arrays arrays, Numbers numbers) {
  const auto M = static_cast<int64_t>(numbers[0]), N = static_cast<int64_t>(numbers[1]), K = static_cast<int64_t>(numbers[2]);
  const bool transposeA = numbers[3] != 0;
  gemm(static_cast<const float*>(arrays[0]), transposeA ? M : K, transposeA, static_cast<const float*>(arrays[1]),
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
  const bool transposeA = numbers[6] != 0, transposeB = numbers[7] != 0;
  const auto product = [=](int64_t begin, int64_t end) {
    thread_local std::vector<float> packed;
    if (static_cast<int64_t>(packed.size()) < packedSize(K, N)) packed.resize(static_cast<size_t>(packedSize(K, N)));
    float* const to = packed.data();
    for (int64_t i = begin; i < end; i++) {
      if (stepB != 0 || i == begin) pack(b + i * stepB * K * N, to, K, N, transposeB);
      gemm(a + i * stepA * M * K, transposeA ? M : K, transposeA, to, c + i * M * N, N, M, N, K, false);
    }
  };
  if (batch == 1)
    product(0, 1);
  else
    parallelFor(batch, M * N * K / 4 + 1, product);
}

/** The same in double precision, sum by sum. */
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
