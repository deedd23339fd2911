// Activations computed twice instead of kept.
import * as tf from '@tensorflow/tfjs-core';
import type { Tensors } from './ops/fused.js';
import { leanTape, record, type TapeNode, tapeState } from './tape.js';

/**
 * y = f(x), of which a gradient keeps nothing but x: the backward pass computes f again, and only then what it needs of
 * it. A stack of n layers, each such a piece, keeps n inputs and the inside of one layer, for one more forward pass.
 *
 * - `f`: tensors by name to tensors by name. It is run twice and must do the same both times. It may read any
 *   `tf.Variable`, which gets its gradient; of other tensors it reads only those in `x`, for the rest may be gone by then.
 * - `x`: the inputs, of any dtype
 *
 * The gradients are those of `f` itself, to the bit where the kernels are deterministic and what several pieces share is
 * read once in each; else sums over pieces round otherwise. Without a gradient being taken it is `f`, tidied.
 *
 * Reference: Chen et al. 2016, arXiv:1604.06174, sec. 4.
 * @example
 * const layer = (x: tf.Tensor) => recomputed(({ x }) => ({ y: swiglu(linear(x, gate), linear(x, up)) }), { x }).y;
 */
export function recomputed<X extends Tensors, Y extends Tensors>(f: (x: X) => Y, x: X): Y {
  if (!tf.engine().isTapeOn()) return tf.tidy(() => f(x));
  const { y, variables } = computed(() => f(x));

  const saved = Object.fromEntries(Object.entries(x).map(([name, of]) => [name, tf.keep(tf.clone(of))])) as X;
  const variableInputs = Object.fromEntries(variables.map((variable) => [`variable ${variable.name}`, variable]));
  const outputNames = Object.keys(y);
  record({
    kernelName: 'Recomputed',
    inputs: { ...differentiable(x), ...variableInputs },
    outputs: Object.values(y),
    saved: Object.values(saved),
    gradient(dys, wanted) {
      const all = Object.entries({ ...differentiable(saved), ...variableInputs });
      const inputs = Object.fromEntries(all.filter(([name]) => wanted.has(name)));
      const gradients = gradientsOf(() => {
        const again = f(saved);
        return withGradients(
          outputNames.map((name) => again[name]!),
          dys,
        );
      }, Object.values(inputs));
      return Object.fromEntries(
        Object.entries(inputs).map(([name, input], i) => [name, () => gradients[i] ?? tf.zerosLike(input)]),
      );
    },
  });
  return y;
}

const differentiable = (x: Tensors): Tensors =>
  Object.fromEntries(Object.entries(x).filter(([, { dtype }]) => dtype === 'float32'));

/** A tape that keeps nothing but which variables were read. */
class Notes extends Array<TapeNode> {
  readonly variables = new Set<tf.Variable>();

  override push(...nodes: TapeNode[]): number {
    for (const { inputs, saved } of nodes) {
      for (const input of Object.values(inputs)) if (input instanceof tf.Variable) this.variables.add(input);
      tf.dispose(saved);
    }
    return 0;
  }
}

/** What `f` gives, and the variables it read, with nothing recorded. */
function computed<Y extends Tensors>(f: () => Y): { y: Y; variables: tf.Variable[] } {
  const state = tapeState();
  const tape = state.activeTape;
  const notes = new Notes();
  state.activeTape = notes;
  try {
    // Copies, of the same memory: an input that is handed on would be the output of two operations.
    const y = tf.tidy(() => Object.fromEntries(Object.entries(f()).map(([name, x]) => [name, tf.clone(x)])) as Y);
    return { y, variables: [...notes.variables] };
  } finally {
    state.activeTape = tape;
  }
}

/** A number whose gradient in each of `xs` is the given one: the end of a forward pass of several outputs. */
function withGradients(xs: tf.Tensor[], gradients: (tf.Tensor | null)[]): tf.Scalar {
  const reached = gradients.flatMap((dx, i) => (dx ? [{ x: xs[i]!, dx }] : []));
  const join = tf.customGrad((..._xs) => ({
    value: tf.scalar(0),
    gradFunc: () => reached.map(({ dx }) => tf.clone(dx)), // a copy, since tfjs frees what it adds up
  }));
  return join(...reached.map(({ x }) => x)) as tf.Scalar;
}

/** The gradients of `f` in `xs`, none where nothing leads there, taken in the midst of a backward pass. */
function gradientsOf(f: () => tf.Scalar, xs: tf.Tensor[]): (tf.Tensor | undefined)[] {
  const state = tapeState();
  const tape = state.activeTape;
  try {
    return tf.tidy(() => tf.engine().gradients(() => leanTape(f), xs, undefined, true).grads);
  } finally {
    state.activeTape = tape; // which a gradient taken on its own ends
  }
}
