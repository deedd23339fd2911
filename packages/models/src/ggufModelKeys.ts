// The keys of a GGUF file that say what its model computes: each must be known, so that none goes unseen.
import type { GgufMetadata, GgufValue } from '@soft-tokens/tensor';
import { type MetadataReader, metadataReader, shown } from './ggufMetadata.js';

const ARCHITECTURE = 'general.architecture';

/** Reads the keys of a file's architecture, named without it: `block_count` for `llama.block_count`. */
export interface ModelKeys extends Pick<MetadataReader, 'text' | 'flag' | 'number' | 'count'> {
  /** `general.architecture`. */
  readonly architecture: string;
  /** Names the file in errors. */
  readonly where: string;
  /** What a key must have. Throws for `undefined`. */
  required<T>(key: string, value: T | undefined): T;
  /** Throws for a key that may only say one thing, and says another. */
  only(key: string, expected: number | string): void;
  /** Takes note of keys that no number of the forward pass depends on. */
  ignore(...keys: readonly string[]): void;
  /** Throws for the first key that nobody asked for: it may change the mathematics unseen. */
  requireAllAsked(): void;
}

/** @throws Error naming the file for metadata without an architecture; from the methods, naming file and key. */
export function modelKeys(metadata: GgufMetadata, where: string): ModelKeys {
  const read = metadataReader(metadata, where);
  const name = read.text(ARCHITECTURE);
  if (!name) throw new Error(`${where}: ${ARCHITECTURE}: expected a name, got none; is it a model?`);
  const asked = new Set<string>();
  const full = (key: string) => {
    asked.add(`${name}.${key}`);
    return `${name}.${key}`;
  };
  const unsupported = (key: string, expected: string, value: GgufValue) =>
    new Error(`${where}: ${key}: expected ${expected}, got ${shown(value)}; this model is not supported`);
  return {
    architecture: name,
    where,
    text: (key) => read.text(full(key)),
    flag: (key) => read.flag(full(key)),
    number: (key) => read.number(full(key)),
    count: (key) => read.count(full(key)),
    required(key, value) {
      if (value !== undefined) return value;
      throw new Error(`${where}: ${full(key)}: expected a value, got none; is the file whole?`);
    },
    only(key, expected) {
      const entry = metadata.get(full(key));
      if (entry === undefined || entry.value === expected) return;
      throw unsupported(full(key), `${expected} or no such key`, entry);
    },
    ignore: (...keys) => keys.forEach(full),
    requireAllAsked() {
      for (const [key, entry] of metadata) {
        if (!key.startsWith(`${name}.`) || asked.has(key)) continue;
        throw unsupported(key, 'no key that may change the mathematics unseen', entry);
      }
    },
  };
}

/** The shortest decimal number that is the same float32: 1e-5, where a file gives 0.000009999999747378752. */
export function shortestFloat32(value: number): number {
  for (let digits = 1; digits <= 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === Math.fround(value)) return short;
  }
  return value;
}
