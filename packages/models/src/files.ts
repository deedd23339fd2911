import { readFile } from 'node:fs/promises';

/** The text of a file, `undefined` where there is none. */
export async function readTextIfPresent(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The object in a JSON file; with `optional`, `undefined` where there is none. Errors name the file. */
export async function readJson(file: string): Promise<Record<string, unknown>>;
export async function readJson(file: string, options: { optional: true }): Promise<Record<string, unknown> | undefined>;
export async function readJson(file: string, { optional = false } = {}): Promise<Record<string, unknown> | undefined> {
  const text = await readTextIfPresent(file);
  if (text === undefined) {
    if (optional) return undefined;
    throw new Error(`${file}: expected a file, got none; is the directory a Hugging Face model directory?`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`${file}: expected JSON, got text that does not parse: ${(error as Error).message}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error(`${file}: expected a JSON object, got ${Array.isArray(value) ? 'a list' : JSON.stringify(value)}`);
  }
  return value as Record<string, unknown>;
}
