export type {
  Action,
  ForwardOptions,
  Head,
  KeyValueCache,
  LanguageModel,
  Sampler,
  Step,
  StepDistribution,
  TextCodec,
} from './contract.js';
export {
  type Completion,
  type DecodeOptions,
  decode,
  type Observation,
  padPrompts,
  paperFormat,
  type RecordedAction,
  type ThoughtFormat,
} from './decode.js';
export { embeddingNoise, type SoftAction } from './embeddingNoise.js';
export { type FuzzyOptions, fuzzy } from './fuzzy.js';
export type { MixtureOptions, Placement } from './gaussian.js';
export { type HardAction, type HardOptions, hard } from './hard.js';
export { type HiddenAction, hiddenNoise } from './hiddenNoise.js';
export { type LogitsAction, logitNoise } from './logitNoise.js';
export { pacer } from './pace.js';
export { braceDepth, endsWith } from './phrase.js';
export {
  isDeterministic,
  type Mode,
  paperTemperatures,
  type SettingName,
  samplerFor,
  settingNames,
} from './settings.js';
export { type SoftOptions, soft } from './soft.js';
export { type TopKAction, topKNoise } from './topKNoise.js';
