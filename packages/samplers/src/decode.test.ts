import { createNoise, useEngine } from '@soft-tokens/tensor';
import { eachEngine, enginesUnderTest, tinyCodec, tinyModel } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test } from 'vitest';
import type { Action, LanguageModel, Sampler } from './contract.js';
import {
  type Completion,
  type DecodeOptions,
  decode,
  type Observation,
  padPrompts,
  type ThoughtFormat,
} from './decode.js';
import { fuzzy } from './fuzzy.js';
import { hard } from './hard.js';
import { soft } from './soft.js';
import { scriptedModel } from './test/models.js';

const text = tinyCodec();
const END = text.endIds[0]!;

/** What an answer's own tokens spell, as `decode` reports it. */
const answers = (completions: Completion[]) => completions.map(({ answerText }) => answerText);

/** Decodes prompts that are script numbers, greedily, with what a scripted model says. */
async function decodeScripts(scripts: (string | number[])[], options: Partial<DecodeOptions<Action>> = {}) {
  const model = scriptedModel(
    text.vocabSize,
    scripts.map((script) => (typeof script === 'string' ? text.encode(script) : script)),
  );
  const completions = await decode<Action>({
    model,
    text,
    sampler: hard({ temperature: 0 }),
    prompts: scripts.map((_, k) => [k]),
    maxThoughtTokens: 40,
    maxAnswerTokens: 8,
    answerTemperature: 0,
    seed: 0,
    ...options,
  });
  return { model, completions };
}

describe('phases, on scripted text', () => {
  // The script goes on under the prefill, where nothing it says is read: `_` marks those positions.
  const stopped = `so The final answer is:${'_'.repeat('\\boxed{'.length)}42}never`;

  eachEngine(
    useEngine,
    () => {
      test('a thought that stops by itself is answered until the brace closes', async () => {
        const { model, completions } = await decodeScripts([stopped]);
        expect(completions).toEqual([
          {
            prompt: 0,
            promptIds: [0],
            sample: 0,
            action: {
              ids: { dtype: 'int32', shape: [23], values: Int32Array.from(text.encode('so The final answer is:')) },
            },
            shadowIds: text.encode('so The final answer is:'),
            shadowText: 'so The final answer is:',
            thoughtEnd: 'phrase',
            prefillIds: text.encode('\\boxed{'),
            answerIds: text.encode('42}'),
            answerEnd: 'closed',
            answerText: '\\boxed{42}',
          },
        ]);
        // Fed: the prompt, the thought, the prefill, the answer but for its last id, which nothing follows.
        expect(model.fed.map(([row]) => row)).toEqual(
          [0, ...text.encode('so The final answer is:\\boxed{42')].map((id) => [id]),
        );
      });

      test('soft tokens too: the shadow decides, the mixture is fed', async () => {
        for (const sampler of [soft({ temperature: 0.1, noiseScale: 0 }), fuzzy({ noiseScale: 0 })]) {
          const { model, completions } = await decodeScripts([stopped], { sampler: sampler as Sampler<never> });
          expect(completions[0]!.shadowText).toBe('so The final answer is:');
          expect(completions[0]!.action.input!.shape).toEqual([23, 1]);
          expect(answers(completions)).toEqual(['\\boxed{42}']);
          expect(model.fed.length).toBe(1 + 23 + 7 + 2);
        }
      });

      test('a thought that reaches the cap gets the long prefill', async () => {
        const prefill = 'The final answer is: \\boxed{';
        const { model, completions } = await decodeScripts([`thinki${'_'.repeat(prefill.length)}\\frac{1}{2}}..`], {
          maxThoughtTokens: 6,
          maxAnswerTokens: 32,
        });
        const [completion] = completions;
        expect(completion!.thoughtEnd).toBe('cap');
        expect(completion!.shadowText).toBe('thinki');
        expect(completion!.prefillIds).toEqual(text.encode(prefill));
        expect(completion!.answerEnd).toBe('closed');
        expect(completion!.answerText).toBe('\\boxed{\\frac{1}{2}}');
        const read = model.fed.map(([row]) => row![0]!);
        expect(text.decode(read.slice(1))).toBe(`thinki${prefill}\\frac{1}{2}`);
      });

      test('an answer ends at its cap, or at an end id', async () => {
        const box = (answer: string) => text.encode(`The final answer is:${'_'.repeat(7)}${answer}`);
        const { completions } = await decodeScripts([box('123456789'), [...box('{4'), END], [...box(''), END]]);
        expect(completions.map(({ answerEnd }) => answerEnd)).toEqual(['cap', 'end', 'end']);
        expect(answers(completions)).toEqual(['\\boxed{12345678', '\\boxed{{4', '\\boxed{']);
        expect(completions[1]!.answerIds).toEqual([...text.encode('{4'), END]);
      });

      test('an end id does not end a thought', async () => {
        const script = [...text.encode('a'), END, ...text.encode(`The final answer is:${'_'.repeat(7)}1}`)];
        const { completions } = await decodeScripts([script]);
        expect(completions[0]!.shadowText).toBe('aThe final answer is:');
        expect(completions[0]!.shadowIds[1]).toBe(END);
        expect(answers(completions)).toEqual(['\\boxed{1}']);
      });

      test('rows in all phases at once keep to their own text', async () => {
        const scripts = ['', 'a', 'so', 'well then,'].map((start) => `${start}The final answer is:_______${start}}`);
        const { completions } = await decodeScripts(scripts, { maxAnswerTokens: 20 });
        expect(answers(completions)).toEqual(['\\boxed{}', '\\boxed{a}', '\\boxed{so}', '\\boxed{well then,}']);
      });

      test('a format of one’s own, without a box or without any prefill', async () => {
        const format = { stopPhrase: '=', prefill: { stopped: '', capped: '=>' } };
        const { completions } = await decodeScripts(['1+1=2', 'no end__end'], {
          format,
          maxThoughtTokens: 6,
          maxAnswerTokens: 3,
          prompts: [[0], [1]],
        });
        expect(completions.map(({ thoughtEnd }) => thoughtEnd)).toEqual(['phrase', 'cap']);
        expect(completions.map(({ prefillIds }) => prefillIds)).toEqual([[], text.encode('=>')]);
        expect(completions[0]!.answerIds[0]).toBe(text.encode('2')[0]);
        expect(answers(completions)).toEqual(['2', 'end']);
      });
    },
    enginesUnderTest,
  );
});

// Random text that ends soon: six symbols, of which `.` ends a thought and `}` an answer.
const letters = tinyCodec('ab.{}');
const format: ThoughtFormat = { stopPhrase: '.', prefill: { stopped: '{', capped: '.{' } };

/** A tiny model that counts its calls and notes what it was fed. */
function watchedModel(seed = 5) {
  const tiny = tinyModel({ vocabSize: letters.vocabSize, hiddenSize: 4, seed });
  const fed: { shape: number[]; values: Float32Array }[] = [];
  const model: LanguageModel & { fed: typeof fed; dispose(): void } = {
    ...tiny,
    fed,
    createCache: tiny.createCache,
    forward(inputs, cache) {
      fed.push({ shape: inputs.shape, values: inputs.dataSync() as Float32Array });
      return tiny.forward(inputs, cache as never);
    },
  };
  return model;
}

const prompts = [[1, 2], [2, 2, 1, 3, 1], [1], [2, 4, 1]];
const samplers: [string, Sampler<Action>][] = [
  ['hard', hard({ temperature: 1 }) as Sampler<Action>],
  ['soft', soft({ temperature: 0.5, noiseScale: 0.3 }) as Sampler<Action>],
  ['fuzzy', fuzzy({ noiseScale: 0.3 }) as Sampler<Action>],
];

function decodeTiny(model: LanguageModel, sampler: Sampler<Action>, options: Partial<DecodeOptions<Action>> = {}) {
  return decode({
    model,
    sampler,
    text: letters,
    prompts,
    format,
    maxThoughtTokens: 12,
    maxAnswerTokens: 9,
    answerTemperature: 1,
    seed: 17,
    ...options,
  });
}

eachEngine(
  useEngine,
  (engine) => {
    test.each(samplers)(
      '%s: the same seed gives the same completions, another seed or step others',
      async (_, sampler) => {
        const model = watchedModel();
        const first = await decodeTiny(model, sampler, { samples: 3 });
        expect(await decodeTiny(model, sampler, { samples: 3 })).toEqual(first);
        expect(await decodeTiny(model, sampler, { samples: 3, seed: 18 })).not.toEqual(first);
        expect(await decodeTiny(model, sampler, { samples: 3, step: 1 })).not.toEqual(first);
        // The samples of one prompt differ from each other, too.
        expect(new Set(first.slice(0, 3).map(({ action }) => JSON.stringify(action))).size).toBe(3);
        model.dispose();
      },
    );

    test.each(samplers)('%s: a row is what it would be alone', async (_, sampler) => {
      const model = watchedModel();
      const together = await decodeTiny(model, sampler, { samples: 4 });
      // The batch is ragged: rows end at different positions, and leave it on the way.
      const lengths = together.map((row) => row.shadowIds.length + row.prefillIds.length + row.answerIds.length);
      expect(new Set(lengths).size).toBeGreaterThan(3);
      expect(new Set(together.map(({ thoughtEnd }) => thoughtEnd)).size).toBe(2);
      const widths = model.fed.slice(1).map(({ shape }) => shape[0]!);
      expect(widths[0]).toBe(16);
      expect(new Set(widths).size).toBeGreaterThan(3);

      for (const row of together) {
        const [alone] = await decodeTiny(model, sampler, {
          prompts: [prompts[row.prompt]!],
          firstSample: row.sample,
        });
        expect({ ...alone!, action: {} }).toEqual({ ...row, prompt: 0, action: {} });
        for (const [name, { shape, values }] of Object.entries(row.action)) {
          expect(alone!.action[name]!.shape).toEqual(shape);
          if (engine === 'cpu')
            expect(alone!.action[name]!.values).toEqual(values); // to the bit
          else values.forEach((value, i) => void expect(alone!.action[name]!.values[i]).toBeCloseTo(value, 5));
        }
      }
      model.dispose();
    });

    test('noise comes from its address: stream 0 draws thoughts, stream 1 answers', async () => {
      const model = watchedModel();
      const read = [0, 0, 0, 0]; // positions each row has drawn or been fed
      const sampler = hard({ temperature: 1 });
      let checked = 0;
      await decodeTiny(model, sampler as unknown as Sampler<Action>, {
        step: 6,
        firstSample: 30,
        observe({ phase, rows, ids, hidden }) {
          rows.forEach((row, i) => {
            const place = { seed: 17, step: 6, samples: Int32Array.of(30 + row), position: read[row]! };
            const noise = createNoise({ ...place, stream: phase === 'thought' ? 0 : 1 });
            const state = tf.slice(hidden, i, 1) as tf.Tensor2D;
            expect(ids[i]).toBe(sampler.step(state, model, noise).shadow[0]);
            read[row]!++;
            checked++;
            const stopped = phase === 'thought' && letters.decode([ids[i]!]) === '.';
            if (stopped) read[row]! += letters.encode(format.prefill.stopped).length;
            else if (phase === 'thought' && read[row] === 12)
              read[row]! += letters.encode(format.prefill.capped).length;
          });
        },
      });
      expect(checked).toBeGreaterThan(20);
      model.dispose();
    });

    test('prompts are read once, whatever the number of samples', async () => {
      const model = watchedModel();
      await decodeTiny(model, samplers[0]![1], { samples: 4 });
      expect(model.fed[0]!.shape).toEqual([4, 5, 4]); // four prompts, the longest of five ids
      expect(model.fed[1]!.shape).toEqual([16, 1, 4]);
      expect(model.fed.slice(1).every(({ shape }) => shape[1] === 1)).toBe(true);
      model.dispose();
    });

    test.each(samplers)('%s: recorded actions are what was fed', async (_, sampler) => {
      const model = watchedModel();
      const [row] = await decodeTiny(model, sampler, { prompts: [prompts[1]!] });
      const T = row!.shadowIds.length;
      const fedInThought = tf.tidy(() => {
        const action = Object.fromEntries(
          Object.entries(row!.action).map(([name, { values, shape, dtype }]) => {
            expect(shape[0]).toBe(T);
            expect(values.length).toBe(tf.util.sizeFromShape(shape));
            return [name, tf.tensor(values, [1, ...shape], dtype)];
          }),
        );
        return sampler.inputs(action, model).dataSync();
      });
      const fed = model.fed.slice(1, 1 + T).flatMap(({ values }) => [...values]);
      expect([...fedInThought]).toEqual(fed);
      expect(model.fed.length).toBe(T + row!.prefillIds.length + row!.answerIds.length); // the last id is not read
      model.dispose();
    });

    test('observe is told every drawn token, with the state it was drawn from', async () => {
      const model = watchedModel();
      const told: Record<Observation['phase'], number[][]> = { thought: [], answer: [] };
      const completions = await decodeTiny(model, hard({ temperature: 0 }) as Sampler<Action>, {
        samples: 2,
        firstSample: 100,
        answerTemperature: 0,
        observe({ phase, rows, ids, hidden }) {
          const greedy = tf.argMax(model.head.logits(hidden), -1).dataSync();
          expect(rows.length).toBe(ids.length);
          rows.forEach((row, i) => {
            expect(ids[i]).toBe(greedy[i]);
            told[phase][row] ??= [];
            told[phase][row].push(ids[i]!);
          });
        },
      });
      expect(told.thought).toEqual(completions.map(({ shadowIds }) => shadowIds));
      expect(told.answer).toEqual(completions.map(({ answerIds }) => answerIds));
      expect(completions.map(({ sample }) => sample)).toEqual([100, 101, 102, 103, 104, 105, 106, 107]);
      expect(completions.map(({ prompt }) => prompt)).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
      model.dispose();
    });

    test('leaves no tensor behind: done, aborted, or failed', async () => {
      const model = watchedModel();
      const before = tf.memory().numTensors;
      for (const [, sampler] of samplers) {
        await decodeTiny(model, sampler, { samples: 3 });
        await decodeTiny(model, sampler);
        expect(tf.memory().numTensors).toBe(before);
      }
      const controller = new AbortController();
      let tokens = 0;
      const abortSoon = decodeTiny(model, samplers[1]![1], {
        signal: controller.signal,
        observe: () => {
          if (++tokens === 4) controller.abort(new Error('enough'));
        },
      });
      await expect(abortSoon).rejects.toThrow('enough');
      expect(tokens).toBeLessThanOrEqual(5); // at once: a position tells of a thought and an answer at most
      expect(tf.memory().numTensors).toBe(before);
      const throws = decodeTiny(model, samplers[1]![1], {
        observe: () => {
          throw new Error('observer failed');
        },
      });
      await expect(throws).rejects.toThrow('observer failed');
      expect(tf.memory().numTensors).toBe(before);
      const broken: LanguageModel = {
        ...model,
        forward: () => {
          throw new Error('stack failed');
        },
      };
      await expect(decodeTiny(broken, samplers[0]![1])).rejects.toThrow('stack failed');
      expect(tf.memory().numTensors).toBe(before);
      model.dispose();
    });

    test('a sampler of one’s own needs nothing but tfjs', async () => {
      /** Gumbel-softmax over the whole vocabulary: w = softmax((log p + g) / τ). The weights are what is recorded. */
      const gumbel: Sampler<{ weights: tf.Tensor }> = {
        name: 'gumbel',
        step(hidden, model, noise) {
          const logits = model.head.logits(hidden);
          const g = tf.neg(tf.log(tf.neg(tf.log(tf.clipByValue(noise.uniform(model.vocabSize), 1e-7, 1 - 1e-7)))));
          const weights = tf.softmax(tf.div(tf.add(tf.logSoftmax(logits), g), 0.5));
          return {
            input: model.mix(weights) as tf.Tensor2D,
            action: { weights },
            shadow: tf.argMax(logits, -1).dataSync<'int32'>(),
          };
        },
        inputs: ({ weights }, model) => model.mix(weights) as tf.Tensor3D,
        logProb: (hidden, model, { weights }) =>
          tf.sum(tf.mul(weights, tf.logSoftmax(model.head.logits(hidden))), -1) as tf.Tensor2D,
      };
      const model = watchedModel(8);
      const completions = await decodeTiny(model, gumbel as unknown as Sampler<Action>, { samples: 5 });
      expect(completions.length).toBe(20);
      for (const { action, shadowIds } of completions) {
        const { shape, dtype, values } = action.weights!;
        expect([shape, dtype]).toEqual([[shadowIds.length, letters.vocabSize], 'float32']);
        for (let t = 0; t < shadowIds.length; t++) {
          const row = values.subarray(t * letters.vocabSize, (t + 1) * letters.vocabSize);
          expect([...row].reduce((sum, w) => sum + w, 0)).toBeCloseTo(1, 5);
        }
      }
      const start = model.fed.length + 1; // after the prompt
      const [alone] = await decodeTiny(model, gumbel as unknown as Sampler<Action>, { prompts: [prompts[0]!] });
      const inputs = tf.tidy(() => {
        const { values, shape } = alone!.action.weights!;
        return gumbel.inputs({ weights: tf.tensor(values, [1, ...shape]) }, model).dataSync();
      });
      const fed = model.fed.slice(start, start + alone!.shadowIds.length).flatMap(({ values }) => [...values]);
      expect([...inputs]).toEqual(fed);
      model.dispose();
    });
  },
  enginesUnderTest,
);

describe('arguments', () => {
  test('padPrompts pads on the left', () => {
    expect(padPrompts([[7], [1, 2, 3]])).toEqual({
      ids: Int32Array.of(0, 0, 7, 1, 2, 3),
      padding: Int32Array.of(2, 0),
      length: 3,
    });
  });

  test('nothing to do is nothing done', async () => {
    const model = watchedModel();
    expect(await decodeTiny(model, samplers[0]![1], { prompts: [] })).toEqual([]);
    expect(await decodeTiny(model, samplers[0]![1], { samples: 0 })).toEqual([]);
    expect(model.fed).toEqual([]);
    model.dispose();
  });

  test.each<[string, Partial<DecodeOptions<Action>>]>([
    ['decode: expected prompt 1 to hold at least one id, got none', { prompts: [[1], []] }],
    ['decode: expected the ids of prompt 0 in 0..5, got 6', { prompts: [[1, 6]] }],
    ['decode: expected the ids of prompt 0 in 0..5, got 0.5', { prompts: [[0.5]] }],
    ['decode: expected maxThoughtTokens to be an integer >= 1, got 0', { maxThoughtTokens: 0 }],
    ['decode: expected maxAnswerTokens to be an integer >= 1, got NaN', { maxAnswerTokens: Number.NaN }],
    ['decode: expected samples to be an integer >= 0, got 1.5', { samples: 1.5 }],
  ])('%s', async (message, options) => {
    const model = watchedModel();
    await expect(decodeTiny(model, samplers[0]![1], options)).rejects.toThrow(new RangeError(message));
    model.dispose();
  });

  test('an action without a row for each sequence is refused', async () => {
    const model = watchedModel();
    const short = {
      ...samplers[1]![1],
      step: (...args: Parameters<Sampler['step']>) => ({
        ...samplers[1]![1].step(...args),
        action: { odd: tf.zeros([3]) },
      }),
    };
    await expect(decodeTiny(model, short)).rejects.toThrow(
      new TypeError('decode: expected action "odd" to be int32 or float32 with 4 rows, got float32 [3]'),
    );
    model.dispose();
  });
});
