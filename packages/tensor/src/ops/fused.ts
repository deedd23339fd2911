// How a fused operation is made. Each one is a formula, a definition in plain tfjs operations, and a gradient; an engine
// that registers a kernel of the operation's name (and `<name>Grad` for the gradient) replaces either. A kernel of the
// gradient may leave out the inputs that the attribute `unwanted` lists, where there is one.
import * as tf from '@tensorflow/tfjs-core';
import { record, unrecorded } from '../tape.js';

/** Tensors by name; the names are also those under which a kernel receives them. */
export type Tensors = Record<string, tf.Tensor>;

/** What a fused operation consists of. `X` are the differentiable inputs, `C` the constant ones, `A` plain attributes. */
export interface FusedOp<X extends Tensors, C extends Tensors, A extends object> {
  /** The kernel name under which an engine may register a faster version. */
  name: string;
  /** The value, composed of plain tfjs operations: slow, and what every faster version is compared with. */
  definition(x: X, constants: C, attributes: A): tf.Tensor;
  /**
   * The gradient of each differentiable input, given `dy`, the gradient of the value. What is not `wanted`, as of a frozen
   * weight, may be `undefined`.
   */
  gradient(
    dy: tf.Tensor,
    x: X,
    constants: C,
    attributes: A,
    wanted: (name: keyof X) => boolean,
  ): { [K in keyof X]: tf.Tensor | undefined };
}

/**
 * Makes a differentiable function of a fused operation.
 *
 * Only the inputs are kept for the backward pass: whatever lies between them and the value is computed again there.
 *
 * @example
 * const square = fusedOp<{ x: tf.Tensor }, {}, {}>({
 *   name: 'Square2',
 *   definition: ({ x }) => x.mul(x),
 *   gradient: (dy, { x }) => ({ x: dy.mul(x).mul(2) }),
 * });
 */
export function fusedOp<X extends Tensors, C extends Tensors, A extends object>(
  op: FusedOp<X, C, A>,
): (x: X, constants: C, attributes: A) => tf.Tensor {
  return (x, constants, attributes) => {
    const names = Object.keys(x);
    const constantNames = Object.keys(constants);

    const forward = (inputs: X, fixed: C): tf.Tensor =>
      runKernel(op.name, { ...inputs, ...fixed }, attributes)?.[0] ?? op.definition(inputs, fixed, attributes);

    // Without a gradient being recorded there is nothing to save: most of a rollout's small operations are this call.
    if (!tf.engine().isTapeOn()) return tf.tidy(() => forward(x, constants));

    /** The gradients of the inputs that are wanted, by name. */
    const backward = (dy: tf.Tensor, inputs: X, fixed: C, wanted: ReadonlySet<string>): Tensors => {
      const unwanted = names.filter((name) => !wanted.has(name));
      const asked = unwanted.length > 0 ? { ...attributes, unwanted } : attributes;
      const fused = runKernel(`${op.name}Grad`, { dy, ...inputs, ...fixed }, asked);
      const all: Partial<Tensors> = fused
        ? zip(fused.length === names.length ? names : names.filter((name) => wanted.has(name)), fused)
        : op.gradient(dy, inputs, fixed, attributes, (name) => wanted.has(name as string));
      return zip(
        [...wanted],
        Array.from(wanted, (name) => all[name]!),
      );
    };

    const value = unrecorded(() => tf.tidy(() => forward(x, constants)));
    const saved = [...Object.values(x), ...Object.values(constants)].map((of) => tf.keep(tf.clone(of)));
    record({
      kernelName: op.name,
      inputs: x,
      outputs: [value],
      saved,
      gradient([dy], wanted) {
        const inputs = zip(names, saved) as X;
        const fixed = zip(constantNames, saved.slice(names.length)) as unknown as C;
        const gradients = tf.tidy(() => backward(dy!, inputs, fixed, wanted));
        return Object.fromEntries(Object.entries(gradients).map(([name, dx]) => [name, () => dx]));
      },
    });
    return value;
  };
}

/** Runs the engine's own kernel of that name; `undefined` where the engine has none. */
export function runKernel(name: string, inputs: Tensors, attributes: object): tf.Tensor[] | undefined {
  if (!tf.getKernel(name, tf.getBackend())) return undefined;
  const result: unknown = tf.engine().runKernel(name, inputs, attributes as tf.NamedAttrMap);
  return (Array.isArray(result) ? result : [result]) as tf.Tensor[];
}

function zip(names: string[], tensors: tf.Tensor[]): Tensors {
  return Object.fromEntries(names.map((name, i) => [name, tensors[i]!]));
}
