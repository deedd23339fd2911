// Run folders of an experiment that nobody ran: what the report is made of, in numbers that can be told apart.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { passAtK } from '@soft-tokens/metrics';
import { type Mode, type SettingName, settingNames } from '@soft-tokens/samplers';
import { stringify } from 'yaml';
import type { ThoughtRecord } from '../evaluation.js';
import { layout } from '../jobs/layout.js';
import { type SubjectName, tableSubjects } from '../jobs/tasks.js';
import type { MetricsRecord } from '../jobs/trainTask.js';
import type { RunResults } from '../results.js';
import type { SettingSummary } from '../summary.js';

/** A run to write; what is left out is the paper's way, on a small model. */
export interface MadeRun {
  model?: string;
  data?: { kind: string; name?: string } & Record<string, unknown>;
  modes?: Mode[];
  seed?: number;
  noise?: RunResults['trainedWith']['noise'];
  temperature?: RunResults['trainedWith']['temperature'];
  steps?: number;
  /** Test sets by name, and how many questions of each. */
  sets?: Record<string, { kind: string; questions: number } & Record<string, unknown>>;
  outOfDomain?: Record<string, { kind: string; questions: number }>;
  samples?: number;
  evaluationSeed?: number;
  /** Steps of the longest thought. */
  longest?: number;
  /** Stopped in the middle: a log, and no results. */
  unfinished?: boolean;
  learningRate?: number;
}

/** Numbers in [0, 1) that depend on a name alone: FNV-1a, then a xorshift. */
function chance(...names: (string | number)[]): () => number {
  let state = 2166136261;
  for (const code of Buffer.from(names.join('/'))) state = Math.imul(state ^ code, 16777619) >>> 0;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state / 2 ** 32;
  };
}

/** Writes the folder of a run, and returns it. */
export function writeRun(directory: string, run: MadeRun = {}): string {
  const full = {
    model: 'tiny',
    data: { kind: 'arithmetic', levels: [1, 2], train: 100, validation: 20, test: 40, seed: 2 },
    modes: ['hard', 'fuzzy', 'soft'] as Mode[],
    seed: 1,
    noise: { factor: 0.33, scale: 'entry' as const },
    temperature: {},
    steps: 200,
    samples: 32,
    longest: 60,
    ...run,
  };
  const write = (file: string, text: string) => {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  };
  const trainedOn = full.data.name ?? full.data.kind;
  const sets = run.sets ?? { [trainedOn]: { kind: full.data.kind, questions: 40 } };
  const config = {
    model: `../models/${full.model}`,
    data: full.data,
    prompt: 'plain',
    modes: full.modes,
    noise: full.noise,
    temperature: full.temperature,
    steps: full.steps,
    questionsPerStep: 8,
    samples: 16,
    caps: { thought: full.longest, answer: 32 },
    optimizer: { learningRate: run.learningRate ?? 1e-4, warmup: 10 },
    seed: full.seed,
    evaluate: {
      samples: full.samples,
      ...(run.sets && { sets: withoutCounts(sets) }),
      ...(run.outOfDomain && { outOfDomain: withoutCounts(run.outOfDomain) }),
    },
  };
  write(join(directory, 'config.yaml'), stringify(config));
  write(join(directory, 'run.json'), '{}');
  const done = run.unfinished ? Math.floor(full.steps / 2) : full.steps;
  for (const mode of full.modes) {
    const lines = metricsOf(`${full.model} ${trainedOn} ${mode} ${full.noise.factor} ${full.seed}`, done);
    write(layout.metrics(directory, mode), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  }
  if (run.unfinished) return directory;

  const tested = tableSubjects.filter((subject) => subject === 'base' || full.modes.includes(subject));
  const seed = run.evaluationSeed ?? full.seed;
  const models = tested.map((subject) => ({
    subject,
    directory: subject === 'base' ? null : layout.best('', subject),
    sets: Object.entries(sets).map(([set, { questions }]) => ({
      set,
      questions,
      settings: settingNames.map((setting) =>
        summaryOf({ ...full, subject, set, setting, questions, seed: subject === 'base' ? seed : full.seed }),
      ),
    })),
    outOfDomain: Object.entries(run.outOfDomain ?? {}).map(([set, { questions }]) => {
      const next = chance('choices', full.model, subject, set, full.seed);
      const accuracy = Math.round(questions * (0.6 + 0.1 * next())) / questions;
      return { set, questions, accuracy, normalized: accuracy, nll: 1.5 + next() };
    }),
  }));
  const results: RunResults = {
    model: full.model,
    trainedOn,
    seed: full.seed,
    trainedWith: { noise: full.noise, temperature: full.temperature },
    training: full.modes.map((mode) => ({
      mode,
      steps: full.steps,
      reward: { first: 30, last: 55, window: 20 },
      validation: { base: 0.4, best: 0.6, bestStep: 150 },
    })),
    evaluation: {
      samples: full.samples,
      k: powersOf(full.samples),
      noise: { factor: 0.33, scale: 'entry' },
      caps: { thought: full.longest, answer: 32 },
      seed,
    },
    models,
  };
  write(join(directory, 'results.json'), JSON.stringify(results));
  for (const { subject, sets: own } of models) {
    for (const { set, settings } of own) {
      for (const { setting } of settings) {
        const records = [true, false].map((correct) =>
          thoughtOf(`${subject} ${set} ${setting}`, correct, full.longest),
        );
        write(layout.evaluation(directory, subject, set, setting).thoughts, JSON.stringify(records));
      }
    }
  }
  return directory;
}

const powersOf = (samples: number) => [1, 2, 4, 8, 16, 32].filter((k) => k <= samples);

const withoutCounts = (sets: Record<string, { questions: number }>) =>
  Object.fromEntries(Object.entries(sets).map(([name, { questions: _, ...section }]) => [name, section]));

function metricsOf(name: string, steps: number): MetricsRecord[] {
  const next = chance(name);
  const best = 55 + 15 * next();
  const at = (step: number) => 30 + (best - 30) * (1 - Math.exp(-step / (steps / 3)));
  const records: MetricsRecord[] = [{ type: 'validation', step: 0, accuracy: 0.4, questions: 20 }];
  for (let step = 1; step <= steps; step++) {
    records.push({
      type: 'step',
      step,
      reward: at(step) + 12 * (next() - 0.5),
      correct: 0.5,
      boxed: 0.9,
      stopped: 0.9,
      thoughtTokens: 25 + 5 * next(),
      answerTokens: 3,
      loss: 0,
      gradientNorm: step === 2 ? 0 : 100 * Math.exp(2 * next()), // no sample told apart: nothing on a logarithmic axis
      learningRate: 1e-4,
      scored: 64,
      tokens: 1000,
      rolloutSeconds: 1,
      updateSeconds: 1,
      memoryMiB: 100,
    } as MetricsRecord);
    if (step % 25 === 0) {
      records.push({ type: 'validation', step, accuracy: Math.min(1, at(step) / 100 + 0.1 * next()), questions: 20 });
    }
  }
  return records;
}

interface Tested {
  subject: SubjectName;
  set: string;
  setting: SettingName;
  questions: number;
  seed: number;
  samples: number;
  longest: number;
  model: string;
  noise: { factor: number };
}

function summaryOf({ subject, set, setting, questions, seed, samples, longest, model, noise }: Tested): SettingSummary {
  const next = chance(model, subject, set, setting, seed, subject === 'base' ? '' : noise.factor);
  const greedy = setting.endsWith('greedy');
  const n = greedy ? 1 : samples;
  const ability = 0.35 + (subject === 'base' ? 0 : 0.2) + 0.15 * next();
  // Some questions are easy and some hard, so that the curves rise.
  const counts = Array.from({ length: questions }, () => {
    const p = Math.min(1, Math.max(0, ability + 1.2 * (next() - 0.5)));
    return Math.round(n * p);
  });
  const mean = (k: number) => counts.reduce((sum, c) => sum + passAtK(n, c, k), 0) / questions;
  const half = (value: number) => 1.96 * Math.sqrt((value * (1 - value)) / questions);
  const length = Math.round(longest * (0.6 + 0.4 * next()));
  const level = setting === 'hard-sample' && subject !== 'hard' ? 0.02 : 0.002;
  return {
    setting,
    samples: n,
    passAtK: powersOf(n).map((k) => {
      const value = mean(k);
      return { k, value, low: Math.max(0, value - half(value)), high: Math.min(1, value + half(value)) };
    }),
    majority: powersOf(n).map((k) => ({ k, value: Math.min(1, mean(1) + 0.01 * Math.log2(k)) })),
    boxed: 0.95,
    thoughtEnd: { phrase: 0.9, cap: 0.1 },
    answerEnd: { closed: 0.9, end: 0.06, cap: 0.04 },
    thoughtTokens: { mean: 0.6 * length, p10: 0.3 * length, p50: 0.6 * length, p90: 0.9 * length, max: length },
    entropy: {
      mean: Array.from({ length }, (_, t) => 0.3 + level * t + 0.15 * next()),
      count: Array.from({ length }, (_, t) => Math.round(questions * (1 - t / length) ** 0.5)),
    },
  };
}

const words = [
  ' Mia',
  ' has',
  ' 7',
  ' apples',
  '.',
  ' She',
  ' buys',
  ' 5',
  ' more',
  ' <b>',
  '\n',
  ' 12',
  ' so',
  ' then',
];

function thoughtOf(name: string, correct: boolean, longest: number): ThoughtRecord {
  const next = chance(name, String(correct));
  const steps = Array.from({ length: Math.round(longest * (0.4 + 0.5 * next())) }, () => {
    const token = words[Math.floor(words.length * next())]!;
    const p = 0.3 + 0.7 * next();
    const rest = words.filter((word) => word !== token).slice(0, 4);
    return {
      token,
      entropy: 3.5 * (1 - p) * next() * 2,
      top: [{ token, p }, ...rest.map((word, i) => ({ token: word, p: ((1 - p) * (4 - i)) / 12 }))],
    };
  });
  return {
    questionId: name,
    question: 'Mia has 7 apples & buys 5 more. How many <apples> does Mia have now?',
    gold: '12',
    thought: steps.map(({ token }) => token).join(''),
    answer: correct ? '12' : '13',
    correct,
    thoughtEnd: correct ? 'phrase' : 'cap',
    steps,
  };
}
