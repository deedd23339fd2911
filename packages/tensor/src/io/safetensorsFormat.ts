// What the reader and the writer of safetensors files share: the format's types and limits, and how errors read.
import { jsonDepth, show } from './reading.js';

/** Where each stored type lands: floats in a Float32Array, integers and booleans in an Int32Array. */
export const dtypes = {
  F32: { bytes: 4, kind: 'float' },
  F16: { bytes: 2, kind: 'float' },
  BF16: { bytes: 2, kind: 'float' },
  I64: { bytes: 8, kind: 'integer' },
  I32: { bytes: 4, kind: 'integer' },
  U8: { bytes: 1, kind: 'integer' },
  BOOL: { bytes: 1, kind: 'integer' },
} as const;

export type Dtype = keyof typeof dtypes;

/** Bytes of a header or index: the Rust reader takes 100 MB, which become thirty times that; dense models have below 1. */
export const MAX_HEADER = 25_000_000;
/** What errors begin with. */
export const READER = 'readSafetensors';
export const METADATA = '__metadata__';
/** How deep the brackets of a header or an index go, with room to spare. */
const MAX_DEPTH = 16;
export const CHUNK = 1 << 22; // bytes; a multiple of every element's

/** The JSON object of a header or index; of a file where a key comes twice, the readers of others may keep either. */
export function parseObject(file: string, bytes: Uint8Array): Record<string, unknown> {
  let text: string;
  let value: unknown;
  if (jsonDepth(bytes) > MAX_DEPTH) throw invalid(file, undefined, `brackets at most ${MAX_DEPTH} deep`, 'deeper ones');
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    value = JSON.parse(text);
  } catch (error) {
    throw invalid(file, undefined, 'JSON in UTF-8', show((error as Error).message));
  }
  if (!isObject(value)) throw invalid(file, undefined, 'a JSON object', show(value));
  const twice = findDuplicateKey(text);
  if (twice !== undefined) throw invalid(file, twice, 'the key once', 'it twice');
  return value;
}

/** The first key that an object of the valid JSON `text` has twice: JSON.parse keeps the last and says nothing. */
function findDuplicateKey(text: string): string | undefined {
  const open: Set<string>[] = [];
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    // An array holds no keys; its set only keeps the brackets paired.
    if (character === '{' || character === '[') open.push(new Set());
    else if (character === '}' || character === ']') open.pop();
    else if (character === '"') {
      const start = i;
      for (i++; text[i] !== '"'; i++) if (text[i] === '\\') i++;
      let next = i + 1;
      while (' \t\r\n'.includes(text[next] ?? '.')) next++;
      if (text[next] !== ':') continue;
      const key: string = JSON.parse(text.slice(start, i + 1));
      const keys = open.at(-1)!;
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return undefined;
}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const isCounts = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);

/** The number of elements; an unsafe product stays one, and equals no length. */
export const sizeOf = (shape: readonly number[]) =>
  shape.includes(0) ? 0 : shape.reduce((product, dimension) => product * dimension, 1);

export function invalid(file: string, tensor: string | undefined, expected: string, got: string): Error {
  const place = tensor === undefined ? file : `${file}: tensor ${show(tensor)}`;
  return new Error(`${READER}: ${place}: expected ${expected}, got ${got}; fetch or write the file again`);
}
