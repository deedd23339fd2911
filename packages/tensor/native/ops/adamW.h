// One AdamW update, element by element.
//
//   m' = β₁ m + (1 - β₁) g,   v' = β₂ v + (1 - β₂) g²
//   θ' = θ (1 - η λ) - m' (η / (1 - β₁ᵗ)) / (√(v' / (1 - β₂ᵗ)) + ε)
//
// All arrays: [n]; an output may be its input. The factors are made in double and rounded, and so is every step: each instruction
// set gives the same bits. No sums.
#include "lanes.h"

namespace ISA {

/** parameter, gradient, m, v, parameterOut, mOut, vOut: n, learningRate, beta1, beta2, eps, weightDecay, step. */
static void adamW(Arrays arrays, Numbers numbers) {
  const float *parameter = floatsAt(arrays, 0), *gradient = floatsAt(arrays, 1), *m = floatsAt(arrays, 2), *v = floatsAt(arrays, 3);
  float *parameterOut = floatsAt(arrays, 4), *mOut = floatsAt(arrays, 5), *vOut = floatsAt(arrays, 6);
  const double rate = numbers[1], beta1 = numbers[2], beta2 = numbers[3], step = numbers[6];
  const auto factor = [](double x) { return splat(static_cast<float>(x)); };
  const V keep1 = factor(beta1), keep2 = factor(beta2), take1 = factor(1 - beta1), take2 = factor(1 - beta2);
  const V bias2 = factor(1 - std::pow(beta2, step)), corrected = factor(rate / (1 - std::pow(beta1, step)));
  const V eps = factor(numbers[4]), decay = factor(1 - rate * numbers[5]);
  parallelLanes(integerAt(numbers, 0), 4, [=](int64_t i, int n) {
    const V g = loadUpTo(gradient + i, n);
    const V mean = loadUpTo(m + i, n) * keep1 + g * take1;
    const V square = loadUpTo(v + i, n) * keep2 + g * g * take2;
    const V update = mean * corrected / (vsqrt(square / bias2) + eps);
    storeUpTo(parameterOut + i, loadUpTo(parameter + i, n) * decay - update, n);
    storeUpTo(mOut + i, mean, n);
    storeUpTo(vOut + i, square, n);
  });
}

[[maybe_unused]] static void adamWDefinition(Arrays arrays, Numbers numbers) {
  const float *parameter = floatsAt(arrays, 0), *gradient = floatsAt(arrays, 1), *m = floatsAt(arrays, 2), *v = floatsAt(arrays, 3);
  float *parameterOut = floatsAt(arrays, 4), *mOut = floatsAt(arrays, 5), *vOut = floatsAt(arrays, 6);
  const double rate = numbers[1], beta1 = numbers[2], beta2 = numbers[3], step = numbers[6];
  for (int64_t i = 0; i < integerAt(numbers, 0); i++) {
    const double g = gradient[i];
    const double mean = beta1 * m[i] + (1 - beta1) * g, square = beta2 * v[i] + (1 - beta2) * g * g;
    const double update = rate * mean / (1 - std::pow(beta1, step)) / (std::sqrt(square / (1 - std::pow(beta2, step))) + numbers[4]);
    parameterOut[i] = static_cast<float>(parameter[i] * (1 - rate * numbers[5]) - update);
    mOut[i] = static_cast<float>(mean);
    vOut[i] = static_cast<float>(square);
  }
}

}  // namespace ISA
