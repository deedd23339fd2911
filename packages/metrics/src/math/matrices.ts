import { call, mapParts, size, type Tree, whole } from './tree.js';

type Matrix = Extract<Tree, { kind: 'matrix' }>;

/** Larger matrices are not multiplied, and no result may have more nodes than this: nested products grow fast. */
const sizeLimit = 8;
const nodeLimit = 3000;

const times = (a: Tree, b: Tree): Tree => call('*', a, b);
const isMatrix = (tree: Tree): tree is Matrix => tree.kind === 'matrix';

function product(a: Matrix, b: Matrix): Matrix | undefined {
  const [rows, inner, columns] = [a.rows.length, b.rows.length, b.rows[0]!.length];
  if (a.rows[0]!.length !== inner || Math.max(rows, inner, columns) > sizeLimit) return undefined;
  const entry = (i: number, j: number) => call('+', ...b.rows.map((row, k) => times(a.rows[i]![k]!, row[j]!)));
  return { kind: 'matrix', rows: a.rows.map((_, i) => b.rows[0]!.map((_, j) => entry(i, j))) };
}

function sum(a: Matrix, b: Matrix): Matrix | undefined {
  if (a.rows.length !== b.rows.length || a.rows[0]!.length !== b.rows[0]!.length) return undefined;
  return { kind: 'matrix', rows: a.rows.map((row, i) => row.map((cell, j) => call('+', cell, b.rows[i]![j]!))) };
}

const scaled = (factor: Tree, { rows }: Matrix): Matrix => ({
  kind: 'matrix',
  rows: rows.map((row) => row.map((cell) => times(factor, cell))),
});

/** Leibniz's expansion by the first row. */
function determinant(rows: readonly (readonly Tree[])[]): Tree {
  if (rows.length === 1) return rows[0]![0]!;
  const minor = (column: number) => rows.slice(1).map((row) => row.filter((_, j) => j !== column));
  const term = (cell: Tree, j: number) => times(whole(j % 2 === 0 ? 1 : -1), times(cell, determinant(minor(j))));
  return call('+', ...rows[0]!.map(term));
}

function joined(name: string, a: Tree, b: Tree): Tree | undefined {
  if (isMatrix(a) && isMatrix(b)) return name === '*' ? product(a, b) : sum(a, b);
  if (name !== '*' || isMatrix(a) === isMatrix(b)) return undefined;
  return isMatrix(a) ? scaled(b, a) : scaled(a, b as Matrix);
}

/** The tree with sums, products and small determinants of matrices worked out, entry by entry. */
export function multiplied(tree: Tree): Tree {
  const done = mapParts(tree, multiplied);
  const result = joinedOnce(done);
  return result === done || size(result, nodeLimit) >= nodeLimit ? done : result;
}

function joinedOnce(done: Tree): Tree {
  if (done.kind !== 'call' || !done.items.some(isMatrix)) return done;
  const [first, ...others] = done.items;
  if (done.name === 'neg') return scaled(whole(-1), first as Matrix);
  if (done.name === '/' && isMatrix(first!)) return scaled(call('/', whole(1), others[0]!), first);
  if (done.name === 'det' && isMatrix(first!) && first.rows.length === first.rows[0]!.length) {
    return first.rows.length <= 4 ? determinant(first.rows) : done;
  }
  if (done.name !== '*' && done.name !== '+') return done;
  const small = (made: Tree | undefined) => made && (size(made, nodeLimit) < nodeLimit ? made : undefined);
  return others.reduce<Tree | undefined>((made, next) => made && small(joined(done.name, made, next)), first) ?? done;
}
