import { cpSync, existsSync, readdirSync, readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { wantsColor } from './io.js';
import {
  finished,
  start,
  temporaryFolder,
  until,
  writeRandomModel,
  writeRecipe,
  writeSftRecipe,
} from './test/tools.js';

// The built command line, as processes of their own.
const folder = temporaryFolder();
const at = (...path: string[]) => join(folder.path, ...path);
afterAll(folder.remove);
beforeAll(() => writeRandomModel(at('model')));

describe('processes', () => {
  const options = { cwd: folder.path };
  /** Every byte of a run's last checkpoints, by file. */
  const weights = (run: string) =>
    ['hard', 'soft'].flatMap((mode) =>
      ['step-000006/model.safetensors', 'step-000006/optimizer.safetensors', 'best/model.safetensors'].map((file) =>
        readFileSync(at(run, mode, 'checkpoints', file)).toString('base64'),
      ),
    );
  const records = (run: string, mode: string) =>
    readFileSync(at(run, mode, 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => ({ ...JSON.parse(line), rolloutSeconds: 0, updateSeconds: 0, memoryMiB: 0 }));

  test('a run killed in the middle of a step ends with the weights of one that was not', async () => {
    // Larger steps, so that the kill falls into one; two processes, so that they too must notice.
    const keys = { samples: 16, questionsPerStep: 4, workers: 2 };
    const recipe = writeRecipe(folder.path, keys, 'killed.yaml');
    const whole = await finished(start(['train', recipe, '--run-dir', 'unbroken'], options));
    expect(whole.notes).not.toContain('error');
    expect(whole.code).toBe(0);

    const child = start(['train', recipe, '--run-dir', 'killed'], options);
    const ended = finished(child);
    const metrics = at('killed', 'soft', 'metrics.jsonl');
    await until(() => existsSync(metrics) && readFileSync(metrics, 'utf8').includes('"step":3,'), 'step 3');
    child.kill('SIGKILL');
    expect((await ended).signal).toBe('SIGKILL');
    expect(existsSync(at('killed', 'soft', 'checkpoints', 'step-000006'))).toBe(false);
    expect(existsSync(at('killed', 'soft', 'checkpoints', 'step-000002'))).toBe(true);

    const resumed = await finished(start(['train', recipe, '--run-dir', 'killed'], options));
    expect(resumed.code).toBe(0);
    expect(resumed.notes).toContain('soft: resumed after step 2');
    expect(weights('killed')).toEqual(weights('unbroken'));
    for (const mode of ['hard', 'soft']) expect(records('killed', mode)).toEqual(records('unbroken', mode));
    expect(readFileSync(at('killed', 'results.json'), 'utf8')).toBe(
      readFileSync(at('unbroken', 'results.json'), 'utf8'),
    );
    expect(readdirSync(at('killed')).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  test.each([1, 2])('SIGINT with %i process(es): exit code 130, nothing half-written, resumable', async (workers) => {
    const run = `interrupted-${workers}`;
    const recipe = writeRecipe(folder.path, { workers, steps: 400 }, 'interrupted.yaml');
    const child = start(['train', recipe, '--run-dir', run], options);
    const ended = finished(child);
    const metrics = at(run, 'hard', 'metrics.jsonl');
    await until(() => existsSync(metrics) && readFileSync(metrics, 'utf8').includes('"step":3,'), 'step 3');
    child.kill('SIGINT');
    const { code, out, notes } = await ended;
    expect([code, out]).toEqual([130, '']);
    expect(notes).toContain('error: interrupted; the same command goes on from the last checkpoint');
    const left = readdirSync(at(run), { recursive: true, encoding: 'utf8' });
    expect(left.filter((name) => /(^|\/)\.|partial|tmp|trained|results/.test(name))).toEqual([]);
    expect(left.some((name) => /checkpoints\/step-\d{6}$/.test(name))).toBe(true);
  });

  test('SIGINT during an evaluation: exit code 130, and the same command goes on', async () => {
    const recipe = writeRecipe(folder.path, {}, 'evaluated.yaml');
    const argv = ['eval', at('model'), '--data', recipe, '--setting', 'soft-sample', '--out', 'evaluated'];
    const child = start([...argv, '--samples', '3000'], options);
    const ended = finished(child);
    const written = () => readdirSync(at('evaluated'), { recursive: true, encoding: 'utf8' });
    await until(() => existsSync(at('evaluated')) && written().some((name) => name.endsWith('.jsonl')), 'a question');
    child.kill('SIGINT');
    const { code, notes } = await ended;
    expect(code).toBe(130);
    expect(notes).toContain('error: interrupted; the same command goes on after the last question\n');
  });

  test.each([
    [1, 'SIGTERM'],
    [2, 'SIGTERM'],
  ] as const)('%i process(es) and %s: exit code 143, workers gone', async (workers, signal) => {
    const run = `terminated-${workers}`;
    const recipe = writeRecipe(folder.path, { workers, steps: 400 }, 'terminated.yaml');
    const child = start(['train', recipe, '--run-dir', run], options);
    const ended = finished(child);
    const metrics = at(run, 'hard', 'metrics.jsonl');
    await until(() => existsSync(metrics) && readFileSync(metrics, 'utf8').includes('"step":3,'), 'step 3');
    const pids: number[] = JSON.parse(readFileSync(at(run, '.lock.json'), 'utf8'));
    expect(pids).toHaveLength(workers === 1 ? 1 : 3);
    // A worker leaves a signal that it gets itself to the run.
    for (const pid of pids) process.kill(pid, signal);
    const { code, out, notes } = await ended;
    expect([code, out]).toEqual([143, '']);
    expect(notes).toContain('error: terminated; the same command goes on from the last checkpoint');
    const alive = () =>
      pids.some((pid) => {
        try {
          return process.kill(pid, 0);
        } catch {
          return false;
        }
      });
    await until(() => !alive(), 'every process to be gone', 5);
  });

  // No checkpoint and steps of a few milliseconds: nothing in them waits for anything outside.
  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('sft stops at its next step after %s: exit code %i', async (signal, exitCode) => {
    const recipe = writeSftRecipe(folder.path, { steps: 100_000, checkpointEvery: 100_000 });
    const run = `sft-${signal}`;
    const child = start(['sft', recipe, '--run-dir', run], options);
    const ended = finished(child);
    const metrics = at(run, 'metrics.jsonl');
    const steps = () => readFileSync(metrics, 'utf8').split('\n').length - 1;
    await until(() => existsSync(metrics) && steps() >= 3, 'step 3');
    const before = steps();
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), 10_000);
    const { code } = await ended;
    clearTimeout(timer);
    expect(code).toBe(exitCode);
    expect(steps() - before).toBeLessThan(20);
  });

  test('a worker that fails is reported with its own message', async () => {
    cpSync(at('model'), at('model-cut'), { recursive: true });
    truncateSync(at('model-cut', 'model.safetensors'), 1000);
    const recipe = writeRecipe(folder.path, { model: 'model-cut', workers: 2 }, 'cut.yaml');
    const { code, out, notes } = await finished(start(['train', recipe, '--run-dir', 'cut-run'], options));
    expect([code, out]).toEqual([1, '']);
    expect(notes).toMatch(/error: .*model\.safetensors/);
  });

  test('colour only where it is wanted', async () => {
    const plain = await finished(start(['doctor', '--engine', 'cpu'], options));
    const escapeCode = String.fromCharCode(27);
    expect(plain.out).not.toContain(escapeCode);
    const forced = await finished(start(['doctor', '--engine', 'cpu'], { ...options, env: { FORCE_COLOR: '1' } }));
    expect(forced.out).toContain(escapeCode);
    expect(wantsColor({ isTTY: true }, { NO_COLOR: '1', FORCE_COLOR: '1' })).toBe(false);
    expect(wantsColor({ isTTY: true }, {})).toBe(true);
    expect(wantsColor({}, {})).toBe(false);
  });
});
