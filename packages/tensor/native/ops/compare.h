// Comparisons, with operands as in elementwise.h: y = 1 where it holds and 0 where not, in bytes. With a NaN none holds.
//
//   lessEqual   y = a <= b     arrays a, b, y (uint8); numbers outer, inner, aMode, bMode
namespace ISA {

template <bool aConstant, bool bConstant>
static inline void lessEqualPiece(const float* __restrict a, const float* __restrict b, uint8_t* __restrict y, int64_t n) {
  const float a0 = *a, b0 = *b;
  for (int64_t i = 0; i < n; i++) y[i] = (aConstant ? a0 : a[i]) <= (bConstant ? b0 : b[i]);
}

static inline void lessEqual(Arrays arrays, Numbers numbers) {
  binaryPieces<uint8_t>(arrays, numbers, [](bool aConstant, bool bConstant, const float* a, const float* b, uint8_t* y, int64_t n) {
    if (aConstant && bConstant) lessEqualPiece<true, true>(a, b, y, n);
    else if (aConstant) lessEqualPiece<true, false>(a, b, y, n);
    else if (bConstant) lessEqualPiece<false, true>(a, b, y, n);
    else lessEqualPiece<false, false>(a, b, y, n);
  });
}

static inline void lessEqualDefinition(Arrays arrays, Numbers numbers) {
  binaryDefinition<uint8_t>(arrays, numbers, [](double p, double q) { return p <= q ? 1.0 : 0.0; });
}

}  // namespace ISA
