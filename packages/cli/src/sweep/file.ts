// A sweep file: a recipe, and what is varied of it.
import { z } from 'zod';
import { type ConfigDocument, checkDocument, readDocument } from '../config/document.js';
import { existing } from '../config/load.js';
import { placeOfSetting, type Setting } from '../config/set.js';
import { usageError } from '../errors.js';
import { labelOf } from './names.js';

const map = z.record(z.string(), z.unknown());

const sweepSchema = z
  .strictObject({
    recipe: z.string().min(1),
    set: map.default({}),
    vary: z.record(z.string(), z.array(z.unknown()).min(1)).default({}),
    variants: z.record(z.string(), map).default({}),
  })
  .refine(({ vary, variants }) => Object.keys(vary).length + Object.keys(variants).length > 0, {
    error: 'expected vary or variants, something to run more than once',
    path: ['vary'],
  });

/** A key and its values, or the variants; a sweep is the product of its factors. */
export interface Factor {
  /** A dotted key of the recipe, or `variant`. */
  key: string;
  choices: Choice[];
}

/** One value of a factor. */
export interface Choice {
  /** Short, unique among the factor's choices, and safe in the name of a file. */
  label: string;
  /** What the recipe's key is set to; a variant's name. */
  value: unknown;
  settings: Setting[];
}

/** A sweep file, checked by itself. */
export interface Sweep {
  file: string;
  /** Full path of the recipe. */
  recipe: string;
  /** What every run changes of the recipe: what the file says, then the flags. */
  set: Setting[];
  flags: readonly Setting[];
  factors: Factor[];
  /** Its own words, and the file that a key of them is from. */
  content: Pick<z.output<typeof sweepSchema>, 'set' | 'vary' | 'variants'>;
  fileOf: ConfigDocument['fileOf'];
}

/** The factor that variants are. */
const VARIANT = 'variant';

/**
 * Reads a sweep file; `flags` change every run, and win.
 *
 * @throws CliError (exit code 2) for whatever is wrong with the file, a key that is set twice, equal values of a key.
 * @example const { recipe, factors } = await readSweep('recipes/sweep.yaml', [parseSetting('steps=10')]);
 */
export async function readSweep(file: string, flags: readonly Setting[]): Promise<Sweep> {
  const document = await readDocument(file, []);
  const { recipe, set, vary, variants } = checkDocument(document, sweepSchema);
  const varied = Object.entries(vary).map(
    ([key, values]): Factor => ({
      key,
      choices: values.map((value, i) => ({
        label: labelOf(value),
        value,
        settings: settingsFor(document, key, value, ['vary', key, i]),
      })),
    }),
  );
  const named = Object.entries(variants).map(
    ([name, changes]): Choice => ({
      label: labelOf(name),
      value: name,
      settings: settingsOf(document, changes, ['variants', name]),
    }),
  );
  const factors = named.length > 0 ? [...varied, { key: VARIANT, choices: named }] : varied;
  const fixed = settingsOf(document, set, ['set']);
  checkOnce(varied, fixed);
  for (const [i, factor] of factors.entries()) {
    checkLabels(document, factor);
    checkOnce([factor], factors.slice(i + 1).flatMap(choiceSettings));
  }
  checkOnce(factors, flags);
  return {
    file,
    recipe: existing(document, ['recipe'], recipe),
    set: [...fixed, ...flags],
    flags,
    factors,
    content: { set, vary, variants },
    fileOf: document.fileOf,
  };
}

const choiceSettings = ({ choices }: Factor) => choices.flatMap(({ settings }) => settings);

/** The settings that a map of dotted keys stands for. */
function settingsOf(document: ConfigDocument, changes: Record<string, unknown>, at: string[]): Setting[] {
  return Object.entries(changes).flatMap(([key, value]) => settingsFor(document, key, value, [...at, key]));
}

/** A setting for each value within one that may be a map: the recipe's other keys beside them stay. */
function settingsFor(document: ConfigDocument, dotted: string, value: unknown, at: (string | number)[]): Setting[] {
  const place = document.placeOf(at);
  const keys = dotted.split('.');
  if (keys.some((key) => key === '')) {
    throw usageError(`${place}: expected a key of the recipe like noise.factor, got ${JSON.stringify(dotted)}`);
  }
  const leaves = (path: string[], inner: unknown): Setting[] =>
    isFilledMap(inner)
      ? Object.entries(inner).flatMap(([key, item]) => leaves([...path, key], item))
      : [{ text: path.join('.'), path, value: inner, source: { file: document.fileOf(at)!, place } }];
  return leaves(keys, value);
}

function isFilledMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0;
}

/** Whether one path is the other's, or leads to it. */
const overlap = (a: readonly string[], b: readonly string[]) => a.every((key, i) => i >= b.length || key === b[i]);

/** A key that two places set would be what one of them says, and the other would be lost. */
function checkOnce(factors: readonly Factor[], others: readonly Setting[]): void {
  for (const other of others) {
    const twice = factors.flatMap(choiceSettings).find(({ path }) => overlap(path, other.path));
    if (twice) {
      throw usageError(
        `${placeOfSetting(other)}: ${other.path.join('.')}: expected a key that the sweep does not vary, got one that ` +
          `${placeOfSetting(twice)} does; leave one out`,
      );
    }
  }
}

/** Names of runs are made of labels, and some file systems do not tell case. */
function checkLabels(document: ConfigDocument, { key, choices }: Factor): void {
  const seen = new Map<string, number>();
  for (const [i, { label }] of choices.entries()) {
    const earlier = seen.get(label.toLowerCase());
    if (earlier !== undefined) {
      const at = key === VARIANT ? ['variants', String(choices[i]!.value)] : ['vary', key, i];
      throw usageError(
        `${document.placeOf(at)}: ${key}: expected values that differ, got ${label} beside ${choices[earlier]!.label}; ` +
          'leave one out',
      );
    }
    seen.set(label.toLowerCase(), i);
  }
}
