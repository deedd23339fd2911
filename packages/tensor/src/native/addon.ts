// The compiled addon: the kernels of native/ as functions on typed arrays. It is compiled when the package is installed
// (native/build.mjs); where that did not work there is none, and this file tells why.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/** The kernels by name. A kernel reads its first arrays and numbers and writes its last arrays; it checks nothing. */
export type NativeKernels = Readonly<
  Record<string, (arrays: readonly ArrayBufferView[], numbers: readonly number[]) => void>
>;

/** What native/addon.cc exports. */
export interface Addon {
  readonly kernels: NativeKernels;
  /** The instruction set whose kernels run: the best one that both the build and the processor have. */
  readonly instructionSet: string;
  /** The number of threads that compute, the caller among them. */
  threads(): number;
  /** Sets it for the process, from 1 to 256. */
  setThreads(threads: number): void;
  /** Memory of so many bytes, of any content; `undefined` where the runtime takes no memory from outside. */
  allocate(bytes: number): ArrayBuffer | undefined;
  /** Gives the memory of `allocate` back at once; the buffer is empty from then on. */
  free(buffer: ArrayBuffer): void;
}

const require = createRequire(import.meta.url);

/** The folder native/ of the package, as seen from src/native and from dist/native. */
const nativeFolder = fileURLToPath(new URL('../../native/', import.meta.url));

/**
 * Loads the addon: the one compiled on this machine, else the prebuilt one.
 *
 * @param folder the folder with `build/` and `prebuilds/`
 * @throws Error if there is none that loads; its first line says why.
 */
export function loadAddon(folder: string = nativeFolder): Addon {
  const refused: string[] = [];
  for (const place of ['build', `prebuilds/${process.platform}-${process.arch}`]) {
    const path = `${folder.replace(/[\\/]$/, '')}/${place}/soft-tokens.node`;
    if (!existsSync(path)) continue;
    try {
      return checkAddon(require(path));
    } catch (error) {
      refused.push(`native/${place}/soft-tokens.node does not load here (${firstLine(error)})`);
    }
  }
  if (refused.length > 0) throw new Error(`${refused.join('; ')}; compile it again: ${rebuild}`);
  const reason = failureOf(folder);
  if (reason !== undefined)
    throw new Error(`the native kernels did not compile: ${reason}; mend that, then: ${rebuild}`);
  throw new Error(`the native kernels are not compiled, the install script did not run; run it: ${rebuild}`);
}

const rebuild =
  '`npm rebuild @soft-tokens/tensor`, or `pnpm approve-builds` and `pnpm rebuild @soft-tokens/tensor`, ' +
  'or in the repository `node packages/tensor/native/build.mjs --strict`';

const parts = ['kernels', 'instructionSet', 'threads', 'setThreads', 'allocate', 'free'] as const;

function checkAddon(addon: Partial<Addon>): Addon {
  const missing = parts.filter((part) => !addon[part]);
  if (missing.length === 0) return addon as Addon;
  throw new Error(`expected ${parts.join(', ')}, got no ${missing.join(', ')}`);
}

/** What native/build.mjs left about its failure. */
function failureOf(folder: string): string | undefined {
  try {
    return JSON.parse(readFileSync(`${folder}/build/failed.json`, 'utf8')).reason;
  } catch {
    return undefined;
  }
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0]!;
}
