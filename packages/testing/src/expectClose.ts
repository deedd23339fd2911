import * as tf from '@tensorflow/tfjs-core';

/** Numbers to compare: an array, a typed array or a tensor. */
export type Numbers = ArrayLike<number> | tf.Tensor;

/** Allowed difference: abs + rel · |want|. */
export interface Tolerance {
  readonly rel?: number;
  readonly abs?: number;
}

/**
 * Fails unless |got - want| <= abs + rel · |want| for each element, naming the worst one. NaN equals only NaN, an
 * infinity only itself. Two tensors must agree in shape, anything else in length.
 *
 * ```ts
 * expectClose([0.1 + 0.2], [0.3]);
 * ```
 */
export function expectClose(got: Numbers, want: Numbers, { rel = 1e-5, abs = 1e-6 }: Tolerance = {}): void {
  if (got instanceof tf.Tensor && want instanceof tf.Tensor && got.shape.join() !== want.shape.join()) {
    throw new Error(`expectClose: expected shape [${want.shape}], got [${got.shape}]`);
  }
  const gotValues = toArray(got);
  const wantValues = toArray(want);
  if (gotValues.length !== wantValues.length) {
    throw new Error(`expectClose: expected length ${wantValues.length}, got ${gotValues.length}`);
  }

  let worst = -1;
  let worstExcess = 0;
  for (let i = 0; i < wantValues.length; i++) {
    const g = gotValues[i]!;
    const w = wantValues[i]!;
    if (g === w || Object.is(g, w)) continue; // also NaN = NaN, ∞ = ∞ and 0 = -0
    const excess = Math.abs(g - w) - (abs + rel * Math.abs(w));
    if (excess <= worstExcess) continue; // false for NaN, which an infinity on either side can give
    worst = i;
    if (!Number.isFinite(excess)) break; // NaN or an infinity: nothing is worse
    worstExcess = excess;
  }
  if (worst < 0) return;
  throw new Error(
    `expectClose: element ${worst} of ${wantValues.length}: expected ${wantValues[worst]}, got ${gotValues[worst]} ` +
      `(rel ${rel}, abs ${abs})`,
  );
}

const toArray = (numbers: Numbers): ArrayLike<number> => (numbers instanceof tf.Tensor ? numbers.dataSync() : numbers);
