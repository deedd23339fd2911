import * as tf from '@tensorflow/tfjs-core';
import { uniforms } from './random.js';

/** How `checkGradient` looks. */
export interface CheckGradientOptions {
  /** Allowed difference: abs + rel · |numerical derivative|. Defaults 1e-2 and 1e-3. */
  readonly rel?: number;
  readonly abs?: number;
  /** How far each coordinate moves: large enough for float32, small against the inputs' scale. Default 1e-2. */
  readonly step?: number;
  /** How many random directions of ±1 to try for each input. Default 2. */
  readonly directions?: number;
  /** How many single coordinates to try for each input. Default 4. */
  readonly coordinates?: number;
  /** Of the directions, coordinates and output weights. Default 0. */
  readonly seed?: number;
}

/**
 * Compares tfjs's gradient of `f` at `inputs` with central differences.
 *
 * With F(x) = Σ_i w_i f_i(x), w = 1 for a scalar and else random ±1, and a direction v:
 *
 *   Σ_j v_j ∂F/∂x_j  =  (8 (F(x + hv) - F(x - hv)) - (F(x + 2hv) - F(x - 2hv))) / 12h  +  O(h⁴)
 *
 * The differences are summed in float64 element by element, so an `f` that returns its elements is checked more sharply
 * than one that sums them in float32. Integer arguments of the mathematics belong in the closure.
 *
 * @throws Error naming input and direction if they disagree, or if a gradient is not finite.
 *
 * ```ts
 * checkGradient((x) => tf.square(x), [tf.tensor1d([1, -2])]);
 * ```
 */
export function checkGradient<Inputs extends tf.Tensor[]>(
  f: (...inputs: Inputs) => tf.Tensor,
  inputs: readonly [...Inputs],
  { rel = 1e-2, abs = 1e-3, step = 1e-2, directions = 2, coordinates = 4, seed = 0 }: CheckGradientOptions = {},
): void {
  const random = uniforms(seed);
  const sign = () => (random() < 0.5 ? -1 : 1);
  tf.tidy(() => {
    const call = (at: readonly tf.Tensor[]) => f(...(at as unknown as Inputs));
    const output = call(inputs);
    const weights = Float32Array.from({ length: output.size }, output.rank === 0 ? () => 1 : sign);
    const gradients = tf.grads((...at: tf.Tensor[]) => call(at))([...inputs], tf.tensor(weights, output.shape));

    inputs.forEach((input, k) => {
      const slope = gradients[k]!.dataSync();
      const values = input.dataSync();

      const outputAt = (direction: Float32Array, distance: number) =>
        tf.tidy(() => {
          const moved = values.map((value, i) => value + distance * direction[i]!);
          return call(inputs.map((other, i) => (i === k ? tf.tensor(moved, input.shape) : other))).dataSync();
        });
      const numerical = (direction: Float32Array) => {
        const [forward, back] = [outputAt(direction, step), outputAt(direction, -step)];
        const [farForward, farBack] = [outputAt(direction, 2 * step), outputAt(direction, -2 * step)];
        let sum = 0;
        weights.forEach((weight, i) => {
          sum += weight * (8 * (forward[i]! - back[i]!) - (farForward[i]! - farBack[i]!));
        });
        return sum / (12 * step);
      };
      const check = (name: string, direction: Float32Array) => {
        const got = direction.reduce((sum, v, i) => (v === 0 ? sum : sum + v * slope[i]!), 0);
        const want = numerical(direction);
        if (Math.abs(got - want) <= abs + rel * Math.abs(want)) return; // false for NaN
        throw new Error(
          `checkGradient: input ${k} along ${name}: expected ${want} by differences, got ${got} ` +
            `(rel ${rel}, abs ${abs}, step ${step})`,
        );
      };

      const unchecked = slope.findIndex((value) => !Number.isFinite(value));
      if (unchecked >= 0) {
        throw new Error(`checkGradient: input ${k}: expected finite numbers, got ${slope[unchecked]} at ${unchecked}`);
      }
      for (let n = 0; n < directions; n++) check(`direction ${n}`, Float32Array.from(values, sign));
      for (let n = 0; n < Math.min(coordinates, input.size); n++) {
        const chosen = Math.floor(random() * input.size);
        check(
          `coordinate ${chosen}`,
          Float32Array.from(values, (_, i) => (i === chosen ? 1 : 0)),
        );
      }
    });
  });
}
