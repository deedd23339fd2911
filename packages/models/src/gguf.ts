// Models in GGUF files, in and out.
import { basename, extname } from 'node:path';
import { type GgufHeader, type GgufTensor, openGguf, readGgufHeader, writeGguf } from '@soft-tokens/tensor';
import type { Architecture } from './architecture.js';
import { architectureOf, architectures } from './architectures.js';
import type { CausalLM } from './causalLM.js';
import type { RawConfig } from './config.js';
import { show } from './files.js';
import { configFromGguf, type fileTypes, metadataOf, ROPE_FACTORS, rotaryFactors } from './ggufConfig.js';
import { ggufName, relaidOut } from './ggufLayout.js';
import { metadataReader } from './ggufMetadata.js';
import { type ModelKeys, modelKeys } from './ggufModelKeys.js';
import { tokenizerToGguf } from './ggufTokenizerWrite.js';
import { isLora } from './lora.js';
import { readTokenizerFiles } from './tokenizer.js';
import { LM_HEAD, type WeightSource } from './weightSource.js';

/** The number formats matrices can be exported to GGUF in. Norms and biases stay F32. */
export type GgufWeightType = keyof typeof fileTypes;

/** They are read before it is known whether there is memory for the model: a float for each two rows of a head. */
const MOST_FACTOR_BYTES = 100_000;

/** A GGUF file that a model can be made of. */
export interface GgufCheckpoint {
  architecture: Architecture;
  /** What config.json would say. */
  config: RawConfig;
  header: GgufHeader;
  /** The weights, under the names and in the order of rows that Hugging Face checkpoints have. */
  source: WeightSource;
}

/**
 * A GGUF file as a checkpoint: its metadata read as a config.json, its tensors under our names, dequantised when read.
 *
 * @throws Error naming the file and the key or tensor for a file that is not valid, a family that is not supported, and
 * metadata that may change the mathematics unseen.
 * @example (await openGgufCheckpoint('model.gguf')).config.num_hidden_layers; // 30
 */
export async function openGgufCheckpoint(file: string): Promise<GgufCheckpoint> {
  const { header, read } = await openGguf(file);
  requireWhole(header, file);
  const infos = new Map(header.tensors.map((info) => [info.name, info]));
  const keys = modelKeys(header.metadata, file);
  const architecture = ggufArchitecture(keys);
  const layout = architecture.gguf!;
  const embedding = infos.get('token_embd.weight');
  if (embedding?.shape.length !== 2) {
    throw new Error(`${file}: token_embd.weight: expected a matrix, got ${embedding ? 'another tensor' : 'none'}`);
  }
  const factors = infos.get(ROPE_FACTORS);
  if (factors && !(factors.bytes <= MOST_FACTOR_BYTES)) {
    throw new Error(
      `${file}: ${ROPE_FACTORS}: expected the factors of a head's frequencies, got ${show(factors.shape)}`,
    );
  }
  const config = configFromGguf(architecture, keys, {
    has: (name) => infos.has(name),
    vocabSize: embedding.shape[0]!,
    ropeFactors: factors && (await read(ROPE_FACTORS)),
  });
  const settings = architecture.parseConfig(config, file);

  const ours = new Map<string, string>();
  for (const name of [...architecture.parameterShapes(settings).keys(), LM_HEAD])
    ours.set(ggufName(layout, name), name);
  // A tensor without a name of ours keeps its own, under which it is refused.
  const weights = header.tensors.filter(({ name }) => name !== ROPE_FACTORS);
  return {
    architecture,
    config: { ...config, ...specialIds(header, file) },
    header,
    source: {
      path: file,
      tensors: new Map(weights.map(({ name, shape }) => [ours.get(name) ?? name, { shape, file }])),
      async read(name, into) {
        const { name: theirs, shape } = infos.get(ggufName(layout, name))!;
        return relaidOut(layout, settings, { name, shape, values: await read(theirs, into) }, 'ours');
      },
    },
  };
}

/** Throws for one of several files that hold a model together, which has the keys of all and tensors of its own. */
function requireWhole({ metadata }: GgufHeader, file: string): void {
  const parts = metadataReader(metadata, file).number('split.count') ?? 1;
  if (parts <= 1) return;
  throw new Error(
    `${file}: split.count: expected a whole model, got one of ${parts} parts; ` +
      'join them with llama.cpp: llama-gguf-split --merge FIRST-PART WHOLE',
  );
}

function ggufArchitecture({ architecture: name, where }: ModelKeys): Architecture {
  const found = architectures.find(({ gguf }) => gguf?.architecture === name);
  if (found) return found;
  const known = [...new Set(architectures.flatMap(({ gguf }) => gguf?.architecture ?? []))].join(', ');
  throw new Error(`${where}: general.architecture: expected one of ${known}, got ${show(name)}`);
}

/** The ids that config.json has too, for whoever reads them there. */
function specialIds({ metadata }: GgufHeader, where: string): RawConfig {
  const { number } = metadataReader(metadata, where);
  const ids = {
    bos_token_id: number('tokenizer.ggml.bos_token_id'),
    eos_token_id: number('tokenizer.ggml.eos_token_id'),
  };
  return Object.fromEntries(Object.entries(ids).filter(([, id]) => id !== undefined));
}

/** Where the frozen noise scale stands, which soft_tokens.json has in a directory. */
const EMBEDDING_RMS = 'soft_tokens.embedding_rms';

/** The noise scale that a GGUF file keeps, if one does. Throws naming the file and the key for one that is no size. */
export async function embeddingRmsOfGguf(file: string): Promise<number | undefined> {
  const { metadata } = await readGgufHeader(file);
  const rms = metadataReader(metadata, file).number(EMBEDDING_RMS);
  if (rms === undefined || rms > 0) return rms;
  throw new Error(`${file}: ${EMBEDDING_RMS}: expected a number > 0, got ${rms}`);
}

export interface GgufOptions {
  /** The format of the matrices; F32, which loses nothing, unless said otherwise. */
  dtype?: GgufWeightType;
  /** The model directory or GGUF file whose tokenizer goes along. */
  from: string;
  /** `general.name`; that of the file unless given. */
  name?: string;
  /** The frozen noise scale, for this package to find again; others pass over it. */
  embeddingRms?: number;
}

/**
 * Writes a model with its tokenizer and chat template as one GGUF file, which llama.cpp and what is built on it open. At
 * once and whole: the file is written beside its name and renamed.
 *
 * Matrices are stored in `dtype`, or F16 where a row cannot be cut into Q8_0's blocks of 32; norms and biases in F32.
 *
 * @throws Error for a family that GGUF has no place for, naming the key of config.json that llama.cpp would compute
 * otherwise, for a tokenizer that llama.cpp would read differently, and for a value that `dtype` cannot hold; TypeError
 * for a model with adapters.
 * @example await saveGguf(model, 'model.gguf', { from: 'runs/1/model', dtype: 'Q8_0' });
 */
export async function saveGguf(
  model: CausalLM,
  file: string,
  { dtype = 'F32', from, name = basename(file, extname(file)), embeddingRms }: GgufOptions,
): Promise<void> {
  if (isLora(model)) throw new TypeError('saveGguf: expected a whole model, got one with adapters; mergeLora first');
  const architecture = architectureOf(model.config);
  const settings = architecture.parseConfig(model.config, 'saveGguf');
  const metadata = metadataOf(architecture, settings, model.config, { name, dtype });
  const tokenizer = tokenizerToGguf(await readTokenizerFiles(from), { vocabSize: model.vocabSize }, from);
  const layout = architecture.gguf!;
  const { headDim, ropeTheta: theta, ropeScaling: scaling } = settings;

  const tensors: Record<string, GgufTensor> = {};
  if (scaling?.type === 'llama3') {
    const values = rotaryFactors({ headDim, theta, scaling });
    tensors[ROPE_FACTORS] = { shape: [values.length], type: 'F32', values };
  }
  for (const [name, variable] of model.parameters) {
    const { shape } = variable;
    tensors[ggufName(layout, name)] = {
      shape,
      type: storedType(shape, dtype),
      values: async () =>
        relaidOut(layout, settings, { name, shape, values: await variable.data<'float32'>() }, 'gguf'),
    };
  }
  const all = new Map([...metadata, ...tokenizer]);
  if (embeddingRms !== undefined) all.set(EMBEDDING_RMS, { type: 'float64', value: embeddingRms });
  await writeGguf(file, { metadata: all, tensors });
}

function storedType(shape: readonly number[], dtype: GgufWeightType): GgufWeightType {
  if (shape.length === 1) return 'F32';
  return dtype === 'Q8_0' && shape.at(-1)! % 32 !== 0 ? 'F16' : dtype;
}
