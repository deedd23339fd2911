import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { openStepLines, readLines, readResult } from './jsonLines.js';
import { temporaryFolder } from './test/tools.js';

const folder = temporaryFolder();
afterAll(folder.remove);

test('lines after the step a run goes on from are dropped, a line cut short among them', async () => {
  const file = join(folder.path, 'deep', 'metrics.jsonl');
  const first = await openStepLines(file, -1);
  for (const step of [0, 1, 2, 3]) first.append({ step });
  first.close();
  appendFileSync(file, '{"step": 4, "rew');
  expect(await readLines(file)).toEqual([{ step: 0 }, { step: 1 }, { step: 2 }, { step: 3 }]);

  const second = await openStepLines(file, 2);
  second.append({ step: 3, again: true });
  second.sync();
  second.close();
  expect(readFileSync(file, 'utf8')).toBe('{"step":0}\n{"step":1}\n{"step":2}\n{"step":3,"again":true}\n');
});

test('a log that is nothing but a line cut short begins anew', async () => {
  const file = join(folder.path, 'torn.jsonl');
  appendFileSync(file, '{"st');
  const log = await openStepLines(file, 0);
  log.append({ step: 1 });
  log.close();
  expect(await readLines(file)).toEqual([{ step: 1 }]);
});

test('no file is no lines', async () => {
  expect(await readLines(join(folder.path, 'none.jsonl'))).toEqual([]);
});

test('what is damaged is named with its line', async () => {
  const [log, result] = [join(folder.path, 'damaged.jsonl'), join(folder.path, 'damaged.json')];
  appendFileSync(log, '{"step":0}\n{"st\n{"step":2}\n');
  await expect(readLines(log)).rejects.toThrow(/damaged\.jsonl:2: expected JSON .*; mend the line, or .* --overwrite$/);
  appendFileSync(result, '{"accuracy":');
  await expect(readResult(result)).rejects.toThrow(/damaged\.json: expected JSON .*; remove the file, and the same/);
  expect(await readResult(join(folder.path, 'none.json'))).toBeUndefined();
});
