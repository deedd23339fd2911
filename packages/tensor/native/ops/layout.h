// Copies into another layout, of any elements of 4 bytes. No arithmetic.
//
//   copyBlocks   y[yOffset + i yStride + j] = x[xOffset + i xStride + j], i < blocks, j < blockSize
//                arrays x, y; numbers blocks, blockSize, xStride, yStride, xOffset, yOffset, in elements
//   transpose    y[i_perm[0], i_perm[1], ...] = x[i_0, i_1, ...], as tf.transpose
//                arrays x, y; numbers rank (at most 6), the dimensions of x, perm
#include <algorithm>

namespace ISA {

/** How much of one block is a task. */
constexpr int64_t COPY_PIECE = 1 << 16;

static inline void copyBlocksDefinition(Arrays a, Numbers numbers) {
  const int64_t blocks = static_cast<int64_t>(numbers[0]), size = static_cast<int64_t>(numbers[1]);
  const int64_t xStride = static_cast<int64_t>(numbers[2]), yStride = static_cast<int64_t>(numbers[3]);
  for (int64_t i = 0; i < blocks * size; i++) {
    const int64_t from = static_cast<int64_t>(numbers[4]) + i / size * xStride + i % size;
    const int64_t to = static_cast<int64_t>(numbers[5]) + i / size * yStride + i % size;
    std::memcpy(static_cast<float*>(a[1]) + to, static_cast<const float*>(a[0]) + from, 4);
  }
}

/** n elements; few of them without the call of a function. */
static inline void copyElements(const float* from, float* to, int64_t n) {
  if (n < LANES) {
    for (int64_t i = 0; i < n; i++) std::memcpy(to + i, from + i, 4);
  } else if (n <= 16 * LANES) {
    for (int64_t i = 0; i + LANES <= n; i += LANES) store(to + i, load(from + i));
    store(to + n - LANES, load(from + n - LANES));  // over some of the last again
  } else {
    std::memcpy(to, from, static_cast<size_t>(n) * 4);
  }
}

static inline void copyBlocks(Arrays a, Numbers numbers) {
  const int64_t blocks = static_cast<int64_t>(numbers[0]), size = static_cast<int64_t>(numbers[1]);
  const int64_t xStride = static_cast<int64_t>(numbers[2]), yStride = static_cast<int64_t>(numbers[3]);
  const float* x = static_cast<const float*>(a[0]) + static_cast<int64_t>(numbers[4]);
  float* y = static_cast<float*>(a[1]) + static_cast<int64_t>(numbers[5]);
  const int64_t pieces = (size + COPY_PIECE - 1) / COPY_PIECE;
  parallelFor(blocks * pieces, std::min(size, COPY_PIECE), [=](int64_t begin, int64_t end) {
    if (pieces == 1) {
      for (int64_t i = begin; i < end; i++) copyElements(x + i * xStride, y + i * yStride, size);
      return;
    }
    for (int64_t task = begin; task < end; task++) {
      const int64_t i = task / pieces, j = task % pieces * COPY_PIECE;
      copyElements(x + i * xStride + j, y + i * yStride + j, std::min(COPY_PIECE, size - j));
    }
  });
}

/** The axes of y in order: the size of each, and how far apart its elements lie in x and in y. */
struct TransposeAxes {
  int rank = 0;
  int64_t size[6], xStride[6], yStride[6];
};

/** Axes of size one left out, and neighbours in y that are neighbours in x too made one. */
static inline TransposeAxes transposeAxes(Numbers numbers) {
  const int rank = static_cast<int>(numbers[0]);
  int64_t strides[6] = {};
  int64_t stride = 1;
  for (int i = rank - 1; i >= 0; i--) {
    strides[i] = stride;
    stride *= static_cast<int64_t>(numbers[1 + i]);
  }
  TransposeAxes axes;
  for (int i = 0; i < rank; i++) {
    const int from = static_cast<int>(numbers[1 + rank + i]);
    const int64_t size = static_cast<int64_t>(numbers[1 + from]);
    if (size == 1) continue;
    const int last = axes.rank - 1;
    if (last >= 0 && axes.xStride[last] == size * strides[from]) {
      axes.size[last] *= size;
      axes.xStride[last] = strides[from];
    } else {
      axes.size[axes.rank] = size;
      axes.xStride[axes.rank++] = strides[from];
    }
  }
  stride = 1;
  for (int i = axes.rank - 1; i >= 0; i--) {
    axes.yStride[i] = stride;
    stride *= axes.size[i];
  }
  return axes;
}

/** Where element `index` of the first `rank` axes lies in x and in y. */
static inline void transposeOffsets(const TransposeAxes& axes, int rank, int64_t index, int64_t* inX, int64_t* inY) {
  *inX = *inY = 0;
  for (int i = rank - 1; i >= 0; i--) {
    const int64_t at = index % axes.size[i];
    index /= axes.size[i];
    *inX += at * axes.xStride[i];
    *inY += at * axes.yStride[i];
  }
}

static inline void transposeDefinition(Arrays a, Numbers numbers) {
  const int rank = static_cast<int>(numbers[0]);
  int64_t n = 1;
  for (int i = 0; i < rank; i++) n *= static_cast<int64_t>(numbers[1 + i]);
  for (int64_t index = 0; index < n; index++) {
    int64_t at[6] = {}, rest = index, to = 0;
    for (int i = rank - 1; i >= 0; i--) {
      at[i] = rest % static_cast<int64_t>(numbers[1 + i]);
      rest /= static_cast<int64_t>(numbers[1 + i]);
    }
    for (int i = 0; i < rank; i++) {
      const int from = static_cast<int>(numbers[1 + rank + i]);
      to = to * static_cast<int64_t>(numbers[1 + from]) + at[from];
    }
    std::memcpy(static_cast<float*>(a[1]) + to, static_cast<const float*>(a[0]) + index, 4);
  }
}

/** to[c][r] = from[r][c], 16 by 16, in squares of 4 by 4. */
static inline void transposeTile(const float (*from)[LANES], float (*to)[LANES]) {
  for (int r = 0; r < LANES; r += 4)
    for (int c = 0; c < LANES; c += 4) transpose4x4(from[r] + c, LANES, to[c] + r, LANES);
}

/** The columns of x that are taken together: as many rows of y are written side by side, each on a page of its own. */
constexpr int64_t TRANSPOSE_COLUMNS = 64;

/**
 * y[c yStride + r] = x[r xStride + c], r < rows, c < columns. By tiles on the stack, so that each line of the cache is read or
 * written once and whole: at strides that are powers of two, lines do not stay.
 */
static inline void transposePanel(const float* x, int64_t xStride, float* y, int64_t yStride, int64_t rows, int64_t columns) {
  alignas(64) float from[LANES][LANES] = {}, to[LANES][LANES];
  for (int64_t r = 0; r < rows; r += LANES) {
    const int64_t high = std::min<int64_t>(LANES, rows - r);
    for (int64_t c = 0; c < columns; c += LANES) {
      const int64_t wide = std::min<int64_t>(LANES, columns - c);
      const float* source = x + r * xStride + c;
      float* target = y + c * yStride + r;
      for (int64_t k = 0; k < high; k++) {
        if (wide == LANES) std::memcpy(from[k], source + k * xStride, 64);
        else std::memcpy(from[k], source + k * xStride, static_cast<size_t>(wide) * 4);
      }
      transposeTile(from, to);
      for (int64_t k = 0; k < wide; k++) {
        if (high == LANES) std::memcpy(target + k * yStride, to[k], 64);
        else std::memcpy(target + k * yStride, to[k], static_cast<size_t>(high) * 4);
      }
    }
  }
}

static inline void transpose(Arrays a, Numbers numbers) {
  const float* x = static_cast<const float*>(a[0]);
  float* y = static_cast<float*>(a[1]);
  TransposeAxes axes = transposeAxes(numbers);
  const int last = axes.rank - 1;
  if (last < 0 || axes.xStride[last] == 1) {  // the last axis stays: rows are copied whole
    const int64_t n = last < 0 ? 1 : axes.size[last];
    int64_t rows = 1;
    for (int i = 0; i < last; i++) rows *= axes.size[i];
    if (rows == 1) {
      const double whole[] = {1, static_cast<double>(n), 0, 0, 0, 0};
      return copyBlocks(a, whole);
    }
    // Rows of the last axis but one lie evenly: one division for all of them.
    const int64_t inner = axes.size[last - 1], stride = axes.xStride[last - 1];
    parallelFor(rows, n, [=, &axes](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end;) {
        int64_t inX, inY;
        transposeOffsets(axes, last, r, &inX, &inY);
        const int64_t stop = std::min(end, (r / inner + 1) * inner);
        for (; r < stop; r++, inX += stride) copyElements(x + inX, y + r * n, n);
      }
    });
    return;
  }
  // The last axis of x, taken from among those of y; what is left besides it and the last of y is a batch of matrices.
  const int64_t rows = axes.size[last], xStride = axes.xStride[last];
  const int column = static_cast<int>(std::find(axes.xStride, axes.xStride + axes.rank, 1) - axes.xStride);
  const int64_t columns = axes.size[column], yStride = axes.yStride[column];
  for (int i = column; i < last - 1; i++) {
    axes.size[i] = axes.size[i + 1];
    axes.xStride[i] = axes.xStride[i + 1];
    axes.yStride[i] = axes.yStride[i + 1];
  }
  int64_t batch = 1;
  for (int i = 0; i < last - 1; i++) batch *= axes.size[i];
  const int64_t panels = (columns + TRANSPOSE_COLUMNS - 1) / TRANSPOSE_COLUMNS;
  parallelFor(batch * panels, rows * std::min(columns, TRANSPOSE_COLUMNS) * 2, [=, &axes](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; task++) {
      const int64_t c = task % panels * TRANSPOSE_COLUMNS;
      int64_t inX, inY;
      transposeOffsets(axes, last - 1, task / panels, &inX, &inY);
      transposePanel(x + inX + c, xStride, y + inY + c * yStride, yStride, rows, std::min(TRANSPOSE_COLUMNS, columns - c));
    }
  });
}

}  // namespace ISA
