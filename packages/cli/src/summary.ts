// What the samples of one evaluation come to.
import { majority, passAtKIntervals } from '@soft-tokens/metrics';
import type { SettingName } from '@soft-tokens/samplers';
import { quantileSorted } from 'simple-statistics';
import type { QuestionRecord } from './evaluation.js';

/** The content of `<setting>.json`. Shares are 0 to 1. */
export interface SettingSummary {
  setting: SettingName;
  samples: number;
  /** pass@k for each k asked for, with its 95 % bootstrap interval over questions. */
  passAtK: { k: number; value: number; low: number; high: number }[];
  /** Share of the questions whose majority answer among the first k samples is correct. */
  majority: { k: number; value: number }[];
  /** Shares of the samples. */
  boxed: number;
  thoughtEnd: { phrase: number; cap: number };
  answerEnd: { closed: number; end: number; cap: number };
  thoughtTokens: { mean: number; p10: number; p50: number; p90: number; max: number };
  /** Of the model's distribution at temperature 1, nats by position; `count`: thoughts measured that reach it. */
  entropy: { mean: number[]; count: number[] };
}

/**
 * Counts up an evaluation.
 *
 * Source: Chen et al. 2021, arXiv:2107.03374 (pass@k); Wang et al. 2022, arXiv:2203.11171 (majority).
 */
export function summarize({
  setting,
  samples,
  k,
  records,
}: {
  setting: SettingName;
  samples: number;
  k: readonly number[];
  records: readonly QuestionRecord[];
}): SettingSummary {
  const counts = records.map(({ correct }) => correct.filter(Boolean).length);
  const ends = <E extends string>(key: 'thoughtEnd' | 'answerEnd', end: E) =>
    share(
      records.flatMap((record) => record[key] as string[]),
      (each) => each === end,
    );
  return {
    setting,
    samples,
    passAtK: passAtKIntervals(counts, samples, k),
    majority: k.map((each) => ({ k: each, value: share(records, (record) => majorityIsCorrect(record, each)) })),
    boxed: share(
      records.flatMap(({ answers }) => answers),
      (answer) => answer !== null,
    ),
    thoughtEnd: { phrase: ends('thoughtEnd', 'phrase'), cap: ends('thoughtEnd', 'cap') },
    answerEnd: { closed: ends('answerEnd', 'closed'), end: ends('answerEnd', 'end'), cap: ends('answerEnd', 'cap') },
    thoughtTokens: lengths(records.flatMap(({ thoughtTokens }) => thoughtTokens)),
    entropy: entropyOf(records),
  };
}

/** Whether the answer that most of the first k samples agree on is right: as right as the sample that first gave it. */
export function majorityIsCorrect(
  { answers, correct }: Pick<QuestionRecord, 'answers' | 'correct'>,
  k: number,
): boolean {
  const { answer } = majority(
    answers.map((each) => each ?? undefined),
    k,
  );
  return answer !== undefined && correct[answers.indexOf(answer)]!;
}

function lengths(values: readonly number[]): SettingSummary['thoughtTokens'] {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (p: number) => quantileSorted(sorted, p);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { mean, p10: at(0.1), p50: at(0.5), p90: at(0.9), max: sorted.at(-1)! };
}

function entropyOf(records: readonly QuestionRecord[]): SettingSummary['entropy'] {
  const longest = records.reduce((most, { entropy }) => Math.max(most, entropy.count.length), 0);
  const total = (key: 'sum' | 'count', t: number) =>
    records.reduce((sum, { entropy }) => sum + (entropy[key][t] ?? 0), 0);
  const count = Array.from({ length: longest }, (_, t) => total('count', t));
  return { mean: count.map((n, t) => total('sum', t) / n), count };
}

const share = <T>(items: readonly T[], holds: (item: T) => boolean) => items.filter(holds).length / items.length;
