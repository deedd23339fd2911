// Flags that several commands have, so that they read alike.
import { InvalidArgumentError, Option } from '@commander-js/extra-typings';
import { engineNames } from '@soft-tokens/tensor';
import { collectSettings, parseSetting, type Setting } from '../config/set.js';
import { suggest } from '../config/suggest.js';

export const setOption = () =>
  new Option('--set <key=value>', 'change a key of the recipe, e.g. caps.thought=64; repeatable')
    .argParser((text: string, earlier: Setting[] | undefined) => collectSettings(text, earlier))
    .default([] as Setting[], 'none');

export const loraOption = () =>
  new Option('--lora <settings>', 'train adapters only, e.g. r=16,alpha=32,target=q_proj+v_proj').argParser(
    (text: string, earlier: Setting[] = []) => [...earlier, ...loraSettings(text)],
  );

/** The settings that `r=16,target=q_proj+v_proj` stands for: `lora.r=16` and `lora.target=[q_proj, v_proj]`. */
function loraSettings(text: string): Setting[] {
  return text.split(',').map((part) => {
    const [, key, value] = /^(\w+)=(.+)$/.exec(part.trim()) ?? [];
    if (key === undefined || value === undefined) {
      throw new InvalidArgumentError('Expected settings like r=16,alpha=32,target=q_proj+v_proj.');
    }
    return parseSetting(`lora.${key}=${key === 'target' && value !== 'all-linear' ? `[${value.split('+')}]` : value}`);
  });
}

export const seedOption = () => new Option('--seed <n>', 'seed of everything random').argParser(wholeNumber);

export const engineOption = () =>
  new Option('--engine <name>', 'engine that computes').choices(['auto', ...engineNames] as const);

export const jsonOption = () => new Option('--json', 'write one JSON object to standard output');

/** A count from a flag. */
export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new InvalidArgumentError('Expected a whole number.');
  return value;
}

export function positiveWholeNumber(text: string): number {
  const value = wholeNumber(text);
  if (value === 0) throw new InvalidArgumentError('Expected a whole number > 0.');
  return value;
}

export function nonNegativeNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0 && Number.isFinite(value)))
    throw new InvalidArgumentError('Expected a number >= 0.');
  return value;
}

/** For flags that take several names, comma-separated. */
export function listOf<T extends string>(names: readonly T[]): (text: string) => T[] {
  return (text) =>
    text.split(',').map((part) => {
      const name = names.find((candidate) => candidate === part.trim());
      if (name) return name;
      const meant = suggest(part.trim(), names);
      throw new InvalidArgumentError(meant ? `Did you mean ${meant}?` : `Allowed: ${names.join(', ')}.`);
    });
}

/** Examples under a command's help. */
export function examples(...lines: string[]): string {
  return `\nExamples:\n${lines.map((line) => `  $ ${line}`).join('\n')}\n`;
}

/** Flags as settings of the recipe: `--seed 3` is `--set seed=3`. */
export function flagSettings(flags: {
  set: Setting[];
  seed?: number | undefined;
  engine?: string | undefined;
  lora?: Setting[] | undefined;
}): Setting[] {
  const named = (['seed', 'engine'] as const).flatMap((key) =>
    flags[key] === undefined ? [] : [{ text: `${key}=${flags[key]}`, path: [key], value: flags[key] }],
  );
  return [...flags.set, ...named, ...(flags.lora ?? [])];
}
