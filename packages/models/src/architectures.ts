import type { Architecture } from './architecture.js';
import type { RawConfig } from './config.js';
import { llama } from './llama.js';
import { qwen2 } from './qwen2.js';

/** Every supported family; a new one is a file, its test and a line here. */
export const architectures: readonly Architecture[] = [llama, qwen2];

/** The family that config.json names in `model_type`. Throws, with the supported ones, for any other. */
export function architectureOf(raw: RawConfig, where = 'config.json'): Architecture {
  const found = architectures.find(({ modelType }) => modelType === raw.model_type);
  if (found) return found;
  const supported = architectures.map(({ modelType }) => modelType).join(', ');
  throw new Error(`${where}: model_type: expected one of ${supported}, got ${JSON.stringify(raw.model_type)}`);
}
