// sweep.yaml: what a folder's sweep is, written so that it is a sweep file itself.
import { readFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { parse } from 'yaml';
import { display } from '../config/paths.js';
import { isMissing, usageError } from '../errors.js';
import type { Sweep } from './file.js';
import type { PlannedRun } from './plan.js';

export const SWEEP_FILE = 'sweep.yaml';

/** The sweep as a file in `directory` says it: flags among what is set, paths relative to the folder. */
export function recordOf(sweep: Sweep, runs: readonly PlannedRun[], directory: string): Record<string, unknown> {
  const { set, vary, variants } = sweep.content;
  const beside = (...at: string[]) => dirname(sweep.fileOf(at)!);
  const isPath = (path: readonly string[], full: string) => runs.some(({ config }) => valueAt(config, path) === full);
  /** Which strings are paths, the checked configurations tell: they hold them in full. */
  const moved = (value: unknown, path: readonly string[], from: string): unknown => {
    if (typeof value === 'string') {
      const full = resolve(from, value);
      return isPath(path, full) ? relative(directory, full) : value;
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, moved(item, [...path, key], from)]));
  };
  const changes = (map: Record<string, unknown>, ...at: string[]) =>
    Object.fromEntries(
      Object.entries(map).map(([key, value]) => [key, moved(value, key.split('.'), beside(...at, key))]),
    );
  const flags = sweep.flags.map(({ path, value }) => [path.join('.'), moved(value, path, process.cwd())]);
  const parts = {
    set: { ...changes(set, 'set'), ...Object.fromEntries(flags) },
    vary: Object.fromEntries(
      Object.entries(vary).map(([key, values]) => [
        key,
        values.map((value) => moved(value, key.split('.'), beside('vary', key))),
      ]),
    ),
    variants: Object.fromEntries(Object.entries(variants).map(([name, map]) => [name, changes(map, 'variants', name)])),
  };
  const filled = Object.entries(parts).filter(([, part]) => Object.keys(part).length > 0);
  return { recipe: relative(directory, sweep.recipe), ...Object.fromEntries(filled) };
}

function valueAt(config: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], config);
}

/**
 * Refuses a folder of a sweep that varies other keys, whose runs have other names. More values of the same keys are welcome.
 *
 * @throws CliError (exit code 2) for such a folder.
 */
export async function refuseOtherSweep(sweep: Sweep, directory: string): Promise<void> {
  let text: string;
  try {
    text = await readFile(join(directory, SWEEP_FILE), 'utf8');
  } catch (error) {
    if (isMissing(error)) return;
    throw error;
  }
  const keysOf = (content: Partial<Sweep['content']> | null) => [
    ...Object.keys(content?.vary ?? {}),
    ...(Object.keys(content?.variants ?? {}).length > 0 ? ['variants'] : []),
  ];
  const [before, now] = [keysOf(parse(text)), keysOf(sweep.content)];
  if (before.join(' ') === now.join(' ')) return;
  throw usageError(
    `${display(directory)}: expected the sweep of this folder, which varies ${before.join(', ')}, got one that varies ` +
      `${now.join(', ')}; choose another folder with --run-dir, or go on here with --overwrite`,
  );
}
