// The threads of the engine `native`, in processes of their own: a crash is an exit code there, and the processor time
// is theirs.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { eachEngine } from '@soft-tokens/testing';
import { describe, expect, test } from 'vitest';
import { useEngine } from '../engine.js';

const fileAt = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const script = fileAt('../../scripts/native-threads.mjs');
const timeout = 50_000;

/** The answer of one of the script's checks. */
function ask(check: string): Promise<number[]> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, check], { timeout });
    let [out, errors] = ['', ''];
    child.stdout.on('data', (text) => {
      out += text;
    });
    child.stderr.on('data', (text) => {
      errors += text;
    });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) resolve(JSON.parse(out) as number[]);
      else reject(new Error(`native-threads ${check}: expected exit code 0, got ${signal ?? code}: ${errors}`));
    });
  });
}

const built = existsSync(fileAt('../../dist/index.js'));

eachEngine(useEngine, () => {
  if (!built) console.warn('skipped: the threads of the engine native: dist/index.js is missing; run `npm run build`');

  describe.runIf(built)('built', () => {
    test.each([
      ['two workers and the main thread at once', 'together', 10],
      ['workers, ended, and only then the main thread', 'workersFirst', 7],
      ['the threads outlive the worker that started them', 'threadsOutlive', 2],
    ])('%s: every product is right', { timeout: timeout + 10_000 }, async (_, check, atLeast) => {
      const wrong = await ask(check);
      expect(wrong.length).toBeGreaterThanOrEqual(atLeast);
      expect(wrong).toEqual(wrong.map(() => 0));
    });

    test('threads that wait take no processor time', { timeout: timeout + 10_000 }, async () => {
      // Three threads that did not sleep would take two processors whole. The best window counts: another may hold a
      // garbage collection.
      expect(Math.min(...(await ask('idle')))).toBeLessThan(0.2);
    });
  });
}, ['native']);
