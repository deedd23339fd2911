export {
  type BootstrapInterval,
  type BootstrapOptions,
  bootstrapIntervals,
  type PassAtKInterval,
  passAtKIntervals,
} from './bootstrap.js';
export { lastBoxed } from './boxed.js';
export {
  asNumber,
  asText,
  type Comparison,
  defaultComparisons,
  type ExpressionOptions,
  expressionComparison,
} from './comparisons.js';
export { type EntropyProfile, entropy, entropyProfile } from './entropy.js';
export { type Extracted, extractAnswer } from './extract.js';
export { binomialStandardError, type Interval, meanInterval, wilsonInterval } from './intervals.js';
export { plainLatex } from './latex.js';
export {
  type ChoiceLikelihood,
  type LikelihoodSummary,
  likelihoodSummary,
  type QuestionLikelihood,
} from './likelihood.js';
export { type Majority, majority } from './majority.js';
export { parseNumber, type StatedNumber } from './numberText.js';
export { type PassAtKPoint, passAtK, passAtKCurve } from './passAtK.js';
export type { Rational } from './rational.js';
export { type Verdict, verify } from './verify.js';
