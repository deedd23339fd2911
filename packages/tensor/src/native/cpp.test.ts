// The C++ tests of native/test: every kernel against its definition, on every instruction set of this machine.
import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const native = fileURLToPath(new URL('../../native/', import.meta.url));

const candidates = process.env.CXX ? [process.env.CXX.split(/\s+/)[0]!] : ['c++', 'g++', 'clang++'];
const compiler = candidates.some((command) => spawnSync(command, ['--version']).status === 0);
const notice = compiler ? '' : ' (not run: no C++ compiler)';

test.skipIf(!compiler || process.platform === 'win32')(
  `the C++ kernels agree with their definitions${notice}`,
  async () => {
    const { code, output } = await new Promise<{ code: unknown; output: string }>((done) => {
      execFile(process.execPath, [`${native}test/run.mjs`], (error, stdout, stderr) =>
        done({ code: error ? error.code : 0, output: stdout + stderr }),
      );
    });
    expect(code, output).toBe(0);
    const kernels = Array.from(
      readFileSync(`${native}kernelList.h`, 'utf8').matchAll(/\bX\((\w+)\)/g),
      ([, name]) => name!,
    );
    expect(kernels.length).toBeGreaterThan(30);
    const passed = Array.from(output.matchAll(/^(\w+) +ok +\d+ checks/gm), ([, name]) => name!);
    expect(passed).toEqual(kernels);
  },
  600_000,
);
