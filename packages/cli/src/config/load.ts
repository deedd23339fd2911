// A recipe file and flags to a checked configuration with full paths.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { baseDirectory, cachedData, isDataName, resolveModel } from '@soft-tokens/models';
import { z } from 'zod';
import { messageOf, usageError } from '../errors.js';
import { type ConfigDocument, checkDocument, readDocument } from './document.js';
import { display, isGgufPath, resolveFrom } from './paths.js';
import {
  type ChoicesConfig,
  type DataConfig,
  type EvalConfig,
  type EvaluationConfig,
  evalSchema,
  type SftConfig,
  sftSchema,
  type TrainConfig,
  trainSchema,
} from './recipe.js';
import type { Setting } from './set.js';

/** The recipe of `soft-tokens train`. Throws CliError (exit code 2) for whatever is wrong with it. */
export async function loadTrainRecipe(file: string, settings: readonly Setting[]): Promise<TrainConfig> {
  const document = await readDocument(file, settings);
  const config = checkDocument(document, trainSchema);
  config.model = await modelPath(document, ['model'], config.model);
  if (config.optimizer.warmup >= config.steps) {
    throw usageError(
      `${document.placeOf(['optimizer', 'warmup'])}: optimizer.warmup: expected fewer than the ${config.steps} steps, ` +
        `got ${config.optimizer.warmup}; set optimizer.warmup`,
    );
  }
  if (config.lora && config.frozen.length > 0) {
    throw usageError(
      `${document.placeOf(['frozen'])}: frozen: expected none beside lora, which trains nothing but the adapters, got ` +
        `${config.frozen.join(', ')}; leave one out`,
    );
  }
  if (config.kl && config.noise.placement === 'topk' && config.modes.some((mode) => mode !== 'hard')) {
    throw usageError(
      `${document.placeOf(['kl'])}: kl: expected none with noise on the largest logits, which are not the same in two ` +
        'models; choose another noise.placement, or leave kl out',
    );
  }
  const { learningRate } = config.optimizer;
  const missing = config.modes.find((mode) => typeof learningRate === 'object' && learningRate[mode] === undefined);
  if (missing) {
    const where = document.placeOf(['optimizer', 'learningRate']);
    throw usageError(`${where}: optimizer.learningRate: expected a rate for ${missing}, got none`);
  }
  checkK(document, config.evaluate);
  return { ...config, ...(await evaluatedPaths(document, config)), data: await dataPaths(document, config.data) };
}

/** A configuration from before a key existed, with the key's default; undefined where it is none of `train`. */
export function completeTrainConfig(stored: unknown): TrainConfig | undefined {
  return trainSchema.safeParse(stored).data;
}

/** The recipe of `soft-tokens sft`. Throws CliError (exit code 2) for whatever is wrong with it. */
export async function loadSftRecipe(file: string, settings: readonly Setting[]): Promise<SftConfig> {
  const document = await readDocument(file, settings);
  const config = checkDocument(document, sftSchema);
  if (config.model !== undefined) config.model = await modelPath(document, ['model'], config.model);
  if (config.init) config.init.tokenizer = await tokenizerPath(document, ['init', 'tokenizer'], config.init.tokenizer);
  config.out = resolveFrom(document, ['out'], config.out);
  if (isGgufPath(config.out)) {
    throw usageError(
      `${document.placeOf(['out'])}: out: expected a directory, got ${display(config.out)}; soft-tokens export writes ` +
        'GGUF files',
    );
  }
  if (config.optimizer.warmup >= config.steps) {
    const where = document.placeOf(['optimizer', 'warmup']);
    throw usageError(
      `${where}: optimizer.warmup: expected fewer than the ${config.steps} steps, got ${config.optimizer.warmup}`,
    );
  }
  return { ...config, data: await dataPaths(document, config.data) };
}

/** What `soft-tokens eval` needs, from a recipe of any command or from flags alone. Throws as the others do. */
export async function loadEvalRecipe(file: string | undefined, settings: readonly Setting[]): Promise<EvalConfig> {
  const document = await readDocument(file, settings);
  // Keys of other commands are no mistake here; keys of none are.
  const others = z.strictObject({ ...trainSchema.shape, ...sftSchema.shape }).shape;
  const value = Object.fromEntries(
    Object.entries(document.value as Record<string, unknown>).filter(
      ([key]) => key in evalSchema.shape || !(key in others) || document.isFlag([key]),
    ),
  );
  const config = checkDocument({ ...document, value }, evalSchema);
  checkK(document, config.evaluate);
  return { ...config, ...(await evaluatedPaths(document, config)), data: await dataPaths(document, config.data) };
}

/** pass@k is of k among the samples. */
function checkK(document: ConfigDocument, { samples, k }: Partial<EvaluationConfig> = {}): void {
  const tooLarge = k?.find((each) => each > samples!);
  if (tooLarge === undefined) return;
  throw usageError(
    `${document.placeOf(['evaluate', 'k'])}: evaluate.k: expected at most the ${samples} samples, got ${tooLarge}; ` +
      'set evaluate.k or evaluate.samples',
  );
}

/** The evaluate section with the full paths of its sets' files. */
async function evaluatedPaths<E extends EvaluationConfig | undefined>(
  document: ConfigDocument,
  { evaluate }: { evaluate?: E },
): Promise<{ evaluate?: E }> {
  if (!evaluate) return {};
  const { sets, outOfDomain } = evaluate;
  const resolved = (key: string, found: Record<string, DataConfig | ChoicesConfig>) =>
    mapValues(found, (data, name) => dataPaths(document, data, ['evaluate', key, name]));
  return {
    evaluate: {
      ...evaluate,
      ...(sets && { sets: await resolved('sets', sets) }),
      outOfDomain: await resolved('outOfDomain', outOfDomain),
    },
  };
}

/** A map with each value changed, one after another: of several errors the first is told. */
async function mapValues<V, W>(
  map: Record<string, V>,
  change: (value: V, key: string) => Promise<W>,
): Promise<Record<string, W>> {
  const entries: [string, W][] = [];
  for (const [key, value] of Object.entries(map)) entries.push([key, await change(value, key)]);
  return Object.fromEntries(entries);
}

/** Data with the full paths of its files. */
async function dataPaths<D extends DataConfig | ChoicesConfig>(
  document: ConfigDocument,
  data: D,
  key = ['data'],
): Promise<D> {
  if (data.kind === 'arithmetic') return data;
  const { train, test } = data as { train?: string; test?: string };
  const named = { ...(train !== undefined && { train }), ...(test !== undefined && { test }) };
  return { ...data, ...(await mapValues(named, (path, split) => dataPath(document, [...key, split], path))) };
}

/** The full path of a file that must be there: beside the recipe, or in the hub's cache. */
async function dataPath(document: ConfigDocument, key: string[], path: string): Promise<string> {
  return isDataName(path) ? told(document, key, cachedData(path)) : existing(document, key, path);
}

/** The full path of a model that a recipe names. */
function modelPath(document: ConfigDocument, key: string[], name: string): Promise<string> {
  return told(document, key, resolveModel(name, { from: resolveFrom(document, key, '') }));
}

/** What comes of the value of a key; an error says at which. */
async function told<T>(document: ConfigDocument, key: string[], result: Promise<T>): Promise<T> {
  try {
    return await result;
  } catch (error) {
    throw usageError(`${document.placeOf(key)}: ${key.join('.')}: ${messageOf(error)}`, { cause: error });
  }
}

/** The full path of what a tokenizer is in: a directory that has no more than that, or a model of any kind. */
async function tokenizerPath(document: ConfigDocument, key: string[], name: string): Promise<string> {
  const directory = resolveFrom(document, key, name);
  if (existsSync(join(directory, 'tokenizer.json'))) return directory;
  return baseDirectory(await modelPath(document, key, name));
}

/** The full path of a file that must be there. */
export function existing(document: ConfigDocument, key: string[], path: string): string {
  const full = resolveFrom(document, key, path);
  if (existsSync(full)) return full;
  throw usageError(`${document.placeOf(key)}: ${key.join('.')}: expected a file, got nothing at ${display(full)}`);
}
