export { type ArithmeticOptions, arithmetic, arithmeticCapacity } from './arithmetic.js';
export { arithmeticWords } from './arithmeticStory.js';
export { type QuestionFields, readQuestions } from './custom.js';
export { readGsm8k } from './gsm8k.js';
export { type Line, readJsonLines } from './jsonl.js';
export type { Problem, Split } from './problem.js';
export { type PromptName, paperPrompt, plainPrompt, prefill, promptTemplates, stopPhrase } from './prompts.js';
export { type SplitSolution, splitSolution } from './solution.js';
export { type HeldOut, holdOut } from './split.js';
