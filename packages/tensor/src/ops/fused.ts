// How a fused operation is made. Each one is a formula, a definition in plain tfjs operations, and a gradient; an engine
// that registers a kernel of the operation's name (and `<name>Grad` for the gradient) replaces either.
import * as tf from '@tensorflow/tfjs-core';

/** Tensors by name; the names are also those under which a kernel receives them. */
export type Tensors = Record<string, tf.Tensor>;

/** What a fused operation consists of. `X` are the differentiable inputs, `C` the constant ones, `A` plain attributes. */
export interface FusedOp<X extends Tensors, C extends Tensors, A extends object> {
  /** The kernel name under which an engine may register a faster version. */
  name: string;
  /** The value, composed of plain tfjs operations: slow, and what every faster version is compared with. */
  definition(x: X, constants: C, attributes: A): tf.Tensor;
  /** The gradient of each differentiable input, given `dy`, the gradient of the value. */
  gradient(dy: tf.Tensor, x: X, constants: C, attributes: A): { [K in keyof X]: tf.Tensor };
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

    const backward = (dy: tf.Tensor, inputs: X, fixed: C): tf.Tensor[] => {
      const fused = runKernel(`${op.name}Grad`, { dy, ...inputs, ...fixed }, attributes);
      if (fused) return fused;
      const gradients = op.gradient(dy, inputs, fixed, attributes);
      return names.map((name) => gradients[name]!);
    };

    // Without a gradient being recorded there is nothing to save: most of a rollout's small operations are this call.
    if (!tf.engine().isTapeOn()) return tf.tidy(() => forward(x, constants));

    const differentiable = tf.customGrad((...args) => {
      const save = args[names.length] as unknown as tf.GradSaveFunc;
      const inputs = zip(names, args as tf.Tensor[]) as X;
      save([...(args.slice(0, names.length) as tf.Tensor[]), ...constantNames.map((name) => constants[name]!)]);
      return {
        value: tf.tidy(() => forward(inputs, constants)),
        gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) =>
          tf.tidy(() =>
            backward(dy, zip(names, saved) as X, zip(constantNames, saved.slice(names.length)) as unknown as C),
          ),
      };
    });
    return differentiable(...names.map((name) => x[name]!));
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
