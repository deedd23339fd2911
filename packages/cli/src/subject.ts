// Model directories that are named on the command line: checked, and loaded.

import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { architectureOf, loadModelDirectory, loadTokenizer, type Tokenizer } from '@soft-tokens/models';
import { display } from './config/paths.js';
import { CliError, messageOf, usageError } from './errors.js';
import type { Subject } from './training.js';

/** Throws CliError (exit code 2) when what was named on the command line is no model directory. */
export function requireModelDirectory(directory: string): void {
  if (existsSync(join(directory, 'config.json'))) return;
  throw usageError(
    `${display(directory)}: expected a Hugging Face model directory with config.json, got ${existsSync(directory) ? 'one without' : 'no such directory'}`,
  );
}

/** Loads a model directory named on the command line. Throws CliError (exit code 2) when it is none. */
export async function openSubject(directory: string): Promise<Subject> {
  requireModelDirectory(directory);
  return loadModelDirectory(directory);
}

/**
 * Whether a model directory can be one, told by its small files alone, and its tokenizer.
 *
 * @throws CliError or Error naming the file that is missing or wrong.
 */
export async function checkModelDirectory(directory: string): Promise<Tokenizer> {
  const file = join(directory, 'config.json');
  let config: Record<string, unknown>;
  try {
    config = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  } catch (error) {
    throw new CliError(`${display(file)}: expected a JSON object, got ${messageOf(error)}`, 1, { cause: error });
  }
  architectureOf(config, file).parseConfig(config, file);
  const names = await readdir(directory);
  if (!names.some((name) => name.endsWith('.safetensors'))) {
    throw new CliError(`${display(directory)}: expected weights as .safetensors, got none`);
  }
  return loadTokenizer(directory);
}
