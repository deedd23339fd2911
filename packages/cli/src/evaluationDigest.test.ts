import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { evalSchema } from './config/recipe.js';
import { evaluationDigest } from './evaluationDigest.js';
import { temporaryFolder } from './test/tools.js';

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder.path, ...names);
afterAll(folder.remove);
beforeAll(() => {
  for (const name of ['model', 'adapter']) mkdirSync(at(name));
  writeFileSync(at('model', 'config.json'), '{}');
  const adapter = {
    peft_type: 'LORA',
    base_model_name_or_path: at('model'),
    r: 1,
    lora_alpha: 1,
    target_modules: ['q_proj'],
  };
  writeFileSync(at('adapter', 'adapter_config.json'), JSON.stringify(adapter));
});

const { data, prompt, caps, evaluate, seed } = evalSchema.parse({ data: { kind: 'arithmetic' } });
const digest = (model: string, changes: object = {}) =>
  evaluationDigest({
    model,
    data,
    prompt,
    caps,
    seed,
    split: 'test',
    limit: undefined,
    samples: 4,
    noise: evaluate.noise,
    ...changes,
  });

test('the same model by another path is the same evaluation; other samples are another', async () => {
  const own = await digest(at('model'));
  expect(own).toMatch(/^[0-9a-f]{16}$/);
  expect(await digest(relative(process.cwd(), at('model')))).toBe(own);
  expect(await digest(`${at('model')}/`)).toBe(own);
  for (const changes of [{ samples: 5 }, { seed: 1 }, { limit: 3 }, { split: 'validation' }]) {
    expect(await digest(at('model'), changes)).not.toBe(own);
  }
});

test('an adapter counts with the model that it is on', async () => {
  const [adapter, base] = [await digest(at('adapter')), await digest(at('model'))];
  expect(await digest(at('adapter'))).toBe(adapter);
  utimesSync(at('model', 'config.json'), 1, 1);
  expect(await digest(at('model'))).not.toBe(base);
  expect(await digest(at('adapter'))).not.toBe(adapter);
});
