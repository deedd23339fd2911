import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { vi } from 'vitest';

/** What a package's README shows, for its `src/readme.test.ts` to hold against the package. */
export interface Readme {
  text: string;
  /** The source of the first `ts` example. */
  example: string;
  /** What the comments behind its `console.log` promise, as JSON. */
  promised: string[];
  /** The names in the first column of its tables, sorted: its list of exports. */
  listed: string[];
  /** Runs the example against the sources; what it gave to `console.log`, call by call. `replace` swaps texts first. */
  run(replace?: Record<string, string>): Promise<unknown[][]>;
}

/**
 * Reads the README beside the `src` of a test.
 *
 * ```ts
 * const readme = await readReadme(import.meta.url);
 * expect(await readme.run()).toEqual([[0.5]]);
 * ```
 *
 * @throws Error when the README has no `ts` example.
 */
export async function readReadme(testUrl: string): Promise<Readme> {
  const text = await readFile(new URL('../README.md', testUrl), 'utf8');
  const { name } = JSON.parse(await readFile(new URL('../package.json', testUrl), 'utf8')) as { name: string };
  const example = /```ts\n(.*?)```/s.exec(text)?.[1];
  if (example === undefined) throw new Error(`${name}: expected a \`\`\`ts example in README.md, got none`);
  const promised = [...example.matchAll(/console\.log\(.*\); \/\/ (.*)/g)].map(([, comment]) => comment!);
  const listed = [...text.matchAll(/^\| `(\w+)/gm)].map(([, symbol]) => symbol!).sort();

  async function run(replace: Record<string, string> = {}): Promise<unknown[][]> {
    // Outside the sources, and where the example's imports resolve.
    const cache = fileURLToPath(new URL('../node_modules/.cache/', testUrl));
    await mkdir(cache, { recursive: true });
    const folder = await mkdtemp(join(cache, 'readme-'));
    const log = vi.spyOn(console, 'log').mockImplementation(() => {});
    try {
      const index = JSON.stringify(fileURLToPath(new URL('./index.ts', testUrl)));
      let source = example!.replace(`'${name}'`, index);
      for (const [from, to] of Object.entries(replace)) source = source.replaceAll(from, to);
      const file = join(folder, 'example.ts');
      await writeFile(file, source);
      await import(/* @vite-ignore */ pathToFileURL(file).href);
      return [...log.mock.calls];
    } finally {
      log.mockRestore();
      await rm(folder, { recursive: true });
    }
  }
  return { text, example, promised, listed, run };
}
