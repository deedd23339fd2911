// Random numbers by address: the same bits as src/random.ts, whose head says what the counter, the key and the words are.
//
//   uniformNoise   y[b, 4 k + i] = (w_i >> 8) 2^-24
//   normalNoise    y[b, 4 k + i] = r(w_0) cos a(w_1), r(w_0) sin a(w_1), r(w_2) cos a(w_3), r(w_2) sin a(w_3)
//                  r(w) = √(-2 log((w + 1) 2^-32)),   a(w) = 2π w 2^-32
//
// w_0 .. w_3 are the words of block k of row b: Philox4x32-10 of the counter (k, c1, samples[b], c3) and the key (k0, k1).
//
// Arrays samples (int32 [B]), y [B, n]; numbers B, n, c1, c3, k0, k1, the words as int32. Everything is float64, operation by
// operation as src/random.ts has it, and rounded at the end. Sixteen blocks at a time, in loops that the compiler turns into
// vectors: nothing is added up across lanes, so the bits are the same on every instruction set.
#include <algorithm>
#include <cstdint>

namespace ISA {

constexpr int NOISE_LANES = 16;
/** Elements of a row that are a task: whole groups of blocks. */
constexpr int64_t NOISE_PIECE = 16 * 4 * NOISE_LANES;

/** One draw's part of counter and key: what all of its blocks have alike. */
struct NoiseAddress {
  uint32_t c1, c2, c3, k0, k1;
};

/** A word that came as a number. */
static inline uint32_t wordAt(Numbers numbers, int i) { return static_cast<uint32_t>(static_cast<int64_t>(numbers[i])); }

static inline NoiseAddress noiseAddress(Arrays arrays, Numbers numbers, int64_t row) {
  const uint32_t sample = static_cast<uint32_t>(static_cast<const int32_t*>(arrays[0])[row]);
  return {wordAt(numbers, 2), sample, wordAt(numbers, 3), wordAt(numbers, 4), wordAt(numbers, 5)};
}

/** Ten rounds of Philox4x32: the words of the blocks first .. first + 15, words[i][lane]. */
static inline void philox(const NoiseAddress& at, uint32_t first, uint32_t (*words)[NOISE_LANES]) {
  uint32_t x0[NOISE_LANES], x1[NOISE_LANES], x2[NOISE_LANES], x3[NOISE_LANES];
  for (int l = 0; l < NOISE_LANES; l++) x0[l] = first + static_cast<uint32_t>(l), x1[l] = at.c1, x2[l] = at.c2, x3[l] = at.c3;
  uint32_t k0 = at.k0, k1 = at.k1;
  for (int round = 0; round < 10; round++, k0 += 0x9e3779b9u, k1 += 0xbb67ae85u) {
#pragma GCC unroll 1  // or GCC takes the lanes apart before it looks for vectors
    for (int l = 0; l < NOISE_LANES; l++) {
      const uint64_t p0 = uint64_t{x0[l]} * 0xd2511f53u, p1 = uint64_t{x2[l]} * 0xcd9e8d57u;
      x0[l] = static_cast<uint32_t>(p1 >> 32) ^ x1[l] ^ k0;
      x1[l] = static_cast<uint32_t>(p1);
      x2[l] = static_cast<uint32_t>(p0 >> 32) ^ x3[l] ^ k1;
      x3[l] = static_cast<uint32_t>(p0);
    }
  }
  for (int l = 0; l < NOISE_LANES; l++) words[0][l] = x0[l], words[1][l] = x1[l], words[2][l] = x2[l], words[3][l] = x3[l];
}

/** log((w + 1) 2^-32) as log f + (e - 32) log 2 with w + 1 = f 2^e, f in (√½, √2]; log f = 2 artanh((f - 1) / (f + 1)). */
static inline double logUnit(uint32_t word) {
  // A word behind the exponent of 2^52 is 2^52 + word: a conversion that every instruction set has.
  const uint64_t shifted = 0x4330000000000000u | word;
  double m;
  std::memcpy(&m, &shifted, 8);
  m = m - 4503599627370496.0 + 1;
  uint64_t bits;
  std::memcpy(&bits, &m, 8);
  const uint64_t mantissa = (bits & 0x000fffffffffffffu) | 0x3ff0000000000000u, exponent = 0x4330000000000000u | (bits >> 52);
  double f, e;
  std::memcpy(&f, &mantissa, 8);
  std::memcpy(&e, &exponent, 8);
  e = e - 4503599627370496.0 - 1023;
  const bool high = f > 1.4142135623730951;
  f = high ? f * 0.5 : f;
  e = high ? e + 1 : e;
  const double s = (f - 1) / (f + 1);
  const double q = s * s;
  double p = 1.0 / 19;
  p = p * q + 1.0 / 17;
  p = p * q + 1.0 / 15;
  p = p * q + 1.0 / 13;
  p = p * q + 1.0 / 11;
  p = p * q + 1.0 / 9;
  p = p * q + 1.0 / 7;
  p = p * q + 1.0 / 5;
  p = p * q + 1.0 / 3;
  p = p * q + 1;
  return 2 * s * p + (e - 32) * 0.6931471805599453;
}

/** sin(x) / x from x², |x| <= π/4. */
static inline double sineOver(double square) {
  double p = -1.0 / 1307674368000;
  p = p * square + 1.0 / 6227020800;
  p = p * square - 1.0 / 39916800;
  p = p * square + 1.0 / 362880;
  p = p * square - 1.0 / 5040;
  p = p * square + 1.0 / 120;
  p = p * square - 1.0 / 6;
  return p * square + 1;
}

/** cos(x) from x², |x| <= π/4. */
static inline double cosine(double square) {
  double p = 1.0 / 20922789888000;
  p = p * square - 1.0 / 87178291200;
  p = p * square + 1.0 / 479001600;
  p = p * square - 1.0 / 3628800;
  p = p * square + 1.0 / 40320;
  p = p * square - 1.0 / 720;
  p = p * square + 1.0 / 24;
  p = p * square - 1.0 / 2;
  return p * square + 1;
}

/** x with its sign changed where `negative` is 1. */
static inline double withSign(double x, uint32_t negative) {
  uint64_t bits;
  std::memcpy(&bits, &x, 8);
  bits ^= uint64_t{negative} << 63;
  std::memcpy(&x, &bits, 8);
  return x;
}

/** Two normal numbers of each lane's two words, each lane's four elements side by side: y[4 lane], y[4 lane + 1]. */
static inline void normalPairs(const uint32_t* radii, const uint32_t* angles, float* y) {
  float first[NOISE_LANES], second[NOISE_LANES];
  for (int l = 0; l < NOISE_LANES; l++) {
    const double radius = std::sqrt(-2 * logUnit(radii[l]));
    // a = quarter π/2 + rest, rest in [-π/4, π/4): exact, because the angle is still an integer.
    const uint32_t quarter = (angles[l] + 0x20000000u) >> 30;
    const double rest = static_cast<int32_t>(angles[l] - (quarter << 30)) * (6.283185307179586 / 4294967296.0);
    const double square = rest * rest;
    const double cos = cosine(square), sin = rest * sineOver(square);
    const bool odd = quarter & 1;
    first[l] = static_cast<float>(radius * withSign(odd ? sin : cos, (quarter ^ (quarter >> 1)) & 1));
    second[l] = static_cast<float>(radius * withSign(odd ? cos : sin, quarter >> 1));
  }
  for (int l = 0; l < NOISE_LANES; l++) y[4 * l] = first[l], y[4 * l + 1] = second[l];
}

struct NormalOf {
  static void fill(const uint32_t (*words)[NOISE_LANES], float* y) {
    normalPairs(words[0], words[1], y);
    normalPairs(words[2], words[3], y + 2);
  }
};

struct UniformOf {
  static void fill(const uint32_t (*words)[NOISE_LANES], float* y) {
    for (int l = 0; l < NOISE_LANES; l++)
      for (int i = 0; i < 4; i++) y[4 * l + i] = static_cast<float>(words[i][l] >> 8) * 0x1p-24f;
  }
};

template <class Of>
static inline void noise(Arrays arrays, Numbers numbers, int64_t costPerElement) {
  const int64_t rows = static_cast<int64_t>(numbers[0]), n = static_cast<int64_t>(numbers[1]);
  const int64_t pieces = (n + NOISE_PIECE - 1) / NOISE_PIECE;
  parallelFor(rows * pieces, std::min(n, NOISE_PIECE) * costPerElement, [=](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; task++) {
      const int64_t row = task / pieces, start = task % pieces * NOISE_PIECE, stop = std::min(n, start + NOISE_PIECE);
      const NoiseAddress at = noiseAddress(arrays, numbers, row);
      float* y = static_cast<float*>(arrays[1]) + row * n;
      for (int64_t i = start; i < stop; i += 4 * NOISE_LANES) {
        uint32_t words[4][NOISE_LANES];
        philox(at, static_cast<uint32_t>(i / 4), words);
        if (i + 4 * NOISE_LANES <= stop) {
          Of::fill(words, y + i);
        } else {
          float last[4 * NOISE_LANES];
          Of::fill(words, last);
          std::memcpy(y + i, last, static_cast<size_t>(stop - i) * sizeof(float));
        }
      }
    }
  });
}

static inline void uniformNoise(Arrays arrays, Numbers numbers) { noise<UniformOf>(arrays, numbers, 8); }
static inline void normalNoise(Arrays arrays, Numbers numbers) { noise<NormalOf>(arrays, numbers, 24); }

/** f(words of its block, which of the four) for each element, one by one. */
template <class F>
static inline void noiseDefinition(Arrays arrays, Numbers numbers, F f) {
  const int64_t rows = static_cast<int64_t>(numbers[0]), n = static_cast<int64_t>(numbers[1]);
  for (int64_t index = 0; index < rows * n; index++) {
    const NoiseAddress at = noiseAddress(arrays, numbers, index / n);
    const int64_t i = index % n;
    uint32_t x[4] = {static_cast<uint32_t>(i / 4), at.c1, at.c2, at.c3};
    for (uint32_t round = 0; round < 10; round++) {
      const uint64_t p0 = uint64_t{x[0]} * 0xd2511f53u, p1 = uint64_t{x[2]} * 0xcd9e8d57u;
      const uint32_t next0 = static_cast<uint32_t>(p1 >> 32) ^ x[1] ^ (at.k0 + round * 0x9e3779b9u);
      const uint32_t next2 = static_cast<uint32_t>(p0 >> 32) ^ x[3] ^ (at.k1 + round * 0xbb67ae85u);
      x[0] = next0, x[1] = static_cast<uint32_t>(p1), x[2] = next2, x[3] = static_cast<uint32_t>(p0);
    }
    static_cast<float*>(arrays[1])[index] = static_cast<float>(f(x, static_cast<int>(i % 4)));
  }
}

/** Exact. */
[[maybe_unused]] static void uniformNoiseDefinition(Arrays arrays, Numbers numbers) {
  noiseDefinition(arrays, numbers, [](const uint32_t* words, int i) { return (words[i] >> 8) * 0x1p-24; });
}

/** By the C library, whose log, cos and sin are within some 1e-16 of ours: equal to half a step of float32. */
[[maybe_unused]] static void normalNoiseDefinition(Arrays arrays, Numbers numbers) {
  noiseDefinition(arrays, numbers, [](const uint32_t* words, int i) {
    const double radius = std::sqrt(-2 * std::log((words[i & 2] + 1.0) * 0x1p-32));
    const double angle = 6.283185307179586 * words[(i & 2) + 1] * 0x1p-32;
    return radius * (i % 2 == 0 ? std::cos(angle) : std::sin(angle));
  });
}

}  // namespace ISA
