import { readFile, stat } from 'node:fs/promises';
import { jsonDepth } from '@soft-tokens/tensor';

/** Bytes of a text file of a model directory: the largest tokenizers are a third of it. */
const MOST_BYTES = 100_000_000;
/** Brackets in brackets in a JSON file. */
const MOST_DEPTH = 100;

/** The text of a file, `undefined` where there is none. */
export async function readTextIfPresent(file: string): Promise<string | undefined> {
  const bytes = await readIfPresent(file);
  return bytes?.toString('utf8');
}

/** The object in a JSON file; with `optional`, `undefined` where there is none. Errors name the file. */
export async function readJson(file: string): Promise<Record<string, unknown>>;
export async function readJson(file: string, options: { optional: true }): Promise<Record<string, unknown> | undefined>;
export async function readJson(file: string, { optional = false } = {}): Promise<Record<string, unknown> | undefined> {
  const bytes = await readIfPresent(file);
  if (bytes === undefined) {
    if (optional) return undefined;
    throw new Error(`${file}: expected a file, got none; is the directory a Hugging Face model directory?`);
  }
  if (jsonDepth(bytes) > MOST_DEPTH) {
    throw new Error(`${file}: expected brackets at most ${MOST_DEPTH} deep, got deeper ones; is the file damaged?`);
  }
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new Error(`${file}: expected JSON, got text that does not parse: ${(error as Error).message}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error(`${file}: expected a JSON object, got ${Array.isArray(value) ? 'a list' : JSON.stringify(value)}`);
  }
  return value as Record<string, unknown>;
}

async function readIfPresent(file: string): Promise<Buffer | undefined> {
  try {
    const stats = await stat(file);
    if (!stats.isFile()) throw new Error(`${file}: expected a file, got something else, such as a directory`);
    if (stats.size > MOST_BYTES) {
      throw new Error(`${file}: expected at most ${MOST_BYTES} bytes, got ${stats.size}; is the file damaged?`);
    }
    return await readFile(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Whether a path is that of a GGUF file, by its name. */
export const isGgufName = (path: string): boolean => /\.gguf$/i.test(path);
