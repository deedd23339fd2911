// What integers need.
//
//   sumIntegers    y[r] = Σ_i x[r, i] modulo 2^32, exact    arrays x, y (int32); numbers rows, n, bytes of an element of x: 4 for
//                  int32, 1 for uint8
//   floatToInteger y = x without its fraction, modulo 2^32, 0 for NaN and infinities: ToInt32 of JavaScript
//                  arrays x (float32), y (int32); numbers n
#include <algorithm>

namespace ISA {

/** Added up as uint32, which wraps as it should. */
template <class T>
static inline void sumIntegersOf(Arrays a, Numbers numbers) {
  const T* x = static_cast<const T*>(a[0]);
  uint32_t* y = static_cast<uint32_t*>(a[1]);
  const int64_t rows = static_cast<int64_t>(numbers[0]), n = static_cast<int64_t>(numbers[1]);
  parallelFor(rows, n, [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      uint32_t s = 0;
      for (int64_t i = r * n; i < (r + 1) * n; i++) s += static_cast<uint32_t>(x[i]);
      y[r] = s;
    }
  });
}

static inline void sumIntegers(Arrays a, Numbers numbers) {
  if (numbers[2] == 1) sumIntegersOf<uint8_t>(a, numbers);
  else sumIntegersOf<int32_t>(a, numbers);
}

static inline void sumIntegersDefinition(Arrays a, Numbers numbers) {
  const int64_t rows = static_cast<int64_t>(numbers[0]), n = static_cast<int64_t>(numbers[1]);
  for (int64_t r = 0; r < rows; r++) {
    int64_t s = 0;
    for (int64_t i = r * n; i < (r + 1) * n; i++)
      s += numbers[2] == 1 ? static_cast<const uint8_t*>(a[0])[i] : static_cast<const int32_t*>(a[0])[i];
    static_cast<int32_t*>(a[1])[r] = static_cast<int32_t>(s);
  }
}

static inline int32_t toInteger(float x) {
  if (x > -2147483648.0f && x < 2147483648.0f) return static_cast<int32_t>(x);
  if (!std::isfinite(x)) return 0;
  return static_cast<int32_t>(static_cast<int64_t>(std::fmod(static_cast<double>(x), 4294967296.0)));
}

static inline void floatToInteger(Arrays a, Numbers numbers) {
  const float* x = static_cast<const float*>(a[0]);
  int32_t* y = static_cast<int32_t*>(a[1]);
  parallelFor(static_cast<int64_t>(numbers[0]), 4, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) y[i] = toInteger(x[i]);
  });
}

static inline void floatToIntegerDefinition(Arrays a, Numbers numbers) {
  for (int64_t i = 0; i < static_cast<int64_t>(numbers[0]); i++) {
    const double x = static_cast<const float*>(a[0])[i];
    const double whole = std::isfinite(x) ? std::trunc(x) : 0;
    const double modulo = whole - std::floor(whole / 4294967296.0) * 4294967296.0;
    static_cast<int32_t*>(a[1])[i] = static_cast<int32_t>(static_cast<uint32_t>(modulo));
  }
}

}  // namespace ISA
