// A run folder: the resolved configuration, what it ran with, and whatever the run writes beside them.
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { type EngineReport, writeFileAtomic } from '@soft-tokens/tensor';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { display } from './config/paths.js';
import { isMissing, usageError } from './errors.js';
import { lockFolder } from './lock.js';
import { reportForms } from './report/records.js';
import { gitCommit, versions } from './versions.js';

export interface RunFolderOptions {
  directory: string;
  /** The resolved configuration, with full paths. */
  config: Record<string, unknown>;
  /** A stored configuration with the defaults of keys that did not exist when it was written. */
  complete?: (stored: unknown) => unknown;
  /** The command line, for the record. */
  command: readonly string[];
  /** Throws away what another configuration left. */
  overwrite: boolean;
  engine: EngineReport;
}

export interface RunFolder {
  readonly directory: string;
  /** Whether the folder held this run already. */
  readonly resumed: boolean;
  /** The engine the run was begun on, where it was another. */
  readonly earlierEngine: string | undefined;
  /** Names a process that also writes here, so that a later run waits for it. */
  addProcess(pid: number): void;
  /** Lets other processes use the folder. */
  release(): void;
}

const CONFIG = 'config.yaml';
const RUN = 'run.json';

/** Keys that change how fast a run is, not what comes of it. */
const withoutEffect = new Set(['workers', 'recompute']);

const runRecord = z.object({
  versions: z.record(z.string(), z.string()),
  engine: z.string(),
  sessions: z
    .array(z.object({ command: z.string(), started: z.string(), commit: z.string().nullable(), engine: z.string() }))
    .min(1),
});

type RunRecord = z.output<typeof runRecord>;

/** Everything a run writes into its folder; nothing else is ever removed from one. */
const own = new Set([
  CONFIG,
  RUN,
  'results.json',
  'table.txt',
  ...reportForms.map((form) => `report.${form}`),
  'metrics.jsonl',
  'checkpoints',
  'base',
  'hard',
  'soft',
  'fuzzy',
]);

/**
 * Opens a run folder: a new one, or that of the same configuration, which is then gone on with.
 *
 * config.yaml holds paths relative to the folder, so it is a recipe itself and survives being moved.
 *
 * @throws CliError (exit code 2) for a folder of another configuration, naming the keys that differ; for one that is no
 * run; for one that holds files of others and would be overwritten; for one in use.
 */
export async function openRunFolder(options: RunFolderOptions): Promise<RunFolder> {
  const directory = resolve(options.directory);
  const config = withRelativePaths(options.config, directory) as Record<string, unknown>;
  let names = await namesIn(directory);
  if (names.length > 0 && !(await readRun(directory))) {
    throw usageError(
      `${display(directory)}: expected a new folder or one of a run, got one without a ${RUN} of a run; choose another with --run-dir`,
    );
  }
  await mkdir(directory, { recursive: true });
  const lock = await lockFolder(directory);
  try {
    if (names.includes(CONFIG)) {
      const differing = changedKeys(await storedConfig(directory, options.complete), config);
      // A run that failed before its first result left nothing to lose: its folder is not in the way of the next.
      if (differing.length > 0 && isBegun(names) && !options.overwrite) throw otherConfiguration(directory, differing);
      if (differing.length > 0) {
        const foreign = names.find((name) => !own.has(name));
        if (foreign !== undefined) throw othersFile(directory, foreign);
        for (const name of names) await rm(join(directory, name), { recursive: true });
        names = [];
      }
    }
    const earlier = names.includes(RUN) ? await readRun(directory) : undefined;
    // The record first: it is what tells a run folder, should a kill come between.
    await writeRun(directory, options, earlier);
    const resumed = names.includes(CONFIG);
    if (!resumed) await writeFileAtomic(join(directory, CONFIG), stringify(config, { flowCollectionPadding: false }));
    return {
      directory,
      resumed,
      earlierEngine: earlier && earlier.engine !== options.engine.name ? earlier.engine : undefined,
      addProcess: lock.addProcess,
      release: lock.release,
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** The keys whose values differ between a folder's run and a configuration; undefined where no run left anything. */
export async function differingKeys({
  directory,
  config,
  complete,
}: Pick<RunFolderOptions, 'directory' | 'config' | 'complete'>): Promise<string[] | undefined> {
  const names = await namesIn(directory);
  if (!names.includes(CONFIG) || !isBegun(names)) return undefined;
  return changedKeys(await storedConfig(directory, complete), withRelativePaths(config, resolve(directory)));
}

async function storedConfig(directory: string, complete: RunFolderOptions['complete']): Promise<unknown> {
  const stored: unknown = parse(await readFile(join(directory, CONFIG), 'utf8'));
  return complete?.(stored) ?? stored;
}

/** Whether a run left anything to lose. */
const isBegun = (names: readonly string[]) => names.some((name) => name !== CONFIG && name !== RUN);

/** The names in a folder but for hidden ones; none where there is no folder. Throws CliError for what is no folder. */
export async function namesIn(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).filter((name) => !name.startsWith('.'));
  } catch (error) {
    if (isMissing(error)) return [];
    throw usageError(`${display(directory)}: expected a folder, got ${(error as Error).message}`);
  }
}

/** The record of the run a folder is of; undefined where it is no run's. */
async function readRun(directory: string): Promise<RunRecord | undefined> {
  try {
    return runRecord.parse(JSON.parse(await readFile(join(directory, RUN), 'utf8')));
  } catch (error) {
    if (isMissing(error) || error instanceof SyntaxError || error instanceof z.ZodError) return undefined;
    throw error;
  }
}

function othersFile(directory: string, name: string): Error {
  return usageError(
    `${display(directory)}: expected nothing but what a run writes, to overwrite it, got ${name}; ` +
      'move that away, or choose another folder with --run-dir',
  );
}

async function writeRun(directory: string, { command, engine }: RunFolderOptions, earlier?: RunRecord): Promise<void> {
  const session = {
    command: command.join(' '),
    started: new Date().toISOString(),
    commit: gitCommit(),
    engine: engine.name,
  };
  const record: RunRecord = {
    versions: versions(),
    engine: earlier?.engine ?? engine.name,
    sessions: [...(earlier?.sessions ?? []), session],
  };
  await writeFileAtomic(join(directory, RUN), `${JSON.stringify(record, null, 2)}\n`);
}

function otherConfiguration(directory: string, differing: string[]): Error {
  return usageError(
    `${display(directory)}: expected the configuration of this run, got other values of ${differing.join(', ')}; ` +
      'choose another folder with --run-dir, or discard this one with --overwrite',
  );
}

/** The keys, dotted, whose values differ between two configurations, but for those without effect on the result. */
export function changedKeys(before: unknown, after: unknown, path = ''): string[] {
  if (withoutEffect.has(path)) return [];
  if (isMap(before) && isMap(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    return keys.flatMap((key) => changedKeys(before[key], after[key], path === '' ? key : `${path}.${key}`));
  }
  return JSON.stringify(before) === JSON.stringify(after) ? [] : [path];
}

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The keys of a configuration that hold paths. */
const pathKeys = /^(model|out|init\.tokenizer|data\.(train|test)|evaluate\.(sets|outOfDomain)\..+\.(train|test))$/;

/** A configuration whose paths are relative to a folder; absent keys left out. */
function withRelativePaths(value: unknown, directory: string, path = ''): unknown {
  if (typeof value === 'string' && pathKeys.test(path)) return relative(directory, value);
  if (!isMap(value)) return value;
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  return Object.fromEntries(
    entries.map(([key, item]) => [key, withRelativePaths(item, directory, path === '' ? key : `${path}.${key}`)]),
  );
}
