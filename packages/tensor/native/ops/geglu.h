// The gated activation of a GEGLU layer, element by element.
//
//   y = gelu(g) x,   gelu(g) = g s,   s = σ(u),   u = a (g + b g³),   a = √(8/π), b = 0.044715
//   dg = dy x (s + g s (1 - s) u'),   dx = dy g s,   u' = a (1 + 3 b g²)
//
// gate, up, y, dy, dgate, dup: [n]. No sums.
#include "lanes.h"

namespace ISA {

static constexpr double GELU_LINEAR = 1.5957691216057307, GELU_CUBIC = 0.044715;

/** A gate of which u and u' are finite: beyond 12, u is beyond ±140, where s is 0 or 1 in float32. A NaN stays one. */
static inline V geluGate(V g) {
  const V least = vmax(splat(-12), g);
  return -vmax(splat(-12), -least);
}

static inline V geluExponent(V g) { return splat(float(GELU_LINEAR)) * g * fma(splat(float(GELU_CUBIC)), g * g, splat(1)); }

/** gate, up, y: n. */
static void geGlu(Arrays arrays, Numbers numbers) {
  const float *gate = floatsAt(arrays, 0), *up = floatsAt(arrays, 1);
  float* y = floatsAt(arrays, 2);
  parallelLanes(integerAt(numbers, 0), 5, [=](int64_t i, int n) {
    const V g = loadUpTo(gate + i, n);
    storeUpTo(y + i, g * vsigmoid(geluExponent(geluGate(g))) * loadUpTo(up + i, n), n);
  });
}

/** dy, gate, up, dgate, dup: n. */
static void geGluGrad(Arrays arrays, Numbers numbers) {
  const float *dy = floatsAt(arrays, 0), *gate = floatsAt(arrays, 1), *up = floatsAt(arrays, 2);
  float *dgate = floatsAt(arrays, 3), *dup = floatsAt(arrays, 4);
  parallelLanes(integerAt(numbers, 0), 8, [=](int64_t i, int n) {
    const V d = loadUpTo(dy + i, n), g = loadUpTo(gate + i, n), x = loadUpTo(up + i, n);
    const V bounded = geluGate(g);
    const V e = vexp(-geluExponent(bounded));
    const V s = splat(1) / (splat(1) + e);
    // 1 - s = e s, without cancellation where s is near 1. Where e is infinite, s is 0, and 1 - s need only be finite.
    const V rest = -vmax(splat(-3e38f), -e) * s;
    const V slope = splat(float(GELU_LINEAR)) * fma(splat(float(3 * GELU_CUBIC)), bounded * bounded, splat(1));
    const V gelu = g * s;
    storeUpTo(dgate + i, d * x * fma(gelu * rest, slope, s), n);
    storeUpTo(dup + i, d * gelu, n);
  });
}

[[maybe_unused]] static double geluExponentOf(double g) { return GELU_LINEAR * (g + GELU_CUBIC * g * g * g); }

[[maybe_unused]] static void geGluDefinition(Arrays arrays, Numbers numbers) {
  const float *gate = floatsAt(arrays, 0), *up = floatsAt(arrays, 1);
  float* y = floatsAt(arrays, 2);
  for (int64_t i = 0; i < integerAt(numbers, 0); i++)
    y[i] = static_cast<float>(gate[i] / (1 + std::exp(-geluExponentOf(gate[i]))) * up[i]);
}

[[maybe_unused]] static void geGluGradDefinition(Arrays arrays, Numbers numbers) {
  const float *dy = floatsAt(arrays, 0), *gate = floatsAt(arrays, 1), *up = floatsAt(arrays, 2);
  float *dgate = floatsAt(arrays, 3), *dup = floatsAt(arrays, 4);
  for (int64_t i = 0; i < integerAt(numbers, 0); i++) {
    const double g = gate[i], u = geluExponentOf(g);
    const double s = 1 / (1 + std::exp(-u)), rest = 1 / (1 + std::exp(u));
    const double slope = GELU_LINEAR * (1 + 3 * GELU_CUBIC * g * g);
    dgate[i] = static_cast<float>(double{dy[i]} * up[i] * (s + g * s * rest * slope));
    dup[i] = static_cast<float>(dy[i] * g * s);
  }
}

}  // namespace ISA
