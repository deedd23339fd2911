import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from '@commander-js/extra-typings';
import { binomialStandardError } from '@soft-tokens/metrics';
import { loadModelDirectory } from '@soft-tokens/models';
import { isDeterministic, settingNames } from '@soft-tokens/samplers';
import { choicesOf } from '../config/choices.js';
import { problemsOf, toQuestion } from '../config/data.js';
import { loadEvalRecipe } from '../config/load.js';
import { display } from '../config/paths.js';
import { type NoiseConfig, powersUpTo } from '../config/recipe.js';
import type { Setting } from '../config/set.js';
import { startEngine } from '../engine.js';
import { usageError } from '../errors.js';
import { evaluateSetting } from '../evaluation.js';
import { evaluationDigest } from '../evaluationDigest.js';
import type { Io } from '../io.js';
import { choicesFiles, evaluationFiles } from '../jobs/layout.js';
import { testSetsOf } from '../jobs/tasks.js';
import { evaluateChoices, type LikelihoodResult, likelihoodTable } from '../likelihood.js';
import { type FolderLock, lockFolder } from '../lock.js';
import { modelHelp, modelName, modelPath } from '../model.js';
import { createProgress } from '../progress.js';
import type { SetResult } from '../results.js';
import { formatTable, percent, wrap } from '../table.js';
import { sigmaOf } from '../training.js';
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
    .option('--setting <names>', `comma-separated, of: ${settingNames.join(', ')}; or all`, parseSettings, [
      'hard-greedy' as const,
    ])
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
      const { samples, k = powersUpTo(samples) } = config.evaluate;
      const path = await modelPath(model);
      const engine = await startEngine(config.engine);
      const subject = await loadModelDirectory(path);
      const limit = flags.limit ?? config.evaluate.questions;
      const { prompt, format } = config;
      const { noise } = config.evaluate;
      const caps = config.evaluate.caps ?? config.caps;
      const seed = flags.seed ?? config.evaluate.seed ?? config.seed;
      const sets = await Promise.all(
        Object.entries(testSetsOf(config)).map(async ([set, data]) => {
          const problems = (await problemsOf(data, flags.split, io.note)).slice(0, limit);
          const questions = problems.map((problem) => toQuestion(problem, prompt, subject.tokenizer, format));
          const evaluation = { samples, caps, noise, seed, prompt, format, split: flags.split, limit };
          const digest = await evaluationDigest({ ...evaluation, model: path, data });
          return { set, problems, questions, directory: join(flags.out, `${modelName(path)}-${set}-${digest}`) };
        }),
      );
      const choiceSets = await Promise.all(
        Object.entries(config.evaluate.outOfDomain).map(async ([set, data]) => {
          const choices = (await choicesOf(data, io.note)).slice(0, flags.limit);
          const digest = await evaluationDigest({ model: path, data, prompt: config.prompt, set, limit: flags.limit });
          return { set, data, choices, directory: join(flags.out, `${modelName(path)}-${set}-${digest}`) };
        }),
      );
      const parts = sets.flatMap((set) => flags.setting.map((setting) => ({ ...set, setting })));
      // Greedy settings draw one sample a question, the others many: the work counts samples.
      const drawn = parts.map(({ questions, setting }) => questions.length * (isDeterministic(setting) ? 1 : samples));
      const works = [...drawn, ...choiceSets.map(({ choices }) => choices.length)];
      const total = sum(works);
      const results: SetResult[] = sets.map(({ set, questions }) => ({
        set,
        questions: questions.length,
        settings: [],
      }));
      const outOfDomain: LikelihoodResult[] = [];
      const progress = createProgress(io);
      const began = performance.now();
      let before = 0;
      const tell = (index: number, done: number, all: number, text: string) => {
        const share = (sum(works.slice(0, index)) + (works[index]! * done) / all) / total;
        const seconds = (performance.now() - began) / 1000;
        const left = share > before && seconds > WARM_UP ? (seconds / (share - before)) * (1 - share) : undefined;
        progress.update(share, left, text);
      };
      const locks: FolderLock[] = [];
      try {
        for (const { directory } of [...sets, ...choiceSets]) {
          await mkdir(directory, { recursive: true });
          locks.push(await lockFolder(directory));
          if (flags.overwrite) await emptyFolder(directory);
        }
        for (const [index, { set, setting, problems, questions, directory }] of parts.entries()) {
          const summary = await evaluateSetting({
            subject,
            sigma: sigmaOf(subject, noise),
            setting,
            problems,
            questions,
            samples,
            k,
            caps,
            format,
            seed,
            files: evaluationFiles(directory, setting),
            signal: io.signal,
            onProgress: ({ done, total: all, correct, resumed }) => {
              if (resumed) before += (works[index]! * done) / all / total;
              tell(index, done, all, `${set} ${setting} ${done}/${all}, ${percent(correct)} % right`);
            },
          });
          results.find((result) => result.set === set)!.settings.push(summary);
        }
        for (const [index, { set, data, choices, directory }] of choiceSets.entries()) {
          const result = await evaluateChoices({
            subject,
            set,
            kind: data.kind,
            choices,
            prompt: config.prompt,
            files: choicesFiles(directory, 'choices'),
            signal: io.signal,
            onProgress: ({ done, total: all, resumed }) => {
              if (resumed) before += (works[parts.length + index]! * done) / all / total;
              tell(parts.length + index, done, all, `${set} ${done}/${all}`);
            },
          });
          outOfDomain.push(result);
        }
      } finally {
        progress.stop();
        for (const lock of locks) lock.release();
      }
      for (const { directory } of [...sets, ...choiceSets]) io.note(`kept in ${display(directory)}\n`);
      const summary = {
        model,
        engine: engine.name,
        split: flags.split,
        samples,
        noise,
        caps,
        seed,
        sets: results,
        outOfDomain,
      };
      const likelihood = likelihoodTable([{ name: modelName(path), results: outOfDomain }]);
      io.out(
        flags.json
          ? `${JSON.stringify(summary)}\n`
          : `${[resultTables(results, noise), likelihood].filter((table) => table !== undefined).join('\n\n')}\n`,
      );
    });
  return command as unknown as Command;
}

/** What is computed first takes long for what it is; the time left is not told from less than these seconds. */
const WARM_UP = 2;

/** Flags that stand for keys of the recipe's `evaluate`. */
function evaluateSettings({ noise, samples, k }: { noise?: number; samples?: number; k?: number[] }): Setting[] {
  return Object.entries({ 'noise.factor': noise, samples, k }).flatMap(([key, value]) => {
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

/** A table for each test set. */
function resultTables(results: readonly SetResult[], noise: NoiseConfig): string {
  const title = (set: string) => (results.length > 1 ? `${set}\n` : '');
  return results.map((result) => `${title(result.set)}${resultTable(result, noise)}`).join('\n\n');
}

/** A row a setting: pass@k in per cent, then how the thoughts went. */
function resultTable({ questions: n, settings: results }: SetResult, noise: NoiseConfig): string {
  // Greedy settings have pass@1 and no more, whatever k is asked for.
  const drawn = [...new Set(results.flatMap(({ passAtK }) => passAtK.map(({ k }) => k)))].sort((a, b) => a - b);
  const shown =
    drawn.length > 6 ? drawn.filter((_, i) => i % Math.ceil(drawn.length / 6) === 0 || i === drawn.length - 1) : drawn;
  const rows = results.map((result) => {
    const at = (each: number) => result.passAtK.find((point) => point.k === each);
    return [
      result.setting,
      ...shown.map((each) => {
        const point = at(each);
        return point ? percent(point.value) : '';
      }),
      percent(result.majority.reduce((a, b) => (b.k > a.k ? b : a)).value),
      percent(result.thoughtEnd.phrase),
      result.thoughtTokens.mean.toFixed(1),
    ];
  });
  const table = formatTable(['setting', ...shown.map((each) => `@${each}`), 'maj', 'ended', 'tokens'], rows);
  const more =
    shown.length < drawn.length ? `; of ${drawn.length} k asked for ${shown.length} are shown, --json has all` : '';
  const noisy = results.some(({ setting }) => setting.endsWith('-sample') && !setting.startsWith('hard'));
  const sigma = noisy ? `\nsoft-sample and fuzzy-sample at noise σ = ${noise.factor} rms of the embedding` : '';
  const half = percent(binomialStandardError(Math.round(n / 2), n));
  const most = Math.max(...drawn);
  const voters = most === 1 ? 'one sample' : `${most} samples`;
  const legend =
    `pass@k in %, ${n} questions (standard error <= ${half}); maj: the majority of ${voters} is ` +
    `right, %; ended: thoughts that ended by themselves, %; tokens: mean length of a thought; 95 % intervals: --json${more}`;
  return `${table}\n${wrap(legend)}${sigma}`;
}

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
