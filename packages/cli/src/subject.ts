// Models that are named on the command line: found, checked, and loaded.
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { architectureOf, baseDirectory, loadModelDirectory, loadTokenizer, resolveModel } from '@soft-tokens/models';
import { display } from './config/paths.js';
import { CliError, messageOf, usageError } from './errors.js';
import type { Subject } from './training.js';

/** What a command says of its model. */
export const modelHelp = 'directory, .gguf file, or ORG/NAME (see pull)';

/** The path of a model named on the command line. Throws CliError (exit code 2) when there is none. */
export async function modelPath(name: string): Promise<string> {
  try {
    return await resolveModel(name);
  } catch (error) {
    throw usageError(messageOf(error), { cause: error });
  }
}

/** Loads a model named on the command line, and says where it is. Throws CliError (exit code 2) when there is none. */
export async function openSubject(name: string): Promise<Subject & { path: string }> {
  const path = await modelPath(name);
  return { ...(await loadModelDirectory(path)), path };
}

/**
/**
 * Whether a model can be one, told by the small files of its directory alone. Of an adapter: whether the model can be one
 * that it belongs to.
 *
 * @throws CliError or Error naming the file that is missing or wrong.
 */
export async function checkModelDirectory(path: string): Promise<void> {
  const directory = await baseDirectory(path);
  if ((await stat(directory)).isFile()) return; // a GGUF file says what it holds as it is loaded
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
  await loadTokenizer(directory);
}
