// Rotary position embedding, halves convention.
//
//   y = (x₁ cos φ - x₂ sin φ, x₂ cos φ + x₁ sin φ)
//
// x, y: [B, T, H, D], x₁ and x₂ the halves of D; cos, sin: [Bt, T, 1, D/2] with Bt = 1 or B. The gradient is the rotation by the
// opposite angle: sign -1. Each product is rounded, so every instruction set gives the same bits.
#include "lanes.h"

namespace ISA {

/** x, cos, sin, y: B, T, H, D, Bt, sign. */
static void rotary(Arrays arrays, Numbers numbers) {
  const float *x = floatsAt(arrays, 0), *cosines = floatsAt(arrays, 1), *sines = floatsAt(arrays, 2);
  float* y = floatsAt(arrays, 3);
  const int64_t B = integerAt(numbers, 0), T = integerAt(numbers, 1), H = integerAt(numbers, 2), D = integerAt(numbers, 3);
  const int64_t angles = integerAt(numbers, 4) * T, half = D / 2;
  const V sign = splat(static_cast<float>(numbers[5]));
  parallelFor(B * T, H * D, [=](int64_t begin, int64_t end) {
    for (int64_t position = begin; position < end; position++) {
      const float *rowCos = cosines + position % angles * half, *rowSin = sines + position % angles * half;
      for (int64_t h = 0; h < H; h++) {
        const float* from = x + (position * H + h) * D;
        float* to = y + (position * H + h) * D;
        forLanes(0, half, [&](int64_t i, int n) {
          const V x1 = loadUpTo(from + i, n), x2 = loadUpTo(from + half + i, n);
          const V c = loadUpTo(rowCos + i, n), s = sign * loadUpTo(rowSin + i, n);
          storeUpTo(to + i, x1 * c - x2 * s, n);
          storeUpTo(to + half + i, x2 * c + x1 * s, n);
        });
      }
    }
  });
}

[[maybe_unused]] static void rotaryDefinition(Arrays arrays, Numbers numbers) {
  const float *x = floatsAt(arrays, 0), *cosines = floatsAt(arrays, 1), *sines = floatsAt(arrays, 2);
  float* y = floatsAt(arrays, 3);
  const int64_t B = integerAt(numbers, 0), T = integerAt(numbers, 1), H = integerAt(numbers, 2), D = integerAt(numbers, 3);
  const int64_t half = D / 2;
  for (int64_t b = 0; b < B; b++)
    for (int64_t t = 0; t < T; t++)
      for (int64_t h = 0; h < H; h++)
        for (int64_t i = 0; i < half; i++) {
          const int64_t at = ((b * T + t) * H + h) * D + i, angle = ((numbers[4] == 1 ? 0 : b) * T + t) * half + i;
          const double c = cosines[angle], s = numbers[5] * sines[angle];
          y[at] = static_cast<float>(x[at] * c - x[at + half] * s);
          y[at + half] = static_cast<float>(x[at + half] * c + x[at] * s);
        }
}

}  // namespace ISA
