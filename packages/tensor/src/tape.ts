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
  /** Gradients of the inputs from those of the outputs, `null` for an output that nothing depends on. */
  gradient?: (dys: (tf.Tensor | null)[]) => Record<string, () => tf.Tensor>;
}

/** Where tfjs stands in recording: tfjs-core/src/engine.ts, tfjs 4.22. */
export interface TapeState {
  /** What is recorded or, in a backward pass, was; `null` where no gradient is being taken. */
  activeTape: TapeNode[] | null;
  /** Forward passes of gradients that are running, one within another; 0 in a backward pass. */
  gradientDepth: number;
  nextTapeNodeId: number;
}

export const tapeState = (): TapeState => tf.engine().state as unknown as TapeState;

/** Operations of whose saved tensors the gradient reads nothing but the shape. */
const shapeOnly = new Set(['Add', 'Sub', 'Reshape', 'ExpandDims', 'Concat', 'Slice', 'PadV2', 'Sum']);

/**
 * Runs the forward pass `f` of a gradient so that its backward pass frees memory as it goes. tfjs by itself keeps every
 * activation, and the gradient of every activation, until the backward pass has ended; with this an activation goes with
 * the last operation that reads it, and its gradient once it is propagated. That halves the memory of a training step.
 *
 * Inside the function whose gradient is taken; does nothing where no gradient is, or one of a gradient.
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
      const { gradient, inputs, saved } = node;
      if (!gradient) continue;
      node.gradient = (dys) => {
        freeLast();
        const passedOn = new Set<tf.Tensor>();
        const added: tf.Tensor[] = [];
        freeLast = () =>
          tf.dispose([...saved, ...added, ...dys.filter((dy) => dy !== null).filter((dy) => !passedOn.has(dy))]);
        const noting = (dx: tf.Tensor, { id }: tf.Tensor) => {
          if (given.has(id)) added.push(dx);
          else passedOn.add(dx);
          given.add(id);
          return dx;
        };
        return Object.fromEntries(
          Object.entries(gradient(dys)).map(([name, of]) => [name, () => noting(of(), inputs[name]!)]),
        );
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
