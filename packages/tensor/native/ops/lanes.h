// What the kernels over elements share: arrays by number, and loops over sixteen elements at a time with a short end.
#pragma once

namespace ISA {

static inline float* floatsAt(Arrays arrays, int i) { return static_cast<float*>(arrays[i]); }
static inline int64_t integerAt(Numbers numbers, int i) { return static_cast<int64_t>(numbers[i]); }

/** The first n <= 16 floats, zeros after them. */
static inline __attribute__((always_inline)) V loadUpTo(const float* p, int n) { return n == LANES ? load(p) : loadPart(p, n); }
static inline __attribute__((always_inline)) void storeUpTo(float* p, V v, int n) {
  if (n == LANES)
    store(p, v);
  else
    storePart(p, v, n);
}

/** f(i, lanes) for i = begin, begin + 16, ... below end; lanes is 16, a constant once inlined, but for the last. */
template <class F>
static inline __attribute__((always_inline)) void forLanes(int64_t begin, int64_t end, F f) {
  int64_t i = begin;
  for (; i + LANES <= end; i += LANES) f(i, LANES);
  if (i < end) f(i, static_cast<int>(end - i));
}

/** forLanes over 0..n, shared among the threads; the ranges start at multiples of 16. */
template <class F>
static inline void parallelLanes(int64_t n, int64_t costPerElement, F f) {
  parallelFor((n + LANES - 1) / LANES, LANES * costPerElement, [=](int64_t begin, int64_t end) {
    forLanes(begin * LANES, end * LANES < n ? end * LANES : n, f);
  });
}

}  // namespace ISA
