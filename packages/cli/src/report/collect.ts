// The runs of a report, read from run folders and sweep folders.
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { type SettingName, settingNames } from '@soft-tokens/samplers';
import { parse } from 'yaml';
import type { z } from 'zod';
import { completeTrainConfig } from '../config/load.js';
import { display } from '../config/paths.js';
import { CliError, isMissing, messageOf, usageError } from '../errors.js';
import { layout } from '../jobs/layout.js';
import type { SubjectName } from '../jobs/tasks.js';
import { readLines } from '../jsonLines.js';
import { modelName } from '../model.js';
import {
  type Config,
  configSchema,
  type Metrics,
  metricsSchema,
  type Results,
  resultsSchema,
  type Thought,
  thoughtsSchema,
} from './records.js';

/** The log of one mode's training. */
export interface TrainingLog {
  mode: SubjectName;
  records: readonly Metrics[];
}

/** The thoughts that were kept of one model under one setting. */
export interface Thoughts {
  subject: SubjectName;
  set: string;
  setting: SettingName;
  thoughts: readonly Thought[];
}

/** A run, finished or going on. */
export interface Run {
  /** Its folder as the report names it: without the directories that all runs share. */
  name: string;
  directory: string;
  /** The model that it starts from, and the set that it trains on. */
  model: string;
  trainedOn: string;
  seed: number;
  config: Config;
  /** None before the run is finished. */
  results?: Results;
  logs: readonly TrainingLog[];
  thoughts: readonly Thoughts[];
}

/** What was given to report on. */
export interface Collection {
  runs: readonly Run[];
  /** Folders whose results are not in the report, and why. */
  leftOut: readonly { name: string; why: string }[];
}

/**
 * Reads run folders, and the runs of sweep folders.
 *
 * @throws CliError (exit code 2) for a folder that is neither, and where no run has anything to show.
 */
export async function collectRuns(paths: readonly string[]): Promise<Collection> {
  const directories = [...new Set((await Promise.all(paths.map(runFolders))).flat())].sort(naturally);
  const shared = commonParent(directories);
  const runs: Run[] = [];
  const leftOut: { name: string; why: string }[] = [];
  for (const directory of directories) {
    const name = relative(shared, directory)
      .split(sep)
      .filter((part) => part !== 'runs')
      .join('/');
    const { run, why } = await readRun(directory, name);
    if (run) runs.push(run);
    if (why !== undefined) leftOut.push({ name, why });
  }
  if (runs.length === 0) {
    const reasons = leftOut.map(({ name, why }) => `${name}: ${why}`).join('; ');
    throw usageError(`report: expected a run that has begun, got none: ${reasons || 'the sweep has no runs yet'}`);
  }
  return { runs, leftOut };
}

const naturally = (a: string, b: string) => a.localeCompare(b, 'en', { numeric: true });

/** The run folders that a path stands for. */
async function runFolders(path: string): Promise<string[]> {
  const directory = resolve(path);
  const names = await namesIn(directory);
  if (names.includes('sweep.yaml')) {
    const within = join(directory, 'runs');
    return (await readdir(within, { withFileTypes: true }).catch(() => []))
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
      .map(({ name }) => join(within, name));
  }
  if (names.includes('run.json') || names.includes('config.yaml')) return [directory];
  throw usageError(
    `${display(directory)}: expected a run folder or a sweep folder, got one with neither run.json nor sweep.yaml; ` +
      'soft-tokens train and soft-tokens sweep write them',
  );
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    throw usageError(`${display(directory)}: expected a run folder, got ${messageOf(error)}`);
  }
}

/** The deepest directory that all others are in, so that names are short and say nothing of the machine. */
function commonParent(directories: readonly string[]): string {
  let shared = dirname(directories[0] ?? '/');
  while (!directories.every((directory) => `${directory}${sep}`.startsWith(shared === sep ? sep : `${shared}${sep}`))) {
    shared = dirname(shared);
  }
  return shared;
}

/** With the defaults of keys that did not exist when it was written, so that older runs are averaged with newer ones. */
function readConfig(text: string): unknown {
  const stored: unknown = parse(text);
  return completeTrainConfig(stored) ?? stored;
}

async function readRun(directory: string, name: string): Promise<{ run?: Run; why?: string }> {
  let config: Config;
  try {
    config = await checked(directory, 'config.yaml', readConfig, configSchema);
  } catch (error) {
    return { why: isMissing(error) ? 'not begun: no config.yaml' : messageOf(error) };
  }
  let results: Results | undefined;
  let why: string | undefined;
  try {
    results = await checked(directory, 'results.json', JSON.parse, resultsSchema);
  } catch (error) {
    why = isMissing(error) ? undefined : messageOf(error);
  }
  let logs: TrainingLog[];
  let thoughts: Thoughts[];
  try {
    logs = await Promise.all(config.modes.map((mode) => readLog(directory, mode)));
    thoughts = results ? await readThoughts(directory, results) : [];
  } catch (error) {
    // One broken file does not keep the other runs from their report.
    return { why: messageOf(error) };
  }
  const run: Run = {
    name,
    directory,
    model: results?.model ?? modelName(config.model),
    trainedOn: results?.trainedOn ?? config.data.name ?? config.data.kind,
    seed: config.seed,
    config,
    ...(results && { results }),
    logs,
    thoughts,
  };
  return results ? { run } : { run, why: why ?? progressOf(config, logs) };
}

function progressOf(config: Config, logs: readonly TrainingLog[]): string {
  const steps = logs.map(({ mode, records }) => {
    const last = records.findLast(({ type }) => type === 'step')?.step ?? 0;
    return `${mode} ${last}${typeof config.steps === 'number' ? ` of ${config.steps}` : ''} steps`;
  });
  return `not finished, no results.json yet: ${steps.join(', ')}`;
}

async function readLog(directory: string, mode: SubjectName): Promise<TrainingLog> {
  if (mode === 'base') return { mode, records: [] };
  const file = layout.metrics(directory, mode);
  const name = relative(directory, file);
  const lines = await readLines<unknown>(file).catch((error: unknown) => {
    throw new CliError(`${name}: expected a line of JSON each, got ${messageOf(error)}`);
  });
  return { mode, records: lines.map((line, i) => valid(`${name}:${i + 1}`, metricsSchema, line)) };
}

async function readThoughts(directory: string, { models }: Results): Promise<Thoughts[]> {
  const found: Thoughts[] = [];
  for (const { subject, sets } of models) {
    for (const { set, settings } of sets) {
      for (const setting of settingNames.filter((name) => settings.some((each) => each.setting === name))) {
        const file = layout.evaluation(directory, subject, set, setting).thoughts;
        const thoughts = await checked(directory, relative(directory, file), JSON.parse, thoughtsSchema).catch(
          (error: unknown) => {
            if (isMissing(error)) return [];
            throw error;
          },
        );
        if (thoughts.length > 0) found.push({ subject, set, setting, thoughts });
      }
    }
  }
  return found;
}

/** The content of a run's file as a schema has it; errors name it within its run. */
async function checked<T extends z.ZodType>(
  directory: string,
  name: string,
  read: (text: string) => unknown,
  schema: T,
): Promise<z.output<T>> {
  const text = await readFile(join(directory, name), 'utf8');
  let value: unknown;
  try {
    value = read(text);
  } catch (error) {
    throw new CliError(`${name}: expected it whole, got ${messageOf(error)}`);
  }
  return valid(name, schema, value);
}

function valid<T extends z.ZodType>(where: string, schema: T, value: unknown): z.output<T> {
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  const { path, message } = error.issues[0]!;
  throw new CliError(
    `${where}: expected what this version of soft-tokens writes, got at ${path.join('.') || 'the top'}: ` +
      `${message}; run soft-tokens train again`,
  );
}
