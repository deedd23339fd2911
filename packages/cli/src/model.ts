// Models that are named on the command line: found, and checked.
import { basename } from 'node:path';
import { baseDirectory, loadTokenizer, modelParameters, resolveModel } from '@soft-tokens/models';
import { messageOf, usageError } from './errors.js';

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

/**
 * Whether a model can be one, told by its small files and headers, or by those of the model that an adapter belongs to.
 * Its parameters' shapes.
 *
 * @throws Error naming the file that is missing or wrong.
 */
export async function checkModel(path: string): Promise<ReadonlyMap<string, readonly number[]>> {
  const base = await baseDirectory(path);
  const shapes = await modelParameters(base);
  await loadTokenizer(base);
  return shapes;
}

/**
 * What a model is called: the last part of its path, or of its name on the hub.
 *
 * @example modelName('/models/SmolLM2-135M.Q8_0.gguf'); // 'SmolLM2-135M.Q8_0'
 */
export function modelName(path: string): string {
  const hub = /models--.+?--([^/\\]+)[/\\]snapshots[/\\][^/\\]+([/\\]|$)/.exec(path);
  return hub && !path.endsWith('.gguf') ? hub[1]! : basename(path).replace(/\.gguf$/, '');
}
