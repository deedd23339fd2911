import { checkGradient, eachEngine, expectClose } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { expect, test } from 'vitest';
import { useEngine } from '../engine.js';
import { cases, expectCase, normal, rowOf } from '../test/cases.js';
import { attention } from './attention.js';
import { embedding } from './embedding.js';

type Inputs = [q: tf.Tensor4D, k: tf.Tensor4D, v: tf.Tensor4D];

/** B rows of T queries and S keys, 4 query heads on 2 key heads of dimension 4. */
const inputs = (B: number, T: number, S: number): Inputs => [
  normal([B, T, 4, 4], 1),
  normal([B, S, 2, 4], 2),
  normal([B, S, 2, 4], 3),
];

/** 1 where a query is a position of the sequence, 0 where it is padding itself: `[B, T, 1, 1]`. */
function readable(T: number, S: number, padding: number[]): tf.Tensor4D {
  const flags = padding.flatMap((n) => Array.from({ length: T }, (_, t) => (t + S - T < n ? 0 : 1)));
  return tf.tensor4d(flags, [padding.length, T, 1, 1]);
}

const positions = (x: tf.Tensor4D, from: number, to: number) => tf.slice(x, [0, from], [-1, to - from]) as tf.Tensor4D;

const allFinite = (x: tf.Tensor) => x.dataSync().every((value) => Number.isFinite(value));

/** Row `rows[b]` of `[R, P, K, D]` in front of row b of `[B, S, K, D]`. */
function joined(prefix: tf.Tensor, own: tf.Tensor, rows: number[]): tf.Tensor4D {
  const [R, P, K, D] = prefix.shape as [number, number, number, number];
  const chosen = embedding(tf.reshape(prefix, [R, P * K * D]), tf.tensor1d(rows, 'int32'));
  return tf.concat([tf.reshape(chosen, [rows.length, P, K, D]), own], 1) as tf.Tensor4D;
}

/** Prefixes by who reads them, some across the 16 keys of a tile, and one that nobody reads. */
const prefixes: {
  rows: number[];
  R: number;
  P: number;
  T: number;
  S: number;
  padding: number[] | undefined;
  window?: number;
}[] = [
  { rows: [0, 0, 0], R: 1, P: 5, T: 3, S: 3, padding: undefined },
  { rows: [0, 0, 0], R: 1, P: 16, T: 1, S: 4, padding: [2, 2, 2] },
  { rows: [2, 0, 0, 2, 0], R: 3, P: 37, T: 2, S: 18, padding: [30, 3, 3, 30, 3] },
  { rows: [1, 1], R: 2, P: 1, T: 4, S: 4, padding: [0, 1] },
  { rows: [0, 1, 0], R: 2, P: 37, T: 3, S: 4, padding: [0, 36, 30], window: 9 },
  { rows: [0, 0, 1], R: 2, P: 3, T: 25, S: 25, padding: [0, 0, 1], window: 4 },
];

const prefixInputs = ({ rows, R, P, T, S }: (typeof prefixes)[number]) => {
  const [q, k, v] = inputs(rows.length, T, S);
  return [q, k, v, normal([R, P, 2, 4], 4), normal([R, P, 2, 4], 5)];
};

type FiveInputs = [q: tf.Tensor4D, k: tf.Tensor4D, v: tf.Tensor4D, keys: tf.Tensor4D, values: tf.Tensor4D];

const afterPrefix =
  (rows: number[], padding?: number[], options: { window?: number | undefined; scale?: number } = {}) =>
  (...x: tf.Tensor[]) => {
    const [q, k, v, keys, values] = x as FiveInputs;
    const prefix = { keys, values, rows: Int32Array.from(rows) };
    return attention(q, k, v, { padding: padding && Int32Array.from(padding), prefix, ...options });
  };

eachEngine(useEngine, (engine) => {
  test.each(cases.attention)('as PyTorch: $name', (recorded) => {
    const [B, T] = recorded.inputs.q!.shape as [number, number];
    const S = recorded.inputs.k!.shape[1]!;
    const padding = recorded.padding ?? Array<number>(B).fill(0);
    expectCase(recorded, ({ q, k, v }) => {
      const options = recorded.padding ? { padding: Int32Array.from(padding) } : {};
      const { window, scale } = recorded;
      const y = attention(q as tf.Tensor4D, k as tf.Tensor4D, v as tf.Tensor4D, { ...options, window, scale });
      return tf.mul(y, readable(T, S, padding)); // recorded as 0; finite here, or 0 times it is NaN
    });
  });

  test('golden: two keys, one head', () => {
    // q·k/√D = [0, log 3] gives weights [1/4, 3/4]
    const k = tf.tensor4d([0, 0, 0, 0, 2 * Math.log(3), 0, 0, 0], [1, 2, 1, 4]);
    const v = tf.tensor4d([4, 0, 0, 0, 0, 8, 0, 0], [1, 2, 1, 4]);
    const y = attention(tf.tensor4d([1, 9, 9, 9], [1, 1, 1, 4]), k, v);
    expectClose(y, tf.tensor4d([1, 6, 0, 0], [1, 1, 1, 4]));
  });

  test('gradient, with an offset and padding', () => {
    const padding = Int32Array.of(0, 2);
    checkGradient((q, k, v) => attention(q, k, v, { padding }), inputs(2, 3, 5));
    checkGradient((q, k, v) => attention(q, k, v), inputs(1, 1, 4));
  });

  test('a batch is its rows', () => {
    const [q, k, v] = inputs(3, 3, 5);
    const padding = Int32Array.of(0, 2, 1);
    const y = attention(q, k, v, { padding });
    for (let b = 0; b < 3; b++) {
      const alone = attention(rowOf(q, b), rowOf(k, b), rowOf(v, b), { padding: padding.slice(b, b + 1) });
      expectClose(alone, rowOf(y, b));
    }
  });

  test('later keys do not change earlier queries', () => {
    const [q, k, v] = inputs(2, 5, 5);
    const changed = (x: tf.Tensor4D) => tf.concat([positions(x, 0, 3), tf.fill([2, 2, 2, 4], 50)], 1) as tf.Tensor4D;
    const [y, other] = [attention(q, k, v), attention(q, changed(k), changed(v))];
    expectClose(positions(other, 0, 3), positions(y, 0, 3));
    expect(tf.max(tf.abs(tf.sub(other, y))).dataSync()[0]).toBeGreaterThan(1);
  });

  test('padding changes nothing', () => {
    const [q, k, v] = inputs(1, 3, 3);
    const padded = (x: tf.Tensor4D, value: number) =>
      tf.concat([tf.fill([1, 2, x.shape[2], 4], value), x], 1) as tf.Tensor4D;
    const padding = Int32Array.of(2);
    const y = attention(q, k, v);
    expectClose(positions(attention(padded(q, 7), padded(k, 7), padded(v, 7), { padding }), 2, 5), y);
    expectClose(positions(attention(padded(q, -30), padded(k, 30), padded(v, 1e4), { padding }), 2, 5), y);
  });

  test('one query on a cache is the last row of the full call', () => {
    const [q, k, v] = inputs(2, 5, 5);
    const padding = Int32Array.of(0, 3);
    const full = attention(q, k, v, { padding });
    expectClose(attention(positions(q, 4, 5), k, v, { padding }), positions(full, 4, 5));
    expectClose(attention(positions(q, 3, 5), k, v, { padding }), positions(full, 3, 5));
  });

  test('extreme logits give finite values and gradients', () => {
    const [q, k, v] = inputs(1, 3, 3);
    const f = (q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) =>
      attention(q as tf.Tensor4D, k as tf.Tensor4D, v as tf.Tensor4D);
    const large: tf.Tensor[] = [tf.mul(q, 200), tf.mul(k, 200), v]; // products beyond ±1e4
    const scores = tf.matMul(tf.reshape(large[0]!, [-1, 4]), tf.reshape(large[1]!, [-1, 4]), false, true);
    expect(tf.max(tf.abs(scores)).dataSync()[0]).toBeGreaterThan(2e4);
    expect(allFinite(f(...(large as Inputs)))).toBe(true);
    for (const gradient of tf.grads(f)(large)) expect(allFinite(gradient)).toBe(true);
    // A softmax this sharp picks one key: ±1e4 apart, the winner's value alone.
    const keys = tf.tensor4d([2e4, 0, 0, 0, -2e4, 0, 0, 0], [1, 2, 1, 4]);
    const values = tf.tensor4d([1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 1, 4]);
    expectClose(attention(tf.tensor4d([1, 0, 0, 0], [1, 1, 1, 4]), keys, values).dataSync(), [1, 2, 3, 4]);
    expectClose(attention(tf.tensor4d([-1, 0, 0, 0], [1, 1, 1, 4]), keys, values).dataSync(), [5, 6, 7, 8]);
  });

  test('a query without any key is finite', () => {
    const [q, k, v] = inputs(2, 3, 3);
    const padding = Int32Array.of(3, 2);
    const f = (q: tf.Tensor, k: tf.Tensor, v: tf.Tensor) =>
      attention(q as tf.Tensor4D, k as tf.Tensor4D, v as tf.Tensor4D, { padding });
    expect(allFinite(f(q, k, v))).toBe(true);
    for (const gradient of tf.grads(f)([q, k, v])) expect(allFinite(gradient)).toBe(true);
  });

  test.each(prefixes)(
    'a prefix is as keys in front of each row: rows $rows, P=$P, padding $padding, window $window',
    (given) => {
      const { rows, padding, window } = given;
      const five = prefixInputs(given);
      const whole = (...x: tf.Tensor[]) => {
        const [q, k, v, keys, values] = x as FiveInputs;
        const options = { padding: padding && Int32Array.from(padding), window };
        return attention(q, joined(keys, k, rows), joined(values, v, rows), options);
      };
      const shared = afterPrefix(rows, padding, { window });
      // To the bit where sums have one order: the gradient of `embedding` too adds up its rows as they come.
      const tolerance = engine === 'native' ? { rel: 0, abs: 0 } : undefined;
      const want = whole(...five);
      expectClose(shared(...five), want, tolerance);
      const dy = normal(want.shape, 6);
      const [got, expected] = [shared, whole].map((f) => tf.grads(f)(five, dy));
      ['q', 'k', 'v', 'prefix keys', 'prefix values'].forEach((name, i) => {
        expect(tf.max(tf.abs(expected![i]!)).dataSync()[0], name).toBeGreaterThan(0.01);
        expectClose(got![i]!, expected![i]!, tolerance);
      });
    },
  );

  test('gradient, with a prefix, an offset and padding', () => {
    const given = { rows: [1, 0, 1], R: 2, P: 3, T: 2, S: 3, padding: [2, 0, 2] };
    checkGradient(afterPrefix(given.rows, given.padding), prefixInputs(given));
    checkGradient(afterPrefix(given.rows, given.padding, { window: 3, scale: 0.8 }), prefixInputs(given));
  });

  test('a window: each query as on the keys of its window alone', () => {
    const [T, S] = [23, 30];
    const [q, k, v] = inputs(2, T, S);
    for (const [window, padding] of [
      [1, undefined],
      [2, [0, 12]],
      [5, [3, 20]],
      [19, [0, 12]],
    ] as const) {
      const y = attention(q, k, v, { window, padding: padding && Int32Array.from(padding) });
      for (let b = 0; b < 2; b++) {
        for (let t = 0; t < T; t++) {
          const last = S - T + t;
          const first = Math.max(last - window + 1, padding?.[b] ?? 0);
          if (first > last) continue;
          const seen = (x: tf.Tensor4D) => positions(rowOf(x, b), first, last + 1);
          const alone = attention(positions(rowOf(q, b), t, t + 1), seen(k), seen(v));
          expectClose(alone, positions(rowOf(y, b), t, t + 1));
        }
      }
    }
  });

  test('gradient, with a window, an offset, padding and a scale', () => {
    const padding = Int32Array.of(0, 2);
    checkGradient((q, k, v) => attention(q, k, v, { padding, window: 2, scale: 0.9 }), inputs(2, 3, 5));
    checkGradient((q, k, v) => attention(q, k, v, { window: 3 }), inputs(1, 1, 5));
  });

  test('a window of all positions is none, bit for bit', () => {
    const padding = Int32Array.of(0, 2);
    const [q, k, v] = inputs(2, 20, 33);
    const keys = normal<tf.Tensor4D>([1, 7, 2, 4], 4);
    for (const prefix of [undefined, { keys, values: tf.neg(keys) as tf.Tensor4D, rows: Int32Array.of(0, 0) }]) {
      const S = prefix ? 40 : 33;
      const [want, all, more, less] = [undefined, S, 1e9, S - 1].map((window) =>
        tf.valueAndGrads((...x) => attention(...(x as Inputs), { padding, prefix, window }))([q, k, v]),
      );
      for (const got of [all!, more!]) {
        expectClose(got.value, want!.value, { rel: 0, abs: 0 });
        got.grads.forEach((gradient, i) => {
          expectClose(gradient, want!.grads[i]!, { rel: 0, abs: 0 });
        });
      }
      expect(tf.max(tf.abs(tf.sub(less!.value, want!.value))).dataSync()[0]).toBeGreaterThan(1e-3);
    }
  });

  test('a window of 1 gives the value of the position itself', () => {
    const [q, k, v] = inputs(2, 20, 33);
    const own = tf.reshape(positions(v, 13, 33), [2, 20, 2, 1, 4]);
    const want = tf.reshape(tf.tile(own, [1, 1, 1, 2, 1]), [2, 20, 4, 4]);
    expectClose(attention(q, k, v, { window: 1 }), want, { rel: 0, abs: 0 });
  });

  test('one query on a cache is the last row of the full call, within a window and across a prefix', () => {
    const [q, k, v] = inputs(2, 30, 30);
    const padding = Int32Array.of(0, 3);
    const full = attention(q, k, v, { padding, window: 7 });
    for (const t of [3, 6, 7, 20, 29]) {
      const [query, seen] = [positions(q, t, t + 1), [k, v].map((x) => positions(x, 0, t + 1))];
      const want = positions(full, t, t + 1);
      expectClose(attention(query, seen[0]!, seen[1]!, { padding, window: 7 }), want);
      for (let b = 0; b < 2; b++) {
        for (const P of [1, t - 2, t]) {
          const [keys, values] = seen.map((x) => positions(rowOf(x, b), 0, P)) as [tf.Tensor4D, tf.Tensor4D];
          const [ownKeys, ownValues] = seen.map((x) => positions(rowOf(x, b), P, t + 1)) as [tf.Tensor4D, tf.Tensor4D];
          const prefix = { keys, values, rows: Int32Array.of(0) };
          const options = { padding: padding.slice(b, b + 1), prefix, window: 7 };
          expectClose(attention(rowOf(query, b), ownKeys, ownValues, options), rowOf(want, b));
        }
      }
    }
  });

  test('a scale', () => {
    const [q, k, v] = inputs(2, 3, 5);
    const want = attention(tf.mul(q, 2 * 0.3), k, v); // D is 4
    expectClose(attention(q, k, v, { scale: 0.3 }), want);
    expectClose(attention(q, k, v, { scale: 0.5 }), attention(q, k, v), { rel: 0, abs: 0 });
  });

  test('a length: later positions of k and v are not there', () => {
    const [q, k, v] = inputs(2, 2, 3);
    const roomy = (x: tf.Tensor, value = Number.NaN) => tf.concat([x, tf.fill([2, 4, 2, 4], value)], 1) as tf.Tensor4D;
    const keys = normal<tf.Tensor4D>([1, 4, 2, 4], 4);
    const padding = Int32Array.of(0, 2);
    for (const prefix of [undefined, { keys, values: tf.neg(keys) as tf.Tensor4D, rows: Int32Array.of(0, 0) }]) {
      for (const window of [undefined, 2, 4]) {
        const want = attention(q, k, v, { padding, prefix, window, scale: 0.7 });
        const got = attention(q, roomy(k), roomy(v), { padding, prefix, length: 3, window, scale: 0.7 });
        expectClose(got, want, { rel: 0, abs: 0 });
      }
      const gradients = tf.grads((k: tf.Tensor, v: tf.Tensor) =>
        attention(q, k as tf.Tensor4D, v as tf.Tensor4D, { padding, prefix, length: 3, window: 2, scale: 0.7 }),
      )([roomy(k, 1e3), roomy(v, 1e3)]);
      const fewer = tf.grads((k: tf.Tensor, v: tf.Tensor) =>
        attention(q, k as tf.Tensor4D, v as tf.Tensor4D, { padding, prefix, window: 2, scale: 0.7 }),
      )([k, v]);
      gradients.forEach((gradient, i) => {
        expectClose(gradient, roomy(fewer[i]!, 0));
      });
    }
  });

  test('refuses shapes that do not fit', () => {
    const [q, k, v] = inputs(2, 3, 5);
    expect(() => attention(q, k, positions(v, 0, 4))).toThrow(
      new RangeError(
        'attention: expected q [B, T, H, D] with k and v [B, S, K, D], got [2,3,4,4], [2,5,2,4], [2,4,2,4]; ' +
          'give them one B and one D',
      ),
    );
    expect(() => attention(rowOf(q, 0), k, v)).toThrow(/got \[1,3,4,4\]/);
    expect(() => attention(normal([2, 3, 3, 4], 1), k, v)).toThrow(
      new RangeError(
        'attention: expected query heads H divisible by key/value heads K, got H=3, K=2; ' +
          'repeat the query heads, or merge key heads',
      ),
    );
    expect(() => attention(q, positions(k, 0, 2), positions(v, 0, 2))).toThrow(
      new RangeError(
        "attention: expected at least as many keys as queries, got S=2, T=3; append the queries' own keys first",
      ),
    );
    expect(() => attention(q, k, v, { padding: Int32Array.of(1) })).toThrow(
      new RangeError('attention: expected one padding length a row, got 1 for B=2; give 0 for a row without padding'),
    );
    expect(() => attention(q, k, v, { padding: Int32Array.of(0, -1) })).toThrow(
      new RangeError('attention: padding[1]: expected a count of positions, got -1; give 0 for a row without padding'),
    );
    expect(() => attention(q, k, v, { length: 6 })).toThrow(
      new RangeError('attention: expected a length in 0..5, the positions of k, got 6; leave it out for all'),
    );
    expect(() => attention(q, k, v, { length: 2 })).toThrow(/got S=2, T=3/);
  });

  test.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])('refuses a window of %d', (window) => {
    expect(() => attention(...inputs(2, 3, 5), { window })).toThrow(
      new RangeError(
        `attention: expected a window of 1 position or more, a whole number, got ${window}; leave it out for all`,
      ),
    );
  });

  test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])('refuses a scale of %d', (scale) => {
    expect(() => attention(...inputs(2, 3, 5), { scale })).toThrow(
      new RangeError(`attention: expected a finite scale > 0, got ${scale}; leave it out for 1 / √D`),
    );
  });

  test('refuses a prefix that does not fit', () => {
    const [q, k, v] = inputs(2, 3, 5);
    const [keys, rows] = [normal<tf.Tensor4D>([3, 2, 2, 4], 4), Int32Array.of(2, 0)];
    const after = (prefix: object) => () => attention(q, k, v, { prefix: { keys, values: keys, rows, ...prefix } });
    expect(after({})).not.toThrow();
    expect(after({ values: positions(keys, 0, 1) })).toThrow(
      new RangeError(
        'attention: expected prefix keys and values [R, P, 2, 4] with P > 0, got [3,2,2,4], [3,1,2,4]; ' +
          'give them the heads of k, or leave the prefix out',
      ),
    );
    const empty = tf.zeros([3, 0, 2, 4]);
    expect(after({ keys: empty, values: empty })).toThrow(/with P > 0, got \[3,0,2,4\]/);
    expect(after({ rows: Int32Array.of(1) })).toThrow(
      new RangeError('attention: expected one prefix row a row, got 1 for B=2; name one for each row of q'),
    );
    expect(after({ rows: Int32Array.of(0, 3) })).toThrow(
      new RangeError("attention: prefix: rows[1]: expected a row in 0..2, got 3; name a row of the prefix's keys"),
    );
    expect(after({ rows: Int32Array.of(-1, 0) })).toThrow(/rows\[0\]: expected a row in 0\.\.2, got -1/);
  });
});

eachEngine(useEngine, () => {
  test('a prefix: the same bits on any number of threads, and alone as in the batch', async () => {
    const given = { rows: [0, 0, 1, 1, 1, 0, 1, 1], R: 2, P: 150, T: 5, S: 9, padding: [0, 0, 6, 6, 6, 0, 6, 6] };
    const five = prefixInputs(given);
    const results: tf.Tensor[][] = [];
    for (const threads of [1, 2, 3]) {
      await useEngine('native', { threads });
      const f = afterPrefix(given.rows, given.padding);
      const y = f(...five);
      results.push([y, ...tf.grads(f)(five, normal(y.shape, 6))]);
    }
    for (const result of results.slice(1)) {
      result.forEach((x, i) => {
        expectClose(x, results[0]![i]!, { rel: 0, abs: 0 });
      });
    }
    given.rows.forEach((row, b) => {
      const [q, k, v, ...prefix] = five;
      const alone = afterPrefix([row], [given.padding[b]!])(rowOf(q!, b), rowOf(k!, b), rowOf(v!, b), ...prefix);
      expectClose(alone, rowOf(results[0]![0]!, b), { rel: 0, abs: 0 });
    });
  });
}, ['native']);
