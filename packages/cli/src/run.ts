// A training run from recipe to report: its tasks, the processes that do them, what is shown meanwhile.
import { join } from 'node:path';
import type { Split } from '@soft-tokens/datasets';
import { isDeterministic } from '@soft-tokens/samplers';
import { type EngineReport, writeFileAtomic } from '@soft-tokens/tensor';
import pico from 'picocolors';
import { choicesOf } from './config/choices.js';
import { problemsOf } from './config/data.js';
import { completeTrainConfig } from './config/load.js';
import { display } from './config/paths.js';
import type { TrainConfig } from './config/recipe.js';
import { startEngine, threadsEach, workerCount } from './engine.js';
import type { Io } from './io.js';
import { type ChildRunner, startChild } from './jobs/childRunner.js';
import { Estimator, type ProblemCounts, workOf } from './jobs/estimate.js';
import type { SubjectCache } from './jobs/evaluateTask.js';
import { createExecutor, type TaskContext } from './jobs/execute.js';
import { layout } from './jobs/layout.js';
import { type Job, type Runner, runJobs } from './jobs/scheduler.js';
import { needsOf, type Task, type TaskEvent, taskName, tasksOf, testSetsOf } from './jobs/tasks.js';
import { likelihoodTable } from './likelihood.js';
import { checkLora } from './lora.js';
import { measureMatMul } from './measure.js';
import {
  describeTrainingMemory,
  type ModelSize,
  requireTrainingMemory,
  trainingBytes,
  trainingSize,
} from './memory.js';
import { checkModel } from './model.js';
import { paperTables, trainingTable } from './paperTable.js';
import { createProgress, duration, type Progress } from './progress.js';
import { writeReport } from './report/write.js';
import { collectResults, isFinished, type RunResults } from './results.js';
import { openRunFolder, type RunFolder } from './runFolder.js';

/** Where a run is kept. */
export interface RunOptions {
  directory: string;
  /** Throws away what another configuration left. */
  overwrite: boolean;
  /** A directory in which runs from the same base share its evaluations: done once, and copied into each run. */
  shared?: string;
}

/**
 * Does whatever of a run is not done yet in its folder, and returns its results.
 *
 * @throws CliError for a configuration or folder that does not fit; whatever a task throws; the signal's reason.
 */
export async function runTraining(io: Io, config: TrainConfig, run: RunOptions): Promise<RunResults> {
  // What is wrong with the input is better known before a folder is made or any process starts.
  const shapes = await checkModel(config.model);
  checkLora(config, shapes);
  // Validation is a part of the training file: what is wrong there has been said.
  const count = async (split: Split, note?: Io['note']) => (await problemsOf(config.data, split, note)).length;
  await count('train', io.note);
  const counts = {
    validation: await count('validation'),
    test: await testCounts(config, io.note),
    choices: await choiceCounts(config, io.note),
  };
  const engine = await startEngine(config.engine);
  const size = await trainingSize(config, shapes);
  requireRoom(config, size, run);
  const folder = await openRunFolder({
    ...run,
    config,
    complete: completeTrainConfig,
    command: ['soft-tokens', ...process.argv.slice(2)],
    engine,
  });
  try {
    const tasks = tasksOf(config);
    const open = tasks.filter((task) => !isFinished(layout.marker(folder.directory, task)));
    if (open.length > 0) await doTasks(io, config, folder, engine, { tasks, open, counts, size, shared: run.shared });
    else io.note(`${display(folder.directory)}: finished before; nothing to do\n`);
    const results = await collectResults(config, folder.directory);
    await writeResults(folder.directory, results);
    return results;
  } finally {
    folder.release();
  }
}

/** The tables of a run, as text. */
export function resultText(results: RunResults, colors: Io['colors']['out']): string {
  const { models } = results;
  const likelihood = likelihoodTable(
    models.map(({ subject, outOfDomain }) => ({ name: subject, results: outOfDomain })),
  );
  const tables = [trainingTable(results), ...(models.length > 0 ? [paperTables(results, colors)] : []), likelihood];
  return tables.filter((table) => table !== undefined).join('\n\n');
}

async function writeResults(directory: string, results: RunResults): Promise<void> {
  await writeFileAtomic(join(directory, 'results.json'), `${JSON.stringify(results, null, 2)}\n`);
  await writeFileAtomic(join(directory, 'table.txt'), `${resultText(results, pico.createColors(false))}\n`);
  await writeReport([directory], directory);
}

/** How many problems there are of each test set, by its name. */
async function testCounts(config: TrainConfig, note: Io['note']): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const [set, data] of Object.entries(config.evaluate ? testSetsOf(config) : {})) {
    counts[set] = (await problemsOf(data, 'test', note)).length;
  }
  return counts;
}

/** The same of each set with choices. */
async function choiceCounts({ evaluate }: TrainConfig, note: Io['note']): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const [set, data] of Object.entries(evaluate?.outOfDomain ?? {})) {
    counts[set] = (await choicesOf(data, note)).length;
  }
  return counts;
}

interface Work {
  tasks: readonly Task[];
  open: readonly Task[];
  counts: ProblemCounts;
  size: ModelSize;
  shared: string | undefined;
}

async function doTasks(
  io: Io,
  config: TrainConfig,
  folder: RunFolder,
  engine: EngineReport,
  { tasks, open, counts, size, shared }: Work,
): Promise<void> {
  const jobs = jobsOf(config, tasks, open, counts);
  const wanted = Math.min(workerCount(config.workers, engine.name, trainingBytes(size)), jobs.length);
  const progress = createProgress(io);
  progress.log(describeRun(folder, engine, wanted, tasks.length, open.length));
  if (open.some(({ kind }) => kind === 'train')) progress.log(describeTrainingMemory(size, wanted));
  const estimator = new Estimator(
    jobs.map(({ task }) => ({ task, work: workOf(task, config, counts) })),
    { runners: wanted, secondsPerUnit: await priorSpeed(size) },
  );
  const show = showOf(progress, estimator);
  const team = await assemble(
    { config, directory: folder.directory, shared },
    folder,
    engine,
    wanted,
    io.signal,
    show.event,
  );
  // The clock runs between events too.
  const ticker = setInterval(() => show.redraw(), 1000);
  const started = performance.now();
  try {
    io.signal.throwIfAborted();
    show.redraw();
    await runJobs(jobs, team.runners, {
      stop: team.stop,
      onStart: ({ name }) => show.start(name),
      onDone: ({ name }) => show.finish(name),
    });
  } finally {
    clearInterval(ticker);
    progress.stop();
    team.close();
  }
  io.note(`${open.length} tasks in ${duration((performance.now() - started) / 1000)}\n`);
}

/**
 * Throws where the trainings that will run side by side have no room: `auto` takes no more processes than there is room
 * for.
 */
export function requireRoom(config: TrainConfig, size: ModelSize, run: RunOptions): void {
  const trainings = tasksOf(config).filter(
    (task) => task.kind === 'train' && (run.overwrite || !isFinished(layout.marker(run.directory, task))),
  );
  if (trainings.length === 0) return;
  const processes = config.workers === 'auto' ? 1 : Math.min(config.workers, trainings.length);
  requireTrainingMemory(display(config.model), size, processes);
}

function jobsOf(
  config: TrainConfig,
  tasks: readonly Task[],
  open: readonly Task[],
  counts: ProblemCounts,
): Job<Task>[] {
  const openNames = new Set(open.map(taskName));
  // One test of the base model goes first: it tells how fast testing is, which the time left depends on. Then training,
  // since others wait for it; then the largest, so that little is left for one process at the end.
  const scout = open.find(
    (task) => task.kind === 'evaluate' && task.subject === 'base' && !isDeterministic(task.setting),
  );
  const priority = (task: Task) =>
    task === scout ? 3 : task.kind === 'train' ? 2 : workOf(task, config, counts) / most;
  const most = Math.max(...open.map((task) => workOf(task, config, counts)));
  return tasks
    .filter((task) => openNames.has(taskName(task)))
    .map((task) => ({
      name: taskName(task),
      needs: needsOf(task).filter((need) => openNames.has(need)),
      priority: priority(task),
      group: task.kind === 'train' ? '' : task.subject,
      task,
    }));
}

function describeRun(folder: RunFolder, engine: EngineReport, workers: number, all: number, open: number): string {
  const state = folder.resumed ? `going on, ${all - open} of ${all} tasks done` : `${all} tasks`;
  const processes = workers === 1 ? '' : ` in ${workers} processes`;
  const first = `${display(folder.directory)}: ${state}; engine ${engine.name}${processes}`;
  return folder.earlierEngine === undefined
    ? first
    : `${first}\nbegun on engine ${folder.earlierEngine}: results agree with an uninterrupted run's by rounding only`;
}

/** Shows events as they come. */
function showOf(
  progress: Progress,
  estimator: Estimator,
): { start(name: string): void; finish(name: string): void; event(event: TaskEvent): void; redraw(): void } {
  const latest = new Map<string, string>();
  const redraw = () => {
    const { share, secondsLeft } = estimator.estimate();
    progress.update(share, secondsLeft, [...latest.values()].join(' | '));
  };
  return {
    redraw,
    start(name) {
      estimator.start(name);
      latest.set(name, name);
    },
    finish(name) {
      estimator.finish(name);
      latest.delete(name);
      redraw();
    },
    event(event) {
      if (event.type === 'log') return progress.log(event.text);
      estimator.advance(event.task, event.share, event.resumed);
      latest.set(event.task, event.text);
      redraw();
    },
  };
}

interface Team {
  runners: Runner<Task>[];
  /** Stops the tasks at their next pause. */
  stop(reason: unknown): void;
  close(): void;
}

/** The processes of a run: this one alone, or as many others as wanted. */
async function assemble(
  context: Pick<TaskContext, 'config' | 'directory' | 'shared'>,
  folder: RunFolder,
  engine: EngineReport,
  count: number,
  signal: AbortSignal,
  onEvent: (event: TaskEvent) => void,
): Promise<Team> {
  if (count === 1) {
    const cache: SubjectCache = {};
    const run = createExecutor({ ...context, signal, emit: onEvent }, cache);
    return { runners: [{ run }], stop: () => {}, close: () => cache.held?.subject.model.dispose() };
  }
  const threads = threadsEach(count);
  const children: ChildRunner[] = [];
  const close = () => {
    signal.removeEventListener('abort', stop);
    for (const child of children) child.close();
  };
  const stop = () => {
    for (const child of children) child.abort();
  };
  signal.addEventListener('abort', stop);
  try {
    for (let i = 0; i < count; i++) {
      const child = await startChild(
        { type: 'start', ...context, shared: context.shared, engine: engine.name, threads },
        onEvent,
      );
      folder.addProcess(child.pid);
      children.push(child);
    }
  } catch (error) {
    close();
    throw error;
  }
  return { runners: children, stop, close };
}

/** The share of a large matrix product's speed that a run is expected to reach, and what a token costs whatever its model. */
const EFFICIENCY = 0.25;
const SECONDS_A_TOKEN = 2e-4;

/** Seconds a token, roughly, before anything is measured: two operations a parameter at this machine's speed. */
async function priorSpeed({ parameters }: ModelSize): Promise<number> {
  return (2 * parameters) / (EFFICIENCY * 1e9 * (await measureMatMul())) + SECONDS_A_TOKEN;
}
