import { Command } from '@commander-js/extra-typings';
import { binomialStandardError } from '@soft-tokens/metrics';
import { loadModelDirectory } from '@soft-tokens/models';
import { settingNames } from '@soft-tokens/samplers';
import { problemsOf, toQuestion } from '../config/data.js';
import { loadEvalRecipe } from '../config/load.js';
import { type NoiseConfig, powersUpTo } from '../config/recipe.js';
import { startEngine } from '../engine.js';
import { usageError } from '../errors.js';
import { evaluateSetting, type SettingResult } from '../evaluation.js';
import type { Io } from '../io.js';
import { modelHelp, modelPath } from '../model.js';
import { createProgress } from '../progress.js';
import { formatTable, percent } from '../table.js';
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
    .addOption(seedOption())
    .addOption(engineOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      examples(
        'soft-tokens eval packages/models/tiny --data recipes/demo.yaml --setting all',
        'soft-tokens eval MODEL --data recipes/gsm8k.yaml \\\n      --set data.test=test.jsonl --setting soft-sample --samples 32 --limit 50',
        "soft-tokens eval MODEL --set 'data={kind: arithmetic, levels: [2]}'",
      ),
    )
    .action(async (model, flags) => {
      if (flags.data === undefined && flags.set.length === 0) {
        throw usageError('eval: expected --data RECIPE or --set data=..., got neither; try --data recipes/demo.yaml');
      }
      const settings = flagSettings(flags);
      if (flags.noise !== undefined) {
        const path = ['evaluate', 'noise', 'factor'];
        settings.push({ text: `${path.join('.')}=${flags.noise}`, path, value: flags.noise });
      }
      const config = await loadEvalRecipe(flags.data, settings);
      const samples = flags.samples ?? config.evaluate.samples;
      const k = flags.k ?? config.evaluate.k ?? powersUpTo(samples);
      const tooLarge = k.find((each) => each > samples);
      if (tooLarge !== undefined)
        throw usageError(`--k: expected at most the ${samples} samples, got ${tooLarge}; raise --samples`);

      const path = await modelPath(model);
      const engine = await startEngine(config.engine);
      const subject = await loadModelDirectory(path);
      const limit = flags.limit ?? config.evaluate.questions;
      const questions = (await problemsOf(config.data, flags.split, io.note))
        .slice(0, limit)
        .map((problem) => toQuestion(problem, config.prompt, subject.tokenizer));
      const caps = config.evaluate.caps ?? config.caps;
      const results: SettingResult[] = [];
      const progress = createProgress(io);
      const began = performance.now();
      // Greedy settings draw one sample a question, the others many: the work counts samples.
      const work = flags.setting.map((name) => questions.length * (name.endsWith('-greedy') ? 1 : samples));
      const total = work.reduce((sum, part) => sum + part, 0);
      const before = (index: number) => work.slice(0, index).reduce((sum, part) => sum + part, 0);
      try {
        for (const [index, setting] of flags.setting.entries()) {
          const result = await evaluateSetting({
            subject,
            sigma: sigmaOf(subject, config.evaluate.noise),
            setting,
            questions,
            samples,
            k,
            caps,
            seed: config.seed,
            signal: io.signal,
            onProgress: (done, count) => {
              const share = (before(index) + (work[index]! * done) / count) / total;
              const seconds = (performance.now() - began) / 1000;
              progress.update(share, (seconds / share) * (1 - share), `${setting} ${done}/${count} questions`);
            },
          });
          results.push(result);
        }
      } finally {
        progress.stop();
      }
      const summary = {
        model,
        engine: engine.name,
        split: flags.split,
        questions: questions.length,
        samples,
        noise: config.evaluate.noise,
        caps,
        seed: config.seed,
        results,
      };
      io.out(flags.json ? `${JSON.stringify(summary)}\n` : `${resultTable(results, k, config.evaluate.noise)}\n`);
    });
  return command as unknown as Command;
}

/** A row a setting: pass@k in per cent, then how the thoughts went. */
export function resultTable(results: readonly SettingResult[], k: readonly number[], noise: NoiseConfig): string {
  const n = results[0]?.questions.length ?? 0;
  // Greedy settings alone have no more than pass@1.
  const drawn = k.filter((each) => results.some(({ passAtK }) => passAtK.some((point) => point.k === each)));
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
      percent(result.stopped),
      result.thoughtTokens.toFixed(1),
    ];
  });
  const table = formatTable(['setting', ...shown.map((each) => `@${each}`), 'ended', 'tokens'], rows);
  const more =
    shown.length < drawn.length ? `;\nof ${drawn.length} k asked for ${shown.length} are shown, --json has all` : '';
  const noisy = results.some(({ setting }) => setting.endsWith('-sample') && !setting.startsWith('hard'));
  const sigma = noisy ? `\nsoft-sample and fuzzy-sample at noise σ = ${noise.factor} rms of the embedding` : '';
  const half = percent(binomialStandardError(Math.round(n / 2), n));
  return `${table}\npass@k in %, ${n} questions (standard error <= ${half}); ended: thoughts that\nended by themselves, %; tokens: mean length of a thought${more}${sigma}`;
}

function parseSettings(text: string) {
  return text === 'all' ? [...settingNames] : listOf(settingNames)(text);
}

function parseSplit(text: string) {
  return listOf(['train', 'validation', 'test'] as const)(text)[0]!;
}

function parseList(text: string): number[] {
  return text.split(',').map((part) => positiveWholeNumber(part.trim()));
}
