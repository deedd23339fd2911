export {
  currentEngine,
  type EngineMemory,
  type EngineName,
  type EngineOptions,
  type EngineReport,
  engineMemory,
  engineNames,
  useEngine,
} from './engine.js';
export { syncDirectory, writeFileAtomic } from './io/files.js';
export type { GgmlType } from './io/ggmlFormats.js';
export { type OpenGguf, openGguf, readGguf } from './io/gguf.js';
export {
  type GgufHeader,
  type GgufMetadata,
  type GgufNumbers,
  type GgufScalarType,
  type GgufTensorInfo,
  type GgufValue,
  readGgufHeader,
} from './io/ggufHeader.js';
export { type GgufTensor, writeGguf } from './io/ggufWrite.js';
export { jsonDepth } from './io/reading.js';
export {
  type OpenSafetensors,
  openSafetensors,
  readSafetensors,
  type StoredTensor,
  type TensorInfo,
} from './io/safetensors.js';
export { openShardedSafetensors, readShardedSafetensors, readShardIndex } from './io/shardedSafetensors.js';
export {
  type TensorToWrite,
  type WriteOptions,
  writeSafetensors,
  writeShardedSafetensors,
} from './io/writeSafetensors.js';
export { type FreeMemory, formatBytes, freeMemory, type Machine, requireMemory } from './memory.js';
export { type AdamWOptions, type AdamWState, adamWStep } from './ops/adamW.js';
export { type AttentionOptions, type AttentionPrefix, attention } from './ops/attention.js';
export { embedding } from './ops/embedding.js';
export { type FusedOp, fusedOp, runKernel } from './ops/fused.js';
export { geglu } from './ops/geglu.js';
export { clipByGlobalNorm, globalNorm } from './ops/globalNorm.js';
export { headLogits, headLogProb, headMixture } from './ops/head.js';
export { linear } from './ops/linear.js';
export { rmsNorm } from './ops/rmsNorm.js';
export {
  type LinearScaling,
  type Llama3Scaling,
  type RotaryOptions,
  type RotaryScaling,
  type RotaryTable,
  rotary,
  rotaryFrequencies,
  rotaryTable,
} from './ops/rotary.js';
export { swiglu } from './ops/swiglu.js';
export {
  createNoise,
  type Noise,
  type NoiseAddress,
  normalArray,
  permutation,
  philox4x32,
  uniformArray,
} from './random.js';
export { recomputed } from './recomputed.js';
export { leanTape } from './tape.js';
