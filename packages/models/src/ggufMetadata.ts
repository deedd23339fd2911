// Typed reading of GGUF metadata: each value is checked where it is taken.
import type { GgufMetadata, GgufNumbers, GgufValue } from '@soft-tokens/tensor';
import { show } from './files.js';

/** Reads values of one file; every method gives `undefined` for an absent key and throws for one of another type. */
export interface MetadataReader {
  text(key: string): string | undefined;
  flag(key: string): boolean | undefined;
  number(key: string): number | undefined;
  /** A whole number > 0. */
  count(key: string): number | undefined;
  /** A whole number from 0 to `below` - 1. */
  index(key: string, below: number): number | undefined;
  texts(key: string): readonly string[] | undefined;
  /** Numbers, `length` of them. */
  numbers(key: string, length: number): GgufNumbers | undefined;
}

/** A reader whose errors name `where`, the file. */
export function metadataReader(metadata: GgufMetadata, where: string): MetadataReader {
  const wrong = (key: string, expected: string, value: GgufValue): never => {
    throw new Error(`${where}: ${key}: expected ${expected}, got ${shown(value)}`);
  };
  return {
    text(key) {
      const value = metadata.get(key);
      if (value === undefined || value.type === 'string') return value?.value;
      return wrong(key, 'a string', value);
    },
    flag(key) {
      const value = metadata.get(key);
      if (value === undefined || value.type === 'bool') return value?.value;
      return wrong(key, 'true or false', value);
    },
    number(key) {
      const value = metadata.get(key);
      if (value === undefined || (typeof value.value === 'number' && Number.isFinite(value.value)))
        return value?.value as number | undefined;
      return wrong(key, 'a number', value);
    },
    count(key) {
      const value = metadata.get(key);
      if (value === undefined) return undefined;
      const { value: count } = value;
      if (typeof count === 'number' && Number.isInteger(count) && count > 0) return count;
      return wrong(key, 'a whole number > 0', value);
    },
    index(key, below) {
      const value = metadata.get(key);
      if (value === undefined) return undefined;
      const { value: id } = value;
      if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < below) return id;
      return wrong(key, `a whole number from 0 to ${below - 1}`, value);
    },
    texts(key) {
      const value = metadata.get(key);
      if (value === undefined) return undefined;
      if (value.type === 'array' && value.of === 'string') return value.value as readonly string[];
      return wrong(key, 'an array of strings', value);
    },
    numbers(key, length) {
      const value = metadata.get(key);
      if (value === undefined) return undefined;
      const numeric = value.type === 'array' && value.of !== 'string' && value.of !== 'bool';
      if (numeric && value.value.length === length) return value.value as GgufNumbers;
      return wrong(key, `${length} numbers, one a token`, value);
    },
  };
}

/** A value of a file for a message. */
export const shown = (value: GgufValue): string =>
  value.type === 'array' ? `an array of ${value.value.length} ${value.of}` : show(value.value);
