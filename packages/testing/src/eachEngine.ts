import { beforeAll, describe, test } from 'vitest';

/**
 * The engines under test: everything that computes, and every training run, is tested on each of these. `native` is
 * there where it could be compiled.
 */
export const enginesUnderTest = ['native', 'wasm', 'cpu'] as const;

/** Engines that the user may install beside: what claims no more than a tolerance is tested on them, too. */
const peerEngines = ['tensorflow-gpu', 'tensorflow'];

/** Engines that come with the install, without a compiler: where they do not work, something is broken. */
const required = ['wasm', 'cpu'];

/**
 * Describes the tests of `body` once for each engine, with that engine chosen. What the machine lacks is skipped with a
 * printed notice, but for `wasm` and `cpu`, which must work. `useEngine` is that of `@soft-tokens/tensor`, handed in
 * because that package tests itself with this one. Default: the engines under test and TensorFlow's.
 *
 * ```ts
 * eachEngine(useEngine, (engine) => {
 *   test('adds', () => expectClose(tf.add([1], [2]), [3]));
 * });
 * ```
 */
export function eachEngine<Name extends string>(
  useEngine: (name: Name) => Promise<unknown>,
  body: (engine: Name) => void | Promise<void>,
  engines: readonly Name[] = [...peerEngines, ...enginesUnderTest] as readonly string[] as Name[],
): void {
  for (const engine of engines) {
    describe(`engine ${engine}`, async () => {
      try {
        await useEngine(engine); // chosen while `body` is read, too: it may make tensors
      } catch (error) {
        if (required.includes(engine)) throw error;
        const { message } = error as Error;
        console.info(`skipped on engine ${engine}: ${message}`);
        test.skip(message, () => {}); // the engine is not on this machine; `message` says what is missing
        return;
      }
      beforeAll(async () => {
        await useEngine(engine);
      });
      await body(engine);
    });
  }
}

/** Whether an engine works here, and then it is chosen; prints why not, for `test.skipIf`. */
export async function worksHere<Name extends string>(
  useEngine: (name: Name) => Promise<unknown>,
  engine: Name,
): Promise<boolean> {
  try {
    await useEngine(engine);
    return true;
  } catch (error) {
    console.warn(`skipped on engine ${engine}: ${(error as Error).message}`);
    return false;
  }
}
