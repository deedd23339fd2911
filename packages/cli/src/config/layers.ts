// A recipe and those that it extends, each with where its keys stand.
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { type Document, isMap, isNode, isScalar, LineCounter, parseDocument } from 'yaml';
import { isMissing, usageError } from '../errors.js';
import { display } from './paths.js';

/** One file's own keys. */
export interface Layer {
  readonly file: string;
  readonly value: Readonly<Record<string, unknown>>;
  /** `recipe.yaml:3:7` of a key, or of the nearest one above it. */
  placeOf(path: readonly PropertyKey[]): string;
}

/** The key that names another recipe, relative to the one it stands in, whose keys hold where this one has none. */
const EXTENDS = 'extends';

/**
 * A recipe's file, then the one that it extends, and so on.
 *
 * @throws CliError (exit code 2) for a file that is missing or is no map in YAML, and for one that extends itself.
 */
export async function readLayers(file: string): Promise<Layer[]> {
  const layers: Layer[] = [];
  const seen = new Set<string>();
  let next: string | undefined = resolve(file);
  let named = '';
  while (next !== undefined) {
    if (seen.has(next))
      throw usageError(`${named}expected another recipe, got ${display(next)}, which extends this one`);
    seen.add(next);
    const layer = parseLayer(next, await readText(next, named));
    const { [EXTENDS]: base, ...value } = layer.value;
    layers.push({ ...layer, value });
    named = `${layer.placeOf([EXTENDS])}: ${EXTENDS}: `;
    if (base !== undefined && (typeof base !== 'string' || base === '')) {
      throw usageError(`${named}expected the path of a recipe, got ${JSON.stringify(base)}`);
    }
    next = base === undefined ? undefined : resolve(dirname(next), base);
  }
  return layers;
}

/** Maps merged key by key, at every depth; anything else of `own` takes the place of what `base` has. */
export function merged(base: unknown, own: unknown): unknown {
  if (!isRecord(base) || !isRecord(own)) return own;
  const added = Object.entries(own).map(([key, value]): [string, unknown] => [
    key,
    Object.hasOwn(base, key) ? merged(base[key], value) : value,
  ]);
  return Object.fromEntries([...Object.entries(base), ...added]);
}

/** The layer that the value at a path is of: that which has most of the path, the first of equals. */
export function layerOf(layers: readonly Layer[], path: readonly PropertyKey[]): Layer | undefined {
  const depths = layers.map(({ value }) => depthOf(value, path));
  return layers[depths.indexOf(Math.max(...depths))];
}

/** How many keys of a path there are. */
function depthOf(value: unknown, path: readonly PropertyKey[]): number {
  let at = value;
  for (const [depth, key] of path.entries()) {
    if (at === null || typeof at !== 'object' || !Object.hasOwn(at, key)) return depth;
    at = (at as Record<PropertyKey, unknown>)[key];
  }
  return path.length;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  value !== null && typeof value === 'object' && !Array.isArray(value);

async function readText(file: string, named: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    // Named by another recipe, the key that does so is the place; else the file itself.
    const [where, it] = named === '' ? [`${display(file)}: `, ''] : [named, ` at ${display(file)}`];
    if (isMissing(error)) throw usageError(`${where}expected a recipe, got no such file${it}; see recipes/`);
    throw usageError(`${where}expected a recipe, got ${(error as Error).message}`);
  }
}

function parseLayer(file: string, text: string): Layer {
  const shown = display(file);
  const lineCounter = new LineCounter();
  const document = parseDocument(text, { lineCounter, uniqueKeys: true });
  const error = document.errors[0];
  if (error) {
    const at = error.linePos?.[0];
    throw usageError(
      `${shown}:${at?.line ?? 1}:${at?.col ?? 1}: ${error.message.split('\n')[0]?.replace(/ at line .*$/, '')}`,
    );
  }
  if (document.contents !== null && !isMap(document.contents)) {
    throw usageError(
      `${shown}:1:1: expected a map of keys to values, got ${isScalar(document.contents) ? 'a scalar' : 'a list'}`,
    );
  }
  return {
    file,
    value: document.toJS() ?? {},
    placeOf(path) {
      const { line, col } = lineCounter.linePos(offsetOf(document, path));
      return `${shown}:${Math.max(1, line)}:${Math.max(1, col)}`;
    },
  };
}

/** The character at which the key at a path stands, or that of the nearest key above it. */
function offsetOf(document: Document, path: readonly PropertyKey[]): number {
  for (let length = path.length; length > 0; length--) {
    const parent = length === 1 ? document.contents : document.getIn(path.slice(0, length - 1), true);
    const key = path[length - 1]!;
    if (isMap(parent)) {
      const pair = parent.items.find((item) => String(isScalar(item.key) ? item.key.value : item.key) === String(key));
      if (pair && isNode(pair.key) && pair.key.range) return pair.key.range[0];
    }
    const node = document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return document.contents?.range?.[0] ?? 0;
}
