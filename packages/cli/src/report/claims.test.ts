import type { Mode } from '@soft-tokens/samplers';
import { expect, test } from 'vitest';
import { summaryOf } from '../test/tools.js';
import { claimsOf, verdictOf } from './claims.js';
import { claimsHtml, claimsMarkdown } from './claimsText.js';
import type { Run } from './collect.js';
import { groupsOf } from './groups.js';
import type { Config, ModelRecord, Results } from './records.js';

/** Accuracies in points, by subject: hard-greedy, soft-greedy, hard-sample pass@32; loss a token; entropy. */
type Numbers = { greedy: number; soft?: number; any?: number; nll?: number; entropy?: number };

function model(
  subject: ModelRecord['subject'],
  { greedy, soft = 0, any = 0, nll = 1, entropy = 1 }: Numbers,
): ModelRecord {
  const share = (points: number) => points / 100;
  const sampled = summaryOf('hard-sample', 32, [{ k: 32, value: share(any) }]);
  return {
    subject,
    sets: [
      {
        set: 'easy',
        questions: 50,
        settings: [
          summaryOf('hard-greedy', 1, [{ k: 1, value: share(greedy) }]),
          { ...sampled, entropy: { mean: [entropy, 3 * entropy], count: [3, 1] } },
          summaryOf('soft-greedy', 1, [{ k: 1, value: share(soft) }]),
          summaryOf('soft-sample', 32, [{ k: 32, value: share(70) }]),
        ],
      },
    ],
    outOfDomain: [{ set: 'long', questions: 9, accuracy: 0.5, normalized: 0.5, nll }],
  };
}

/** A run of models, with keys of its recipe that are not the usual. */
function run(seed: number, models: ModelRecord[], { samples = 32, ...changes }: Record<string, unknown> = {}): Run {
  const noise = { factor: 1, scale: 'entry' } as const;
  const modes = models.flatMap(({ subject }) => (subject === 'base' ? [] : [subject as Mode]));
  const config = {
    model: 'tiny',
    data: { kind: 'arithmetic', name: 'easy' },
    modes,
    seed,
    questionsPerStep: 2,
    samples: 4,
    noise,
    temperature: {},
    ...changes,
  } as Config;
  const results: Results = {
    model: 'tiny',
    trainedOn: 'easy',
    seed,
    trainedWith: config,
    training: [],
    evaluation: { samples: samples as number, k: [1, 32], noise, caps: { thought: 9, answer: 3 }, seed: 1 },
    models,
  };
  return { name: '', directory: '', model: 'tiny', trainedOn: 'easy', seed, config, results, logs: [], thoughts: [] };
}

const claimsOfRuns = (runs: Run[]) => claimsOf(groupsOf(runs));

const evidence = (runs: Run[], claim: string) =>
  claimsOfRuns(runs)
    .find((each) => each.claim.includes(claim))!
    .evidence.map(({ what, difference, verdict }) => [
      what,
      Math.round(difference.mean * 1e6) / 1e6,
      difference.n,
      verdict,
    ]);

test('modes are compared within their seeds', () => {
  const runs = [50, 60, 70].map((greedy, i) =>
    run(i, [
      model('base', { greedy: 30 }),
      model('hard', { greedy, any: 80, soft: greedy - 5, nll: 1.3, entropy: 0.5 }),
      model('soft', { greedy: greedy + 1, any: 90 + i, soft: greedy - 5, nll: 1.1 + i / 1000, entropy: 1 }),
    ]),
  );
  // The seeds differ by 20 points, the modes by one.
  expect(evidence(runs, 'match hard training')).toEqual([
    ['soft training (noise 1) − hard training, hard greedy pass@1', 1, 3, 'held'],
  ]);
  expect(evidence(runs, 'ahead at pass@32')).toEqual([
    ['soft training (noise 1) − hard training, hard sample pass@32', 11, 3, 'held'],
  ]);
  expect(evidence(runs, 'Hard inference')).toEqual([
    ['hard − soft inference, greedy pass@1, after hard training', 5, 3, 'held'],
    ['hard − soft inference, sample pass@32, after hard training', 10, 3, 'held'],
    ['hard − soft inference, greedy pass@1, after soft training (noise 1)', 6, 3, 'held'],
    ['hard − soft inference, sample pass@32, after soft training (noise 1)', 21, 3, 'held'],
  ]);
  expect(evidence(runs, 'Likelihood')).toEqual([
    ['hard training − base, NLL per token', 0.3, 3, 'held'],
    ['soft training (noise 1) − base, NLL per token', 0.101, 3, 'undecided'],
    ['soft training (noise 1) − hard training, NLL per token', -0.199, 3, 'held'],
  ]);
  // Means over positions, by how many thoughts reach them: (3 · 1 + 1 · 3) / 4 of the base.
  expect(evidence(runs, 'Entropy')).toEqual([
    ['hard training − base', -0.75, 3, 'held'],
    ['soft training (noise 1) − hard training', 0.75, 3, 'held'],
  ]);
});

test('ablations compare what differs in one thing', () => {
  const fuzzy = (seed: number, greedy: number, changes: Record<string, unknown>) =>
    run(seed, [model('base', { greedy: 30 }), model('fuzzy', { greedy })], changes);
  const noise = (factor: number) => ({ noise: { factor, scale: 'entry' as const } });
  const runs = [1, 2].flatMap((seed) => [
    fuzzy(seed, 60 + seed, noise(1)),
    fuzzy(seed, 60 + seed, noise(0.33)),
    fuzzy(seed, 40 + seed, noise(3)),
    fuzzy(seed, 90, { temperature: { fuzzy: 0.1 } }),
    fuzzy(seed, 20 + seed, { noise: { factor: 1, scale: 'entry', placement: 'hidden' } }),
  ]);
  expect(evidence(runs, 'robust to noise')).toEqual([
    ['fuzzy training, noise 1 − noise 0.33', 0, 2, 'held'],
    ['fuzzy training, noise 1 − noise 3', 20, 2, 'held'],
  ]);
  // Against the run at 0.0001 of the same noise, not those of other noises.
  expect(evidence(runs, 'its temperature')).toEqual([['fuzzy training, τ 0.0001 − τ 0.1', -28.5, 2, 'contradicted']]);
  expect(evidence(runs, 'on the embedding')).toEqual([
    ['fuzzy training, noise on embedding − noise on final hidden states', 40, 2, 'held'],
  ]);
});

test('only models of one recipe that were tested alike are compared, and no seed counts twice', () => {
  const numbers = { hard: { greedy: 50 }, soft: { greedy: 60 } };
  const both = (seed: number, changes = {}) =>
    run(seed, [model('base', { greedy: 1 }), model('hard', numbers.hard), model('soft', numbers.soft)], changes);
  const pairs = (runs: Run[]) => evidence(runs, 'match hard training').map(([, , n]) => n);
  expect(pairs([both(1), both(2)])).toEqual([2]);
  expect(pairs([both(1), both(1), both(2)])).toEqual([2]);
  expect(pairs([both(1, { steps: 10 }), both(2, { steps: 20 })])).toEqual([1, 1]);
  expect(pairs([both(1), both(2, { samples: 64 })])).toEqual([1, 1]);
  const tested = claimsMarkdown(claimsOfRuns([both(1), both(2, { samples: 64 })]));
  expect(tested).toContain('| tiny, trained on easy, tested on easy, 32 samples | soft training');
  // A mode each in runs of their own is one recipe too.
  const [hard, soft] = [1, 2].map((seed) => [
    run(seed, [model('base', { greedy: 1 }), model('hard', numbers.hard)]),
    run(seed, [model('base', { greedy: 1 }), model('soft', numbers.soft)]),
  ]);
  expect(pairs([...hard!, ...soft!])).toEqual([2]);
  const other = run(1, [model('base', { greedy: 1 }), model('soft', numbers.soft)], { steps: 20 });
  expect(claimsOfRuns([hard![0]!, other]).some(({ claim }) => claim.includes('match hard'))).toBe(false);
});

test('on a set that was not trained on, against the base', () => {
  const onTwo = (subject: ModelRecord['subject'], easy: number, far: number): ModelRecord => {
    const { sets, ...rest } = model(subject, { greedy: easy });
    const [{ set: _, ...other }] = model(subject, { greedy: far }).sets as [ModelRecord['sets'][number]];
    return { ...rest, sets: [...sets, { set: 'far', ...other }] };
  };
  const runs = [1, 2].map((seed) =>
    run(seed, [onTwo('base', 30, 40), onTwo('hard', 50, 20 + seed), onTwo('soft', 50, 44)]),
  );
  expect(evidence(runs, 'not trained for')).toEqual([
    ['hard training − base, hard greedy pass@1', -18.5, 2, 'held'],
    ['soft training (noise 1) − base, hard greedy pass@1', 4, 2, 'held'],
  ]);
});

test('one seed decides nothing, and a claim that no run is about is left out', () => {
  const runs = [run(1, [model('base', { greedy: 1 }), model('hard', { greedy: 50 }), model('soft', { greedy: 90 })])];
  expect(evidence(runs, 'match hard training')[0]!.at(-1)).toBe('undecided');
  expect(claimsOfRuns(runs).some(({ claim }) => claim.includes('noise up to'))).toBe(false);
  expect(claimsOf([])).toEqual([]);
});

test.each([
  [1, 2, 'above', 'held'],
  [-2, -1, 'above', 'contradicted'],
  [-1, 1, 'above', 'undecided'],
  [0, 0, 'above', 'undecided'],
  [0, 0, 'notBelow', 'held'],
  [-2, -1, 'notBelow', 'contradicted'],
  [-2, -1, 'below', 'held'],
  [-1, 2, 'none', 'held'],
  [-4, 2, 'none', 'undecided'],
  [4, 5, 'none', 'contradicted'],
  [Number.NaN, Number.NaN, 'above', 'undecided'],
  [Number.NaN, Number.NaN, 'none', 'undecided'],
] as const)('[%d, %d] of a difference said to be %s: %s', (low, high, expected, verdict) => {
  expect(verdictOf({ low, high }, expected)).toBe(verdict);
});

test('likelihoods have a margin of their own', () => {
  expect(verdictOf({ low: 0.2, high: 0.3 }, 'none', 'nats')).toBe('contradicted');
  expect(verdictOf({ low: -0.05, high: 0.05 }, 'none', 'nats')).toBe('held');
});

test('as Markdown and HTML: the difference, its interval, the seeds and the verdict', () => {
  const runs = [50, 60].map((greedy, i) =>
    run(i, [model('base', { greedy: 30 }), model('hard', { greedy }), model('soft', { greedy: greedy + 1 - i })]),
  );
  const claims = claimsOfRuns(runs);
  const row = ['tiny, trained on easy, tested on easy', 'soft training (noise 1) − hard training, hard greedy pass@1'];
  // Differences 1 and 0: t = 12.706 of one degree of freedom, sd / √2 = 1/2.
  const cells = [...row, '+0.5 points', '−5.9 to +6.9', '2', 'undecided'];
  expect(claimsMarkdown(claims)).toContain(`\n| ${cells.join(' | ')} |\n`);
  expect(claimsHtml(claims)).toContain(
    '<td class="number">−5.9 to +6.9</td><td class="number">2</td><td>? undecided</td>',
  );
  expect(claimsMarkdown(claimsOfRuns(runs.slice(0, 1)))).toContain('| +1.0 points | – | 1 | undecided |');
  expect(claimsMarkdown(claims)).toContain(`(the paper's table 1): 1 undecided\n`);
});
