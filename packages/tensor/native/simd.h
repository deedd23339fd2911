// Sixteen floats at a time, by compiler vector types: one register with AVX-512, two with AVX2, four with NEON and SSE2. The
// width is the same everywhere, and so is the order of every sum. Compiled once per instruction set, in its own namespace.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace ISA {

using Arrays = void* const*;
using Numbers = const double*;

typedef float V __attribute__((vector_size(64)));
typedef int32_t VI __attribute__((vector_size(64)));
// The same vectors where they lie in memory: at any address, aliasing nothing of another type.
typedef float VAt __attribute__((vector_size(64), aligned(4), may_alias));

constexpr int LANES = 16;

static inline V load(const float* p) { return *reinterpret_cast<const VAt*>(p); }
static inline void store(float* p, V v) { *reinterpret_cast<VAt*>(p) = v; }
static inline V splat(float x) { return V{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }

/** The first n < 16 floats, `fill` after them. */
static inline V loadPart(const float* p, int n, float fill = 0) {
  V v = splat(fill);
  std::memcpy(&v, p, static_cast<size_t>(n) * sizeof(float));
  return v;
}
static inline void storePart(float* p, V v, int n) { std::memcpy(p, &v, static_cast<size_t>(n) * sizeof(float)); }

// One register of the instruction set. GCC keeps a vector that is wider in memory and compares it float by float, so what takes
// more than an operator goes register by register.
#if defined(__AVX512F__)
constexpr int PART = 16;
#elif defined(__AVX2__)
constexpr int PART = 8;
#else
constexpr int PART = 4;
#endif
typedef float Part __attribute__((vector_size(PART * 4)));
typedef int32_t PartI __attribute__((vector_size(PART * 4)));
typedef float PartAt __attribute__((vector_size(PART * 4), aligned(PART * 4), may_alias));
typedef float PartAnywhere __attribute__((vector_size(PART * 4), aligned(4), may_alias));

static inline Part loadRegister(const float* p) { return *reinterpret_cast<const PartAnywhere*>(p); }
static inline void storeRegister(float* p, Part v) { *reinterpret_cast<PartAnywhere*>(p) = v; }
static inline Part splatRegister(float x) { return x - Part{}; }

/** f(register, ...) of each register of the vectors. */
template <class F, class... Vs>
static inline __attribute__((always_inline)) V eachPart(F f, const Vs&... v) {
  V result;
#pragma GCC unroll 4
  for (int i = 0; i < LANES / PART; i++) reinterpret_cast<PartAt*>(&result)[i] = f(static_cast<Part>(reinterpret_cast<const PartAt*>(&v)[i])...);
  return result;
}

static inline Part fmaPart(Part a, Part b, Part c) {
#if defined(__AVX512F__)
  return (Part)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__) && defined(__FMA__)
  return (Part)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
  return (Part)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}

static inline Part sqrtPart(Part x) {
#if defined(__AVX512F__)
  return (Part)_mm512_maskz_sqrt_ps(static_cast<__mmask16>(-1), (__m512)x);  // the plain one makes GCC 12 warn of its own header
#elif defined(__AVX2__)
  return (Part)_mm256_sqrt_ps((__m256)x);
#elif defined(__x86_64__)
  return (Part)_mm_sqrt_ps((__m128)x);
#elif defined(__aarch64__)
  return (Part)vsqrtq_f32((float32x4_t)x);
#else
  for (int i = 0; i < PART; i++) x[i] = std::sqrt(x[i]);
  return x;
#endif
}

/** Four rows of four floats become four columns. They are moved, never computed with: any 32 bits will do. */
static inline void transpose4x4(const float* from, int64_t stride, float* to, int64_t toStride) {
  typedef float Q __attribute__((vector_size(16)));
  typedef float QAt __attribute__((vector_size(16), aligned(4), may_alias));
  const Q a = *reinterpret_cast<const QAt*>(from), b = *reinterpret_cast<const QAt*>(from + stride);
  const Q c = *reinterpret_cast<const QAt*>(from + 2 * stride), d = *reinterpret_cast<const QAt*>(from + 3 * stride);
  const Q ab0 = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab1 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Q cd0 = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd1 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  *reinterpret_cast<QAt*>(to) = __builtin_shufflevector(ab0, cd0, 0, 1, 4, 5);
  *reinterpret_cast<QAt*>(to + toStride) = __builtin_shufflevector(ab0, cd0, 2, 3, 6, 7);
  *reinterpret_cast<QAt*>(to + 2 * toStride) = __builtin_shufflevector(ab1, cd1, 0, 1, 4, 5);
  *reinterpret_cast<QAt*>(to + 3 * toStride) = __builtin_shufflevector(ab1, cd1, 2, 3, 6, 7);
}

/** a b + c, rounded once where the instruction set can. */
static inline V fma(V a, V b, V c) {
  return eachPart([](Part x, Part y, Part z) { return fmaPart(x, y, z); }, a, b, c);
}

/** The greater of two; the second where the first is NaN, as no comparison holds. */
static inline V vmax(V a, V b) {
  return eachPart([](Part x, Part y) { return x > y ? x : y; }, a, b);
}

static inline V vsqrt(V v) {
  return eachPart([](Part x) { return sqrtPart(x); }, v);
}

/** The sum of the lanes, as a tree: i with i + 8, then i + 4, i + 2, i + 1. */
static inline float sum(V v) {
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; i++) v[i] += v[i + half];
  return v[0];
}

static inline float max(V v) {
  float m = v[0];
  for (int i = 1; i < LANES; i++) m = v[i] > m ? v[i] : m;
  return m;
}

static inline Part expPart(Part x) {
  const Part zero{};
  const Part least = zero - 105.0f, most = zero + 89.0f;
  const Part clamped = x < least ? least : (x > most ? most : x);
  const Part shift = zero + 12582912.0f;  // 1.5 2^23: adding and taking it off rounds to an integer
  const Part n = fmaPart(clamped, zero + 1.44269504f, shift) - shift;
  Part r = fmaPart(n, zero - 0.693145752f, clamped);
  r = fmaPart(n, zero - 1.42860677e-6f, r);
  // The polynomial 1 + r + r² (...) whose greatest relative error is least, 4e-9; Taylor's is off by 1.6e-7.
  Part p = zero + 0.00138145383f;
  p = fmaPart(p, r, zero + 0.00836874545f);
  p = fmaPart(p, r, zero + 0.041668389f);
  p = fmaPart(p, r, zero + 0.166665211f);
  p = fmaPart(p, r, zero + 0.49999994f);
  p = fmaPart(p, r, zero + 1.0f);
  p = fmaPart(p, r, zero + 1.0f);
  const PartI integer = __builtin_convertvector(x == x ? n : zero, PartI);
  const PartI half = integer >> 1;
  const Part y = p * (Part)((half + 127) << 23) * (Part)((integer - half + 127) << 23);
  return x == x ? y : x;
}

/**
 * e^x to about one unit in the last place: x = n log 2 + r with |r| <= log 2 / 2, a polynomial of degree 6 in r, times 2^n in two
 * steps, so that results below the normal range are rounded and not cut off. Above 88.72 Infinity, below -104 zero, NaN for NaN.
 */
static inline V vexp(V x) {
  return eachPart([](Part part) { return expPart(part); }, x);
}

/** 1 / (1 + e^-x). */
static inline V vsigmoid(V x) {
  return eachPart([](Part part) { return (Part{} + 1.0f) / (Part{} + 1.0f + expPart(-part)); }, x);
}

}  // namespace ISA
