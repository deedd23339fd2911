// What tfjs keeps for a backward pass, and for how long.
import * as tf from '@tensorflow/tfjs-core';

/** tfjs's record of one operation. */
export interface TapeNode {
  id: number;
  kernelName: string;
  inputs: Record<string, tf.Tensor>;
  /** Copies of tensors (of the same memory) that the gradient reads; kept until the backward pass has ended. */
  saved: tf.Tensor[];
  outputs: tf.Tensor[];
  /**
   * Gradients of the inputs from those of the outputs, `null` for an output that nothing depends on. Called as a method of
   * a copy of the node, whose `inputs` are those that lead to what the gradient is taken in.
   */
  gradient?: (this: TapeNode, dys: (tf.Tensor | null)[]) => Record<string, () => tf.Tensor>;
}

/** Where tfjs stands in recording: tfjs-core/src/engine.ts, tfjs 4.22. */
export interface TapeState {
  /** What is recorded or, in a backward pass, was; `null` where no gradient is being taken. */
  activeTape: TapeNode[] | null;
  /** Forward passes of gradients that are running, one within another; 0 in a backward pass. */
  gradientDepth: number;
  nextTapeNodeId: number;
  /** Kernels that are running, one within another: what they call is not recorded. */
  kernelDepth: number;
}

export const tapeState = (): TapeState => tf.engine().state as unknown as TapeState;

/** An operation for the tape. */
export interface Recorded extends Omit<TapeNode, 'id' | 'gradient'> {
  /** Gradients of the inputs that are `wanted`; those of the others, frozen weights and constants, are never asked for. */
  gradient(dys: (tf.Tensor | null)[], wanted: ReadonlySet<string>): Record<string, () => tf.Tensor>;
}

/** Puts an operation on the tape: unlike `tf.customGrad`, with any number of outputs and with what of the gradient is wanted. */
export function record({ gradient, ...node }: Recorded): void {
  const state = tapeState();
  state.activeTape!.push({
    ...node,
    id: state.nextTapeNodeId++,
    gradient(dys) {
      return gradient(dys, new Set(Object.keys(this.inputs)));
    },
  });
}

/** Runs `f` with nothing recorded, as tfjs runs a kernel. */
export function unrecorded<R>(f: () => R): R {
  const state = tapeState();
  state.kernelDepth++;
  try {
    return f();
  } finally {
    state.kernelDepth--;
  }
}

/** Operations of whose saved tensors the gradient reads nothing but the shape. */
const shapeOnly = new Set(['Add', 'Sub', 'Reshape', 'ExpandDims', 'Concat', 'Slice', 'PadV2', 'Sum']);

/**
 * Runs the forward pass `f` of a gradient so that its backward pass frees memory as it goes. tfjs by itself keeps every
 * activation, and the gradient of every activation, until the backward pass has ended; with this an activation goes with
 * the last operation that reads it, and its gradient once it is propagated. That halves the memory of a training step.
 *
 * Inside the function whose gradient is taken; does nothing where no gradient is, or one of a gradient. A gradient taken
 * within `f` (a gradient penalty) frees nothing, since the outer one reads it all again.
 *
 * @example tf.variableGrads(() => leanTape(() => loss(parameters)), variables);
 */
export function leanTape<R>(f: () => R): R {
  const { activeTape: tape, gradientDepth } = tapeState();
  if (!tape || gradientDepth !== 1) return f();
  // The gradients of a node's inputs are computed, and added to those that other nodes gave, after `gradient` has returned:
  // what was read goes when the next node begins.
  let freeLast = () => {};
  const given = new Set<number>();
  const { push } = tape;
  tape.push = (...nodes: TapeNode[]) => {
    for (const node of nodes) {
      if (shapeOnly.has(node.kernelName)) tf.dispose(node.saved);
      const { gradient, inputs, outputs, saved } = node;
      if (!gradient) continue;
      node.gradient = function (this: TapeNode, dys) {
        if (tapeState().gradientDepth > 0) return gradient.call(this, dys);
        freeLast();
        // The gradient of the end itself is the caller's: no node gave it.
        const read = [...saved, ...dys.flatMap((dy, i) => (dy && given.has(outputs[i]!.id) ? [dy] : []))];
        const own = owner();
        const gradients = Object.entries(gradient.call(this, dys));
        const unread = new Map(isEager(node) ? gradients : []);
        const added: tf.Tensor[] = [];
        freeLast = () => tf.dispose([...[...unread.values()].flatMap((of) => own.made(of())), ...read, ...added]);
        const noting = (name: string, of: () => tf.Tensor) => {
          unread.delete(name);
          const dx = own.take(of());
          const { id } = inputs[name]!;
          if (given.has(id)) added.push(dx);
          given.add(id);
          return dx;
        };
        return Object.fromEntries(gradients.map(([name, of]) => [name, () => noting(name, of)]));
      };
    }
    return push.apply(tape, nodes);
  };
  try {
    return f();
  } finally {
    delete (tape as { push?: unknown }).push;
  }
}

/** Whether the gradients of all inputs are there once `gradient` has returned, asked for or not: `tf.customGrad`. */
const isEager = ({ kernelName }: TapeNode): boolean => !tf.getGradient(kernelName);

/**
 * Gives every gradient a tensor of its own, to be freed on its own: an operation may return one tensor for two inputs,
 * the gradient it was given, or anything else that was there before.
 */
function owner() {
  const since = (tf.engine() as unknown as { nextTensorId(): number }).nextTensorId(); // ids grow with every tensor
  const taken = new Set<tf.Tensor>();
  /** `x`, if it was made since and is nobody's. */
  const made = (x: tf.Tensor): tf.Tensor[] => (x.id < since || taken.has(x) ? [] : [x]);
  const take = (x: tf.Tensor): tf.Tensor => {
    if (!made(x).length) return tf.clone(x); // of the same memory
    taken.add(x);
    return x;
  };
  return { made, take };
}
