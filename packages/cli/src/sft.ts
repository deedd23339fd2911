// A supervised warm-up, from recipe to model directory.
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  architectures,
  createCausalLM,
  embeddingRms,
  initialShapes,
  initialWeights,
  isAdapterDirectory,
  loadModelDirectory,
  loadTokenizer,
  modelParameters,
  saveModel,
} from '@soft-tokens/models';
import { type Demonstration, sft } from '@soft-tokens/rl';
import { type EngineReport, writeFileAtomic } from '@soft-tokens/tensor';
import { match } from 'ts-pattern';
import { problemsOf, toDemonstration } from './config/data.js';
import { display } from './config/paths.js';
import type { SftConfig } from './config/recipe.js';
import { suggest } from './config/suggest.js';
import { startEngine } from './engine.js';
import { usageError } from './errors.js';
import type { Io } from './io.js';
import { type LineWriter, openStepLines, readLines } from './jsonLines.js';
import { describeTrainingMemory, requireTrainingMemory, sizeOf } from './memory.js';
import { createProgress, duration } from './progress.js';
import { openRunFolder, type RunFolder } from './runFolder.js';
import { openCheckpoints, optimizerOf, type Subject } from './training.js';
import { nextTurn } from './turn.js';

export interface SftResult {
  model: string;
  steps: number;
  /** Mean loss of the last steps, nats a token. */
  loss: number;
  /** The root mean square of E's entries, before and after; noise is measured in it. */
  embeddingRms: { start: number; end: number };
}

/** How many last steps the reported loss is the mean of. */
const LAST = 50;

/**
 * Runs a supervised warm-up in a run folder and writes the model to `out`; goes on where an earlier run stopped, and does
 * nothing when that was the end.
 */
export async function runSft(
  io: Io,
  config: SftConfig,
  run: { directory: string; overwrite: boolean },
): Promise<SftResult> {
  const engine = await startEngine(config.engine);
  const start = await startingPoint(io, config); // what is wrong with the input is better known before a folder is made
  const command = ['soft-tokens', ...process.argv.slice(2)];
  try {
    const folder = await openRunFolder({ ...run, config, command, engine });
    return await inFolder(io, config, folder, start, engine);
  } finally {
    start.subject.model.dispose();
  }
}

async function inFolder(
  io: Io,
  config: SftConfig,
  folder: RunFolder,
  start: StartingPoint,
  engine: EngineReport,
): Promise<SftResult> {
  try {
    const resultFile = join(folder.directory, 'results.json');
    if (existsSync(resultFile) && existsSync(config.out)) {
      io.note(`${display(folder.directory)}: finished before; nothing to do\n`);
      return JSON.parse(await readFile(resultFile, 'utf8')) as SftResult;
    }
    const result = await warmUp(io, config, folder.directory, start, engine);
    await writeFileAtomic(resultFile, `${JSON.stringify(result, null, 2)}\n`);
    return result;
  } finally {
    folder.release();
  }
}

/** What a warm-up begins with. */
interface StartingPoint {
  subject: Subject;
  /** The directory or GGUF file the tokenizer is in. */
  from: string;
  demonstrations: Demonstration[];
}

async function startingPoint(io: Io, config: SftConfig): Promise<StartingPoint> {
  const problems = await problemsOf(config.data, 'train', io.note);
  const { subject, from } = await startingModel(config);
  try {
    const demonstrations = problems.map((problem) => toDemonstration(problem, config.prompt, subject.tokenizer));
    return { subject, from, demonstrations };
  } catch (error) {
    subject.model.dispose();
    throw error;
  }
}

async function warmUp(
  io: Io,
  config: SftConfig,
  directory: string,
  { subject, from, demonstrations }: StartingPoint,
  engine: EngineReport,
): Promise<SftResult> {
  const { model, embeddingRms: start } = subject;
  const metrics = join(directory, 'metrics.jsonl');
  const checkpoints = join(directory, 'checkpoints');
  const progress = createProgress(io);
  let log: LineWriter | undefined;
  const began = performance.now();
  let resumedAt = 0;
  progress.log(`${model.parameterCount} parameters, ${demonstrations.length} demonstrations, engine ${engine.name}`);
  progress.log(describeTrainingMemory({ parameters: model.parameterCount, trained: model.parameterCount }));
  try {
    const events = sft({
      model,
      demonstrations,
      ...optimizerOf(config.optimizer, config.steps),
      steps: config.steps,
      batchSize: config.batchSize,
      maxNoiseScale: config.maxNoise > 0 ? () => config.maxNoise * embeddingRms(model) : undefined,
      maxGradientNorm: config.optimizer.maxGradientNorm,
      maxTokens: config.maxTokens,
      recompute: config.recompute,
      checkpointEvery: config.checkpointEvery,
      checkpoints: await openCheckpoints(checkpoints, model, { base: from, embeddingRms: start }),
      seed: config.seed,
      signal: io.signal,
    });
    for await (const event of events) {
      if (!log) {
        resumedAt = event.type === 'resumed' ? event.step : 0;
        log = await openStepLines(metrics, resumedAt);
      }
      match(event)
        .with({ type: 'resumed' }, ({ step }) => progress.log(`resumed after step ${step}`))
        .with({ type: 'step' }, ({ type: _, ...record }) => {
          log?.append(record);
          if (record.step % config.checkpointEvery === 0 || record.step === config.steps) log?.sync();
          const seconds = (performance.now() - began) / 1000;
          const left = (seconds / (record.step - resumedAt)) * (config.steps - record.step);
          progress.update(
            record.step / config.steps,
            left,
            `step ${record.step}/${config.steps}  loss ${record.loss.toFixed(3)}`,
          );
        })
        .with({ type: 'checkpoint' }, () => {})
        .exhaustive();
      await nextTurn(io.signal);
    }
  } finally {
    progress.stop();
    log?.close();
  }
  const end = embeddingRms(model);
  await publish(config, subject, from, end);
  const losses = (await readLines<{ loss: number }>(metrics)).slice(-LAST).map(({ loss }) => loss);
  io.note(`${config.steps - resumedAt} steps in ${duration((performance.now() - began) / 1000)}\n`);
  return {
    model: display(config.out),
    steps: config.steps,
    loss: losses.reduce((sum, loss) => sum + loss, 0) / losses.length,
    embeddingRms: { start, end },
  };
}

/** The model to train, loaded or fresh, and the directory or GGUF file its tokenizer is in. */
async function startingModel({ model: path, init, seed }: SftConfig): Promise<{ subject: Subject; from: string }> {
  if (path !== undefined) {
    if (isAdapterDirectory(path)) {
      throw usageError(
        `model: expected a whole model, got the adapter ${display(path)}; merge it first: soft-tokens merge`,
      );
    }
    requireTrainingMemory(display(path), sizeOf(await modelParameters(path)));
    const subject = await loadModelDirectory(path);
    return { subject: { ...subject, embeddingRms: embeddingRms(subject.model) }, from: path };
  }
  const { architecture: name, tokenizer: from, config } = init!; // the schema says that there is one or the other
  const names = architectures.map(({ modelType }) => modelType);
  const architecture = architectures.find(({ modelType }) => modelType === name);
  if (!architecture) {
    const meant = suggest(name, names);
    throw usageError(
      `init.architecture: expected one of ${names.join(', ')}, got ${name}${meant ? `; did you mean ${meant}?` : ''}`,
    );
  }
  const raw = { model_type: architecture.modelType, ...config };
  architecture.parseConfig(raw, 'init.config');
  const tokenizer = await loadTokenizer(from);
  requireTrainingMemory('init.config', sizeOf(initialShapes(architecture, raw)));
  const model = createCausalLM(architecture, raw, initialWeights(architecture, raw, seed), {
    configFile: 'init.config',
  });
  if (tokenizer.maxId >= model.vocabSize) {
    throw usageError(
      `init.config.vocab_size: expected more than the tokenizer's largest id ${tokenizer.maxId}, got ${model.vocabSize}`,
    );
  }
  return { subject: { model, tokenizer, embeddingRms: embeddingRms(model) }, from };
}

/** Writes the model; a README or licence that was there stays. */
async function publish({ out, dtype }: SftConfig, { model }: Subject, from: string, rms: number): Promise<void> {
  await mkdir(dirname(out), { recursive: true });
  await saveModel(model, out, { dtype, from, embeddingRms: rms });
}
