// What PyTorch computes from recorded sequences, computed here: log-probabilities, losses, every gradient.
import type { CausalLM } from '@soft-tokens/models';
import { hard, type Mode } from '@soft-tokens/samplers';
import { useEngine } from '@soft-tokens/tensor';
import { eachEngine, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { leaveOneOut } from './advantages.js';
import { accumulateGradients, disposeGradients, policyGradient } from './gradients.js';
import { crossEntropy, reinforceLoss } from './losses.js';
import { type RecordedSequence, type ScoreOptions, score, sequenceLogProb, withCaches } from './score.js';
import { cases, expected, expectGradients, idsAction, loadCase, modes, recorded } from './test/fixtures.js';

const table = cases.flatMap((name) => modes.map((mode): [string, Mode] => [name, mode]));

/** Scores as nested arrays. */
const scores = (options: ScoreOptions) =>
  tf.tidy(() => {
    const { thought, answer } = withCaches((own) => score(options, own));
    return { thought: thought.arraySync(), answer: answer.arraySync() };
  });

/** Runs `body` with a case's model, and frees it. */
async function withCase(name: string, body: (model: CausalLM) => Promise<void> | void): Promise<void> {
  const model = await loadCase(name);
  try {
    await body(model);
  } finally {
    model.dispose();
  }
}

eachEngine(useEngine, () => {
  test.each(table)("%s, %s: each position's log-probability and the loss are PyTorch's", (name, mode) =>
    withCase(name, (model) => {
      const document = expected(name);
      const { sampler, sequences, advantages } = recorded(document, mode);
      const { samples, loss } = document.modes[mode];
      const got = scores({ model, sampler, sequences });
      samples.forEach(({ thoughtLogProb, answerLogProb }, n) => {
        expectClose(got.thought[n]!.slice(0, thoughtLogProb.length), thoughtLogProb, { rel: 1e-4 });
        expectClose(got.answer[n]!.slice(0, answerLogProb.length), answerLogProb, { rel: 1e-4 });
        expect(got.thought[n]!.slice(thoughtLogProb.length).every((x) => x === 0)).toBe(true);
        expect(got.answer[n]!.slice(answerLogProb.length).every((x) => x === 0)).toBe(true);
      });
      expectClose(
        document.prompts.flatMap(({ rewards }) => leaveOneOut(rewards)),
        advantages,
      );
      tf.tidy(() => {
        const logProb = sequenceLogProb(withCaches((own) => score({ model, sampler, sequences }, own)));
        expectClose(reinforceLoss(logProb, advantages, advantages.length), tf.scalar(loss), { rel: 1e-4 });
      });
    }),
  );

  test.each(table)(
    "%s, %s: the policy gradient in every parameter is PyTorch's, in any micro-batches, recomputed or not",
    (name, mode) =>
      withCase(name, async (model) => {
        const document = expected(name);
        const { sampler, sequences, advantages } = recorded(document, mode);
        const { parameters } = model;
        const before = tf.memory().numTensors;
        // The longest sequences hold 12 positions after the prompt: rows of one, of two, and all at once.
        for (const [maxTokens, recompute] of [
          [1, false],
          [24, false],
          [24, true],
          [1000, false],
          [1000, true],
        ] as const) {
          const got = await policyGradient({ model, sampler, parameters, sequences, advantages, maxTokens, recompute });
          expectClose([got.loss], [document.modes[mode].loss], { rel: 1e-4 });
          await expectGradients(name, mode, got.gradients);
          disposeGradients(got.gradients);
        }
        expect(tf.memory().numTensors).toBe(before);
      }),
  );

  test.each(cases)("%s: the supervised loss and its gradients are PyTorch's", (name) =>
    withCase(name, async (model) => {
      const { supervised } = expected(name);
      // Scored positions are a run of thought ids, then, after ids that are read only, a run of answer ids.
      const sequences = supervised.sequences.map(({ ids, positions }): RecordedSequence => {
        const [first, second] = [positions[0]! + 1, positions[1]! + 1];
        return {
          promptIds: ids.slice(0, first),
          action: { ids: idsAction(ids.slice(first, first + 1)) },
          prefillIds: ids.slice(first + 1, second),
          answerIds: ids.slice(second),
        };
      });
      const tokens = supervised.sequences.reduce((sum, { positions }) => sum + positions.length, 0);
      const { loss, gradients } = await accumulateGradients({
        model,
        sampler: hard({ temperature: 1 }) as ScoreOptions['sampler'],
        parameters: model.parameters,
        sequences,
        maxTokens: 5,
        loss: (logProb) => crossEntropy(logProb, tokens),
      });
      expectClose([loss], [supervised.loss]);
      await expectGradients(name, 'supervised', gradients);
      disposeGradients(gradients);
    }),
  );

  test.each(modes)('%s: a batch scores as its rows do, and a shared prompt as one alone', (mode) =>
    withCase('llama-untied-gqa', (model) => {
      const { sampler, sequences } = recorded(expected('llama-untied-gqa'), mode);
      const batch = scores({ model, sampler, sequences });
      sequences.forEach((sequence, n) => {
        const alone = scores({ model, sampler, sequences: [sequence] });
        expectClose(batch.thought[n]!.slice(0, alone.thought[0]!.length), alone.thought[0]!, { rel: 1e-5, abs: 1e-5 });
        expectClose(batch.answer[n]!.slice(0, alone.answer[0]!.length), alone.answer[0]!, { rel: 1e-5, abs: 1e-5 });
      });
    }),
  );

  test("the answer's temperature divides the logits of the answer alone", () =>
    withCase('llama-tied', (model) => {
      const { sampler, sequences } = recorded(expected('llama-tied'), 'hard');
      const [at1, at2] = [1, 2].map((answerTemperature) => scores({ model, sampler, sequences, answerTemperature }));
      expect(at2!.thought).toEqual(at1!.thought);
      expect(() => expectClose(at2!.answer.flat(), at1!.answer.flat(), { rel: 0.01 })).toThrow();
      // One answer id after one thought id: log softmax(z / 2), from logits computed without a cache.
      const { promptIds } = sequences[0]!;
      const one = { promptIds, action: { ids: idsAction([7]) }, prefillIds: [], answerIds: [9] };
      tf.tidy(() => {
        const inputs = model.embed(tf.tensor2d([[...promptIds, 7]], undefined, 'int32')) as tf.Tensor3D;
        const logits = model.head.logits(model.forward(inputs)).arraySync() as number[][][];
        const halves = logits[0]!.at(-1)!.map((z) => z / 2);
        const logProb = halves[9]! - Math.log(halves.reduce((sum, z) => sum + Math.exp(z), 0));
        expectClose(scores({ model, sampler, sequences: [one], answerTemperature: 2 }).answer[0]!, [logProb], {
          rel: 1e-4,
        });
      });
    }));
});

test('refuses what cannot be scored', () =>
  withCase('llama-tied', (model) => {
    const { sampler, sequences } = recorded(expected('llama-tied'), 'hard');
    const fails = (broken: RecordedSequence[]) => () => scores({ model, sampler, sequences: broken });
    expect(fails([])).toThrow(/at least one sequence/);
    expect(fails([sequences[0]!, { ...sequences[1]!, answerIds: [] }])).toThrow(/got 6 and 0 in sequence 1/);
    expect(fails([{ ...sequences[0]!, action: { ids: idsAction([]) } }])).toThrow(/got 0 and 2 in sequence 0/);
  }));
