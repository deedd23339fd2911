import { dirname, isAbsolute, relative, resolve } from 'node:path';
import type { ConfigDocument } from './document.js';

/** A path as a reader knows it: relative to the working directory where that is shorter. */
export function display(path: string): string {
  const short = relative(process.cwd(), path);
  return short === '' ? '.' : short.length < path.length ? short : path;
}

/**
 * The full path of a file that a configuration names: relative to the file that says it, to the working directory where a
 * flag does.
 */
export function resolveFrom(document: ConfigDocument, key: readonly PropertyKey[], path: string): string {
  const file = document.fileOf(key);
  return isAbsolute(path) || file === undefined ? resolve(path) : resolve(dirname(file), path);
}

/** Whether a path is that of a GGUF file, by its name: what commands take such a path for. */
export const isGgufPath = (path: string): boolean => /\.gguf$/i.test(path);
