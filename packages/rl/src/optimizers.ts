// Optimisers as pairs of functions: `init` makes the state, `update` moves parameters and state on by one step.

import { type AdamWOptions, adamWStep } from '@soft-tokens/tensor';
import * as tf from '@tensorflow/tfjs-core';

/** Trainable parameters by their checkpoint names. */
export type Parameters = ReadonlyMap<string, tf.Variable>;

/** One gradient a parameter, by the same names. */
export type Gradients = ReadonlyMap<string, tf.Tensor>;

/**
 * What an optimiser remembers between updates, as plain named tensors, so that any state can be saved. `tf.tidy` leaves
 * them alone; `disposeState` frees them.
 */
export interface OptimizerState {
  /** Updates made. */
  count: number;
  /** Named `<parameter>.<suffix>` and of that parameter's shape; every parameter has the same suffixes. */
  tensors: Map<string, tf.Tensor>;
}

export interface Optimizer {
  readonly name: string;
  /** The state before the first update. */
  init(parameters: Parameters): OptimizerState;
  /** Assigns new values to the parameters and replaces the state's tensors. */
  update(parameters: Parameters, gradients: Gradients, state: OptimizerState, learningRate: number): void;
}

export type AdamWSettings = Partial<Pick<AdamWOptions, 'beta1' | 'beta2' | 'eps' | 'weightDecay'>>;

/**
 * AdamW over all parameters; see `adamWStep` for the formula. The paper names no constants: PyTorch's are the defaults,
 * without weight decay.
 *
 * @throws RangeError when a parameter has no gradient or no moments; nothing is changed then.
 * @example
 * const optimizer = adamW({ beta2: 0.95 });
 * const state = optimizer.init(model.parameters);
 * optimizer.update(model.parameters, gradients, state, 1e-4);
 */
export function adamW({ beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weightDecay = 0 }: AdamWSettings = {}): Optimizer {
  return {
    name: 'adamW',
    init(parameters) {
      const tensors = new Map<string, tf.Tensor>();
      for (const [name, parameter] of parameters) {
        tensors.set(`${name}.m`, tf.keep(tf.zerosLike(parameter)));
        tensors.set(`${name}.v`, tf.keep(tf.zerosLike(parameter)));
      }
      return { count: 0, tensors };
    },
    update(parameters, gradients, state, learningRate) {
      for (const name of parameters.keys()) {
        if (!gradients.has(name)) throw new RangeError(`adamW: expected a gradient for ${name}, got none`);
        if (!state.tensors.has(`${name}.m`) || !state.tensors.has(`${name}.v`)) {
          throw new RangeError(
            `adamW: expected the moments ${name}.m and ${name}.v, got none; is it this run's state?`,
          );
        }
      }
      state.count++;
      const options = { learningRate, beta1, beta2, eps, weightDecay, step: state.count };
      for (const [name, parameter] of parameters) {
        const gradient = gradients.get(name)!;
        const firstMoment = state.tensors.get(`${name}.m`)!;
        const secondMoment = state.tensors.get(`${name}.v`)!;
        const next = adamWStep({ parameter, firstMoment, secondMoment }, gradient, options);
        parameter.assign(next.parameter);
        state.tensors.set(`${name}.m`, tf.keep(next.firstMoment)).set(`${name}.v`, tf.keep(next.secondMoment));
        tf.dispose([firstMoment, secondMoment, next.parameter]);
      }
    },
  };
}

/** Frees the state's tensors. */
export function disposeState(state: OptimizerState): void {
  for (const tensor of state.tensors.values()) tensor.dispose();
  state.tensors.clear();
}
