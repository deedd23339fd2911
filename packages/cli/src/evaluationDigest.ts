// What an evaluation depends on, as a short name: evaluations of one name are the same evaluation.
import { createHash } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { Split } from '@soft-tokens/datasets';
import { baseDirectory } from '@soft-tokens/models';
import type { ThoughtFormat } from '@soft-tokens/samplers';
import { currentEngine } from '@soft-tokens/tensor';
import type { Caps, ChoicesConfig, DataConfig, NoiseConfig, PromptKind } from './config/recipe.js';
import { versions } from './versions.js';

/** All that decides what comes of an evaluation, but for the setting. */
export interface EvaluationIdentity {
  /** The model's directory or file. */
  model: string;
  data: DataConfig;
  split: Split;
  prompt: PromptKind;
  format?: ThoughtFormat | undefined;
  /** The first so many questions. */
  limit: number | undefined;
  samples: number;
  caps: Caps;
  noise: NoiseConfig;
  seed: number;
}

/** The same of a score on questions with choices. */
export interface ChoicesIdentity {
  model: string;
  data: ChoicesConfig;
  prompt: PromptKind;
  /** The set's name, which the result holds. */
  set: string;
  /** The first so many questions, where fewer are asked for than the recipe says. */
  limit?: number | undefined;
}

/**
 * A name of 16 hexadecimal digits for an evaluation: a SHA-256 of all that it depends on, the engine in use and our
 * versions included. Files count by their name, size and time of change. Which k are reported is not among it: that
 * draws nothing.
 */
export async function evaluationDigest(identity: EvaluationIdentity | ChoicesIdentity): Promise<string> {
  const { data } = identity;
  const model = resolve(identity.model);
  const base = await baseDirectory(model); // of an adapter, the model that it is on
  const paths = data.kind === 'arithmetic' ? [] : ['train' in data ? data.train : undefined, data.test];
  const read = paths.filter((path) => path !== undefined);
  const files = await Promise.all([...new Set([model, base]), ...read].map(stamps));
  const text = JSON.stringify([{ ...identity, model }, files, currentEngine()?.name, versions()], sortedKeys);
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** Name, size and time of change of a file, or of all files in a directory. */
async function stamps(path: string): Promise<unknown[]> {
  const found = await stat(path);
  if (!found.isDirectory()) return [basename(path), found.size, found.mtimeMs];
  const names = (await readdir(path)).sort();
  return Promise.all(names.map((name) => stamps(join(path, name))));
}

/** For JSON.stringify: the same text for the same values, in whatever order their keys were given. */
function sortedKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
