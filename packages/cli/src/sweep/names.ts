// Names of runs: of their folders, and in lists and tables.
import { createHash } from 'node:crypto';

/** The most characters of a value and of a whole name; file systems take 255 bytes. */
const LONGEST_LABEL = 40;
const LONGEST_NAME = 200;

/**
 * A value in a few characters that are safe in the name of a file. What is lost of it is told apart by a digest.
 *
 * @example labelOf(0.1);              // '0.1'
 * labelOf(['hard', 'soft']);          // 'hard+soft'
 * labelOf('../models/my model');      // '.._models_my_model~' and 8 digits
 */
export function labelOf(value: unknown): string {
  const text = textOf(value);
  const safe = text.replace(/[^\w.+-]/g, '_');
  return safe === text && text.length <= LONGEST_LABEL ? text : cut(safe, LONGEST_LABEL, JSON.stringify(value));
}

/**
 * The name of a run, from its value of each factor.
 *
 * @example nameOf({ 'noise.factor': '0.1', seed: '1' }); // 'noise.factor=0.1,seed=1'
 */
export function nameOf(labels: Readonly<Record<string, string>>): string {
  const name = Object.entries(labels)
    .map(([key, label]) => `${labelOf(key)}=${label}`)
    .join(',');
  return name.length <= LONGEST_NAME ? name : cut(name, LONGEST_NAME, name);
}

function textOf(value: unknown): string {
  if (Array.isArray(value) && value.length > 0 && value.every((item) => typeof item !== 'object')) {
    return value.map(String).join('+');
  }
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function cut(text: string, length: number, whole: string): string {
  const digest = createHash('sha256').update(whole).digest('hex').slice(0, 8);
  return `${text.slice(0, length - digest.length - 1)}~${digest}`;
}
