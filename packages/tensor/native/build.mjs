// Compiles the native kernels into native/build/soft-tokens.node with the C++17 compiler of the machine: no node-gyp, no
// Python, no download (the headers of Node-API are a dependency). Runs at install and at every build; when nothing has
// changed it does nothing. It never fails an install: without the addon the engine `wasm` computes.
//
//   node native/build.mjs              compile what changed; a failure is one line on stderr and exit code 0
//   node native/build.mjs --strict     the same, but a failure shows what the compiler said and ends with exit code 1
//   node native/build.mjs --prebuilt   into native/prebuilds/<platform>-<arch>/, stripped, for machines without a compiler
//
// CXX names the compiler (it may carry flags); otherwise c++, g++ and clang++ are tried. SOFT_TOKENS_NATIVE=skip compiles
// nothing. Why there is no addon stands in native/build/failed.json, from where src/native/addon.ts tells it.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';

const native = fileURLToPath(new URL('.', import.meta.url));
const buildFolder = join(native, 'build');
const prebuiltFolder = join(native, 'prebuilds', `${process.platform}-${process.arch}`);

const strict = process.argv.includes('--strict');
const prebuilt = process.argv.includes('--prebuilt');

/** What keeps the addon from being there: a line for everybody, and the compiler's output for who asks. */
export class Failure extends Error {
  constructor(reason, output = '') {
    super(reason);
    this.output = output;
  }
}

// Trapping math only keeps the exception flags, which nobody reads; NaN, infinities and signed zeros stay as IEEE 754 has
// them. No contraction, so that a product and a sum round alike on every instruction set unless the source says fma.
export const compileFlags = [
  ...['-O3', '-std=c++17', '-fPIC', '-fvisibility=hidden', '-pthread'],
  ...['-ffp-contract=off', '-fno-math-errno', '-fno-trapping-math'],
  ...['-Wall', '-Wextra', '-Wno-psabi', '-DNDEBUG'],
];
const addonFlags = ['-DNAPI_VERSION=8', '-DNAPI_DISABLE_CPP_EXCEPTIONS', '-DNODE_GYP_MODULE_NAME=soft_tokens'];

const avx2 = ['-mavx2', '-mfma'];
const avx512 = ['-mavx512f', '-mavx512dq', '-mavx512bw', '-mavx512vl', ...avx2, '-mprefer-vector-width=512'];

/** The instruction sets that kernels.cc is compiled for, weakest first; the addon picks the best that runs. */
export function instructionSets(arch) {
  if (arch === 'x64') return { generic: [], avx2, avx512 };
  if (arch === 'arm64') return { neon: [] };
  return { generic: [] };
}

/**
 * What is compiled, in the order of linking, which matters: of an inline function that several objects hold (of
 * std::vector, say) the linker keeps the first, and it must run wherever one of them does.
 */
const units = [
  { name: 'addon', source: 'addon.cc', flags: addonFlags },
  { name: 'pool', source: 'pool.cc', flags: [] },
  ...Object.entries(instructionSets(process.arch)).map(([isa, flags]) => ({
    name: `kernels-${isa}`,
    source: 'kernels.cc',
    flags: [`-DISA=${isa}`, ...flags],
  })),
];

function linkFlags(prebuilt) {
  if (process.platform === 'darwin') {
    return ['-bundle', '-undefined', 'dynamic_lookup', '-pthread', ...(prebuilt ? ['-Wl,-x'] : [])];
  }
  // `now`: a symbol that is missing shows when the addon is loaded, not when a kernel is called.
  // `nodelete`: its threads go on when the last worker thread that loaded it ends, and their code with them.
  const flags = ['-shared', '-Wl,-z,now', '-Wl,-z,nodelete', '-pthread'];
  // A prebuilt addon brings its C++ library along, because that of the machine may be older.
  return prebuilt ? [...flags, '-s', '-static-libstdc++', '-static-libgcc', '-Wl,--exclude-libs,ALL'] : flags;
}

/** The packages with the headers: their versions, and the flags that find them. */
function findHeaders() {
  const require = createRequire(import.meta.url);
  const packages = ['node-api-headers', 'node-addon-api'];
  try {
    return {
      versions: packages.map((name) => `${name} ${require(`${name}/package.json`).version}`),
      // One of them gives its folder relative to the working directory.
      flags: packages.flatMap((name) => ['-isystem', resolve(require(name).include_dir)]),
    };
  } catch (error) {
    throw new Failure(`the headers of Node-API are not installed (${firstLine(error.message)})`);
  }
}

/** The compiler as command and first arguments, and the line with which it introduces itself; undefined if there is none. */
export function findCompiler() {
  const named = process.env.CXX?.trim();
  const candidates = named ? [named] : ['c++', 'g++', 'clang++'];
  for (const candidate of candidates) {
    const [command, ...args] = candidate.split(/\s+/);
    const { status, stdout } = spawnSync(command, [...args, '--version'], { encoding: 'utf8' });
    if (status === 0) return { command, args, version: `${candidate}: ${firstLine(stdout)}` };
  }
  if (named) throw new Failure(`CXX=${named} does not run as a compiler`);
  return undefined;
}

/** All sources and headers under native/ that `isPart` takes, hashed with `rest`. */
export function hashFiles(isPart, rest) {
  const hash = createHash('sha256');
  const files = readdirSync(native, { recursive: true }).filter((file) => /\.(cc|h)$/.test(file) && isPart(file));
  for (const file of files.sort()) hash.update(`${file}\0${readFileSync(join(native, file), 'utf8')}\0`);
  hash.update(JSON.stringify([process.platform, process.arch, rest]));
  return hash.digest('hex');
}

/** All that the addon follows from but the compiler. */
function hashSources(headers) {
  const flags = [compileFlags, units, linkFlags(false), linkFlags(true)];
  return hashFiles((file) => !/^test[\\/]/.test(file), [flags, headers.versions]);
}

function readStamp(folder) {
  try {
    if (!existsSync(join(folder, 'soft-tokens.node'))) return undefined;
    return JSON.parse(readFileSync(join(folder, 'soft-tokens.json'), 'utf8'));
  } catch {
    return undefined;
  }
}

/** Writes a file so that a reader sees the old one or the new one. */
export function replaceFile(path, content) {
  writeFileSync(`${path}.${process.pid}`, content);
  renameSync(`${path}.${process.pid}`, path);
}

export function makeFolder(folder) {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
  } catch (error) {
    throw new Failure(`${folder} cannot be written (${error.code ?? error.message})`);
  }
}

/** Runs a command to its end; its duration in ms. */
export function run({ command, args }, rest, what) {
  const begin = performance.now();
  return new Promise((done, reject) => {
    const child = spawn(command, [...args, ...rest], { cwd: native, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (text) => (output += text));
    child.stderr.on('data', (text) => (output += text));
    child.on('error', (error) => reject(new Failure(`${what}: ${error.message}`)));
    child.on('close', (code, signal) => {
      if (code !== 0) return reject(new Failure(`${what}: ${explain(output, code ?? signal)}`, output));
      if (strict && output) process.stderr.write(output); // warnings
      done(Math.round(performance.now() - begin));
    });
  });
}

/** The first line of a compiler's output that names an error. */
function explain(output, code) {
  const lines = output.split('\n').map((line) => line.trim());
  return (
    lines.find((line) => /\berror\b|undefined (reference|symbol)|cannot find/i.test(line)) ?? `it ended with ${code}`
  );
}

/** Maps with at most `limit` calls under way; the first failure ends it once those have ended. */
export async function mapLimited(items, limit, f) {
  const results = [];
  let next = 0;
  const failures = [];
  const worker = async () => {
    while (next < items.length && failures.length === 0) {
      const index = next++;
      try {
        results[index] = await f(items[index]);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: limit }, worker));
  if (failures.length > 0) throw failures[0];
  return results;
}

/** Compiles and links `output`; the durations in ms. */
async function compile(compiler, headers, objects, output) {
  const begin = performance.now();
  const object = (unit) => join(objects, `${unit.name}.o`);
  // The kernels take longest: they start first.
  const durations = await mapLimited(units.toReversed(), availableParallelism(), async (unit) => {
    const args = [...compileFlags, ...headers.flags, ...unit.flags, '-c', unit.source, '-o', object(unit)];
    return [unit.name, await run(compiler, args, `${unit.source} does not compile`)];
  });
  const link = await run(
    compiler,
    [...linkFlags(prebuilt), ...units.map(object), '-o', output],
    'the addon does not link',
  );
  const check = await checkAddon(output);
  return { ...Object.fromEntries(durations), link, check, total: Math.round(performance.now() - begin) };
}

/** Loads an addon in a process of its own, which may die of it; its duration in ms. */
function checkAddon(path) {
  const node = { command: process.execPath, args: ['-e'] };
  // Loaded by dlopen, since the file does not end in .node yet.
  const script = `process.dlopen({ exports: {} }, ${JSON.stringify(path)})`;
  return run(node, [script], 'the addon does not load');
}

async function buildInto(folder, compiler, headers, sources) {
  makeFolder(folder);
  const objects = mkdtempSync(join(tmpdir(), 'soft-tokens-'));
  // Linked beside its place, because a rename is atomic within a file system only.
  const output = join(folder, `soft-tokens.node.${process.pid}`);
  try {
    const durations = await compile(compiler, headers, objects, output);
    renameSync(output, join(folder, 'soft-tokens.node'));
    const instructions = Object.keys(instructionSets(process.arch));
    const stamp = {
      sources,
      compiler: compiler.version,
      headers: headers.versions,
      instructionSets: instructions,
      durations,
    };
    replaceFile(join(folder, 'soft-tokens.json'), `${JSON.stringify(stamp, null, 2)}\n`);
  } finally {
    rmSync(objects, { recursive: true, force: true });
    rmSync(output, { force: true });
  }
}

/** Whether a prebuilt addon of these sources runs here (its C library may be another). */
async function prebuiltServes(sources) {
  if (readStamp(prebuiltFolder)?.sources !== sources) return false;
  return checkAddon(join(prebuiltFolder, 'soft-tokens.node')).then(
    () => true,
    () => false,
  );
}

/** Says why there is no addon to whoever loads it. In a folder that cannot be written, nothing can be said. */
function leaveReason(reason) {
  try {
    mkdirSync(buildFolder, { recursive: true });
    replaceFile(join(buildFolder, 'failed.json'), `${JSON.stringify({ reason }, null, 2)}\n`);
  } catch {}
}

/** Removes an addon of other sources than these: the TypeScript beside it would call kernels it does not have. */
function removeStale(sources) {
  try {
    const stamp = readStamp(buildFolder);
    if (sources === undefined || stamp?.sources === sources) return;
    rmSync(join(buildFolder, 'soft-tokens.node'), { force: true });
    rmSync(join(buildFolder, 'soft-tokens.json'), { force: true });
  } catch {}
}

export function firstLine(text) {
  return text.split('\n', 1)[0].trim();
}

async function main() {
  if (process.env.SOFT_TOKENS_NATIVE === 'skip') {
    if (!existsSync(join(buildFolder, 'soft-tokens.node'))) leaveReason('SOFT_TOKENS_NATIVE=skip at install');
    return;
  }
  let sources;
  try {
    if (process.platform === 'win32') throw new Failure('it is not compiled on Windows (WSL works)');
    const headers = findHeaders();
    sources = hashSources(headers);
    const folder = prebuilt ? prebuiltFolder : buildFolder;
    const stamp = readStamp(folder);
    if (!prebuilt && !stamp && (await prebuiltServes(sources))) return;
    const compiler = findCompiler();
    // Without a compiler, what one has made of these sources stays good.
    if (stamp?.sources !== sources || (compiler && stamp.compiler !== compiler.version)) {
      if (!compiler) throw new Failure('no C++ compiler found (tried c++, g++, clang++)');
      await buildInto(folder, compiler, headers, sources);
    }
    if (!prebuilt) rmSync(join(folder, 'failed.json'), { force: true });
  } catch (error) {
    const reason = firstLine(error.message);
    if (!prebuilt) {
      removeStale(sources);
      leaveReason(reason);
    }
    if (strict && error.output) process.stderr.write(`${error.output.trimEnd()}\n`);
    console.error(
      `@soft-tokens/tensor: expected to compile the native kernels, got: ${reason}; ` +
        `the engine falls back to wasm; to try again and see all: node ${join(native, 'build.mjs')} --strict`,
    );
    process.exitCode = strict ? 1 : 0;
  }
}

// The tests of the kernels take functions from here without building the addon.
if (process.argv[1] && realpathSync(process.argv[1]) === realpathSync(fileURLToPath(import.meta.url))) await main();
