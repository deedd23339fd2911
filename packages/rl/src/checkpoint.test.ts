import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type CausalLM, saveModel } from '@soft-tokens/models';
import { readSafetensors, type StoredTensor, syncDirectory, useEngine, writeSafetensors } from '@soft-tokens/tensor';
import { eachEngine, enginesUnderTest } from '@soft-tokens/testing';
import * as tf from '@tensorflow/tfjs-core';
import { describe, expect, test, vi } from 'vitest';
import { checkpointStore, type TrainingState } from './checkpoint.js';
import { adamW, disposeState } from './optimizers.js';
import { temporaryDirectories, toyModel, valuesOf } from './test/toy.js';

vi.mock('@soft-tokens/tensor', async (original) => {
  const tensor = await original<typeof import('@soft-tokens/tensor')>();
  return { ...tensor, syncDirectory: vi.fn(tensor.syncDirectory) };
});

const directory = temporaryDirectories();
const store = (model: CausalLM, path: string) => checkpointStore(path, (dir) => saveModel(model, dir));

/** A state whose moments are not 0. */
function stateOf(model: CausalLM, step: number): TrainingState {
  const optimizer = adamW();
  const state = optimizer.init(model.parameters);
  tf.tidy(() => {
    const gradients = new Map(Array.from(model.parameters, ([name, x]) => [name, tf.add(x, step)]));
    optimizer.update(model.parameters, gradients, state, 0.01);
  });
  return { step, optimizer: state, best: step > 1 ? { step: 1, accuracy: 0.5 } : null, validationsSinceBest: step };
}

const hostOf = ({ optimizer, ...counters }: TrainingState) => ({
  ...counters,
  count: optimizer.count,
  tensors: Object.fromEntries(Array.from(optimizer.tensors, ([name, x]) => [name, x.dataSync<'float32'>().slice()])),
});

eachEngine(
  useEngine,
  () => {
    describe('checkpointStore', () => {
      test('restores what was saved, to the bit, and keeps the newest', async () => {
        const path = directory();
        const model = toyModel({ vocabSize: 9 });
        expect(await store(model, path).restore(model.parameters)).toBeUndefined();
        for (const step of [1, 2, 1_000_000]) {
          const state = stateOf(model, step);
          expect(await store(model, path).save(state)).toBe(join(path, `step-${String(step).padStart(6, '0')}`));
          const other = toyModel({ vocabSize: 9, seed: 2 });
          const restored = (await store(other, path).restore(other.parameters))!;
          expect(hostOf(restored)).toEqual(hostOf(state));
          expect(valuesOf(other)).toEqual(valuesOf(model));
          disposeState(state.optimizer);
          disposeState(restored.optimizer);
          other.dispose();
        }
        await store(model, path).saveBest();
        await store(model, path).saveBest(); // replaces it
        expect(readdirSync(path).sort()).toEqual(['best', 'step-1000000']);
        expect(readdirSync(join(path, 'best')).sort()).toEqual(['config.json', 'model.safetensors']);
        model.dispose();
      });

      test('a write that fails or is cut short changes nothing, and the next one clears it away', async () => {
        const path = directory();
        const model = toyModel({ vocabSize: 9 });
        const state = stateOf(model, 1);
        await store(model, path).save(state);
        // A save whose model is written and whose optimiser is not: as when the process is killed between the two.
        const failing = checkpointStore(path, async (dir) => {
          await saveModel(model, dir);
          throw new Error('killed');
        });
        await expect(failing.save({ ...state, step: 2 })).rejects.toThrow('killed');
        await expect(failing.saveBest()).rejects.toThrow('killed');
        expect(readdirSync(path).sort()).toEqual(['.partial', 'step-000001']);
        mkdirSync(join(path, '.partial', 'step-000009'), { recursive: true });
        const restored = (await store(model, path).restore(model.parameters))!;
        expect(restored.step).toBe(1);
        await store(model, path).save({ ...state, step: 2 });
        expect(readdirSync(path)).toEqual(['step-000002']);
        disposeState(state.optimizer);
        disposeState(restored.optimizer);
        model.dispose();
      });

      test('the rename is on the disk before what it replaces is removed', async () => {
        const path = directory();
        const model = toyModel({ vocabSize: 9 });
        const state = stateOf(model, 1);
        await store(model, path).save(state);
        const seen: string[][] = [];
        const inner = vi.mocked(syncDirectory).getMockImplementation()!;
        vi.mocked(syncDirectory).mockImplementation(async (synced) => {
          if (synced === path) seen.push(readdirSync(path).sort());
          await inner(synced);
        });
        await store(model, path).save({ ...state, step: 2 });
        vi.mocked(syncDirectory).mockImplementation(inner);
        expect(seen).toEqual([['.partial', 'step-000001', 'step-000002']]);
        expect(readdirSync(path)).toEqual(['step-000002']);
        disposeState(state.optimizer);
        model.dispose();
      });

      describe('a damaged checkpoint is an error that names the file', () => {
        const good = { step: 3, optimizerCount: 3, best: { step: 2, accuracy: 0.5 } };
        const written = (change: object) => JSON.stringify({ ...good, ...change });
        test.each<[string, string | undefined, string]>([
          ['no trainer.json', undefined, "expected a checkpoint's counters, got no file;"],
          ['empty', '', 'expected JSON, got text that does not parse: '],
          ['cut short', '{"step": 3, "opt', 'expected JSON, got text that does not parse: '],
          ['a list', '[]', 'expected object, got [];'],
          ['a step that is text', written({ step: '3' }), 'step: expected number, got "3";'],
          ['a negative step', written({ step: -1 }), 'step: expected number to be >=0, got -1;'],
          ['half a step', written({ step: 1.5 }), 'step: expected int, got 1.5;'],
          ['no count', written({ optimizerCount: undefined }), 'optimizerCount: expected number, got none;'],
          [
            'an accuracy that is not a number',
            written({ best: { step: 1, accuracy: null } }),
            'best.accuracy: expected number, got null;',
          ],
          ['an unknown key', written({ extra: 1 }), 'expected no other key, got extra;'],
        ])('%s', async (_, text, message) => {
          const path = directory();
          const model = toyModel({ vocabSize: 9 });
          const state = stateOf(model, 3);
          const file = join(await store(model, path).save(state), 'trainer.json');
          if (text === undefined) rmSync(file);
          else writeFileSync(file, text);
          const before = valuesOf(model);
          const tensors = tf.memory().numTensors;
          const error = await store(model, path)
            .restore(model.parameters)
            .then(
              () => new Error('restored'),
              (thrown: Error) => thrown,
            );
          expect(error.message).toContain(`${file}: `);
          expect(error.message).toContain(message);
          expect(error.message).toContain(`restore the file, or remove ${join(path, 'step-000003')} to begin anew`);
          expect(valuesOf(model)).toEqual(before);
          expect(tf.memory().numTensors).toBe(tensors);
          disposeState(state.optimizer);
          model.dispose();
        });

        test('a model in shards is restored too', async () => {
          const path = directory();
          const model = toyModel({ vocabSize: 9 });
          const state = stateOf(model, 3);
          const shards = (into: string) => saveModel(model, into, { maxShardSize: 1000 });
          const saved = await checkpointStore(path, shards).save(state);
          expect(existsSync(join(saved, 'model.safetensors.index.json'))).toBe(true);
          const other = toyModel({ vocabSize: 9, seed: 2 });
          const restored = await checkpointStore(path, shards).restore(other.parameters);
          expect(valuesOf(other)).toEqual(valuesOf(model));
          disposeState(restored!.optimizer);
          disposeState(state.optimizer);
          model.dispose();
          other.dispose();
        });

        test.each(['model.safetensors', 'optimizer.safetensors'])('no or a broken %s', async (name) => {
          const path = directory();
          const model = toyModel({ vocabSize: 9 });
          const state = stateOf(model, 3);
          const file = join(await store(model, path).save(state), name);
          const other = toyModel({ vocabSize: 9, seed: 2 });
          const before = valuesOf(other);
          writeFileSync(file, 'nonsense');
          const damaged = store(other, path).restore(other.parameters);
          await expect(damaged).rejects.toThrow(file);
          await expect(damaged).rejects.toThrow(new RegExp(`; remove ${dirname(file)} to begin anew$`));
          rmSync(file);
          expect(existsSync(file)).toBe(false);
          const missing = store(other, path).restore(other.parameters);
          await expect(missing).rejects.toThrow(name);
          await expect(missing).rejects.toThrow(dirname(file));
          expect(valuesOf(other)).toEqual(before);
          disposeState(state.optimizer);
          model.dispose();
          other.dispose();
        });

        const norm = 'model.norm.weight';
        test.each<[string, (tensors: Record<string, StoredTensor>) => void, string]>([
          ['of another shape', (t) => t[`${norm}.m`]!.shape.unshift(1), `expected tensor ${norm}.m [8], got [1,8];`],
          ['missing', (t) => delete t[`${norm}.v`], `expected tensor ${norm}.v, got none;`],
          [
            'unknown',
            (t) => (t['other.m'] = t[`${norm}.m`]!),
            'expected tensors named <parameter>.<suffix>, got other.m;',
          ],
          ['unnamed', (t) => (t[norm] = t[`${norm}.m`]!), `expected tensors named <parameter>.<suffix>, got ${norm};`],
        ])('a moment that is %s', async (_, edit, message) => {
          const path = directory();
          const model = toyModel({ vocabSize: 9 });
          const state = stateOf(model, 3);
          const file = join(await store(model, path).save(state), 'optimizer.safetensors');
          const tensors = await readSafetensors(file);
          edit(tensors);
          await writeSafetensors(file, tensors);
          const other = toyModel({ vocabSize: 9, seed: 2 });
          const before = valuesOf(other);
          const held = tf.memory().numTensors;
          await expect(store(other, path).restore(other.parameters)).rejects.toThrow(`${file}: ${message}`);
          expect(valuesOf(other)).toEqual(before);
          expect(tf.memory().numTensors).toBe(held);
          disposeState(state.optimizer);
          model.dispose();
          other.dispose();
        });

        test('a file where the directory should be', async () => {
          const path = join(directory(), 'file');
          writeFileSync(path, '');
          const model = toyModel({ vocabSize: 9 });
          await expect(store(model, path).restore(model.parameters)).rejects.toThrow(path);
          model.dispose();
        });

        test('one of another model', async () => {
          const path = directory();
          const model = toyModel({ vocabSize: 9 });
          const state = stateOf(model, 3);
          await store(model, path).save(state);
          const other = toyModel({ vocabSize: 10 });
          const before = valuesOf(other);
          await expect(store(other, path).restore(other.parameters)).rejects.toThrow(
            /step-000003.model\.safetensors: expected tensor model\.embed_tokens\.weight \[10,8\], got \[9,8\]; is it this run's/,
          );
          expect(valuesOf(other)).toEqual(before);
          disposeState(state.optimizer);
          model.dispose();
          other.dispose();
        });
      });
    });
  },
  enginesUnderTest,
);
