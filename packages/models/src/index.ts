export type { Architecture, Weights } from './architecture.js';
export { architectureOf, architectures } from './architectures.js';
export { DecoderCache } from './cache.js';
export {
  type CausalLM,
  createCausalLM,
  initialShapes,
  initialWeights,
  type LoadOptions,
  loadCausalLM,
} from './causalLM.js';
export { type ChatMessage, type ChatOptions, type ChatTemplate, createChatTemplate } from './chatTemplate.js';

export type { DecoderConfig, LayerAttention, RawConfig } from './config.js';
export { type Gemma3Config, gemma3 } from './gemma3.js';

export { type GgufCheckpoint, type GgufOptions, type GgufWeightType, openGgufCheckpoint, saveGguf } from './gguf.js';
export { type GgufTokenizerFiles, tokenizerFromGguf } from './ggufTokenizer.js';
export { tokenizerToGguf } from './ggufTokenizerWrite.js';
export { type CacheOptions, cachedData, cachedModel, resolveModel } from './hub/cache.js';
export { hubCacheDirectory } from './hub/environment.js';
export { type HubName, isDataName, parseDataName, parseHubName } from './hub/name.js';
export { type Pulled, type PullOptions, type PullProgress, pullData, pullModel } from './hub/pull.js';
export {
  loadModel,
  loadModelDirectory,
  type ModelDirectory,
  modelParameters,
  type SaveOptions,
  saveModel,
  type WeightType,
} from './huggingFace.js';
export { type LlamaConfig, llama } from './llama.js';
export { importLlama2c } from './llama2c.js';
export {
  adapterShapes,
  isLora,
  type LoraModel,
  type LoraSettings,
  linearNames,
  mergeLora,
  unknownTarget,
  withLora,
} from './lora.js';
export { type MistralConfig, mistral } from './mistral.js';
export {
  embeddingRms,
  noiseScale,
  noiseScaleOf,
  type RmsKind,
  type ScaledEmbedding,
  stateRms,
} from './noiseScale.js';
export { adapterParameters, baseDirectory, isAdapterDirectory, loadAdapter, saveAdapter } from './peft.js';
export { type Qwen2Config, qwen2 } from './qwen2.js';
export { type Qwen3Config, qwen3 } from './qwen3.js';
export { tinyModelDirectory } from './tiny.js';
export {
  createTokenizer,
  loadTokenizer,
  readTokenizerFiles,
  type Tokenizer,
  type TokenizerFiles,
} from './tokenizer.js';
export type { WeightSource, WeightValues } from './weightSource.js';
