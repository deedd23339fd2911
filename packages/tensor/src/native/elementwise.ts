// Elementwise kernels of tfjs over float32; other types are left to tfjs. A comparison gives bytes.
import * as tf from '@tensorflow/tfjs-core';
import type { Run } from './backend.js';

/** A run of axes of the output along which an operand has values of its own, or repeats. */
interface AxisRun {
  size: number;
  /** For a and b. */
  own: [boolean, boolean];
}

/** How native/ops/elementwise.h reads an operand of the output `[outer, inner]`. */
const [FULL, ROW, COLUMN, SCALAR] = [0, 1, 2, 3];

export const elementwiseKernels: Record<string, Run> = {
  Add: binary('add'),
  Sub: binary('subtract'),
  Multiply: binary('multiplyElements'),
  RealDiv: binary('divide'),
  Minimum: binary('minimum'),
  LessEqual: binary('lessEqual', 'bool'),
  Neg: unary('negate'),
  Square: unary('square'),
  Exp: unary('exponential'),
  Sigmoid: unary('sigmoid'),
  Sqrt: unary('squareRoot'),
  Rsqrt: unary('reciprocalSquareRoot'),
  Cast({ inputs, attrs, backend, kernels, fallback }) {
    const x = inputs.x!;
    // To a wider type tfjs changes the type alone.
    if (x.dtype !== 'float32' || attrs.dtype !== 'int32') return fallback();
    const y = backend.output(x.shape, 'int32');
    const values = backend.values(x);
    kernels.floatToInteger!([values, backend.values(y)], [values.length]);
    return y;
  },
};

function unary(name: string): Run {
  return ({ inputs, backend, kernels, fallback }) => {
    const x = inputs.x!;
    if (x.dtype !== 'float32') return fallback();
    const y = backend.output(x.shape);
    const values = backend.values(x);
    kernels[name]!([values, backend.values(y)], [values.length]);
    return y;
  };
}

function binary(name: string, dtype: 'float32' | 'bool' = 'float32'): Run {
  return ({ inputs, backend, kernels, fallback }) => {
    const { a, b } = inputs as { a: tf.TensorInfo; b: tf.TensorInfo };
    if (a.dtype !== 'float32' || b.dtype !== 'float32') return fallback();
    const shape = tf.broadcast_util.assertAndGetBroadcastShape(a.shape, b.shape);
    const size = tf.util.sizeFromShape(shape);
    if (size === 0) return fallback();
    const y = dtype === 'bool' ? backend.makeTensorInfo(shape, dtype, new Uint8Array(size)) : backend.output(shape);
    const values = [backend.values(a), backend.values(b), backend.values(y)] as const;
    const runs = axisRuns(a.shape, b.shape, shape);
    const inner = runs.pop() ?? { size: 1, own: [true, true] };
    const outer = runs.pop() ?? { size: 1, own: inner.own };
    const numbers = [outer.size, inner.size, mode(outer.own[0], inner.own[0]), mode(outer.own[1], inner.own[1])];
    if (runs.length === 0) {
      kernels[name]!([...values], numbers);
      return y;
    }
    // Axes before these two: a call for each of their indices.
    const blockOf = (operand: 0 | 1) => (outer.own[operand] ? outer.size : 1) * (inner.own[operand] ? inner.size : 1);
    const blocks = [blockOf(0), blockOf(1), outer.size * inner.size];
    forEachBlock(runs, ([inA, inB], index) => {
      const starts = [inA, inB, index];
      kernels[name]!(
        values.map((array, i) => array.subarray(starts[i]! * blocks[i]!, (starts[i]! + 1) * blocks[i]!)),
        numbers,
      );
    });
    return y;
  };
}

function mode(ownOuter: boolean, ownInner: boolean): number {
  if (ownOuter) return ownInner ? FULL! : COLUMN!;
  return ownInner ? ROW! : SCALAR!;
}

/** The axes of the output, those of size 1 left out, and neighbours in which a and b behave alike made one. */
function axisRuns(a: number[], b: number[], shape: number[]): AxisRun[] {
  const runs: AxisRun[] = [];
  shape.forEach((size, axis) => {
    if (size === 1) return;
    const owns = (operand: number[]) => (operand[axis - shape.length + operand.length] ?? 1) !== 1;
    const own: AxisRun['own'] = [owns(a), owns(b)];
    const last = runs.at(-1);
    if (last && last.own[0] === own[0] && last.own[1] === own[1]) last.size *= size;
    else runs.push({ size, own });
  });
  return runs;
}

/** Calls `visit` with each index into the runs in order, and with the index of the operands' block there. */
function forEachBlock(runs: AxisRun[], visit: (operands: [number, number], index: number) => void): void {
  const count = runs.reduce((product, { size }) => product * size, 1);
  for (let index = 0; index < count; index++) {
    const operands: [number, number] = [0, 0];
    const steps = [1, 1];
    let rest = index;
    for (const { size, own } of runs.toReversed()) {
      const at = rest % size;
      rest = Math.floor(rest / size);
      for (const i of [0, 1] as const) {
        if (!own[i]) continue;
        operands[i] += at * steps[i]!;
        steps[i]! *= size;
      }
    }
    visit(operands, index);
  }
}
