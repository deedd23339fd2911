// Elementwise arithmetic, y = f(a, b) and y = f(x), as IEEE 754 says for NaN, infinities and signed zeros.
//
// Binary: arrays a, b, y; numbers outer, inner, aMode, bMode. y is [outer, inner]; an operand is, by its mode, FULL [outer, inner],
// a ROW [inner] for all rows, a COLUMN [outer] for all columns, or a SCALAR. Unary: arrays x, y; numbers n. No sums.
#include <algorithm>

namespace ISA {

enum OperandMode { FULL = 0, ROW = 1, COLUMN = 2, SCALAR = 3 };

/** How many elements of one row are a task: a part of the first cache. */
constexpr int64_t ELEMENTWISE_PIECE = 4096;

template <class Y = float, class F>
static inline void binaryDefinition(Arrays arrays, Numbers numbers, F f) {
  const float* operands[] = {static_cast<const float*>(arrays[0]), static_cast<const float*>(arrays[1])};
  const int64_t outer = static_cast<int64_t>(numbers[0]), inner = static_cast<int64_t>(numbers[1]);
  Y* y = static_cast<Y*>(arrays[2]);
  for (int64_t i = 0; i < outer * inner; i++) {
    double at[2];
    for (int k = 0; k < 2; k++) {
      const int mode = static_cast<int>(numbers[2 + k]);
      at[k] = operands[k][mode == FULL ? i : mode == ROW ? i % inner : mode == COLUMN ? i / inner : 0];
    }
    y[i] = static_cast<Y>(f(at[0], at[1]));
  }
}

/** y[0..n): an operand that is constant here is read once. */
template <bool aConstant, bool bConstant, class F>
static inline void binaryPiece(const float* a, const float* b, float* y, int64_t n, F f) {
  const V a0 = splat(*a), b0 = splat(*b);
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES) store(y + i, f(aConstant ? a0 : load(a + i), bConstant ? b0 : load(b + i)));
  if (i == n) return;
  const int rest = static_cast<int>(n - i);
  storePart(y + i, f(aConstant ? a0 : loadPart(a + i, rest), bConstant ? b0 : loadPart(b + i, rest)), rest);
}

/** The offset of an operand at row r, column c. */
static inline int64_t operandOffset(int mode, int64_t inner, int64_t r, int64_t c) {
  return mode == FULL ? r * inner + c : mode == ROW ? c : mode == COLUMN ? r : 0;
}

/** piece(aConstant, bConstant, a, b, y, n) for the pieces of all rows: n elements of y, of operands that are constant there or not. */
template <class Y, class Piece>
static inline void binaryPieces(Arrays arrays, Numbers numbers, Piece piece) {
  const float* a = static_cast<const float*>(arrays[0]);
  const float* b = static_cast<const float*>(arrays[1]);
  Y* y = static_cast<Y*>(arrays[2]);
  int64_t outer = static_cast<int64_t>(numbers[0]), inner = static_cast<int64_t>(numbers[1]);
  int aMode = static_cast<int>(numbers[2]), bMode = static_cast<int>(numbers[3]);
  // Rows of one element are one row, and without rows or columns to tell apart all is one row.
  const auto narrow = [](int mode) { return mode == COLUMN ? FULL : mode == ROW ? SCALAR : static_cast<OperandMode>(mode); };
  if (inner == 1) aMode = narrow(aMode), bMode = narrow(bMode);
  if ((aMode == FULL || aMode == SCALAR) && (bMode == FULL || bMode == SCALAR)) inner *= outer, outer = 1;
  const int64_t pieces = (inner + ELEMENTWISE_PIECE - 1) / ELEMENTWISE_PIECE;
  const bool aConstant = aMode == COLUMN || aMode == SCALAR, bConstant = bMode == COLUMN || bMode == SCALAR;
  parallelFor(outer * pieces, std::min(inner, ELEMENTWISE_PIECE), [=](int64_t begin, int64_t end) {
    int64_t r = begin / pieces, part = begin % pieces;
    for (int64_t task = begin; task < end; task++) {
      const int64_t c = part * ELEMENTWISE_PIECE;
      const int64_t n = std::min(ELEMENTWISE_PIECE, inner - c);
      const float* aAt = a + operandOffset(aMode, inner, r, c);
      const float* bAt = b + operandOffset(bMode, inner, r, c);
      piece(aConstant, bConstant, aAt, bAt, y + r * inner + c, n);
      if (++part == pieces) part = 0, r++;
    }
  });
}

template <class F>
static inline void binary(Arrays arrays, Numbers numbers, F f) {
  binaryPieces<float>(arrays, numbers, [f](bool aConstant, bool bConstant, const float* a, const float* b, float* y, int64_t n) {
    if (aConstant && bConstant) binaryPiece<true, true>(a, b, y, n, f);
    else if (aConstant) binaryPiece<true, false>(a, b, y, n, f);
    else if (bConstant) binaryPiece<false, true>(a, b, y, n, f);
    else binaryPiece<false, false>(a, b, y, n, f);
  });
}

template <class F>
static inline void unaryDefinition(Arrays arrays, Numbers numbers, F f) {
  const float* x = static_cast<const float*>(arrays[0]);
  float* y = static_cast<float*>(arrays[1]);
  for (int64_t i = 0; i < static_cast<int64_t>(numbers[0]); i++) y[i] = static_cast<float>(f(static_cast<double>(x[i])));
}

/** `cost`: about the number of scalar operations of one element. */
template <class F>
static inline void unary(Arrays arrays, Numbers numbers, int64_t cost, F f) {
  const float* x = static_cast<const float*>(arrays[0]);
  float* y = static_cast<float*>(arrays[1]);
  const int64_t n = static_cast<int64_t>(numbers[0]);
  const int64_t pieces = (n + ELEMENTWISE_PIECE - 1) / ELEMENTWISE_PIECE;
  parallelFor(pieces, std::min(n, ELEMENTWISE_PIECE) * cost, [=](int64_t begin, int64_t end) {
    const int64_t last = std::min(n, end * ELEMENTWISE_PIECE);
    int64_t i = begin * ELEMENTWISE_PIECE;
    for (; i + LANES <= last; i += LANES) store(y + i, f(load(x + i)));
    if (i == last) return;
    const int rest = static_cast<int>(last - i);
    storePart(y + i, f(loadPart(x + i, rest)), rest);
  });
}

static inline void addDefinition(Arrays a, Numbers n) { binaryDefinition(a, n, [](double p, double q) { return p + q; }); }
static inline void subtractDefinition(Arrays a, Numbers n) { binaryDefinition(a, n, [](double p, double q) { return p - q; }); }
static inline void multiplyElementsDefinition(Arrays a, Numbers n) { binaryDefinition(a, n, [](double p, double q) { return p * q; }); }
static inline void divideDefinition(Arrays a, Numbers n) { binaryDefinition(a, n, [](double p, double q) { return p / q; }); }

static inline void minimumDefinition(Arrays a, Numbers n) {
  binaryDefinition(a, n, [](double p, double q) { return std::isnan(p) || std::isnan(q) ? p + q : p < q || (p == q && std::signbit(p)) ? p : q; });
}

static inline void add(Arrays a, Numbers n) { binary(a, n, [](V p, V q) { return p + q; }); }
static inline void subtract(Arrays a, Numbers n) { binary(a, n, [](V p, V q) { return p - q; }); }
static inline void multiplyElements(Arrays a, Numbers n) { binary(a, n, [](V p, V q) { return p * q; }); }
static inline void divide(Arrays a, Numbers n) { binary(a, n, [](V p, V q) { return p / q; }); }

/** The lesser of two: -0 before 0, NaN where one is. */
static inline void minimum(Arrays a, Numbers n) {
  binary(a, n, [](V p, V q) {
    return eachPart([](Part x, Part y) { return x < y ? x : y < x ? y : x == y ? (Part)((PartI)x | (PartI)y) : x + y; }, p, q);
  });
}

static inline void negateDefinition(Arrays a, Numbers n) { unaryDefinition(a, n, [](double x) { return -x; }); }
static inline void squareDefinition(Arrays a, Numbers n) { unaryDefinition(a, n, [](double x) { return x * x; }); }
static inline void exponentialDefinition(Arrays a, Numbers n) { unaryDefinition(a, n, [](double x) { return std::exp(x); }); }
static inline void sigmoidDefinition(Arrays a, Numbers n) { unaryDefinition(a, n, [](double x) { return 1 / (1 + std::exp(-x)); }); }
static inline void squareRootDefinition(Arrays a, Numbers n) { unaryDefinition(a, n, [](double x) { return std::sqrt(x); }); }
static inline void reciprocalSquareRootDefinition(Arrays a, Numbers n) { unaryDefinition(a, n, [](double x) { return 1 / std::sqrt(x); }); }

static inline void negate(Arrays a, Numbers n) { unary(a, n, 1, [](V x) { return -x; }); }
static inline void square(Arrays a, Numbers n) { unary(a, n, 1, [](V x) { return x * x; }); }
static inline void exponential(Arrays a, Numbers n) { unary(a, n, 8, [](V x) { return vexp(x); }); }
static inline void sigmoid(Arrays a, Numbers n) { unary(a, n, 8, [](V x) { return vsigmoid(x); }); }
static inline void squareRoot(Arrays a, Numbers n) { unary(a, n, 2, [](V x) { return vsqrt(x); }); }
static inline void reciprocalSquareRoot(Arrays a, Numbers n) { unary(a, n, 4, [](V x) { return splat(1.0f) / vsqrt(x); }); }

}  // namespace ISA
