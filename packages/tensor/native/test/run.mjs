// Compiles the tests of the native kernels into native/build/test/ and runs them: every kernel of kernelList.h against its
// definition, on every instruction set of this machine. Exit code 1 where one fails; nothing is compiled twice.
//
//   node native/test/run.mjs [kernels]              the objects as the addon has them
//   node native/test/run.mjs --sanitize [kernels]   with the sanitizers of addresses and undefined behaviour, as far as
//                                                   the compiler has them; some minutes
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import {
  compileFlags,
  Failure,
  findCompiler,
  firstLine,
  hashFiles,
  instructionSets,
  makeFolder,
  mapLimited,
  replaceFile,
  run,
} from '../build.mjs';

const sanitize = process.argv.includes('--sanitize');
const kernels = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));

const folder = fileURLToPath(new URL('../build/test/', import.meta.url));
const name = sanitize ? 'sanitized' : 'plain';
const program = join(folder, name);

/** Later flags win: the definitions and the tests need no -O3. */
const sanitizers = [
  '-O1',
  '-g',
  '-fno-omit-frame-pointer',
  '-fsanitize=address,undefined',
  '-fno-sanitize-recover=all',
];
const flagsFor = (optimization) => [...compileFlags, ...(sanitize ? sanitizers : [optimization])];

/** The longest first. */
const units = [
  ...Object.entries(instructionSets(process.arch))
    .map(([isa, flags]) => ({
      name: `kernels-${isa}`,
      source: 'kernels.cc',
      flags: [...flagsFor('-O3'), `-DISA=${isa}`, ...flags],
    }))
    .toReversed(),
  ...readdirSync(new URL('.', import.meta.url))
    .filter((file) => file.endsWith('.cc'))
    .map((file) => ({
      name: file.replace('.cc', ''),
      source: `test/${file}`,
      flags: flagsFor(file === 'definitions.cc' ? '-O2' : '-O1'),
    })),
];

function upToDate(stamp) {
  try {
    return existsSync(program) && readFileSync(`${program}.json`, 'utf8') === stamp;
  } catch {
    return false;
  }
}

async function compile(compiler, stamp) {
  makeFolder(folder);
  const objects = mkdtempSync(join(tmpdir(), 'soft-tokens-test-'));
  const output = `${program}.${process.pid}`;
  const object = (unit) => join(objects, `${unit.name}.o`);
  try {
    const begin = performance.now();
    await mapLimited(units, availableParallelism(), (unit) =>
      run(compiler, [...unit.flags, '-c', unit.source, '-o', object(unit)], `${unit.source} does not compile`),
    );
    await run(compiler, [...flagsFor('-O1'), ...units.map(object), '-o', output], 'the tests do not link');
    renameSync(output, program);
    replaceFile(`${program}.json`, stamp);
    console.log(`compiled in ${((performance.now() - begin) / 1000).toFixed(1)} s by ${compiler.version}`);
  } finally {
    rmSync(objects, { recursive: true, force: true });
    rmSync(output, { force: true });
  }
}

async function main() {
  const compiler = findCompiler();
  if (!compiler) throw new Failure('no C++ compiler found (tried c++, g++, clang++)');
  const sources = hashFiles((file) => !/^(addon\.cc|build|prebuilds)/.test(file), units);
  const stamp = `${JSON.stringify({ sources, compiler: compiler.version }, null, 2)}\n`;
  if (!upToDate(stamp)) await compile(compiler, stamp);
  const { status, signal, error } = spawnSync(program, kernels, { stdio: 'inherit' });
  if (error) throw new Failure(`the tests do not run: ${error.message}`);
  if (signal) throw new Failure(`the tests ended by ${signal}`);
  process.exitCode = status === 0 ? 0 : 1;
}

try {
  await main();
} catch (error) {
  if (!(error instanceof Failure)) throw error;
  if (error.output) process.stderr.write(`${error.output.trimEnd()}\n`);
  console.error(`expected to test the native kernels, got: ${firstLine(error.message)}`);
  process.exitCode = 1;
}
