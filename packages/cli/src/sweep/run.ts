// A sweep from its file to its tables: run after run, each in a folder of its own.

import { mkdir } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { writeFileAtomic } from '@soft-tokens/tensor';
import { stringify } from 'yaml';
import { display } from '../config/paths.js';
import { CliError, messageOf, usageError } from '../errors.js';
import type { Io } from '../io.js';
import { lockFolder } from '../lock.js';
import { runTraining } from '../run.js';
import { namesIn } from '../runFolder.js';
import { type Group, groupsOf, type SweptRun } from './aggregate.js';
import type { Sweep } from './file.js';
import { readNumbers } from './observations.js';
import type { PlannedRun } from './plan.js';
import { recordOf, refuseOtherSweep, SWEEP_FILE } from './record.js';
import { type RunState, refuseOthers, stateOf } from './state.js';
import { sweepCsv, sweepMarkdown, sweepText } from './tables.js';

/** The content of a sweep's results.json. */
export interface SweepResults {
  name: string;
  runs: { name: string; values: Record<string, unknown>; directory: string; finished: boolean }[];
  /** How many questions each test set has. */
  questions: Record<string, number>;
  groups: Group[];
}

export interface SweepOptions {
  name: string;
  directory: string;
  /** Discards runs of another configuration. */
  overwrite: boolean;
  /** Whether a run that fails leaves the others going. */
  keepGoing: boolean;
}

/** How far each run of a sweep is. */
export async function statesOf(runs: readonly PlannedRun[]): Promise<{ run: PlannedRun; state: RunState }[]> {
  return Promise.all(runs.map(async (run) => ({ run, state: await stateOf(run) })));
}

/**
 * Does the runs of a sweep that are not done in its folder, one after the other, sums up after each, and returns what came of
 * all of them.
 *
 * @throws CliError for a folder that does not fit; what a run throws, at once or with `keepGoing` at the end; the signal's
 * reason.
 */
export async function runSweep(
  io: Io,
  sweep: Sweep,
  runs: readonly PlannedRun[],
  options: SweepOptions,
): Promise<{ results: SweepResults; failed: { name: string; error: unknown }[] }> {
  const directory = resolve(options.directory);
  await requireSweepFolder(directory);
  await mkdir(directory, { recursive: true });
  const lock = await lockFolder(directory);
  try {
    const states = await statesOf(runs);
    if (!options.overwrite) {
      await refuseOtherSweep(sweep, directory);
      refuseOthers(states);
    }
    await writeFileAtomic(join(directory, SWEEP_FILE), stringify(recordOf(sweep, runs, directory)));
    await noteStrangers(io, runs, directory);
    const finished = new Set(states.flatMap(({ run, state }) => (state.state === 'done' ? [run.name] : [])));
    if (finished.size > 0) io.note(`${display(directory)}: ${finished.size} of ${runs.length} runs done before\n`);
    const failed: { name: string; error: unknown }[] = [];
    for (const [i, run] of runs.entries()) {
      if (finished.has(run.name)) continue;
      io.signal.throwIfAborted();
      io.note(`run ${i + 1} of ${runs.length}: ${run.name}\n`);
      try {
        // Runs that test the same base alike do it once.
        const shared = join(directory, 'base');
        await runTraining(io, run.config, { directory: run.directory, overwrite: options.overwrite, shared });
      } catch (error) {
        if (io.signal.aborted || !options.keepGoing) throw error;
        io.note(`${io.colors.note.red('failed:')} ${messageOf(error)}\n`);
        failed.push({ name: run.name, error });
        continue;
      }
      finished.add(run.name);
      await sumUp(options.name, directory, runs, finished);
    }
    return { results: await sumUp(options.name, directory, runs, finished), failed };
  } finally {
    lock.release();
  }
}

/** An error that names the runs that failed. */
export function failureOf(failed: readonly { name: string; error: unknown }[], all: number): CliError {
  const lines = failed.map(({ name, error }) => `  ${name}: ${messageOf(error)}`);
  return new CliError(`${failed.length} of ${all} runs failed:\n${lines.join('\n')}`, 1);
}

/** Reads what every finished run came to, and writes it as JSON, CSV, Markdown and text. */
async function sumUp(
  name: string,
  directory: string,
  runs: readonly PlannedRun[],
  finished: ReadonlySet<string>,
): Promise<SweepResults> {
  const swept = await Promise.all(
    runs.map(async ({ name: run, labels, config, directory: own }): Promise<SweptRun> => {
      const numbers = finished.has(run) ? await readNumbers(own) : null;
      return { name: run, labels, subjects: ['base', ...config.modes], numbers };
    }),
  );
  const results: SweepResults = {
    name,
    runs: runs.map((run) => ({
      name: run.name,
      values: run.values,
      directory: relative(directory, run.directory),
      finished: finished.has(run.name),
    })),
    questions: Object.assign({}, ...swept.map(({ numbers }) => numbers?.questions)),
    groups: groupsOf(swept),
  };
  await writeFileAtomic(join(directory, 'results.json'), `${JSON.stringify(results, null, 2)}\n`);
  await writeFileAtomic(join(directory, 'results.csv'), sweepCsv(results));
  await writeFileAtomic(join(directory, 'results.md'), `${sweepMarkdown(results)}\n`);
  await writeFileAtomic(join(directory, 'table.txt'), `${sweepText(results)}\n`);
  return results;
}

async function requireSweepFolder(directory: string): Promise<void> {
  const names = await namesIn(directory);
  if (names.length === 0 || names.includes(SWEEP_FILE)) return;
  throw usageError(
    `${display(directory)}: expected a new folder or one of a sweep, got one without a ${SWEEP_FILE}; choose another with --run-dir`,
  );
}

/** Says which runs in the folder the sweep does not have any more: they stay, and count for nothing. */
async function noteStrangers(io: Io, runs: readonly PlannedRun[], directory: string): Promise<void> {
  const own = new Set(runs.map((run) => resolve(run.directory)));
  const strangers = (await namesIn(join(directory, 'runs'))).filter((name) => !own.has(join(directory, 'runs', name)));
  if (strangers.length > 0) {
    io.note(`${display(directory)}: runs of an earlier sweep, left as they are: ${strangers.join(' ')}\n`);
  }
}
