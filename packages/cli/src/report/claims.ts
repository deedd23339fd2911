// The paper's claims, put to the runs of a report: a difference each, with its interval over seeds, and a verdict.
import { type Interval, meanInterval } from '@soft-tokens/metrics';
import { paperTemperatures, type SettingName } from '@soft-tokens/samplers';
import { meanEntropy } from './entropyTable.js';
import {
  bySeed,
  choiceProtocolOf,
  type Entry,
  type Group,
  groupBy,
  mainGroups,
  ownSetOf,
  protocolOf,
  recipeOf,
  setId,
  setName,
  testedOn,
  variantText,
} from './groups.js';
import { ablationFamilies, ablationText, settingOf } from './paperTables.js';

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
  /** How both sides were tested. */
  tested: string;
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

/** The difference that a claim of none allows: what the paper's own seeds differ by, and its Llamas in table 2. */
const MARGINS = { points: 3, nats: 0.1 } as const;

/** The loudest noise that the paper finds training robust to; its next one, 3, is not. Source: its table 6. */
const ROBUST_NOISE = 1;

/**
 * Puts the paper's claims to groups of runs: differences between models trained and tested alike but for what the claim is
 * about, a value each seed, with Student's 95 % interval. One seed gives no interval, and leaves a claim undecided.
 *
 * Source: Butt et al. 2025, arXiv:2509.19170, sec. 5 and app. F.
 */
export function claimsOf(groups: readonly Group[]): Claim[] {
  // Ablations are what their own claims are about.
  const main = mainGroups(groups);
  const claims: Claim[] = [
    {
      claim: 'Soft and fuzzy training match hard training at pass@1',
      source: 'table 1',
      evidence: acrossSets(
        groups,
        againstHard(groups, 'hard-greedy', () => 1, 'none'),
      ),
    },
    {
      claim: 'Soft and fuzzy training are ahead at pass@32',
      source: 'table 1',
      evidence: acrossSets(main, againstHard(groups, 'hard-sample', largestK, 'above')),
    },
    {
      claim: 'Hard inference is best, however the model was trained',
      source: 'tables 3 to 5',
      evidence: acrossSets(main, betweenInferences),
    },
    {
      claim: 'On sets that it was not trained for, hard training loses and soft and fuzzy training keep',
      source: 'table 1, GSM8K to MATH-500',
      evidence: acrossSets(main, onOtherSets),
    },
    {
      claim: 'Likelihood out of domain: lost by hard training, kept by soft and fuzzy',
      source: 'table 2',
      evidence: likelihoods(main, groups),
    },
    {
      claim: 'Entropy of sampled hard thoughts: lowered by hard training, higher after soft and fuzzy',
      source: 'figure 4',
      evidence: acrossSets(main, entropies(groups)),
    },
    { claim: 'Training is robust to noise up to 1, and not to 3', source: 'table 6', evidence: noises(groups) },
    { claim: 'Fuzzy training is robust to its temperature', source: 'table 8', evidence: temperatures(groups) },
    { claim: 'Noise on the embedding is best', source: 'table 7', evidence: placements(groups) },
  ];
  return claims.filter(({ evidence }) => evidence.length > 0);
}

/** A number of a model that was tested, if it has it. */
type Measure = (entry: Entry) => number | undefined;

/** What is compared on one set. */
interface Comparison extends Pick<Evidence, 'unit'> {
  /** Of entries that were tested as this one was. */
  what(entry: Entry): string;
  group: Group;
  set: string;
  expected: Expected;
  /** The difference of one seed. */
  difference: Measure;
}

/** A difference for each seed that has both sides, of each way of testing by itself. */
function evidenceOf(comparison: Comparison, protocol: (entry: Entry) => string | undefined): Evidence[] {
  const { group, set, what, unit, expected, difference } = comparison;
  const tested = group.entries.filter((entry) => protocol(entry) !== undefined);
  return [...groupBy(tested, (entry) => protocol(entry)!)].flatMap(([text, entries]) => {
    const values = bySeed(entries).flatMap((entry) => difference(entry) ?? []);
    if (values.length === 0) return [];
    const interval = meanInterval(values);
    const where = `${group.model}, trained on ${setName(group.trainedOn!)}, tested on ${setName(set)}`;
    const verdict = verdictOf(interval, expected, unit);
    return [{ where, tested: text, what: what(entries[0]!), unit, difference: interval, verdict }];
  });
}

/** What an interval says of a claim. NaN, of a single seed, decides nothing. */
export function verdictOf(
  { low, high }: Pick<Interval, 'low' | 'high'>,
  expected: Expected,
  unit: Evidence['unit'] = 'points',
): Verdict {
  const margin = MARGINS[unit];
  const holds = { above: low > 0, notBelow: low >= 0, below: high < 0, none: low >= -margin && high <= margin };
  const fails = { above: high < 0, notBelow: high < 0, below: low > 0, none: low > margin || high < -margin };
  if (holds[expected]) return 'held';
  return fails[expected] ? 'contradicted' : 'undecided';
}

const trained = (groups: readonly Group[]) => groups.filter(({ subject }) => subject !== 'base');

/** What a group was trained in, and how where that is not the paper's way or there are several. */
function nameOf(group: Group, all: readonly Group[]): string {
  const detail = variantText(group, all);
  return `${group.subject} training${detail === '' ? '' : ` (${detail})`}`;
}

/** Evidence of every trained group on every set of problems that it was tested on. */
function acrossSets(
  groups: readonly Group[],
  compare: (group: Group, set: string, name: string) => Omit<Comparison, 'group' | 'set'>[],
): Evidence[] {
  return trained(groups).flatMap((group) => {
    const name = nameOf(group, groups);
    return testedOn(group, 'sets').flatMap((set) =>
      compare(group, set, name).flatMap((comparison) =>
        evidenceOf({ ...comparison, group, set }, (entry) => protocolOf(entry, set)),
      ),
    );
  });
}

/** The number of one model minus that of another, which the first finds. */
const minus =
  (value: Measure, other: (entry: Entry) => Entry | undefined): Measure =>
  (entry) => {
    const second = other(entry);
    const [a, b] = [value(entry), second && value(second)];
    return a === undefined || b === undefined ? undefined : a - b;
  };

/** The base model as the run of an entry tested it. */
function baseOf({ run }: Entry): Entry | undefined {
  const record = run.results?.models.find(({ subject }) => subject === 'base');
  return record && { run, subject: 'base', record, seed: run.seed };
}

/** The hard model of an entry's recipe and seed that was tested as the entry was, whichever run has it. */
function hardOf(groups: readonly Group[], protocol: (entry: Entry) => string | undefined) {
  const all = groups.filter(({ subject }) => subject === 'hard').flatMap(({ entries }) => entries);
  const keyOf = (entry: Entry) =>
    JSON.stringify([entry.run.model, entry.run.trainedOn, entry.seed, recipeOf(entry.run.config), protocol(entry)]);
  // Where runs repeat each other, the first counts.
  const found = new Map(all.toReversed().map((entry) => [keyOf(entry), entry]));
  return (entry: Entry) => found.get(keyOf(entry));
}

/** pass@k in points. */
const passAt =
  (set: string, setting: SettingName, k: number | ((entry: Entry) => number)): Measure =>
  (entry) => {
    const wanted = typeof k === 'number' ? k : k(entry);
    const value = settingOf(entry, set, setting)?.passAtK.find((point) => point.k === wanted)?.value;
    return value === undefined ? undefined : 100 * value;
  };

const largestK = ({ run }: Entry) => Math.max(...(run.results?.evaluation?.k ?? [1]));

const settingText = (setting: SettingName) => setting.replace('-', ' ');

const againstHard =
  (groups: readonly Group[], setting: SettingName, k: (entry: Entry) => number, expected: Expected) =>
  (group: Group, set: string, name: string): Omit<Comparison, 'group' | 'set'>[] => {
    if (group.subject === 'hard') return [];
    const hard = hardOf(groups, (entry) => protocolOf(entry, set));
    const what = (entry: Entry) => `${name} − hard training, ${settingText(setting)} pass@${k(entry)}`;
    return [{ what, unit: 'points', expected, difference: minus(passAt(set, setting, k), hard) }];
  };

function betweenInferences(_: Group, set: string, name: string): Omit<Comparison, 'group' | 'set'>[] {
  return (['fuzzy', 'soft'] as const).flatMap((kind) =>
    (['greedy', 'sample'] as const).map((way) => {
      const k = way === 'greedy' ? () => 1 : largestK;
      const [hard, other] = [passAt(set, `hard-${way}`, k), passAt(set, `${kind}-${way}`, k)];
      return {
        what: (entry) => `hard − ${kind} inference, ${way} pass@${k(entry)}, after ${name}`,
        unit: 'points',
        expected: 'notBelow',
        difference: (entry) => {
          const [a, b] = [hard(entry), other(entry)];
          return a === undefined || b === undefined ? undefined : a - b;
        },
      };
    }),
  );
}

function onOtherSets(group: Group, set: string, name: string): Omit<Comparison, 'group' | 'set'>[] {
  const own = ownSetOf(group.trainedOn!);
  if (set === own || !testedOn(group, 'sets').includes(own)) return [];
  return [
    {
      what: () => `${name} − base, hard greedy pass@1`,
      unit: 'points',
      expected: group.subject === 'hard' ? 'below' : 'notBelow',
      difference: minus(passAt(set, 'hard-greedy', 1), baseOf),
    },
  ];
}

function likelihoods(main: readonly Group[], groups: readonly Group[]): Evidence[] {
  return trained(main).flatMap((group) =>
    testedOn(group, 'outOfDomain').flatMap((set) => {
      const protocol = (entry: Entry) => choiceProtocolOf(entry, set);
      const nll: Measure = ({ run, record }) =>
        record?.outOfDomain.find((each) => setId(run, each.set, 'outOfDomain') === set)?.nll ?? undefined;
      const name = nameOf(group, main);
      const between = (other: string, expected: Expected, of: (entry: Entry) => Entry | undefined) =>
        evidenceOf(
          {
            group,
            set,
            what: () => `${name} − ${other}, NLL per token`,
            unit: 'nats',
            expected,
            difference: minus(nll, of),
          },
          protocol,
        );
      return group.subject === 'hard'
        ? between('base', 'above', baseOf)
        : [...between('base', 'none', baseOf), ...between('hard training', 'below', hardOf(groups, protocol))];
    }),
  );
}

const entropies =
  (groups: readonly Group[]) =>
  (group: Group, set: string, name: string): Omit<Comparison, 'group' | 'set'>[] => {
    const hard = hardOf(groups, (entry) => protocolOf(entry, set));
    // Of hard thoughts that are sampled.
    const entropy: Measure = (entry) => meanEntropy(entry, set, 'hard-sample');
    return group.subject === 'hard'
      ? [{ what: () => `${name} − base`, unit: 'nats', expected: 'below', difference: minus(entropy, baseOf) }]
      : [{ what: () => `${name} − hard training`, unit: 'nats', expected: 'above', difference: minus(entropy, hard) }];
  };

/** Hard-greedy accuracy of models that an ablation's table compares: that of a reference minus those of the others. */
function variations(
  groups: readonly Group[],
  table: number,
  isReference: (group: Group) => boolean,
  expected: (group: Group) => Expected,
): Evidence[] {
  const { text } = ablationText(table);
  return ablationFamilies(groups, table).flatMap((family) => {
    const reference = family.find(isReference);
    if (!reference) return [];
    return testedOn(reference, 'sets').flatMap((set) =>
      family
        .filter((group) => group !== reference)
        .flatMap((group) => {
          const same = (a: Entry, b: Entry) => a.seed === b.seed && protocolOf(a, set) === protocolOf(b, set);
          const other = (entry: Entry) => group.entries.find((each) => same(each, entry));
          return evidenceOf(
            {
              group: reference,
              set,
              what: () => `${group.subject} training, ${text(reference.variant)} − ${text(group.variant)}`,
              unit: 'points',
              expected: expected(group),
              difference: minus(passAt(set, 'hard-greedy', 1), other),
            },
            (entry) => protocolOf(entry, set),
          );
        }),
    );
  });
}

const noises = (groups: readonly Group[]) =>
  variations(
    groups,
    6,
    ({ variant }) => variant.factor === ROBUST_NOISE,
    ({ variant }) => (variant.factor! > ROBUST_NOISE ? 'above' : 'none'),
  );

const temperatures = (groups: readonly Group[]) =>
  variations(
    groups.filter(({ subject }) => subject === 'fuzzy'),
    8,
    ({ variant }) => variant.temperature === paperTemperatures.fuzzy,
    () => 'none',
  );

const placements = (groups: readonly Group[]) =>
  variations(
    groups,
    7,
    ({ variant }) => variant.placement === 'embedding',
    () => 'above',
  );
