import { clipByGlobalNorm } from '@soft-tokens/tensor';
import { disposeGradients } from './gradients.js';
import type { Gradients, Optimizer, OptimizerState, Parameters } from './optimizers.js';

export interface UpdateOptions {
  optimizer: Optimizer;
  parameters: Parameters;
  gradients: Gradients;
  state: OptimizerState;
  learningRate: number;
  /** The most the gradients' global norm may be; larger ones are scaled down. */
  maxGradientNorm?: number | undefined;
}

/**
 * One update of all parameters, clipped when a limit is given. Frees the gradients.
 *
 * - returns the gradients' global norm before clipping
 *
 * @throws RangeError when the norm is not finite; the parameters are then as they were.
 * @example const norm = updateParameters({ optimizer, parameters, gradients, state, learningRate: 1e-4 });
 */
export function updateParameters(options: UpdateOptions): number {
  const { optimizer, parameters, gradients, state, learningRate, maxGradientNorm } = options;
  const names = [...gradients.keys()];
  const { gradients: clipped, norm } = clipByGlobalNorm([...gradients.values()], maxGradientNorm ?? Infinity);
  const byName = new Map(names.map((name, i) => [name, clipped[i]!]));
  try {
    optimizer.update(parameters, byName, state, learningRate);
  } finally {
    disposeGradients(byName);
  }
  return norm;
}
