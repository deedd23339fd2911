// Files of model directories, in and out.
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { jsonDepth, syncDirectory, writeFileAtomic } from '@soft-tokens/tensor';

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
    throw new Error(`${file}: expected a JSON object, got ${Array.isArray(value) ? 'a list' : show(value)}`);
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

/** Writes a JSON file, laid out for people, at once and whole. */
export const writeJson = (file: string, value: unknown): Promise<void> =>
  writeFileAtomic(file, `${JSON.stringify(value, null, 2)}\n`);

/**
 * Makes a directory, whole or not at all: `fill` writes into an empty one beside it, which is then renamed into place.
 * What is there already is replaced; between two renames it lies beside as `.<name>.old-...`.
 */
export async function writeDirectory(directory: string, fill: (empty: string) => Promise<void>): Promise<void> {
  const target = resolve(directory);
  const beside = (kind: string) => join(dirname(target), `.${basename(target)}.${kind}-${randomUUID().slice(0, 8)}`);
  const [fresh, old] = [beside('new'), beside('old')];
  await mkdir(fresh, { recursive: true });
  try {
    await fill(fresh);
    const replaces = await movedAside(target, old);
    await rename(fresh, target).catch(async (error) => {
      if (replaces) await rename(old, target);
      throw error;
    });
    await syncDirectory(dirname(target));
    if (replaces) await rm(old, { recursive: true });
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    throw error;
  }
}

/** Renames what is at a path; whether there was anything. */
async function movedAside(path: string, to: string): Promise<boolean> {
  try {
    await rename(path, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** A value from a file as one short line, for a message. */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** Whether a path is that of a GGUF file, by its name. */
export const isGgufName = (path: string): boolean => /\.gguf$/i.test(path);
