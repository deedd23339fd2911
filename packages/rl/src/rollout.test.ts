import { type Action, fuzzy, hard, type Observation, type Sampler, soft } from '@soft-tokens/samplers';
import { useEngine } from '@soft-tokens/tensor';
import { eachEngine, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { accuracy, evaluate, type QuestionResult } from './evaluate.js';
import type { RewardFunction } from './rewards.js';
import { groupAdvantages, rollout, type Sample, sampleStatistics } from './rollout.js';
import { score, withCaches } from './score.js';
import { digitFormat, digitQuestions, digits, toyModel } from './test/toy.js';

const sigma = 0.4;
const samplers: Record<string, { sampler: Sampler<Action>; temperature: number }> = {
  hard: { sampler: hard({ temperature: 0.8 }) as Sampler<Action>, temperature: 0.8 },
  soft: { sampler: soft({ temperature: 0.5, noiseScale: sigma }) as Sampler<Action>, temperature: 0.5 },
  fuzzy: { sampler: fuzzy({ noiseScale: sigma }) as Sampler<Action>, temperature: 1e-4 },
};

/** Right if the answer holds the gold digit. */
const reward: RewardFunction = (text, gold) => {
  const correct = text.includes(gold);
  return { reward: correct ? 1 : 0, correct, boxed: text.length > 0 };
};

const common = {
  text: digits,
  format: digitFormat,
  reward,
  maxThoughtTokens: 6,
  maxAnswerTokens: 3,
  seed: 7,
};

eachEngine(useEngine, () => {
  test.each(Object.entries(samplers))(
    '%s: the score of what was drawn is its log-probability when it was drawn',
    async (name, { sampler, temperature }) => {
      const model = toyModel({ vocabSize: digits.vocabSize });
      const answerTemperature = 0.7;
      const logSoftmax = (z: number[], tau: number) => {
        const most = Math.max(...z);
        const total = z.reduce((sum, x) => sum + Math.exp((x - most) / tau), 0);
        return z.map((x) => (x - most) / tau - Math.log(total));
      };
      const E = model.inputEmbedding.arraySync();
      const drawn: { thought: number[][]; answer: number[][] }[] = []; // logits by completion and step
      const observe = ({ phase, rows, hidden }: Observation) => {
        const logits = model.head.logits(hidden).arraySync() as number[][];
        rows.forEach((row, i) => {
          drawn[row] ??= { thought: [], answer: [] };
          drawn[row][phase].push(logits[i]!);
        });
      };
      const questions = digitQuestions('3', '1', '4');
      const samples = await rollout({ ...common, model, sampler, questions, samples: 5, answerTemperature, observe });
      // Rows of different lengths, in all modes but where shadows never end a thought.
      expect(new Set(samples.map((s) => s.shadowIds.length * 10 + s.answerIds.length)).size).toBeGreaterThan(1);

      const got = tf.tidy(() => {
        const { thought, answer } = withCaches((own) =>
          score({ model, sampler, sequences: samples, answerTemperature }, own),
        );
        return { thought: thought.arraySync(), answer: answer.arraySync() };
      });
      samples.forEach(({ action, shadowIds, answerIds }, n) => {
        const T = shadowIds.length;
        expect(drawn[n]!.thought.length).toBe(T);
        const thought = drawn[n]!.thought.map((z, t) => {
          const logProbs = logSoftmax(z, temperature);
          if (name === 'hard') return logProbs[action.ids!.values[t]!]!;
          const d = model.hiddenSize;
          const squared = Array.from({ length: d }, (_, j) => {
            const mean = logProbs.reduce((sum, logProb, v) => sum + Math.exp(logProb) * E[v]![j]!, 0);
            return (action.input!.values[t * d + j]! - mean) ** 2;
          });
          return -squared.reduce((sum, x) => sum + x) / (2 * sigma ** 2);
        });
        expectClose(got.thought[n]!.slice(0, T), thought, { rel: 1e-4, abs: 1e-5 });
        const answer = answerIds.map((id, a) => logSoftmax(drawn[n]!.answer[a]!, answerTemperature)[id]!);
        expectClose(got.answer[n]!.slice(0, answerIds.length), answer, { rel: 1e-4, abs: 1e-5 });
      });
      model.dispose();
    },
  );

  let model: ReturnType<typeof toyModel>;
  beforeAll(() => {
    model = toyModel({ vocabSize: digits.vocabSize });
  });
  afterAll(() => model.dispose());

  test('rollout: grouped by question, rewarded against its answer, leaving no tensors', async () => {
    const questions = digitQuestions('3', '1');
    const { sampler } = samplers.hard!;
    const before = tf.memory().numTensors;
    const samples = await rollout({ ...common, model, sampler, questions, samples: 8, answerTemperature: 1 });
    expect(tf.memory().numTensors).toBe(before);
    expect(samples.map(({ questionId }) => questionId)).toEqual([...Array(8).fill('q0'), ...Array(8).fill('q1')]);
    samples.forEach((sample, n) => {
      const { promptIds, answer } = questions[n < 8 ? 0 : 1]!;
      expect(sample.promptIds).toEqual(promptIds);
      expect(sample).toMatchObject(reward(sample.answerText, answer));
    });
    expect(new Set(samples.map(({ answerText }) => answerText)).size).toBeGreaterThan(2);
  });

  test.each(Object.entries(samplers))(
    'evaluate, %s: the same for any number of rows together',
    async (_, { sampler }) => {
      const questions = digitQuestions('3', '1', '4', '5', '9');
      const seen: Record<number, string[]> = {};
      const at = async (maxRows: number): Promise<QuestionResult[]> => {
        seen[maxRows] = [];
        return evaluate({
          ...common,
          model,
          sampler,
          questions,
          samples: 6,
          maxRows,
          onBatch: ({ done, total, samples }) => {
            expect(total).toBe(5);
            expect(samples.length % 6).toBe(0);
            expect(done * 6).toBe(seen[maxRows]!.push(...samples.map((s) => `${s.shadowText}|${s.answerText}`)));
          },
        });
      };
      const want = await at(256);
      expect(want.map(({ id, samples }) => [id, samples])).toEqual(questions.map(({ id }) => [id, 6]));
      for (const maxRows of [1, 6, 13]) {
        expect(await at(maxRows)).toEqual(want);
        expect(seen[maxRows]).toEqual(seen[256]);
      }
      // The thoughts of one question's samples differ, or there would be nothing to be the same.
      expect(new Set(seen[256]).size).toBeGreaterThan(questions.length);
    },
  );
});

const sample = (of: Partial<Sample>) => of as Sample;

test('groupAdvantages compares within a group', () => {
  const samples = [10, 0, 100, 100, 1, 4].map((r) => sample({ reward: r }));
  expect(groupAdvantages(samples, 2)).toEqual([10, -10, 0, 0, -3, 3]);
  expectClose(groupAdvantages(samples, 3), [-40, -55, 95, 97.5, -51, -46.5]);
  expect(() => groupAdvantages(samples, 4)).toThrow(/a multiple of 4 samples, got 6/);
});

test('sampleStatistics averages', () => {
  const samples = [
    sample({ reward: 100, correct: true, boxed: true, thoughtEnd: 'phrase', shadowIds: [1, 2], answerIds: [1] }),
    sample({ reward: 10, correct: false, boxed: true, thoughtEnd: 'phrase', shadowIds: [1], answerIds: [1, 2, 3] }),
    sample({ reward: 0, correct: false, boxed: false, thoughtEnd: 'phrase', shadowIds: [], answerIds: [] }),
    sample({ reward: 10, correct: false, boxed: true, thoughtEnd: 'cap', shadowIds: [1, 2, 3], answerIds: [4, 5] }),
  ];
  expect(sampleStatistics(samples)).toEqual({
    reward: 30,
    correct: 0.25,
    boxed: 0.75,
    stopped: 0.75,
    thoughtTokens: 1.5,
    answerTokens: 1.5,
  });
});

test('accuracy weighs samples, and refuses none', () => {
  const results = [
    { id: 'a', samples: 4, correct: 1 },
    { id: 'b', samples: 1, correct: 1 },
  ];
  expect(accuracy(results)).toBe(0.4);
  expect(() => accuracy([])).toThrow(/at least one result/);
});
