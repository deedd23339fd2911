// What a run was made with.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';

const require = createRequire(import.meta.url);

/** This package's version. */
export const version: string = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version;

/** The versions of Node and of our packages. */
export function versions(): Record<string, string> {
  const packages = ['tensor', 'samplers', 'models', 'rl', 'datasets', 'metrics'].map((name) => `@soft-tokens/${name}`);
  const installed = packages.map((name) => [name, require(`${name}/package.json`).version as string]);
  return { node: process.versions.node, 'soft-tokens': version, ...Object.fromEntries(installed) };
}

/** The git commit of the working directory, `-dirty` where files differ from it; null outside a repository. */
export function gitCommit(): string | null {
  const git = (...args: string[]) =>
    execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    const commit = git('rev-parse', 'HEAD');
    return git('status', '--porcelain', '--untracked-files=no') === '' ? commit : `${commit}-dirty`;
  } catch {
    return null;
  }
}

/** Where a recipe's run goes unless a flag says otherwise: `runs/demo` for `recipes/demo.yaml`. */
export function defaultRunDirectory(recipe: string): string {
  return join('runs', recipeName(recipe));
}

/** What a recipe or sweep is called: `demo` for `recipes/demo.yaml`. */
export const recipeName = (file: string): string => basename(file).replace(/\.ya?ml$/, '');
