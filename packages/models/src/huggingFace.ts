// Models from disk, and Hugging Face model directories out.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  openShardedSafetensors,
  type TensorToWrite,
  writeFileAtomic,
  writeShardedSafetensors,
} from '@soft-tokens/tensor';
import type { Architecture } from './architecture.js';
import { architectureOf } from './architectures.js';
import { type CausalLM, type LoadOptions, loadCausalLM, parameterShapes } from './causalLM.js';
import type { RawConfig } from './config.js';
import { isGgufName, readJson, show, writeDirectory, writeJson } from './files.js';
import { embeddingRmsOfGguf, openGgufCheckpoint } from './gguf.js';
import { isLora, type LoraModel } from './lora.js';
import { embeddingRms } from './noiseScale.js';
import { baseDirectory, isAdapterDirectory, loadAdapter } from './peft.js';
import { loadTokenizer, readTokenizerFiles, type Tokenizer } from './tokenizer.js';
import type { WeightSource } from './weightSource.js';

/** What a model directory holds, loaded. */
export interface ModelDirectory {
  model: CausalLM;
  tokenizer: Tokenizer;
  /**
   * The size of the embeddings that noise is measured in: from soft_tokens.json where the directory has one, so that it
   * stays that of the model training started from; computed from the model otherwise. See `noiseScale`.
   */
  embeddingRms: number;
}

/** The number formats weights can be saved in. */
export type WeightType = 'F32' | 'BF16' | 'F16';

export interface SaveOptions {
  /** The format of the weights; F32, which loses nothing, unless said otherwise. */
  dtype?: WeightType;
  /** Bytes of weights in a file; larger models are split, as transformers reads them. 5 GB unless said otherwise. */
  maxShardSize?: number | undefined;
  /** The model directory whose tokenizer files are copied along, or the GGUF file whose tokenizer is. */
  from?: string;
  /** The frozen noise scale, written to soft_tokens.json. */
  embeddingRms?: number;
}

/** Where the model is that an adapter's directory belongs to; found by `baseDirectory` unless given. */
export interface DirectoryOptions extends LoadOptions {
  base?: string | undefined;
}

export const SOFT_TOKENS = 'soft_tokens.json';

export const companionFiles = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'generation_config.json',
  'chat_template.jinja',
  'vocab.json',
  'merges.txt',
  'tokenizer.model',
];

/** Written by people: they stay when the model beside them is replaced. */
const keepsake = (name: string) => /^(README|LICENSE)(\.\w+)?$/.test(name);

/** What may be replaced as a whole: the files a model directory consists of, and no others. */
const replaceable = (name: string) =>
  name === 'config.json' ||
  name === SOFT_TOKENS ||
  companionFiles.includes(name) ||
  /^model(-\d+-of-\d+)?\.safetensors$/.test(name) ||
  name === 'model.safetensors.index.json' ||
  keepsake(name);

/**
 * The model in a Hugging Face directory, config.json and model.safetensors or its shards, or in a GGUF file.
 * Half-precision weights are widened to float32, quantised ones dequantised. Of an adapter's directory: the model it
 * belongs to, with the adapter on it (a `LoraModel`, of which `dispose` frees both). Call `useEngine` first.
 *
 * - `base`: where the model is that an adapter belongs to; found by `baseDirectory` unless given
 *
 * @throws Error naming the file and the key or tensor for whatever is missing, unexpected or damaged, for a model that is
 * computed differently from what this package does, and for one that is too large for the memory there is.
 * @example const model = await loadModel('Qwen2.5-0.5B');
 */
export async function loadModel(directory: string, { base, ...options }: DirectoryOptions = {}): Promise<CausalLM> {
  if (isAdapterDirectory(directory)) return withAdapter(directory, base ?? (await baseDirectory(directory)), options);
  const { architecture, config, configFile, source } = await openModel(directory);
  return loadCausalLM(architecture, config, source, { configFile, ...options });
}

/**
 * The parameters of the model in a directory or GGUF file, under their checkpoint names, with their shapes: what
 * `loadModel` would load, told by config.json and the headers of the weights.
 *
 * @throws Error as `loadModel` does for what these files say.
 * @example (await modelParameters('Qwen2.5-0.5B')).get('model.norm.weight'); // [896]
 */
export async function modelParameters(directory: string): Promise<ReadonlyMap<string, readonly number[]>> {
  const { architecture, config, configFile, source } = await openModel(directory);
  return parameterShapes(architecture, config, source, configFile);
}

/** What is known of a model before its weights are read. */
interface OpenModel {
  architecture: Architecture;
  config: RawConfig;
  configFile: string;
  source: WeightSource;
}

async function openModel(path: string): Promise<OpenModel> {
  return isGgufName(path) ? { ...(await openGgufCheckpoint(path)), configFile: path } : openDirectory(path);
}

async function openDirectory(directory: string): Promise<OpenModel> {
  const configFile = join(directory, 'config.json');
  const config = await readJson(configFile);
  const architecture = architectureOf(config, configFile);
  architecture.parseConfig(config, configFile); // what is wrong with it matters more than its weights
  return { architecture, config, configFile, source: await openShardedSafetensors(directory) };
}

/**
 * The model and the tokenizer of a directory or GGUF file, checked to fit each other. An adapter has the tokenizer and
 * the noise scale of the model it belongs to.
 *
 * - `base`: as for `loadModel`
 *
 * @throws Error as `loadModel` and `loadTokenizer` do, and for a tokenizer with ids the model has no embedding for.
 * @example const { model, tokenizer } = await loadModelDirectory('Qwen2.5-0.5B');
 */
export async function loadModelDirectory(
  directory: string,
  { base, ...options }: DirectoryOptions = {},
): Promise<ModelDirectory> {
  const home = isAdapterDirectory(directory) ? (base ?? (await baseDirectory(directory))) : directory;
  const tokenizer = await loadTokenizer(home); // first: it is small and most likely to be missing
  const storedRms = isGgufName(home) ? await embeddingRmsOfGguf(home) : await readEmbeddingRms(home);
  const model = await loadModel(directory, { base: home, ...options });
  try {
    requireFit(tokenizer, model, home);
    return { model, tokenizer, embeddingRms: storedRms ?? embeddingRms(model) };
  } catch (error) {
    model.dispose();
    throw error;
  }
}

/** The adapter in a directory on the model in another, as one. */
async function withAdapter(directory: string, base: string, options: LoadOptions): Promise<LoraModel> {
  const model = await loadModel(base, options);
  try {
    const lora = await loadAdapter(model, directory);
    const dispose = () => {
      lora.dispose();
      model.dispose();
    };
    return { ...lora, dispose };
  } catch (error) {
    model.dispose();
    throw error;
  }
}

/**
 * Writes a model as a Hugging Face directory, which transformers, vLLM and llama.cpp's converter open.
 *
 * It is written beside `directory` and renamed into place, so a directory of that name is always whole. A model
 * directory that is there already is replaced, all but its README and LICENSE, which stay; between two renames it lies
 * beside as `.<name>.old-...`.
 *
 * @throws Error for a `directory` that holds anything but a model, and for a `from` without tokenizer.json.
 * @example await saveModel(model, 'runs/1/model', { from: 'Qwen2.5-0.5B', dtype: 'BF16' });
 */
export async function saveModel(
  model: CausalLM,
  directory: string,
  { dtype = 'F32', maxShardSize, from, embeddingRms: rms }: SaveOptions = {},
): Promise<void> {
  if (isLora(model)) {
    throw new TypeError(
      'saveModel: expected a whole model, got one with adapters; saveAdapter them, or mergeLora first',
    );
  }
  const replaced = await requireReplaceable(directory);
  await writeDirectory(directory, async (fresh) => {
    await writeJson(join(fresh, 'config.json'), configFor(model, dtype));
    if (rms !== undefined) await writeJson(join(fresh, SOFT_TOKENS), { embeddingRms: rms });
    if (from !== undefined) await copyTokenizer(from, fresh);
    await copyFiles(replaced.filter(keepsake), directory, fresh);
    const tensors: [string, TensorToWrite][] = [];
    for (const [name, variable] of model.parameters) {
      tensors.push([name, { shape: variable.shape, values: () => variable.data<'float32'>() }]);
    }
    // transformers refuses a file that does not say which framework's layout it has.
    const metadata = { format: 'pt' };
    await writeShardedSafetensors(fresh, Object.fromEntries(tensors), { dtype, maxShardSize, metadata });
  });
}

/** The configuration to save: what was read, with the number format that is written now. */
function configFor(model: CausalLM, dtype: WeightType): Record<string, unknown> {
  const name = { F32: 'float32', BF16: 'bfloat16', F16: 'float16' }[dtype];
  const { config } = model;
  // transformers 5 calls `dtype` what used to be `torch_dtype`; a file keeps its own word.
  return 'dtype' in config ? { ...config, dtype: name } : { ...config, torch_dtype: name };
}

/** The tokenizer's files of a directory, or the same from a GGUF file. */
async function copyTokenizer(from: string, to: string): Promise<void> {
  if (isGgufName(from)) return writeTokenizer(from, to);
  const present = await readdir(from);
  if (!present.includes('tokenizer.json')) {
    throw new Error(`saveModel: from: expected a directory with tokenizer.json, got ${from} without`);
  }
  await copyFiles(
    companionFiles.filter((name) => present.includes(name)),
    from,
    to,
  );
}

async function writeTokenizer(from: string, to: string): Promise<void> {
  const { tokenizer, config, endIds, chatTemplate } = await readTokenizerFiles(from);
  await writeJson(join(to, 'tokenizer.json'), tokenizer);
  await writeJson(join(to, 'tokenizer_config.json'), config);
  if (endIds?.length) await writeJson(join(to, 'generation_config.json'), { eos_token_id: endIds });
  if (chatTemplate !== undefined) await writeFileAtomic(join(to, 'chat_template.jinja'), chatTemplate);
}

/** Copies files, to the disk: the model's are there before it takes its name, and these must be too. */
async function copyFiles(names: readonly string[], from: string, to: string): Promise<void> {
  for (const name of names) await writeFileAtomic(join(to, name), await readFile(join(from, name)));
}

/** The files of the directory to replace, none if there is none. Throws for one that holds anything but a model's files. */
async function requireReplaceable(directory: string): Promise<string[]> {
  let names: string[];
  try {
    names = await readdir(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  const strange = names.find((name) => !replaceable(name));
  if (strange !== undefined || (names.length > 0 && !names.includes('config.json'))) {
    const got = strange === undefined ? 'one without config.json' : `one with ${strange}`;
    throw new Error(
      `saveModel: ${directory}: expected a new, empty or model directory, which is replaced whole, got ${got}; save elsewhere`,
    );
  }
  return names;
}

async function readEmbeddingRms(directory: string): Promise<number | undefined> {
  const file = join(directory, SOFT_TOKENS);
  const stored = await readJson(file, { optional: true });
  if (stored === undefined) return undefined;
  const { embeddingRms: rms, ...rest } = stored;
  const unknown = Object.keys(rest)[0];
  if (unknown !== undefined) throw new Error(`${file}: ${unknown}: expected only embeddingRms; remove the key`);
  if (typeof rms !== 'number' || !(rms > 0) || !Number.isFinite(rms)) {
    throw new Error(`${file}: embeddingRms: expected a number > 0, got ${show(rms)}`);
  }
  return rms;
}

function requireFit(tokenizer: Tokenizer, model: CausalLM, directory: string): void {
  const V = model.vocabSize;
  if (tokenizer.maxId >= V) {
    throw new Error(
      `${join(directory, 'tokenizer.json')}: expected ids below vocab_size ${V} of config.json, got ${tokenizer.maxId}; ` +
        'is it the tokenizer of another model?',
    );
  }
  // Vocabularies are padded for speed, by a few hundred ids or a few in a hundred, not by a tenth.
  const unused = V - 1 - tokenizer.maxId;
  if (unused > Math.max(512, V / 10)) {
    throw new Error(
      `${join(directory, 'tokenizer.json')}: expected ids up to about vocab_size ${V} of config.json, got none above ` +
        `${tokenizer.maxId}; is it the tokenizer of another model?`,
    );
  }
  const wrong = tokenizer.endIds.find((id) => id < 0 || id >= V);
  if (wrong !== undefined) {
    throw new Error(`${directory}: eos_token_id: expected an id below vocab_size ${V}, got ${wrong}`);
  }
}
