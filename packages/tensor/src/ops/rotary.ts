import * as tf from '@tensorflow/tfjs-core';
import { fusedOp } from './fused.js';

/** The frequency scaling of Llama 3.1 and later (`rope_scaling` with `rope_type: "llama3"`). */
export interface Llama3Scaling {
  type: 'llama3';
  factor: number;
  lowFreqFactor: number;
  highFreqFactor: number;
  originalMaxPositionEmbeddings: number;
}

/** Positions pressed together (`rope_scaling` with `rope_type: "linear"`): every frequency divided by `factor`. */
export interface LinearScaling {
  type: 'linear';
  factor: number;
}

export type RotaryScaling = Llama3Scaling | LinearScaling;

export interface RotaryOptions {
  /** D, even. */
  headDim: number;
  /** The base θ of the frequencies θ^(-2i/D). */
  theta: number;
  scaling?: RotaryScaling | undefined;
}

/** cos and sin of every position's angles, each `[B, T, 1, D/2]`: made once a forward pass, shared by its layers. */
export interface RotaryTable {
  cos: tf.Tensor4D;
  sin: tf.Tensor4D;
}

/**
 * The angular frequencies of rotary embedding, one a pair of channels:
 *
 *   ωᵢ = θ^(-2i/D),   i = 0..D/2-1
 *
 * With Llama 3 scaling, wavelengths λ = 2π/ω longer than original / low are stretched by `factor`, those shorter than
 * original / high are kept, and those between are blended: ω ((1 - s)/factor + s), s = (original/λ - low)/(high - low).
 * With linear scaling all are: ω / factor.
 *
 * References: Su et al. 2021, arXiv:2104.09864, sec. 3.2.2; the Llama 3.1 model card's reference code; linear: Chen et
 * al. 2023, arXiv:2306.15595, eq. 4.
 * @throws RangeError for an odd head dimension.
 * @example rotaryFrequencies({ headDim: 4, theta: 10000 }); // [1, 0.01]
 */
export function rotaryFrequencies({ headDim, theta, scaling }: RotaryOptions): Float64Array {
  if (headDim % 2 !== 0)
    throw new RangeError(
      `rotaryFrequencies: expected an even head dimension, got ${headDim}; check the model's config`,
    );
  const frequencies = Float64Array.from({ length: headDim / 2 }, (_, i) => theta ** ((-2 * i) / headDim));
  if (!scaling) return frequencies;
  if (scaling.type === 'linear') return frequencies.map((omega) => omega / scaling.factor);
  const { factor, lowFreqFactor: low, highFreqFactor: high, originalMaxPositionEmbeddings: original } = scaling;
  return frequencies.map((omega) => {
    const turns = (original * omega) / (2 * Math.PI); // original / λ
    if (turns < low) return omega / factor;
    if (turns > high) return omega;
    const s = (turns - low) / (high - low);
    return omega * ((1 - s) / factor + s);
  });
}

/**
 * The table of angles for positions `[B, T]` (row-major), computed in float64.
 *
 * @throws RangeError when the number of positions is not B T.
 * @example rotaryTable({ headDim: 4, theta: 10000 }, Int32Array.of(0, 1, 2), [1, 3]); // cos, sin: [1, 3, 1, 2]
 */
export function rotaryTable(options: RotaryOptions, positions: Int32Array, shape: [B: number, T: number]): RotaryTable {
  const [B, T] = shape;
  if (positions.length !== B * T) {
    throw new RangeError(`rotaryTable: expected ${B} x ${T} positions, got ${positions.length}; give one for each`);
  }
  const frequencies = rotaryFrequencies(options);
  const half = frequencies.length;
  const cos = new Float32Array(positions.length * half);
  const sin = new Float32Array(positions.length * half);
  for (let p = 0; p < positions.length; p++) {
    for (let i = 0; i < half; i++) {
      const angle = positions[p]! * frequencies[i]!;
      cos[p * half + i] = Math.cos(angle);
      sin[p * half + i] = Math.sin(angle);
    }
  }
  return { cos: tf.tensor4d(cos, [B, T, 1, half]), sin: tf.tensor4d(sin, [B, T, 1, half]) };
}

/** (x₁, x₂) -> (x₁ cos - x₂ sin, x₂ cos + x₁ sin) on the two halves of the last axis. */
function rotate(x: tf.Tensor, cos: tf.Tensor, sin: tf.Tensor): tf.Tensor {
  const [x1, x2] = tf.split(x, 2, -1) as [tf.Tensor, tf.Tensor];
  return tf.concat([tf.sub(tf.mul(x1, cos), tf.mul(x2, sin)), tf.add(tf.mul(x2, cos), tf.mul(x1, sin))], -1);
}

const op = fusedOp<{ x: tf.Tensor4D }, { cos: tf.Tensor4D; sin: tf.Tensor4D }, object>({
  name: 'Rotary',
  definition: ({ x }, { cos, sin }) => rotate(x, cos, sin),
  // A rotation's transpose is the rotation by the opposite angle.
  gradient: (dy, _, { cos, sin }) => ({ x: rotate(dy, cos, tf.neg(sin)) }),
});

/**
 * Rotary position embedding, halves convention (as Hugging Face checkpoints store their weights):
 *
 *   y = (x₁ cos φ - x₂ sin φ, x₂ cos φ + x₁ sin φ),   φ = position · ω
 *
 * - `x`: `[B, T, H, D]`; `table`: from `rotaryTable`, `[B or 1, T, 1, D/2]`; returns `[B, T, H, D]`
 *
 * @throws RangeError for an odd D, or a table of other positions or another D.
 * Reference: Su et al. 2021, arXiv:2104.09864, eq. 34.
 * @example rotary(q, rotaryTable({ headDim: 64, theta: 10000 }, positions, [B, T]));
 */
export function rotary(x: tf.Tensor4D, { cos, sin }: RotaryTable): tf.Tensor4D {
  const [B, T, , D] = x.shape;
  if (x.rank !== 4 || D % 2 !== 0) {
    throw new RangeError(
      `rotary: expected x [B, T, H, D] with D even, got [${x.shape}]; split x into heads of even size`,
    );
  }
  const fits = ({ shape }: tf.Tensor) => [1, B].some((rows) => tf.util.arraysEqual(shape, [rows, T, 1, D / 2]));
  if (!fits(cos) || !tf.util.arraysEqual(sin.shape, cos.shape)) {
    throw new RangeError(
      `rotary: expected a table of cos and sin [${B} or 1, ${T}, 1, ${D / 2}], got [${cos.shape}] and [${sin.shape}]; ` +
        'make it with rotaryTable for the positions of x',
    );
  }
  return op({ x }, { cos, sin }, {}) as tf.Tensor4D;
}
