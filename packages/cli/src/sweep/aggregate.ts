// Mean and standard deviation over the seeds of each group of a sweep's runs.
import { meanInterval } from '@soft-tokens/metrics';
import type { Observation, RunNumbers } from './observations.js';

/** A run of a sweep: its value of each factor, and its numbers where it is finished. */
export interface SweptRun {
  name: string;
  labels: Readonly<Record<string, string>>;
  /** The models it tests: `base` and the modes it trains. */
  subjects: readonly string[];
  numbers: RunNumbers | null;
}

/** One measure of a group: Observation's keys, and what it is over the group's seeds. */
export interface Measure extends Omit<Observation, 'value'> {
  /** Over the runs that are finished; `null` where there is none. */
  mean: number | null;
  /** Sample standard deviation, divisor n - 1; `null` below two runs. */
  sd: number | null;
  n: number;
  /** A value for each finished run, by its name. */
  values: Record<string, number>;
}

/** Runs that differ in their seeds only. */
export interface Group {
  /** Their value of each factor but the seed. */
  labels: Record<string, string>;
  /** Every run of the group, and those of them that are not finished. */
  runs: string[];
  missing: string[];
  measures: Measure[];
}

/** The factor that runs of a group differ in. */
const SEED = 'seed';

/**
 * The groups of a sweep, in the order of their first runs. A run that is not finished counts for nothing, and is named.
 *
 * @example groupsOf(runs)[0].measures[0]; // { subject: 'base', metric: 'pass@1', mean: 0.4, sd: 0.02, n: 3, ... }
 */
export function groupsOf(runs: readonly SweptRun[]): Group[] {
  const groups = new Map<string, SweptRun[]>();
  for (const run of runs) {
    const key = JSON.stringify(withoutSeed(run.labels));
    groups.set(key, [...(groups.get(key) ?? []), run]);
  }
  const everything = runs.flatMap(({ numbers }) => numbers?.observations ?? []);
  return [...groups.values()].map((members) => groupOf(members, everything));
}

function groupOf(members: readonly SweptRun[], everything: readonly Observation[]): Group {
  const [first] = members;
  const finished = members.filter(({ numbers }) => numbers !== null);
  // Of a group without a finished run, what others measured is missing.
  const known =
    finished.length > 0
      ? finished.flatMap(({ numbers }) => numbers!.observations)
      : everything.filter(({ subject }) => first!.subjects.includes(subject));
  const measures = new Map<string, Measure>();
  for (const { subject, set, setting, metric } of known) {
    const key = keyOf({ subject, set, setting, metric });
    if (!measures.has(key))
      measures.set(key, { subject, set, setting, metric, mean: null, sd: null, n: 0, values: {} });
  }
  for (const { name, numbers } of finished) {
    for (const { value, ...of } of numbers!.observations) measures.get(keyOf(of))!.values[name] = value;
  }
  return {
    labels: withoutSeed(first!.labels),
    runs: members.map(({ name }) => name),
    missing: members.filter(({ numbers }) => numbers === null).map(({ name }) => name),
    measures: [...measures.values()].map((measure) => ({ ...measure, ...spreadOf(Object.values(measure.values)) })),
  };
}

const keyOf = ({ subject, set, setting, metric }: Omit<Observation, 'value'>) =>
  JSON.stringify([subject, set, setting, metric]);

/** Mean and sample standard deviation. */
export function spreadOf(values: readonly number[]): Pick<Measure, 'mean' | 'sd' | 'n'> {
  if (values.length === 0) return { mean: null, sd: null, n: 0 };
  const { mean, sd, n } = meanInterval(values);
  return { mean, sd: n > 1 ? sd : null, n };
}

function withoutSeed({ [SEED]: _, ...labels }: Readonly<Record<string, string>>): Record<string, string> {
  return labels;
}
