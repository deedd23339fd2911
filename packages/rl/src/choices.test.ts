import { likelihoodSummary } from '@soft-tokens/metrics';
import { loadTokenizer } from '@soft-tokens/models';
import { useEngine } from '@soft-tokens/tensor';
import { eachEngine, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test } from 'vitest';
import { type ChoiceItem, choiceItem, choiceLikelihood } from './choices.js';
import { toyModel } from './test/toy.js';

const V = 13;
/** Questions of many lengths, and of one to four choices. */
const items: ChoiceItem[] = Array.from({ length: 11 }, (_, i) => {
  const ids = (length: number, from: number) => Array.from({ length }, (_, t) => (from + 5 * t * (t + i)) % V);
  const choices = Array.from({ length: 1 + (i % 4) }, (_, j) => ({
    ids: ids(1 + ((i + 3 * j) % 6), j),
    characters: 1 + j,
  }));
  return { id: `q${i}`, contextIds: ids(1 + ((7 * i) % 10), i), choices, correct: i % choices.length };
});

/** log p(ids | context), by a forward over the whole without a cache, and softmax in double precision. */
function witness(model: ReturnType<typeof toyModel>, { contextIds, choices }: ChoiceItem, j: number): number {
  const { ids } = choices[j]!;
  const whole = [...contextIds, ...ids];
  const logits = tf.tidy(() => {
    const inputs = model.embed(tf.tensor2d([whole], [1, whole.length], 'int32')) as tf.Tensor3D;
    return model.head.logits(model.forward(inputs)).arraySync() as number[][][];
  })[0]!;
  return ids.reduce((sum, id, t) => {
    const row = logits[contextIds.length + t - 1]!;
    const top = Math.max(...row);
    return sum + row[id]! - top - Math.log(row.reduce((total, logit) => total + Math.exp(logit - top), 0));
  }, 0);
}

eachEngine(useEngine, (engine) => {
  test('log-probabilities are those of a forward over the whole text, in any batches', async () => {
    const model = toyModel({ vocabSize: V, hiddenSize: 16, keys: { num_hidden_layers: 2 } });
    const tensors = tf.memory().numTensors;
    const want = items.map((item) => item.choices.map((_, j) => witness(model, item, j)));
    const told: number[] = [];
    // All together, a few, and each question by itself.
    for (const maxTokens of [10_000, 100, 1]) {
      const onBatch = ({ done, total }: { done: number; total: number }) => told.push(done / total);
      const got = await choiceLikelihood({ model, items, maxTokens, onBatch });
      got.forEach(({ id, correct, choices }, i) => {
        expect({ id, correct }).toEqual({ id: items[i]!.id, correct: items[i]!.correct });
        expect(choices.map(({ tokens }) => tokens)).toEqual(items[i]!.choices.map(({ ids }) => ids.length));
        expect(choices.map(({ characters }) => characters)).toEqual(choices.map((_, j) => j + 1));
        expectClose(
          choices.map(({ logProb }) => logProb),
          want[i]!,
          { rel: 1e-5, abs: 1e-5 },
        );
      });
      expect(told.at(-1)).toBe(1);
    }
    expect(told[0]).toBe(1); // 10,000 positions are enough for all
    expect(told.length).toBeGreaterThan(1 + items.length); // then a few batches, then one a question
    expect(tf.memory().numTensors).toBe(tensors);
    expect(await choiceLikelihood({ model, items: [], maxTokens: 1 })).toEqual([]);
    model.dispose();
  });

  test.runIf(engine === 'native')('a question has the same bits in any batch', async () => {
    const model = toyModel({ vocabSize: V, hiddenSize: 32 });
    const [want, few] = await Promise.all(
      [10_000, 100].map((maxTokens) => choiceLikelihood({ model, items, maxTokens })),
    );
    expect(few).toEqual(want);
    expect(await choiceLikelihood({ model, items: items.toReversed(), maxTokens: 100 })).toEqual(want!.toReversed());
    model.dispose();
  });
});

describe('choiceLikelihood', () => {
  const model = toyModel({ vocabSize: V });
  const [item] = items as [ChoiceItem];

  test.each([
    [{ contextIds: [] }, 'q0: expected a context of one id at least'],
    [{ choices: [{ ids: [], characters: 1 }] }, 'q0: expected an id at least in choice 0'],
    [{ correct: 4 }, 'q0: expected correct to be the index of one of 1 choices, got 4'],
  ])('%j is an error', async (wrong, message) => {
    await expect(choiceLikelihood({ model, items: [{ ...item, ...wrong }], maxTokens: 9 })).rejects.toThrow(message);
  });

  test.each([0, Number.NaN])('a budget of %d is an error', async (maxTokens) => {
    await expect(choiceLikelihood({ model, items, maxTokens })).rejects.toThrow('expected maxTokens > 0');
  });

  test('a model whose log-probabilities are not numbers is an error that names the question', async () => {
    const damaged = toyModel({ vocabSize: V });
    for (const variable of damaged.parameters.values()) variable.assign(tf.fill(variable.shape, Number.NaN));
    await expect(choiceLikelihood({ model: damaged, items: items.slice(1), maxTokens: 9 })).rejects.toThrow(
      /q\d+: expected a finite log-probability of choice 0, got NaN/,
    );
  });

  test('stops between batches', async () => {
    const abort = new AbortController();
    const onBatch = () => abort.abort(new Error('stopped'));
    await expect(choiceLikelihood({ model, items, maxTokens: 1, signal: abort.signal, onBatch })).rejects.toThrow(
      'stopped',
    );
  });

  test('summed up', async () => {
    const summary = likelihoodSummary(await choiceLikelihood({ model, items, maxTokens: 100 }));
    const right = items.map((item) => witness(model, item, item.correct));
    const tokens = items.reduce((sum, { choices, correct }) => sum + choices[correct]!.ids.length, 0);
    expect(summary.nll).toBeCloseTo(-right.reduce((sum, value) => sum + value, 0) / tokens, 5);
  });
});

describe('choiceItem', () => {
  const question = { id: 'a', context: 'Mia has 7 apples.', choices: [' 7+5=12.', ' no'], correct: 1 };

  test("a choice's ids go on from the context's, which begin as prompts do", async () => {
    const tokenizer = await loadTokenizer(new URL('../../models/tiny', import.meta.url).pathname);
    const item = choiceItem(tokenizer, question);
    expect(item.contextIds).toEqual(tokenizer.promptIds('Mia has 7 apples.'));
    item.choices.forEach(({ ids }, j) => {
      expect([...item.contextIds, ...ids]).toEqual(tokenizer.promptIds(question.context + question.choices[j]));
      expect(tokenizer.decode(ids)).toBe(question.choices[j]);
    });
    expect(item).toMatchObject({ id: 'a', correct: 1 });
  });

  /** Characters by their code; `ab` is one id, 1, and every prompt begins with 0. */
  const joining = {
    encode: (text: string) => [...text.replaceAll('ab', '\u0001')].map((character) => character.codePointAt(0)!),
    promptIds: (text: string) => [0, ...joining.encode(text)],
  };
  const codes = (text: string) => [...text].map((character) => character.charCodeAt(0));

  test('a choice that a tokenizer would join with the context is encoded by itself', () => {
    const { contextIds, choices } = choiceItem(joining, { id: 'a', context: 'xa', choices: ['b', 'c'], correct: 0 });
    expect(contextIds).toEqual([0, ...codes('xa')]);
    expect(choices.map(({ ids }) => ids)).toEqual([codes('b'), codes('c')]);
  });

  test("white space at the context's end goes to the choices", () => {
    const { contextIds, choices } = choiceItem(joining, { id: 'a', context: 'x \n', choices: ['y'], correct: 0 });
    expect(contextIds).toEqual([0, ...codes('x')]);
    expect(choices).toEqual([{ ids: codes(' \ny'), characters: 1 }]);
  });

  test('characters are those of Unicode, but for one leading space', () => {
    const choices = [' é𝑥', '  a', 'ab'];
    const item = choiceItem(joining, { id: 'a', context: 'x', choices, correct: 0 });
    expect(item.choices.map(({ characters }) => characters)).toEqual([2, 2, 2]);
  });
});
