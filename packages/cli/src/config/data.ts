// The data section of a recipe to problems, and problems to what the trainer takes.
import {
  arithmetic,
  describeMalformed,
  holdOut,
  type Problem,
  prefill,
  promptTemplates,
  readAime,
  readAmc,
  readDeepscaler,
  readGsm8k,
  readMath,
  readMath500,
  readOlympiadbench,
  readQuestions,
  type Split,
  splitSolution,
  type Tolerance,
} from '@soft-tokens/datasets';
import { verify } from '@soft-tokens/metrics';
import type { Tokenizer } from '@soft-tokens/models';
import { type Demonstration, demonstration, type Question } from '@soft-tokens/rl';
import { paperFormat, type ThoughtFormat } from '@soft-tokens/samplers';
import { match, P } from 'ts-pattern';
import { CliError, usageError } from '../errors.js';
import { type DataConfig, fileSets, type PromptKind } from './recipe.js';

type Reader = (path: string, tolerance: Tolerance) => Promise<Problem[]>;

const readers: Record<(typeof fileSets)[number], Reader> = {
  gsm8k: readGsm8k,
  math: readMath,
  math500: readMath500,
  deepscaler: readDeepscaler,
  olympiadbench: readOlympiadbench,
  aime: readAime,
  amc: readAmc,
};

/**
 * The problems of one split.
 *
 * Generated sets make every split themselves; sets in files have a training file, of which validation is held out by a
 * hash of ids, and a test file.
 *
 * `note` is told of malformed rows that are left out, as far as `maxMalformed` allows. A run tells them once, before it
 * starts; its processes, which read the same files again, do not.
 *
 * @throws CliError (exit code 2) when the section names no file for the split, or the split is empty; Error naming
 * file:line for data that is not what it should be.
 * @example await problemsOf({ kind: 'arithmetic', levels: [2], train: 10, validation: 5, test: 5, seed: 1 }, 'test');
 */
export async function problemsOf(
  data: DataConfig,
  split: Split,
  note: (text: string) => void = () => {},
): Promise<Problem[]> {
  const problems = await match(data)
    .with({ kind: 'arithmetic' }, ({ levels, seed, ...counts }) =>
      arithmetic({ split, count: counts[split], seed, levels }),
    )
    .with({ kind: P.union(...fileSets) }, (config) => fileSplit(config, split, readers[config.kind], note))
    .with({ kind: 'questions' }, ({ fields, ...config }) => {
      const { question, answer, id, solution } = fields;
      const names = { question, answer, ...(id && { id }), ...(solution && { solution }) };
      return fileSplit(config, split, (path, tolerance) => readQuestions(path, names, tolerance), note);
    })
    .exhaustive();
  if (problems.length === 0)
    throw usageError(`data.${split}: expected at least one problem, got none; raise data.${split}`);
  return problems;
}

interface FileConfig {
  train?: string | undefined;
  test?: string | undefined;
  validation: number;
  limit?: number | undefined;
  maxMalformed?: number | undefined;
  seed: number;
}

async function fileSplit(
  config: FileConfig,
  split: Split,
  read: Reader,
  note: (text: string) => void,
): Promise<Problem[]> {
  const key = split === 'test' ? 'test' : 'train';
  const path = config[key];
  if (path === undefined) throw usageError(`data.${key}: expected a file, got none; give --set data.${key}=FILE`);
  const { maxMalformed = 0 } = config;
  const onMalformed: Tolerance['onMalformed'] = (rows) =>
    note(`${path}: ${rows.length} malformed rows left out:\n  ${describeMalformed(rows)}\n`);
  const problems = (await read(path, { maxMalformed, onMalformed })).slice(0, config.limit);
  for (const problem of problems) checkAnswer(problem, path);
  if (key === 'test') return problems;
  if (config.validation >= problems.length) {
    throw usageError(
      `data.validation: expected fewer than the ${problems.length} problems of ${path}, got ${config.validation}; lower it`,
    );
  }
  const held = holdOut(problems, config.validation, config.seed);
  return split === 'train' ? held.train : held.validation;
}

/** An answer that nothing can equal would end a run in its middle. */
function checkAnswer({ id, answer }: Problem, path: string): void {
  try {
    verify('', answer);
  } catch (error) {
    const [text, more] = [JSON.stringify(answer.slice(0, 40)), answer.length > 40 ? '...' : ''];
    throw new CliError(
      `${path}: ${id}: expected an answer of 1 to 1000 characters, got ${text}${more} (${answer.length}); ` +
        'mend its line or drop it',
      1,
      { cause: error },
    );
  }
}

/** The instruction of the chat prompt: the format, said to a model that follows instructions. */
const chatInstruction = ({ stopPhrase, prefill }: ThoughtFormat) =>
  `Reason step by step, then end with '${stopPhrase} ${prefill.stopped}ANSWER}', with the answer alone in the box.`;

/** The prompt of a question, as text. `chat` is the tokenizer's own template around question and format. */
export function promptText(kind: PromptKind, question: string, tokenizer: Tokenizer, format = paperFormat): string {
  return kind === 'chat'
    ? tokenizer.renderChat([{ role: 'user', content: `${question}\n\n${chatInstruction(format)}` }])
    : promptTemplates[kind](question);
}

/** A problem as the trainer takes it. */
export function toQuestion(problem: Problem, kind: PromptKind, tokenizer: Tokenizer, format?: ThoughtFormat): Question {
  const promptIds = tokenizer.promptIds(promptText(kind, problem.question, tokenizer, format));
  return { id: problem.id, promptIds, answer: problem.answer };
}

/**
 * A problem with a solution as the supervised warm-up takes it.
 *
 * @throws CliError naming the problem when it has no solution, or one in another format.
 */
export function toDemonstration(problem: Problem, kind: PromptKind, tokenizer: Tokenizer): Demonstration {
  const { promptIds } = toQuestion(problem, kind, tokenizer);
  if (problem.solution === undefined) {
    throw new CliError(`${problem.id}: expected a worked solution to learn from, got none; name data.fields.solution`);
  }
  let parts: ReturnType<typeof splitSolution>;
  try {
    parts = splitSolution(problem.solution);
  } catch (error) {
    throw new CliError(`${problem.id}: ${(error as Error).message}`, 1, { cause: error });
  }
  return demonstration(tokenizer, { promptIds, prefill: prefill.stopped, ...parts });
}
