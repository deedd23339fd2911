// Constants, alone and around a tensor, of any elements of 4 bytes: `bits` is the constant as an int32. No arithmetic.
//
//   fill        y[i] = constant                              arrays y; numbers n, bits
//   padBlocks   y[i] = `before` constants, x[i], `after` constants   arrays x [blocks, size], y [blocks, before + size + after];
//               numbers blocks, size, before, after, bits
#include <algorithm>

namespace ISA {

static inline float constantOf(double bits) {
  const int32_t integer = static_cast<int32_t>(bits);
  float constant;
  std::memcpy(&constant, &integer, 4);
  return constant;
}

static inline void fillElements(float* y, int64_t n, float constant) {
  const V v = splat(constant);
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) store(y + i, v);
  if (i < n) storePart(y + i, v, static_cast<int>(n - i));
}

static inline void fill(Arrays a, Numbers numbers) {
  float* y = static_cast<float*>(a[0]);
  const int64_t n = static_cast<int64_t>(numbers[0]);
  const float constant = constantOf(numbers[1]);
  parallelFor((n + COPY_PIECE - 1) / COPY_PIECE, std::min(n, COPY_PIECE), [=](int64_t begin, int64_t end) {
    const int64_t first = begin * COPY_PIECE;
    fillElements(y + first, std::min(n, end * COPY_PIECE) - first, constant);
  });
}

static inline void fillDefinition(Arrays a, Numbers numbers) {
  const int32_t bits = static_cast<int32_t>(numbers[1]);
  for (int64_t i = 0; i < static_cast<int64_t>(numbers[0]); i++) std::memcpy(static_cast<float*>(a[0]) + i, &bits, 4);
}

static inline void padBlocks(Arrays a, Numbers numbers) {
  const float* x = static_cast<const float*>(a[0]);
  float* y = static_cast<float*>(a[1]);
  const int64_t blocks = static_cast<int64_t>(numbers[0]), size = static_cast<int64_t>(numbers[1]);
  const int64_t before = static_cast<int64_t>(numbers[2]), after = static_cast<int64_t>(numbers[3]);
  const int64_t stride = before + size + after;
  const float constant = constantOf(numbers[4]);
  parallelFor(blocks, stride, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      float* to = y + i * stride;
      fillElements(to, before, constant);
      copyElements(x + i * size, to + before, size);
      fillElements(to + before + size, after, constant);
    }
  });
}

static inline void padBlocksDefinition(Arrays a, Numbers numbers) {
  const int64_t blocks = static_cast<int64_t>(numbers[0]), size = static_cast<int64_t>(numbers[1]);
  const int64_t before = static_cast<int64_t>(numbers[2]), stride = before + size + static_cast<int64_t>(numbers[3]);
  const int32_t bits = static_cast<int32_t>(numbers[4]);
  for (int64_t index = 0; index < blocks * stride; index++) {
    const int64_t i = index / stride, j = index % stride - before;
    const bool inside = j >= 0 && j < size;
    const void* from = inside ? static_cast<const void*>(static_cast<const float*>(a[0]) + i * size + j) : &bits;
    std::memcpy(static_cast<float*>(a[1]) + index, from, 4);
  }
}

}  // namespace ISA
