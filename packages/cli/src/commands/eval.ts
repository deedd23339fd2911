import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from '@commander-js/extra-typings';
import type { Split } from '@soft-tokens/datasets';
import { loadModelDirectory } from '@soft-tokens/models';
import { isDeterministic, type SettingName, settingNames } from '@soft-tokens/samplers';
import { choicesOf } from '../config/choices.js';
import { problemsOf, toQuestion } from '../config/data.js';
import { loadEvalRecipe } from '../config/load.js';
import { display } from '../config/paths.js';
import { type EvalConfig, powersUpTo } from '../config/recipe.js';
import type { Setting } from '../config/set.js';
import { startEngine } from '../engine.js';
import { usageError } from '../errors.js';
import { evaluateSetting } from '../evaluation.js';
import { evaluationDigest } from '../evaluationDigest.js';
import { resultTables } from '../evaluationTable.js';
import type { Io } from '../io.js';
import { choicesFiles, evaluationFiles } from '../jobs/layout.js';
import { testSetsOf } from '../jobs/tasks.js';
import { evaluateChoices, type LikelihoodResult, likelihoodTable } from '../likelihood.js';
import { type FolderLock, lockFolder } from '../lock.js';
import { modelHelp, modelName, modelPath } from '../model.js';
import { createProgress } from '../progress.js';
import type { SetResult } from '../results.js';
import { percent } from '../table.js';
import { type Subject, sigmaOf } from '../training.js';
import {
  engineOption,
  examples,
  flagSettings,
  jsonOption,
  listOf,
  nonNegativeNumber,
  positiveWholeNumber,
  seedOption,
  setOption,
} from './options.js';

export function evalCommand(io: Io): Command {
  const command = new Command('eval')
    .description('measure a model: accuracy and pass@k in the six settings')
    .argument('<model>', modelHelp)
    .option('--data <recipe>', 'recipe whose data, prompt, caps and evaluate are used')
    .addOption(setOption())
    .option(
      '--setting <names>',
      `comma-separated, of: ${settingNames.join(', ')}; or all (default: the recipe's, or hard-greedy)`,
      parseSettings,
    )
    .option('--split <name>', 'train, validation or test', parseSplit, 'test' as const)
    .option('--samples <n>', 'samples a question in the -sample settings', positiveWholeNumber)
    .option('--k <list>', 'which pass@k, e.g. 1,2,4; default: powers of two', parseList)
    .option('--limit <n>', 'only the first n questions', positiveWholeNumber)
    .option('--noise <factor>', 'noise as a multiple of the embedding rms (default: 0.33)', nonNegativeNumber)
    .option('--out <directory>', 'where evaluations are kept, each in a folder of its own', join('runs', 'eval'))
    .option('--overwrite', 'begin anew where there is one')
    .addOption(seedOption())
    .addOption(engineOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `${examples(
        'soft-tokens eval packages/models/tiny --data recipes/demo.yaml --setting all',
        'soft-tokens eval MODEL --data recipes/gsm8k.yaml \\\n      --set data.test=test.jsonl --setting soft-sample --samples 32 --limit 50',
        "soft-tokens eval MODEL --set 'data={kind: arithmetic, levels: [2]}'",
      )}\nThe same command goes on where an earlier one stopped, and does nothing twice.\n`,
    )
    .action(async (model, flags) => {
      if (flags.data === undefined && flags.set.length === 0) {
        throw usageError('eval: expected --data RECIPE or --set data=..., got neither; try --data recipes/demo.yaml');
      }
      const config = await loadEvalRecipe(flags.data, [...flagSettings(flags), ...evaluateSettings(flags)]);
      const path = await modelPath(model);
      const engine = await startEngine(config.engine);
      const subject = { path, ...(await loadModelDirectory(path)) };
      const settings = flags.setting ?? (config.evaluate.settings as SettingName[] | undefined) ?? ['hard-greedy'];
      const questions = await questionParts(io, config, subject, { ...flags, settings });
      const choices = await choiceParts(io, config, subject, flags);
      const parts = [...questions.parts, ...choices.parts];
      const directories = [...new Set(parts.map(({ directory }) => directory))];
      await doParts(io, parts, { directories, overwrite: flags.overwrite === true });

      for (const directory of directories) io.note(`kept in ${display(directory)}\n`);
      const { results: sets, evaluation } = questions;
      const { results: outOfDomain } = choices;
      if (flags.json) {
        const summary = { model, engine: engine.name, split: flags.split, ...evaluation, sets, outOfDomain };
        return io.out(`${JSON.stringify(summary)}\n`);
      }
      const likelihood = likelihoodTable([{ name: modelName(path), results: outOfDomain }]);
      const tables = [resultTables(sets, evaluation.noise), ...(likelihood === undefined ? [] : [likelihood])];
      io.out(`${tables.join('\n\n')}\n`);
    });
  return command as unknown as Command;
}

/** A piece of the evaluation, kept in a folder. */
interface Part {
  directory: string;
  /** Against that of other parts. */
  work: number;
  run(onProgress: (progress: { done: number; total: number; resumed?: boolean; text: string }) => void): Promise<void>;
}

type PathSubject = Subject & { path: string };

/** Each test set in each setting. The results fill as the parts are done. */
async function questionParts(
  io: Io,
  { prompt, format, evaluate, caps: recipeCaps, seed: recipeSeed, data: own }: EvalConfig,
  subject: PathSubject,
  { out, split, limit = evaluate.questions, settings }: QuestionFlags,
) {
  const { samples, k = powersUpTo(samples), noise, caps = recipeCaps, seed = recipeSeed } = evaluate;
  const evaluation = { samples, noise, caps, seed };
  const parts: Part[] = [];
  const results: SetResult[] = [];
  for (const [set, data] of Object.entries(testSetsOf({ data: own, evaluate }))) {
    const problems = (await problemsOf(data, split, io.note)).slice(0, limit);
    const questions = problems.map((problem) => toQuestion(problem, prompt, subject.tokenizer, format));
    const digest = await evaluationDigest({ ...evaluation, prompt, format, split, limit, model: subject.path, data });
    const directory = join(out, `${modelName(subject.path)}-${set}-${digest}`);
    const result: SetResult = { set, questions: questions.length, settings: [] };
    results.push(result);
    for (const setting of settings) {
      parts.push({
        directory,
        // Greedy settings draw one sample a question, the others many.
        work: questions.length * (isDeterministic(setting) ? 1 : samples),
        async run(onProgress) {
          const summary = await evaluateSetting({
            ...evaluation,
            subject,
            sigma: sigmaOf(subject, noise),
            setting,
            problems,
            questions,
            k,
            format,
            files: evaluationFiles(directory, setting),
            signal: io.signal,
            onProgress: ({ correct, ...progress }) => {
              const text = `${set} ${setting} ${progress.done}/${progress.total}, ${percent(correct)} % right`;
              onProgress({ ...progress, text });
            },
          });
          result.settings.push(summary);
        },
      });
    }
  }
  return { parts, results, evaluation };
}

interface QuestionFlags {
  out: string;
  split: Split;
  limit?: number | undefined;
  settings: readonly SettingName[];
}

/** Each set of questions with choices. */
async function choiceParts(
  io: Io,
  { prompt, evaluate }: EvalConfig,
  subject: PathSubject,
  { out, limit }: Pick<QuestionFlags, 'out' | 'limit'>,
) {
  const parts: Part[] = [];
  const results: LikelihoodResult[] = [];
  for (const [set, data] of Object.entries(evaluate.outOfDomain)) {
    const choices = (await choicesOf(data, io.note)).slice(0, limit);
    const digest = await evaluationDigest({ model: subject.path, data, prompt, set, limit });
    const directory = join(out, `${modelName(subject.path)}-${set}-${digest}`);
    parts.push({
      directory,
      work: choices.length,
      async run(onProgress) {
        const result = await evaluateChoices({
          subject,
          set,
          kind: data.kind,
          choices,
          prompt,
          files: choicesFiles(directory, 'choices'),
          signal: io.signal,
          onProgress: (progress) => onProgress({ ...progress, text: `${set} ${progress.done}/${progress.total}` }),
        });
        results.push(result);
      },
    });
  }
  return { parts, results };
}

/** Does the parts one after the other, in folders that no other command writes to meanwhile. */
async function doParts(
  io: Io,
  parts: readonly Part[],
  { directories, overwrite }: { directories: readonly string[]; overwrite: boolean },
): Promise<void> {
  const total = sum(parts.map(({ work }) => work));
  const progress = createProgress(io);
  const began = performance.now();
  const locks: FolderLock[] = [];
  /** The share that was there when the command began. */
  let resumedShare = 0;
  let doneBefore = 0;
  try {
    for (const directory of directories) {
      await mkdir(directory, { recursive: true });
      locks.push(await lockFolder(directory));
      if (overwrite) await emptyFolder(directory);
    }
    for (const { work, run } of parts) {
      await run(({ done, total: all, resumed, text }) => {
        const part = (work * done) / all / total;
        if (resumed) resumedShare += part;
        const share = doneBefore / total + part;
        const seconds = (performance.now() - began) / 1000;
        const own = share - resumedShare;
        const left = own > 0 && seconds > WARM_UP ? (seconds / own) * (1 - share) : undefined;
        progress.update(share, left, text);
      });
      doneBefore += work;
    }
  } finally {
    progress.stop();
    for (const lock of locks) lock.release();
  }
}

/** What is computed first takes long for what it is; the time left is not told from less than these seconds. */
const WARM_UP = 2;

/** Flags that stand for keys of the recipe's `evaluate`. The recipe's k are of its own number of samples. */
function evaluateSettings({ noise, samples, k }: { noise?: number; samples?: number; k?: number[] }): Setting[] {
  const ks = k ?? (samples === undefined ? undefined : powersUpTo(samples));
  return Object.entries({ 'noise.factor': noise, samples, k: ks }).flatMap(([key, value]) => {
    const dotted = `evaluate.${key}`;
    return value === undefined ? [] : [{ text: `${dotted}=${JSON.stringify(value)}`, path: dotted.split('.'), value }];
  });
}

/** Removes what an evaluation left in a folder, but for the lock that keeps others out meanwhile. */
async function emptyFolder(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.startsWith('.')) await rm(join(directory, name), { recursive: true });
  }
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

function parseSettings(text: string) {
  return text === 'all' ? [...settingNames] : listOf(settingNames)(text);
}

function parseSplit(text: string) {
  return listOf(['train', 'validation', 'test'] as const)(text)[0]!;
}

function parseList(text: string): number[] {
  const numbers = text.split(',').map((part) => positiveWholeNumber(part.trim()));
  return [...new Set(numbers)].sort((a, b) => a - b);
}
