// Where a command writes a model.
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { Option } from '@commander-js/extra-typings';
import { display, isGgufPath } from '../config/paths.js';
import { usageError } from '../errors.js';

export const overwriteOption = () => new Option('--overwrite', 'replace what is there');

/**
 * The full path that `--out` names, for a model directory or a GGUF file.
 *
 * @throws CliError (exit code 2) for one that is there, unless it is a model of that kind to overwrite, and for a name
 * that a model of that kind is not called by: what ends in .gguf is taken for a file.
 */
export function outPath(text: string, { kind, overwrite }: { kind: 'directory' | 'gguf'; overwrite: boolean }): string {
  const out = resolve(text);
  const wrong = (expected: string, why = '') => usageError(`--out: expected ${expected}, got ${display(out)}${why}`);
  const directory = kind === 'directory';
  if (directory && isGgufPath(out))
    throw wrong('a directory', ', a name for a file; export --format gguf writes those');
  if (!directory && !isGgufPath(out)) throw wrong('a file with the ending .gguf');
  const there = statSync(out, { throwIfNoEntry: false });
  if (!there) return out;
  if (!overwrite) throw wrong('a new path', ', which is there; --overwrite replaces it');
  if (there.isDirectory() !== directory) throw wrong(`a ${directory ? 'directory' : 'file'}`, ', which is none');
  return out;
}
