// A checkpoint is a directory: the model as a Hugging Face directory, the optimiser's tensors, and the counters. It is
// written in `.partial`, beside its final name, and renamed into place, so that what has its final name is whole. What a
// killed run leaves in `.partial` is never read, and removed by the next write.
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  type OpenSafetensors,
  openSafetensors,
  openShardedSafetensors,
  syncDirectory,
  type TensorToWrite,
  writeFileAtomic,
  writeSafetensors,
} from '@soft-tokens/tensor';
import * as tf from '@tensorflow/tfjs-core';
import { z } from 'zod';
import type { OptimizerState, Parameters } from './optimizers.js';

const bestSchema = z.strictObject({ step: z.number().int(), accuracy: z.number() });
const stateSchema = z.strictObject({
  step: z.number().int().nonnegative(),
  optimizerCount: z.number().int().nonnegative(),
  best: bestSchema.nullable(),
  validationsSinceBest: z.number().int().nonnegative().default(0),
});

/** The validation score that the best checkpoint was chosen by. */
export type Best = z.infer<typeof bestSchema>;

/** Everything a run needs to go on exactly, but for its data and configuration. */
export interface TrainingState {
  /** Updates made. */
  step: number;
  optimizer: OptimizerState;
  best: Best | null;
  /** Validations after it, none of them better. */
  validationsSinceBest: number;
}

export interface CheckpointStore {
  /** Writes `step-NNNNNN`, then removes older ones. */
  save(state: TrainingState): Promise<string>;
  /** Writes the model alone as `best`. */
  saveBest(): Promise<string>;
  /** Puts the newest checkpoint's values into the parameters and returns its state; `undefined` when there is none. */
  restore(parameters: Parameters): Promise<TrainingState | undefined>;
}

const STEP = /^step-(\d{6,})$/;

/**
 * Checkpoints in a directory: the newest `step-NNNNNN`, and `best`.
 *
 * - `saveModel` writes the current model into a directory that does not exist yet
 * - `weights`: the file in which it puts the parameters, under their names; `model.safetensors`, or its shards, unless said
 *
 * @throws Error (from `restore`) naming the file, when a checkpoint is damaged or does not fit the parameters. What its
 * headers tell is found before any parameter changes; a disk that fails later may leave some changed.
 * @example const store = checkpointStore('runs/demo/soft/checkpoints', (dir) => saveModel(model, dir));
 */
export function checkpointStore(
  directory: string,
  saveModel: (dir: string) => Promise<void>,
  { weights: weightsFile }: { weights?: string } = {},
): CheckpointStore {
  const steps = async (): Promise<number[]> => {
    const names = (await readdir(directory).catch(ignoreMissing)) ?? [];
    return names.flatMap((name) => STEP.exec(name)?.[1] ?? []).map(Number);
  };
  const nameOf = (step: number) => `step-${String(step).padStart(6, '0')}`;

  /** Writes a directory beside its final name, then swaps it in. */
  async function publish(name: string, write: (dir: string) => Promise<void>): Promise<string> {
    const final = join(directory, name);
    const partial = join(directory, '.partial');
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial, { recursive: true });
    await write(join(partial, name));
    await rename(final, join(partial, 'replaced')).catch(ignoreMissing);
    await rename(join(partial, name), final);
    await syncDirectory(directory); // before anything that it replaces is removed
    await rm(partial, { recursive: true });
    return final;
  }

  return {
    async save({ step, optimizer, ...counters }) {
      const path = await publish(nameOf(step), async (dir) => {
        await saveModel(dir);
        await writeSafetensors(join(dir, 'optimizer.safetensors'), hostTensors(optimizer.tensors));
        const state = { step, optimizerCount: optimizer.count, ...counters } satisfies z.infer<typeof stateSchema>;
        await writeFileAtomic(join(dir, 'trainer.json'), `${JSON.stringify(state, null, 2)}\n`);
      });
      for (const older of await steps()) {
        if (older < step) await rm(join(directory, nameOf(older)), { recursive: true, force: true });
      }
      return path;
    },
    saveBest: () => publish('best', saveModel),
    async restore(parameters) {
      const newest = (await steps()).sort((a, b) => b - a)[0];
      if (newest === undefined) return undefined;
      const dir = join(directory, nameOf(newest));
      const { optimizerCount, ...counters } = await readState(join(dir, 'trainer.json'));
      // What does not fit is found before anything changes; then one tensor after another, so that no copy is in memory.
      const weights = await openWeights(dir, weightsFile, parameters);
      const moments = await openMoments(join(dir, 'optimizer.safetensors'), parameters);
      const tensors = new Map<string, tf.Tensor>();
      try {
        for (const [name, { shape }] of moments.tensors) {
          tensors.set(name, tf.tensor(await moments.read(name), [...shape], 'float32'));
        }
        for (const [name, parameter] of parameters) {
          const values = await weights.read(name);
          tf.tidy(() => parameter.assign(tf.tensor(values, parameter.shape, 'float32')));
        }
      } catch (error) {
        tf.dispose([...tensors.values()]);
        throw beginAnew(error, dir);
      }
      return { ...counters, optimizer: { count: optimizerCount, tensors } };
    },
  };
}

async function readState(file: string): Promise<z.infer<typeof stateSchema>> {
  const damaged = (expected: string, got: string, key = '') =>
    new Error(
      `${file}: ${key}expected ${expected}, got ${got}; restore the file, or remove ${dirname(file)} to begin anew`,
    );
  const text = await readFile(file, 'utf8').catch(ignoreMissing);
  if (text === undefined) throw damaged("a checkpoint's counters", 'no file');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw damaged('JSON', `text that does not parse: ${(error as Error).message}`);
  }
  const { data, error } = stateSchema.safeParse(value, { reportInput: true });
  if (data) return data;
  const issue = error.issues[0]!;
  if (issue.code === 'unrecognized_keys') throw damaged('no other key', issue.keys.join(', '));
  const expected = /expected (.*?)(, received .*)?$/.exec(issue.message)?.[1] ?? issue.message;
  const got = issue.input === undefined ? 'none' : JSON.stringify(issue.input);
  throw damaged(expected, got, issue.path.length > 0 ? `${issue.path.join('.')}: ` : '');
}

/** What goes wrong with a checkpoint's file. It cannot be fetched again, as the reader advises for weights in general. */
function beginAnew(error: unknown, directory: string): Error {
  const problem = (error as Error).message.replace(/; [^;]*$/, '');
  return new Error(`${problem}; remove ${directory} to begin anew`, { cause: error });
}

async function openWeights(
  directory: string,
  file: string | undefined,
  parameters: Parameters,
): Promise<OpenSafetensors> {
  const opening = file === undefined ? openShardedSafetensors(directory) : openSafetensors(join(directory, file));
  const weights = await opening.catch((error) => {
    throw beginAnew(error, directory);
  });
  for (const [name, { shape }] of parameters) {
    const stored = weights.tensors.get(name);
    if (stored && tf.util.arraysEqual([...stored.shape], shape)) continue;
    const got = stored ? `[${stored.shape}]` : 'none';
    throw new Error(`${weights.path}: expected tensor ${name} [${shape}], got ${got}; is it this run's checkpoint?`);
  }
  return weights;
}

/** The optimiser's tensors, each named `<parameter>.<suffix>` and of that parameter's shape. */
async function openMoments(file: string, parameters: Parameters): Promise<OpenSafetensors> {
  const moments = await openSafetensors(file).catch((error) => {
    throw beginAnew(error, dirname(file));
  });
  const problem = (expected: string, got: string) =>
    new Error(`${file}: expected ${expected}, got ${got}; is it this run's checkpoint?`);
  const suffixes = new Set<string>();
  for (const [name, { shape }] of moments.tensors) {
    const dot = name.lastIndexOf('.');
    const parameter = parameters.get(name.slice(0, dot));
    if (!parameter) throw problem('tensors named <parameter>.<suffix>', name);
    if (!tf.util.arraysEqual([...shape], parameter.shape)) {
      throw problem(`tensor ${name} [${parameter.shape}]`, `[${shape}]`);
    }
    suffixes.add(name.slice(dot + 1));
  }
  for (const name of parameters.keys()) {
    for (const suffix of suffixes) {
      if (!moments.tensors.has(`${name}.${suffix}`)) throw problem(`tensor ${name}.${suffix}`, 'none');
    }
  }
  return moments;
}

/** An optimiser's tensors to write, each brought from the engine when its turn comes. */
function hostTensors(tensors: ReadonlyMap<string, tf.Tensor>): Record<string, TensorToWrite> {
  return Object.fromEntries(
    Array.from(tensors, ([name, tensor]) => [name, { shape: tensor.shape, values: () => tensor.data<'float32'>() }]),
  );
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
