import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { eachEngine } from '@soft-tokens/testing';
import { expect, test } from 'vitest';
import { useEngine } from '../engine.js';

/** What scripts/run-tfjs-tests.mjs sends. */
interface Result {
  passed: number;
  failed: { name: string; messages: string[] }[];
  /** How often each kernel of the backend was called. */
  kernelCalls: Record<string, number>;
}

const script = fileURLToPath(new URL('../../scripts/run-tfjs-tests.mjs', import.meta.url));

/** In a process of their own: they reset the engine of tfjs and bring jasmine's globals along. */
function runTfjsTests(engine: string): Promise<Result> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, SOFT_TOKENS_SPOIL_MEMORY: '1' }; // finds what a kernel leaves unwritten
    const child = fork(script, [engine], { execArgv: [], silent: true, timeout: 170_000, env });
    let result: Result | undefined;
    let errors = '';
    child.stdout!.resume(); // or a full pipe stops the child
    child.stderr!.on('data', (text) => {
      errors += text;
    });
    child.on('message', (message) => {
      result = message as Result;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (result) resolve(result);
      else reject(new Error(`run-tfjs-tests: expected a result, got ${signal ?? `exit code ${code}`}: ${errors}`));
    });
  });
}

eachEngine(
  useEngine,
  (engine) => {
    test('passes the tests that tfjs-core publishes', { timeout: 180_000 }, async () => {
      const { passed, failed, kernelCalls } = await runTfjsTests(engine);
      expect(failed.map(({ name, messages }) => `${name}: ${messages[0]}`)).toEqual([]);
      expect(passed).toBeGreaterThanOrEqual(4000);
      // They ran on this backend, most of its operations among them.
      expect(Object.keys(kernelCalls).length).toBeGreaterThanOrEqual(150);
      expect(kernelCalls).toMatchObject({ Add: expect.any(Number), BatchMatMul: expect.any(Number) });
    });
  },
  ['native'],
);
