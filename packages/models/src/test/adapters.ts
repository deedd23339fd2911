// Adapters that PEFT made, with what it computes: reference/lora_fixtures.py writes them and documents the layout.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { loadModel } from '../huggingFace.js';
import type { LoraModel } from '../lora.js';
import { baseDirectory, loadAdapter } from '../peft.js';

export const adapterCases = ['lora-qv', 'lora-all-rs'];

/** The directory of a case. */
export const adapterFixture = (name: string) => fileURLToPath(new URL(`__fixtures__/${name}`, import.meta.url));

interface Expected {
  ids: number[];
  logits: number[][];
  loss: number;
}

/** The adapter on its base, both to be disposed, and what PEFT computes. */
export async function loadAdapterCase(name: string): Promise<{ model: LoraModel; expected: Expected }> {
  const directory = adapterFixture(name);
  const model = await loadAdapter(await loadModel(await baseDirectory(directory)), directory);
  return { model, expected: JSON.parse(await readFile(`${directory}/expected.json`, 'utf8')) as Expected };
}
