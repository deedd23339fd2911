import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';
import { afterAll, expect, test, vi } from 'vitest';
import * as exports from './index.js';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'readme-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the example runs and prints what its comments say', async () => {
  const source = /```ts\n(.*?)```/s.exec(readme)![1]!;
  const index = pathToFileURL(fileURLToPath(new URL('./index.ts', import.meta.url))).href;
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 },
  });
  const file = join(folder, 'example.mjs');
  writeFileSync(file, outputText.replace("'soft-tokens'", JSON.stringify(index)));
  const write = vi.spyOn(process.stdout, 'write').mockImplementation(() => true);
  const print = vi.spyOn(console, 'log').mockImplementation(() => {});
  await import(/* @vite-ignore */ file);
  const written = write.mock.calls.map(([text]) => String(text)).join('');
  const printed = print.mock.calls.map(([value]) => JSON.stringify(value));
  write.mockRestore();
  print.mockRestore();
  expect(printed).toEqual([...source.matchAll(/console\.log\(.*\); \/\/ (.*)/g)].map(([, comment]) => comment));
  expect(written).toContain('engine      ok cpu');
});

test('the list of exports is complete', () => {
  const section = /## Exports\n(.*?)\n## /s.exec(readme)![1]!;
  const listed = [...section.matchAll(/^\| `(\w+)(?!.*\(type\))/gm)].map(([, name]) => name);
  expect(listed.sort()).toEqual(Object.keys(exports).sort());
});
