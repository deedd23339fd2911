import type { Architecture } from './architecture.js';
import type { RawConfig } from './config.js';
import { show } from './files.js';
import { gemma3 } from './gemma3.js';
import { llama } from './llama.js';
import { mistral } from './mistral.js';
import { qwen2 } from './qwen2.js';
import { qwen3 } from './qwen3.js';

/** Every supported family; a new one is a file, its test and a line here. */
export const architectures: readonly Architecture[] = [llama, qwen2, qwen3, mistral, gemma3];

/** The family that config.json names in `model_type`. Throws, with the supported ones, for any other. */
export function architectureOf(raw: RawConfig, where = 'config.json'): Architecture {
  const found = architectures.find(({ modelType }) => modelType === raw.model_type);
  if (found) return found;
  const supported = architectures.map(({ modelType }) => modelType).join(', ');
  // Gemma 3 of 4B and more, Mistral 3, Qwen VL: their text model lies inside, under other names.
  const wider = isObject(raw.text_config)
    ? ', which reads more than text (text_config); choose a model of text alone'
    : '';
  throw new Error(`${where}: model_type: expected one of ${supported}, got ${show(raw.model_type)}${wider}`);
}

const isObject = (value: unknown) => typeof value === 'object' && value !== null;
