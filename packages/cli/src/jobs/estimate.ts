// How much of a run is done, and how long the rest will take.

import { isDeterministic } from '@soft-tokens/samplers';
import type { TrainConfig } from '../config/recipe.js';
import { evaluationOf } from './evaluateTask.js';
import { needsOf, type Task, taskName } from './tasks.js';

/** Work of a token that is drawn, scored and learned from, against one that is only drawn. */
const TRAINING_FACTOR = 2.5;
/** The share of its cap that a thought is expected to use. */
const EXPECTED_LENGTH = 0.6;

/** A question with choices, against a token drawn: some hundred positions, all of them in one pass. */
const CHOICES_WORK = 20;

/** How many problems there are: of validation, and of each test set and each set with choices by its name. */
export interface ProblemCounts {
  validation: number;
  test: Readonly<Record<string, number>>;
  choices: Readonly<Record<string, number>>;
}

/** Units of work a task takes, about one a token drawn. Only ratios matter: measured speed turns units into time. */
export function workOf(task: Task, config: TrainConfig, counts: ProblemCounts): number {
  const tokens = (caps: { thought: number; answer: number }) =>
    EXPECTED_LENGTH * caps.thought + Math.min(4, caps.answer);
  if (task.kind === 'train') {
    const { steps, questionsPerStep, samples, validateEvery, caps } = config;
    const validations = 1 + Math.ceil(steps / validateEvery);
    return tokens(caps) * (TRAINING_FACTOR * steps * questionsPerStep * samples + validations * counts.validation);
  }
  if (task.kind === 'choices') return CHOICES_WORK * (counts.choices[task.set] ?? 0);
  const { questions = Number.POSITIVE_INFINITY, samples, caps } = evaluationOf(config);
  return tokens(caps) * Math.min(questions, counts.test[task.set] ?? 0) * (isDeterministic(task.setting) ? 1 : samples);
}

/** A share of a task that was done at a time. */
interface Point {
  at: number;
  share: number;
}

/** One task's state. */
interface Entry {
  task: Task;
  work: number;
  share: number;
  /** When it started, when it first told of progress, when it last did. */
  points: Point[];
}

export interface Estimate {
  /** 0 to 1, by time. */
  share: number;
  secondsLeft: number;
}

/**
 * Follows the tasks of a run. The time left is the work left at the speed measured so far, for each kind of task
 * apart; before anything is measured, at `secondsPerUnit`.
 */
export class Estimator {
  readonly #entries = new Map<string, Entry>();
  readonly #runners: number;
  readonly #prior: number;
  readonly #now: () => number;
  #shown = 0;

  constructor(
    tasks: ReadonlyArray<{ task: Task; work: number }>,
    {
      runners,
      secondsPerUnit,
      now = () => performance.now() / 1000,
    }: { runners: number; secondsPerUnit: number; now?: () => number },
  ) {
    for (const { task, work } of tasks) this.#entries.set(taskName(task), { task, work, share: 0, points: [] });
    this.#runners = runners;
    this.#prior = secondsPerUnit;
    this.#now = now;
  }

  /** A task begins. */
  start(name: string): void {
    this.#entry(name).points = [{ at: this.#now(), share: 0 }];
  }

  /** A task has done a share of its work, 0 to 1. `resumed`: it was done in an earlier run, so it says nothing of speed. */
  advance(name: string, share: number, resumed = false): void {
    const entry = this.#entry(name);
    const point = { at: this.#now(), share };
    entry.share = share;
    entry.points = resumed ? [point] : [...entry.points.slice(0, 2), point];
  }

  /** A task is done. */
  finish(name: string): void {
    if (this.#entry(name).share < 1) this.advance(name, 1);
  }

  estimate(): Estimate {
    const speed = {
      train: this.#secondsPerUnit('train'),
      evaluate: this.#secondsPerUnit('evaluate'),
      choices: this.#secondsPerUnit('choices'),
    };
    let total = 0;
    let left = 0;
    const own = new Map<string, number>();
    for (const [name, { task, work, share }] of this.#entries) {
      const seconds = work * speed[task.kind];
      total += seconds;
      left += seconds * (1 - share);
      own.set(name, seconds * (1 - share));
    }
    // No run ends before its longest chain of tasks that wait for one another does.
    const chains = [...this.#entries].map(([name, { task }]) =>
      needsOf(task).reduce((sum, need) => sum + (own.get(need) ?? 0), own.get(name)!),
    );
    // The bar never goes back, although a slower measurement may take its share down.
    this.#shown = Math.max(this.#shown, total === 0 ? 1 : 1 - left / total);
    return { share: this.#shown, secondsLeft: Math.max(left / this.#runners, ...chains) };
  }

  /** Measured over all tasks of a kind; where there are none, over all, whose units are meant to be alike. */
  #secondsPerUnit(kind: Task['kind']): number {
    const measured = this.#measure((entry) => entry.task.kind === kind) ?? this.#measure(() => true);
    return measured ?? this.#prior;
  }

  #measure(counts: (entry: Entry) => boolean): number | undefined {
    let seconds = 0;
    let units = 0;
    for (const entry of this.#entries.values()) {
      if (!counts(entry)) continue;
      const { points, work } = entry;
      // From the first progress on where there is a second: what goes before it is loading and warming up.
      const [from, to] = [points[points.length > 2 ? 1 : 0], points.at(-1)];
      if (!from || !to || !(to.share > from.share)) continue;
      seconds += to.at - from.at;
      units += work * (to.share - from.share);
    }
    return units > 0 ? seconds / units : undefined;
  }

  #entry(name: string): Entry {
    const entry = this.#entries.get(name);
    if (!entry) throw new RangeError(`Estimator: expected a task of the run, got ${name}`);
    return entry;
  }
}
