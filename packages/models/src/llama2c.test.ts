import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readSafetensors, useEngine } from '@soft-tokens/tensor';
import * as tf from '@tensorflow/tfjs-core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadModelDirectory } from './huggingFace.js';
import { importLlama2c } from './llama2c.js';
import { embedded } from './test/parity.js';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'llama2c-'));
});
afterEach(() => rm(root, { recursive: true }));

const shape = { dim: 8, hidden: 12, layers: 2, heads: 2, keyValueHeads: 1, vocab: 263, context: 16 };
const headSize = 4;

/** A checkpoint whose numbers are small and all different, as the parts llama2.c writes. */
function checkpoint({ tied = true } = {}): { file: Buffer; parts: Record<string, number[]> } {
  const { dim, hidden, layers, heads, keyValueHeads, vocab, context } = shape;
  const kv = keyValueHeads * headSize;
  const counts = {
    embedding: vocab * dim,
    attentionNorm: layers * dim,
    wq: layers * dim * dim,
    wk: layers * dim * kv,
    wv: layers * dim * kv,
    wo: layers * dim * dim,
    ffnNorm: layers * dim,
    w1: layers * dim * hidden,
    w2: layers * dim * hidden,
    w3: layers * dim * hidden,
    norm: dim,
    tables: context * headSize,
    ...(!tied && { classifier: vocab * dim }),
  };
  let next = 0;
  const parts = Object.fromEntries(
    Object.entries(counts).map(([name, count]) => [
      name,
      Array.from({ length: count }, () => Math.fround(Math.sin(++next) * 0.4 + (name.includes('orm') ? 1 : 0))),
    ]),
  );
  const header = Int32Array.of(dim, hidden, layers, heads, keyValueHeads, tied ? vocab : -vocab, context);
  const file = Buffer.concat(
    [header, Float32Array.from(Object.values(parts).flat())].map((a) => Buffer.from(a.buffer)),
  );
  return { file, parts };
}

function tokenizerFile(texts: string[] = ['<unk>', '\n<s>\n', '\n</s>\n', ...bytes, ' ', 'a', 'b', ' a']): Buffer {
  const tokens = texts.map((text, id) => {
    const token = Buffer.from(text);
    const head = Buffer.alloc(8);
    head.writeFloatLE(-id, 0);
    head.writeInt32LE(token.length, 4);
    return Buffer.concat([head, token]);
  });
  return Buffer.concat([Buffer.from(Int32Array.of(6).buffer), ...tokens]);
}
const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);

async function imported(model: Buffer, tokens = tokenizerFile()): Promise<string> {
  await writeFile(join(root, 'model.bin'), model);
  await writeFile(join(root, 'tok.bin'), tokens);
  await importLlama2c(join(root, 'model.bin'), join(root, 'tok.bin'), join(root, 'out'));
  return join(root, 'out');
}

/**
 * Attention scores of head `head` between two inputs, by llama2.c's definition: rows 2i and 2i + 1 of q and k turned by
 * position / 10000^(2i / D) together.
 */
function score(parts: Record<string, number[]>, x: number[][], head: number, query: number, key: number): number {
  const turned = (w: number[], row: number, position: number) => {
    const out: number[] = [];
    for (let i = 0; i < headSize; i += 2) {
      const [a, b] = [0, 1].map((j) =>
        x[position]!.reduce((sum, value, c) => sum + value * w[(row + i + j) * shape.dim + c]!, 0),
      ) as [number, number];
      const angle = position / 10000 ** (i / headSize);
      out.push(a * Math.cos(angle) - b * Math.sin(angle), a * Math.sin(angle) + b * Math.cos(angle));
    }
    return out;
  };
  const q = turned(parts.wq!, head * headSize, query);
  const k = turned(parts.wk!, 0, key);
  return q.reduce((sum, value, i) => sum + value * k[i]!, 0);
}

test('weights are what llama2.c computes with, q and k in the order of half-split rotary embeddings', async () => {
  const { file, parts } = checkpoint({ tied: false });
  const tensors = await readSafetensors(join(await imported(file), 'model.safetensors'));
  const layer = (name: string, i: number) => [...tensors[`model.layers.${i}.${name}.weight`]!.values];
  const part = (name: string, i: number) =>
    parts[name]!.slice((i * parts[name]!.length) / 2, ((i + 1) * parts[name]!.length) / 2);
  for (const i of [0, 1]) {
    expect(layer('self_attn.v_proj', i)).toEqual(part('wv', i));
    expect(layer('self_attn.o_proj', i)).toEqual(part('wo', i));
    expect(layer('mlp.gate_proj', i)).toEqual(part('w1', i));
    expect(layer('mlp.down_proj', i)).toEqual(part('w2', i));
    expect(layer('mlp.up_proj', i)).toEqual(part('w3', i));
    expect(layer('input_layernorm', i)).toEqual(part('attentionNorm', i));
    expect(layer('post_attention_layernorm', i)).toEqual(part('ffnNorm', i));
  }
  expect([...tensors['model.embed_tokens.weight']!.values]).toEqual(parts.embedding);
  expect([...tensors['model.norm.weight']!.values]).toEqual(parts.norm);
  expect([...tensors['lm_head.weight']!.values]).toEqual(parts.classifier);

  // transformers turns rows i and i + D/2 together: the scores must be the same.
  const x = [0, 1, 2, 3].map((t) => Array.from({ length: shape.dim }, (_, c) => Math.cos(t * 7 + c)));
  const stored = { wq: layer('self_attn.q_proj', 0), wk: layer('self_attn.k_proj', 0) };
  const half = (w: number[], row: number, position: number) => {
    const y = Array.from({ length: headSize }, (_, r) =>
      x[position]!.reduce((sum, value, c) => sum + value * w[(row + r) * shape.dim + c]!, 0),
    );
    return y.map((value, r) => {
      const angle = position / 10000 ** ((2 * (r % (headSize / 2))) / headSize);
      const other = r < headSize / 2 ? -y[r + headSize / 2]! : y[r - headSize / 2]!;
      return value * Math.cos(angle) + other * Math.sin(angle);
    });
  };
  for (const head of [0, 1]) {
    const got = half(stored.wq, head * headSize, 3).reduce(
      (sum, value, i) => sum + value * half(stored.wk, 0, 1)[i]!,
      0,
    );
    expect(got).toBeCloseTo(score(parts, x, head, 3, 1), 10);
  }
});

test('the directory loads: model and tokenizer, BOS first, spaces as SentencePiece has them', async () => {
  await useEngine('cpu');
  const { model, tokenizer } = await loadModelDirectory(await imported(checkpoint().file));
  expect(model.vocabSize).toBe(263);
  expect([...model.parameters.keys()]).not.toContain('lm_head.weight');
  expect(tokenizer.promptIds('a b')).toEqual([1, 262, 259, 261]);
  expect(tokenizer.encode('é')).toEqual([259, 3 + 0xc3, 3 + 0xa9]);
  expect(tokenizer.decode([262, 259, 261])).toBe('a b');
  expect(tokenizer.endIds).toEqual([2]);
  model.dispose();
  expect((await readdir(root)).sort()).toEqual(['model.bin', 'out', 'tok.bin']);
});

const header = (...values: number[]) => Buffer.from(Int32Array.from(values).buffer);
test.each<[string, () => Buffer, string]>([
  ['a cut header', () => Buffer.alloc(20), 'model.bin: expected a header of 28 bytes, got 20'],
  ['a cut file', () => checkpoint().file.subarray(0, -4), 'as its header says, got'],
  ['a longer file', () => Buffer.concat([checkpoint().file, Buffer.alloc(4)]), 'as its header says, got'],
  [
    'sizes beyond memory',
    () => header(2 ** 30, 2 ** 30, 2 ** 30, 1, 1, 2 ** 30, 2 ** 30),
    'as its header says, got 28',
  ],
  ['a size below zero', () => header(8, -12, 2, 2, 1, 263, 16), 'model.bin: hidden: expected a number > 0, got -12'],
  ['no layers', () => header(8, 12, 0, 2, 1, 263, 16), 'layers: expected a number > 0, got 0'],
  ['heads that do not divide', () => header(8, 12, 2, 3, 1, 263, 16), 'heads: expected heads of an even size'],
  ['odd heads', () => header(6, 12, 2, 2, 1, 263, 16), 'heads: expected heads of an even size'],
  ['kv heads that do not divide', () => header(8, 12, 2, 2, 3, 263, 16), 'keyValueHeads: expected a divisor of 2'],
  [
    'a later version',
    () => Buffer.concat([Buffer.from('24ka'), Buffer.alloc(252)]),
    'expected a llama2.c checkpoint of version 0',
  ],
])('refused, nothing written: %s', async (_, file, message) => {
  await expect(imported(file())).rejects.toThrow(message);
  expect((await readdir(root)).sort()).toEqual(['model.bin', 'tok.bin']);
});

test('refused, nothing written: tokenizers that do not fit, a directory with files', async () => {
  const { file } = checkpoint();
  await expect(imported(file, tokenizerFile().subarray(0, -1))).rejects.toThrow(
    'tok.bin: expected 263 tokens, got 262',
  );
  await expect(imported(file, Buffer.concat([tokenizerFile(), Buffer.alloc(8)]))).rejects.toThrow('got more');
  const lying = tokenizerFile();
  lying.writeInt32LE(-5, 8);
  await expect(imported(file, lying)).rejects.toThrow('got 0 and a cut one');
  expect((await readdir(root)).sort()).toEqual(['model.bin', 'tok.bin']);
  await mkdir(join(root, 'out'));
  await writeFile(join(root, 'out', 'notes.txt'), 'mine');
  await expect(imported(file)).rejects.toThrow('expected a new or empty directory, got one with notes.txt');
  expect(await readFile(join(root, 'out', 'notes.txt'), 'utf8')).toBe('mine');
});

const stories = fileURLToPath(new URL('../../../../shared/models/stories260K', import.meta.url));
const absent = existsSync(stories) ? '' : ` (skipped: ${stories} is not there)`;
test.skipIf(absent !== '')(`stories260K reads its own stories${absent}`, async () => {
  await useEngine('cpu');
  const directory = join(root, 'stories');
  await importLlama2c(join(stories, 'stories260K.bin'), join(stories, 'tok512.bin'), directory);
  const { model, tokenizer } = await loadModelDirectory(directory);
  const text = 'Once upon a time, there was a little girl named Lily. She loved to play in the park.';
  const ids = tokenizer.promptIds(text);
  expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe(text);
  const nats = tf.tidy(() => {
    const hidden = model.forward(embedded(model, ids.slice(0, -1)));
    const next = tf.tensor2d([ids.slice(1)], [1, ids.length - 1], 'int32');
    return -tf.mean(model.head.logProb(hidden, next, 1)).dataSync()[0]!;
  });
  // transformers 5.23 computes 0.28653929 nats a token from the same directory.
  expect(nats).toBeCloseTo(0.28653929, 5);
  model.dispose();
});
