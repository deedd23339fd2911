// The paper's claims, put to the runs of a report: a difference each, with its interval over seeds, and a verdict.
import { type Interval, meanInterval } from '@soft-tokens/metrics';
import { type Mode, paperTemperatures, type SettingName } from '@soft-tokens/samplers';
import type { ModelRecord, Results } from './records.js';

/** What a claim says of a difference: that it is above 0, not below it, below 0, or none. */
type Expected = 'above' | 'notBelow' | 'below' | 'none';

/**
 * `held`: the 95 % interval lies where the claim says: beyond 0 on its side or, of a claim of no difference, within the
 * margin of 0. `contradicted`: it lies beyond 0 on the other side, or beyond the margin. `undecided`: neither.
 */
export type Verdict = 'held' | 'contradicted' | 'undecided';

/** One difference that a claim is about. */
export interface Evidence {
  /** Model, training set and test set. */
  where: string;
  /** What is compared. */
  what: string;
  unit: 'points' | 'nats';
  /** Of the difference, a value each seed; points of 100, or nats. */
  difference: Interval;
  verdict: Verdict;
}

export interface Claim {
  claim: string;
  /** Where the paper makes it. */
  source: string;
  evidence: Evidence[];
}

/** The difference in points that a claim of none allows: what the paper's own seeds differ by. */
const MARGIN = 3;

/** The loudest noise that the paper finds training robust to; its next one, 3, is not. Source: its table 6. */
const ROBUST_NOISE = 1;

/**
 * Puts the paper's claims to runs: differences between models trained and tested alike but for what the claim is about,
 * a value each seed, with Student's 95 % interval. Runs of one seed give no interval, and leave a claim undecided.
 *
 * Source: Butt et al. 2025, arXiv:2509.19170, sec. 5 and app. F.
 */
export function claimsOf(runs: readonly Results[]): Claim[] {
  const claims: Claim[] = [
    {
      claim: 'Soft and fuzzy training match hard training at pass@1',
      source: 'table 1',
      evidence: betweenModes(runs, 'hard-greedy', () => 1, 'none'),
    },
    {
      claim: 'Soft and fuzzy training are ahead at pass@32',
      source: 'table 1',
      evidence: betweenModes(runs, 'hard-sample', largestK, 'above'),
    },
    {
      claim: 'Hard inference is best, however the model was trained',
      source: 'tables 3 to 5',
      evidence: betweenInferences(runs),
    },
    {
      claim: 'Likelihood out of domain: soft and fuzzy training raise the loss less than hard training',
      source: 'table 2',
      evidence: likelihoods(runs),
    },
    {
      claim: 'Entropy of sampled hard thoughts: lowered by hard training, kept by soft and fuzzy',
      source: 'figure 4',
      evidence: entropies(runs),
    },
    { claim: 'Training is robust to noise up to 1, and not to 3', source: 'table 6', evidence: noises(runs) },
    { claim: 'Fuzzy training is robust to its temperature', source: 'table 8', evidence: temperatures(runs) },
    { claim: 'Noise on the embedding is best', source: 'table 7', evidence: placements(runs) },
  ];
  return claims.filter(({ evidence }) => evidence.length > 0);
}

/** A trained model in its run. */
interface Trained {
  run: Results;
  mode: Mode;
  result: ModelRecord;
}

const trainedIn = (runs: readonly Results[]): Trained[] =>
  runs.flatMap((run) =>
    run.models.flatMap((result) => (result.subject === 'base' ? [] : [{ run, mode: result.subject, result }])),
  );

/** Runs that are alike but for their seeds and modes. */
function groupsOf<T>(items: readonly T[], key: (item: T) => unknown): T[][] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const name = JSON.stringify(key(item));
    groups.set(name, [...(groups.get(name) ?? []), item]);
  }
  return [...groups.values()];
}

/** What runs that can be compared at all have in common. */
const protocol = ({ model, trainedOn, evaluation, training, models }: Results) => ({
  model,
  trainedOn,
  evaluation,
  steps: training[0]?.steps,
  sets: models[0]?.sets.map(({ set, questions }) => ({ set, questions })),
});

const alike = (run: Results) => ({ ...protocol(run), trainedWith: run.trainedWith });

/** pass@k in points. */
function passAt({ sets }: ModelRecord, set: string, setting: SettingName, k: number): number | undefined {
  const found = sets.find((result) => result.set === set)?.settings.find((result) => result.setting === setting);
  const value = found?.passAtK.find((point) => point.k === k)?.value;
  return value === undefined ? undefined : 100 * value;
}

const largestK = ({ evaluation }: Results) => Math.max(...(evaluation?.k ?? [1]));
const testSets = (runs: readonly Results[]) => [
  ...new Set(runs.flatMap(({ models }) => models[0]?.sets.map(({ set }) => set) ?? [])),
];

/** A difference for each seed that has both sides. */
function evidenceOf(
  what: string,
  where: string,
  unit: Evidence['unit'],
  expected: Expected,
  pairs: readonly (readonly [number | undefined, number | undefined])[],
): Evidence[] {
  const differences = pairs.flatMap(([a, b]) => (a === undefined || b === undefined ? [] : [a - b]));
  if (differences.length === 0) return [];
  const difference = meanInterval(differences);
  return [{ what, where, unit, difference, verdict: verdictOf(difference, expected) }];
}

/** What an interval says of a claim. NaN, of a single seed, decides nothing. */
export function verdictOf({ low, high }: Pick<Interval, 'low' | 'high'>, expected: Expected): Verdict {
  const holds = { above: low > 0, notBelow: low >= 0, below: high < 0, none: low >= -MARGIN && high <= MARGIN };
  const fails = { above: high < 0, notBelow: high < 0, below: low > 0, none: low > MARGIN || high < -MARGIN };
  if (holds[expected]) return 'held';
  return fails[expected] ? 'contradicted' : 'undecided';
}

const whereOf = ({ model, trainedOn }: Results, set?: string) =>
  `${model}, trained on ${trainedOn}${set === undefined ? '' : `, tested on ${set}`}`;

function betweenModes(
  runs: readonly Results[],
  setting: SettingName,
  k: (run: Results) => number,
  expected: Expected,
): Evidence[] {
  return groupsOf(runs, alike).flatMap((group) =>
    testSets(group).flatMap((set) =>
      (['fuzzy', 'soft'] as const).flatMap((mode) => {
        const value = (seed: number, of: Mode) => {
          const found = trainedIn(group).find(({ run, mode: each }) => run.seed === seed && each === of);
          return found && passAt(found.result, set, setting, k(found.run));
        };
        const seeds = [...new Set(group.map(({ seed }) => seed))];
        const what = `${mode} - hard training, ${setting} pass@${k(group[0]!)}`;
        return evidenceOf(
          what,
          whereOf(group[0]!, set),
          'points',
          expected,
          seeds.map((seed) => [value(seed, mode), value(seed, 'hard')]),
        );
      }),
    ),
  );
}

function betweenInferences(runs: readonly Results[]): Evidence[] {
  const perModel = groupsOf(trainedIn(runs), ({ run, mode }) => ({ ...alike(run), mode }));
  return perModel.flatMap((group) =>
    testSets(group.map(({ run }) => run)).flatMap((set) =>
      (['fuzzy', 'soft'] as const).flatMap((inference) =>
        evidenceOf(
          `hard - ${inference} inference, greedy, after ${group[0]!.mode} training`,
          whereOf(group[0]!.run, set),
          'points',
          'notBelow',
          group.map(({ result }) => [
            passAt(result, set, 'hard-greedy', 1),
            passAt(result, set, `${inference}-greedy`, 1),
          ]),
        ),
      ),
    ),
  );
}

function likelihoods(runs: readonly Results[]): Evidence[] {
  const nll = (result: ModelRecord | undefined, set: string) =>
    result?.outOfDomain.find((found) => found.set === set)?.nll ?? undefined;
  return groupsOf(runs, alike).flatMap((group) => {
    const sets = [...new Set(group.flatMap(({ models }) => models[0]?.outOfDomain.map(({ set }) => set) ?? []))];
    const of = ({ models }: Results, subject: ModelRecord['subject']) =>
      models.find((result) => result.subject === subject);
    return sets.flatMap((set) =>
      (['fuzzy', 'soft'] as const).flatMap((mode) =>
        evidenceOf(
          `${mode} - hard training, loss a token`,
          whereOf(group[0]!, set),
          'nats',
          'below',
          group.map((run) => [nll(of(run, mode), set), nll(of(run, 'hard'), set)]),
        ),
      ),
    );
  });
}

/** Mean entropy over all positions of hard thoughts that are sampled. */
function entropyOf({ sets }: ModelRecord, set: string): number | undefined {
  const settings = sets.find((result) => result.set === set)?.settings;
  const entropy = settings?.find(({ setting }) => setting === 'hard-sample')?.entropy;
  if (!entropy) return undefined;
  const total = entropy.count.reduce((sum, n) => sum + n, 0);
  return entropy.mean.reduce<number>((sum, mean, t) => sum + (mean ?? 0) * entropy.count[t]!, 0) / total;
}

function entropies(runs: readonly Results[]): Evidence[] {
  return groupsOf(runs, alike).flatMap((group) =>
    testSets(group).flatMap((set) => {
      const of = ({ models }: Results, subject: ModelRecord['subject']) => {
        const result = models.find((each) => each.subject === subject);
        return result && entropyOf(result, set);
      };
      const between = (what: string, expected: Expected, a: ModelRecord['subject'], b: ModelRecord['subject']) =>
        evidenceOf(
          what,
          whereOf(group[0]!, set),
          'nats',
          expected,
          group.map((run) => [of(run, a), of(run, b)]),
        );
      return [
        ...between('hard training - base', 'below', 'hard', 'base'),
        ...between('fuzzy - hard training', 'above', 'fuzzy', 'hard'),
        ...between('soft - hard training', 'above', 'soft', 'hard'),
      ];
    }),
  );
}

/** Hard-greedy accuracy of models that differ in one thing of their training, pair by pair. */
function variations<V>(
  runs: readonly Results[],
  {
    value,
    rest,
    reference,
    expected,
    describe,
  }: {
    /** What differs. */
    value: (trained: Trained) => V;
    /** What must not. */
    rest: (trained: Trained) => unknown;
    /** The value that the others are compared with. */
    reference: (values: readonly V[]) => V | undefined;
    expected: (value: V) => Expected;
    describe: (reference: V, value: V) => string;
  },
): Evidence[] {
  return groupsOf(trainedIn(runs), rest).flatMap((group) => {
    const values = [...new Map(group.map((each) => [JSON.stringify(value(each)), value(each)])).values()];
    const first = reference(values);
    if (first === undefined || values.length < 2) return [];
    const of = (wanted: V) => group.filter((each) => JSON.stringify(value(each)) === JSON.stringify(wanted));
    return testSets(group.map(({ run }) => run)).flatMap((set) =>
      values
        .filter((other) => other !== first)
        .flatMap((other) =>
          evidenceOf(
            `${group[0]!.mode} training, ${describe(first, other)}`,
            whereOf(group[0]!.run, set),
            'points',
            expected(other),
            of(first).map(({ run: { seed }, result }) => [
              passAt(result, set, 'hard-greedy', 1),
              of(other).flatMap((each) =>
                each.run.seed === seed ? (passAt(each.result, set, 'hard-greedy', 1) ?? []) : [],
              )[0],
            ]),
          ),
        ),
    );
  });
}

const noisy = (runs: readonly Results[]) =>
  runs.map((run) => ({ ...run, models: run.models.filter(({ subject }) => subject !== 'hard') }));

function noises(runs: readonly Results[]): Evidence[] {
  return variations(noisy(runs), {
    value: ({ run }) => run.trainedWith.noise.factor,
    rest: (trained) => ({
      ...protocol(trained.run),
      mode: trained.mode,
      placement: placementOf(trained.run),
      temperature: temperatureOf(trained),
    }),
    reference: (values) => values.find((factor) => factor === ROBUST_NOISE),
    expected: (factor) => (factor > ROBUST_NOISE ? 'above' : 'none'),
    describe: (a, b) => `noise ${a} - noise ${b}`,
  });
}

function temperatures(runs: readonly Results[]): Evidence[] {
  return variations(noisy(runs), {
    value: temperatureOf,
    rest: ({ run, mode }) => ({ ...protocol(run), mode, noise: run.trainedWith.noise }),
    reference: (values) => values.find((temperature) => temperature === paperTemperatures.fuzzy),
    expected: () => 'none',
    describe: (a, b) => `τ ${a} - τ ${b}`,
  });
}

function placements(runs: readonly Results[]): Evidence[] {
  return variations(noisy(runs), {
    value: ({ run }) => placementOf(run),
    // The noise on a few logits goes with a temperature of its own, as in the paper; fuzzy thoughts are swept over theirs.
    rest: (trained) => ({
      ...protocol(trained.run),
      mode: trained.mode,
      factor: trained.run.trainedWith.noise.factor,
      temperature: trained.mode === 'fuzzy' ? temperatureOf(trained) : undefined,
    }),
    reference: (values) => values.find((placement) => placement === 'embedding'),
    expected: () => 'above',
    describe: (a, b) => `noise on the ${a} - on the ${b}`,
  });
}

const temperatureOf = ({ run, mode }: Trained) => run.trainedWith.temperature[mode] ?? paperTemperatures[mode];

function placementOf({ trainedWith: { noise } }: Results): string {
  const { placement = 'embedding', k } = noise;
  return placement === 'topk' ? `top-${k} logits` : placement;
}
