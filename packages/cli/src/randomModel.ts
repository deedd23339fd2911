// Models with random weights, of a size named on the command line.
import { InvalidArgumentError } from '@commander-js/extra-typings';
import { architectures, type CausalLM, createCausalLM, initialWeights, type RawConfig } from '@soft-tokens/models';
import { suggest } from './config/suggest.js';
import { messageOf } from './errors.js';

/** What `--random` can set: its word, the key of config.json, and the value where it is left out: SmolLM2-135M's. */
const sizes = {
  hidden: { key: 'hidden_size', value: 576 },
  layers: { key: 'num_hidden_layers', value: 30 },
  heads: { key: 'num_attention_heads', value: 9 },
  kv: { key: 'num_key_value_heads', value: 3 },
  intermediate: { key: 'intermediate_size', value: 1536 },
  vocab: { key: 'vocab_size', value: 49152 },
} as const;
type Size = keyof typeof sizes;
const sizeNames = Object.keys(sizes) as Size[];
const architectureNames = architectures.map(({ modelType }) => modelType);

/** The words of `--random` for its help. */
export const randomModelHelp = `\
--random ARCHITECTURE[:KEY=N,...] makes a model with random weights and tied
embeddings, of one of
  ${architectureNames.join(' ')}
Keys, and their values where left out:
  ${sizeNames.map((name) => `${name}=${sizes[name].value}`).join(' ')}
For llama that is SmolLM2-135M, too large for the memory of the wasm engine.`;

/**
 * The config.json that `llama:hidden=64,layers=2` stands for; for commander.
 *
 * @throws InvalidArgumentError for an architecture, key or number that is none, and for sizes that do not fit.
 * @example parseRandomModel('llama:hidden=64,heads=4,kv=2'); // { model_type: 'llama', hidden_size: 64, ... }
 */
export function parseRandomModel(text: string): RawConfig {
  const colon = text.indexOf(':');
  const name = (colon < 0 ? text : text.slice(0, colon)).trim();
  const architecture = architectures.find(({ modelType }) => modelType === name);
  if (!architecture) throw wrongWord('architecture', name, architectureNames);
  const given = colon < 0 ? [] : text.slice(colon + 1).split(',');
  const config: RawConfig = {
    model_type: name,
    ...Object.fromEntries(sizeNames.map((size) => [sizes[size].key, sizes[size].value])),
    ...Object.fromEntries(given.map(parseSize)),
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
  };
  try {
    architecture.parseConfig(config, 'its config');
  } catch (error) {
    throw new InvalidArgumentError(messageOf(error));
  }
  return config;
}

function parseSize(text: string): [key: string, value: number] {
  const [word = '', number = '', ...rest] = text.split('=').map((part) => part.trim());
  const size = sizeNames.find((name) => name === word);
  if (!size) throw wrongWord('key', word, sizeNames);
  const value = Number(number);
  if (rest.length > 0 || !/^\d+$/.test(number) || value === 0 || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError(`Expected ${size}=N with a whole number N > 0, got ${text.trim()}.`);
  }
  return [sizes[size].key, value];
}

function wrongWord(what: string, word: string, words: readonly string[]): InvalidArgumentError {
  const meant = suggest(word, words);
  const cure = meant ? `Did you mean ${meant}?` : `Allowed: ${words.join(', ')}.`;
  return new InvalidArgumentError(`Unknown ${what} ${JSON.stringify(word)}. ${cure}`);
}

/** A model of a configuration that `parseRandomModel` made, on the engine in use; the same seed gives the same weights. */
export function createRandomModel(config: RawConfig, seed: number): CausalLM {
  const architecture = architectures.find(({ modelType }) => modelType === config.model_type)!; // parsed, so there is one
  return createCausalLM(architecture, config, initialWeights(architecture, config, seed));
}
