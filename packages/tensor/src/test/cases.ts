// The cases of `ops/__fixtures__/ops.json`, which reference/op_fixtures.py computed with PyTorch, and random tensors.
import { readFileSync } from 'node:fs';
import { expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { normalArray } from '../random.js';

/** A tensor as the fixture stores it. */
export interface Stored {
  shape: number[];
  values: number[];
}

type StoredTensors = Record<string, Stored>;

/** A function's recorded inputs, output, gradient of the output, and gradients of the inputs. */
export interface Case {
  name: string;
  inputs: StoredTensors;
  output: Stored;
  upstream: Stored;
  gradients: StoredTensors;
}

interface Cases {
  rmsNorm: (Case & { eps: number })[];
  rotary: (Case & {
    headDim: number;
    theta: number;
    scaling: {
      factor: number;
      low_freq_factor: number;
      high_freq_factor: number;
      original_max_position_embeddings: number;
    } | null;
    positions: Stored;
    cos: Stored;
    sin: Stored;
  })[];
  attention: (Case & { padding: number[] | null; window?: number; scale?: number })[];
  swiglu: Case[];
  geglu: Case[];
  headLogProb: (Case & { temperature: number; ids: Stored })[];
  headMixture: (Case & { temperature: number })[];
  adamW: {
    name: string;
    learningRates: number[];
    beta1: number;
    beta2: number;
    eps: number;
    weightDecay: number;
    initial: { parameter: Stored };
    steps: { gradient: Stored; parameter: Stored; m: Stored; v: Stored }[];
  }[];
  clipByGlobalNorm: { name: string; maxNorm: number; inputs: StoredTensors; norm: number; output: StoredTensors }[];
}

/** All cases, by operation. */
export const cases = JSON.parse(
  readFileSync(new URL('../ops/__fixtures__/ops.json', import.meta.url), 'utf8'),
) as Cases;

/** A stored tensor on the engine. */
export const tensorOf = <T extends tf.Tensor = tf.Tensor>({ shape, values }: Stored, dtype?: 'int32'): T =>
  tf.tensor(values, shape, dtype ?? 'float32') as T;

/** Fails unless every entry is within `rel` times the largest entry: long sums lose absolute, not relative, accuracy. */
export function expectNear(got: tf.Tensor, want: Stored, rel = 1e-5): void {
  expectClose(got, tensorOf(want), { rel: 0, abs: rel * Math.max(...want.values.map(Math.abs)) });
}

/** Compares `f` and its gradient in every input with what PyTorch computed. */
export function expectCase(recorded: Case, f: (inputs: Record<string, tf.Tensor>) => tf.Tensor): void {
  tf.tidy(() => {
    const names = Object.keys(recorded.inputs);
    const inputs = names.map((name) => tensorOf(recorded.inputs[name]!));
    const call = (...at: tf.Tensor[]) => f(Object.fromEntries(names.map((name, i) => [name, at[i]!])));
    expectNear(call(...inputs), recorded.output);
    const gradients = tf.grads(call)(inputs, tensorOf(recorded.upstream));
    names.forEach((name, i) => {
      expectNear(gradients[i]!, recorded.gradients[name]!);
    });
  });
}

/** Standard normal numbers, the same on every engine. */
export function normal<T extends tf.Tensor = tf.Tensor>(shape: number[], seed: number): T {
  const address = { seed, step: 0, sample: 0, position: 0, stream: 0 };
  return tf.tensor(normalArray(address, tf.util.sizeFromShape(shape)), shape) as T;
}

/** Row `b` of a tensor, its leading axis kept. */
export const rowOf = <T extends tf.Tensor>(x: T, b: number): T => tf.slice(x, b, 1) as T;
