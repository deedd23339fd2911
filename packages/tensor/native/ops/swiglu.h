// The gated activation of a SwiGLU layer, element by element.
//
//   y = silu(g) u,   silu(g) = g σ(g)
//   dg = dy u (σ + silu (1 - σ)),   du = dy silu
//
// gate, up, y, dy, dgate, dup: [n]. No sums.
#include "lanes.h"

namespace ISA {

/** gate, up, y: n. */
static void swiGlu(Arrays arrays, Numbers numbers) {
  const float *gate = floatsAt(arrays, 0), *up = floatsAt(arrays, 1);
  float* y = floatsAt(arrays, 2);
  parallelLanes(integerAt(numbers, 0), 4, [=](int64_t i, int n) {
    const V g = loadUpTo(gate + i, n);
    storeUpTo(y + i, g * vsigmoid(g) * loadUpTo(up + i, n), n);
  });
}

/** dy, gate, up, dgate, dup: n. */
static void swiGluGrad(Arrays arrays, Numbers numbers) {
  const float *dy = floatsAt(arrays, 0), *gate = floatsAt(arrays, 1), *up = floatsAt(arrays, 2);
  float *dgate = floatsAt(arrays, 3), *dup = floatsAt(arrays, 4);
  parallelLanes(integerAt(numbers, 0), 6, [=](int64_t i, int n) {
    const V d = loadUpTo(dy + i, n), g = loadUpTo(gate + i, n), u = loadUpTo(up + i, n);
    const V e = vexp(-g);
    const V s = splat(1) / (splat(1) + e);
    // 1 - s = e s, without cancellation where s is near 1. Where e is infinite, s and silu are 0, and 1 - s need only be finite.
    const V rest = -vmax(splat(-3e38f), -e) * s;
    const V silu = g * s;
    storeUpTo(dgate + i, d * u * fma(silu, rest, s), n);
    storeUpTo(dup + i, d * silu, n);
  });
}

[[maybe_unused]] static void swiGluDefinition(Arrays arrays, Numbers numbers) {
  const float *gate = floatsAt(arrays, 0), *up = floatsAt(arrays, 1);
  float* y = floatsAt(arrays, 2);
  for (int64_t i = 0; i < integerAt(numbers, 0); i++)
    y[i] = static_cast<float>(gate[i] / (1 + std::exp(-double{gate[i]})) * up[i]);
}

[[maybe_unused]] static void swiGluGradDefinition(Arrays arrays, Numbers numbers) {
  const float *dy = floatsAt(arrays, 0), *gate = floatsAt(arrays, 1), *up = floatsAt(arrays, 2);
  float *dgate = floatsAt(arrays, 3), *dup = floatsAt(arrays, 4);
  for (int64_t i = 0; i < integerAt(numbers, 0); i++) {
    const double g = gate[i];
    const double s = 1 / (1 + std::exp(-g)), rest = 1 / (1 + std::exp(g));
    dgate[i] = static_cast<float>(double{dy[i]} * up[i] * (s + g * s * rest));
    dup[i] = static_cast<float>(dy[i] * g * s);
  }
}

}  // namespace ISA
