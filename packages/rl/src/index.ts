export { aboutMean, leaveOneOut, standardized } from './advantages.js';
export { batch } from './batches.js';
export { type Best, type CheckpointStore, checkpointStore, type TrainingState } from './checkpoint.js';
export {
  type ChoiceItem,
  type ChoiceLikelihoodOptions,
  choiceItem,
  choiceLikelihood,
  type PromptCodec,
} from './choices.js';
export { accuracy, type EvaluateOptions, evaluate, type QuestionResult } from './evaluate.js';
export { freeze } from './freeze.js';
export {
  type AccumulateOptions,
  accumulateGradients,
  disposeGradients,
  type LogRatioOptions,
  logRatios,
  type MicroBatchScores,
  microBatches,
  type PolicyGradientOptions,
  policyGradient,
} from './gradients.js';
export {
  gaussianKl,
  type KlEstimator,
  type KlPenalty,
  klEstimate,
  requireKl,
  sequenceDivergence,
  sequenceLogRatio,
} from './kl.js';
export { crossEntropy, reinforceLoss } from './losses.js';
export {
  type AdamWSettings,
  adamW,
  disposeState,
  type Gradients,
  type Optimizer,
  type OptimizerState,
  type Parameters,
} from './optimizers.js';
export { type BoxedRewardOptions, boxedReward, type Reward, type RewardFunction } from './rewards.js';
export {
  type AdvantageFunction,
  groupAdvantages,
  type Question,
  type RolloutOptions,
  rollout,
  type Sample,
  type SampleStatistics,
  sampleStatistics,
} from './rollout.js';
export { type Schedule, type WarmupCosineOptions, warmupCosine } from './schedules.js';
export {
  type RecordedSequence,
  type ScoreOptions,
  type Scorer,
  type Scores,
  score,
  sequenceLogProb,
  stackActions,
  thoughtLength,
  withCaches,
} from './score.js';
export { type Demonstration, demonstration, type SftEvent, type SftOptions, sft } from './sft.js';
export {
  EMBEDDING_PARAMETER,
  type StepEvent,
  type TrainableModel,
  type TrainEvent,
  type TrainOptions,
  train,
} from './train.js';
export { type UpdateOptions, updateParameters } from './update.js';
