import { Command, Option } from '@commander-js/extra-typings';
import { type CausalLM, isLora, loadModel } from '@soft-tokens/models';
import { median, type StepTimes, timeSteps } from '../bench.js';
import { modes } from '../config/recipe.js';
import { startEngine } from '../engine.js';
import { usageError } from '../errors.js';
import { drawnTokens, type MatrixSizes, matrixSizes, type StepShape, stepFlops } from '../flops.js';
import type { Io } from '../io.js';
import { measurePeak } from '../measure.js';
import { modelHelp, modelPath } from '../model.js';
import { createProgress } from '../progress.js';
import { createRandomModel, parseRandomModel, randomModelHelp } from '../randomModel.js';
import { formatTable, percent } from '../table.js';
import { engineOption, examples, jsonOption, positiveWholeNumber, seedOption } from './options.js';

export function benchCommand(io: Io): Command {
  const command = new Command('bench')
    .description('time training steps of full length on random prompts')
    .option('--model <model>', `${modelHelp}; needs no tokenizer`)
    .addOption(
      new Option('--random <sizes>', 'a model with random weights, see below').argParser((text: string) =>
        parseRandomModel(text),
      ),
    )
    .addOption(new Option('--mode <name>', 'how thoughts are drawn').choices(modes).default('soft' as const))
    .option('--prompts <n>', 'prompts a step', positiveWholeNumber, 2)
    .option('--samples <n>', 'samples a prompt', positiveWholeNumber, 32)
    .option('--prompt-tokens <n>', 'length of a prompt', positiveWholeNumber, 64)
    .option('--thought-tokens <n>', 'length of a thought', positiveWholeNumber, 128)
    .option('--answer-tokens <n>', 'length of an answer', positiveWholeNumber, 32)
    .option('--max-tokens <n>', 'positions a micro-batch holds at most', positiveWholeNumber, 8192)
    .option('--recompute', 'compute each layer again in the update: less memory, more time', false)
    .option('--steps <n>', 'steps to time, after one to warm up', positiveWholeNumber, 3)
    .addOption(seedOption())
    .addOption(engineOption())
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `
${randomModelHelp}
${examples(
  'soft-tokens bench --random llama --mode hard --steps 1',
  'soft-tokens bench --random llama:hidden=64,layers=3,heads=4,kv=2,\\\nintermediate=192,vocab=512 --engine wasm',
  'soft-tokens bench --model packages/models/tiny --json',
)}
flop_share: operations of the step's products with weights, over its time, as a
share of the best speed of a plain product, measured before the steps.
`,
    )
    .action(async ({ model: name, random, ...flags }) => {
      if ((name === undefined) === (random === undefined)) {
        const got = name === undefined ? 'neither' : 'both';
        throw usageError(`bench: expected either --model or --random, got ${got}; try --random llama`);
      }
      const path = name === undefined ? undefined : await modelPath(name);
      const seed = flags.seed ?? 0;
      const engine = await startEngine(flags.engine ?? 'auto');
      const peak = await measurePeak();
      const model = path === undefined ? createRandomModel(random!, seed) : await loadModel(path);
      const shape: StepShape = flags;
      const { matrices, parameters } = sizesOf(model);
      const flops = stepFlops(matrices, shape);
      const progress = createProgress(io);
      const began = performance.now();
      let times: StepTimes[];
      try {
        times = await timeSteps({
          model,
          shape,
          steps: flags.steps,
          maxTokens: flags.maxTokens,
          recompute: flags.recompute,
          seed,
          signal: io.signal,
          onStep: (done, total) => {
            const seconds = (performance.now() - began) / 1000;
            progress.update(done / total, (seconds / done) * (total - done), `step ${done}/${total}`);
          },
        });
      } finally {
        progress.stop();
        model.dispose();
      }
      const { prompts, samples, promptTokens, thoughtTokens, answerTokens } = shape;
      const report = {
        model: name ?? random,
        engine: engine.name,
        parameters,
        mode: shape.mode,
        prompts,
        samples,
        prompt_tokens: promptTokens,
        thought_tokens: thoughtTokens,
        answer_tokens: answerTokens,
        max_tokens: flags.maxTokens,
        recompute: flags.recompute,
        seed,
        ...summarise(times, { tokens: drawnTokens(shape), flops, peak }),
        peak_rss_mb: process.resourceUsage().maxRSS / 1024,
      };
      if (flags.json) io.out(`${JSON.stringify(report)}\n`);
      else io.out(`${describe(report)}\n`);
    });
  return command as unknown as Command;
}

/** What a model holds, with its adapters where it has some. */
function sizesOf(model: CausalLM): { matrices: MatrixSizes; parameters: number } {
  if (!isLora(model)) return { matrices: matrixSizes(model.parameters), parameters: model.parameterCount };
  const { base, parameters, parameterCount } = model;
  return { matrices: matrixSizes(base.parameters, parameters), parameters: base.parameterCount + parameterCount };
}

/** Medians over the steps, and what follows from them. */
export function summarise(
  times: readonly StepTimes[],
  { tokens, flops, peak }: { tokens: number; flops: number; peak: number },
) {
  const steps = times.map(({ rollout, update }) => ({
    rollout_s: rollout,
    update_s: update,
    step_s: rollout + update,
  }));
  const step = median(steps.map(({ step_s }) => step_s));
  return {
    rollout_s: median(steps.map(({ rollout_s }) => rollout_s)),
    update_s: median(steps.map(({ update_s }) => update_s)),
    step_s: step,
    tokens_per_s: tokens / step,
    flops_per_step: flops,
    peak_gflops: peak,
    flop_share: flops / step / (peak * 1e9),
    steps,
  };
}

type Report = ReturnType<typeof summarise> & { engine: string; parameters: number; peak_rss_mb: number };

function describe(report: Report): string {
  const seconds = (value: number) => value.toFixed(3);
  const count = report.steps.length;
  return formatTable(
    ['measured', `median of ${count}`, 'unit'],
    [
      ['rollout', seconds(report.rollout_s), 's'],
      ['update', seconds(report.update_s), 's'],
      ['step', seconds(report.step_s), 's'],
      ['tokens', report.tokens_per_s.toFixed(1), '/ s'],
      ['flop share', percent(report.flop_share), '%'],
      ['product peak', report.peak_gflops.toFixed(1), 'GFLOP/s'],
      ['peak memory', report.peak_rss_mb.toFixed(0), 'MB'],
      ['parameters', String(report.parameters), ''],
      ['engine', report.engine, ''],
    ],
  );
}
