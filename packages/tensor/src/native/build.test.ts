// The build script and the loader on a copy with a small addon: the real folder is another test's business.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadAddon } from './addon.js';

const packageRoot = fileURLToPath(new URL('../..', import.meta.url));

// No kernels, but all that the loader looks for, and a function from another object.
const addon = `
#include <initializer_list>
#include <node_api.h>
int answer();
static napi_value nothing(napi_env, napi_callback_info) { return nullptr; }
static napi_value init(napi_env env, napi_value exports) {
  napi_value kernels, value;
  napi_create_object(env, &kernels);
  napi_set_named_property(env, exports, "kernels", kernels);
  napi_create_string_utf8(env, "generic", NAPI_AUTO_LENGTH, &value);
  napi_set_named_property(env, exports, "instructionSet", value);
  for (const char* name : {"threads", "setThreads", "allocate", "free"}) {
    napi_create_function(env, name, NAPI_AUTO_LENGTH, nothing, nullptr, &value);
    napi_set_named_property(env, exports, name, value);
  }
  napi_create_int32(env, answer(), &value);
  napi_set_named_property(env, exports, "answer", value);
  return exports;
}
NAPI_MODULE(NODE_GYP_MODULE_NAME, init)
`;
const sources: Readonly<Record<string, string>> = {
  'addon.cc': addon,
  'pool.cc': 'int answer() { return 42; }\n',
  'kernels.cc': 'namespace ISA { int kernel() { return 1; } }\n',
};

let root: string;
let native: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'soft-tokens-build-test-'));
  native = join(root, 'native');
  mkdirSync(native);
  cpSync(join(packageRoot, 'native/build.mjs'), join(native, 'build.mjs'));
  symlinkSync(join(packageRoot, 'node_modules'), join(root, 'node_modules'));
  for (const [name, text] of Object.entries(sources)) writeFileSync(join(native, name), text);
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

function build(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}) {
  const begin = performance.now();
  const { SOFT_TOKENS_NATIVE: _, ...rest } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(native, 'build.mjs'), ...args], {
    env: { ...rest, ...env },
    encoding: 'utf8',
  });
  return { status, stdout, lines: stderr.split('\n').filter(Boolean), ms: performance.now() - begin };
}

const stampOf = (folder = 'build') => JSON.parse(readFileSync(join(native, folder, 'soft-tokens.json'), 'utf8'));
const reasonOf = () => JSON.parse(readFileSync(join(native, 'build/failed.json'), 'utf8')).reason;

describe('without an addon', () => {
  test('a compiler that does not run is one line, exit code 0, and the reason the loader gives', () => {
    const { status, stdout, lines } = build([], { CXX: '/bin/false' });
    expect(status).toBe(0);
    expect(stdout).toBe('');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/CXX=\/bin\/false .*; the engine falls back to wasm; .*build\.mjs --strict$/);
    expect(reasonOf()).toBe('CXX=/bin/false does not run as a compiler');
    expect(() => loadAddon(native)).toThrow(/did not compile: CXX=\/bin\/false .*npm rebuild @soft-tokens\/tensor/);
  });

  test('--strict makes it exit code 1', () => {
    expect(build(['--strict'], { CXX: '/bin/false' }).status).toBe(1);
  });

  test('no compiler at all names those that were tried', () => {
    expect(build([], { CXX: '', PATH: '/nowhere' }).lines).toHaveLength(1);
    expect(reasonOf()).toBe('no C++ compiler found (tried c++, g++, clang++)');
  });

  test('a folder that cannot be written is one line and exit code 0', () => {
    writeFileSync(join(native, 'build'), 'a file, in which no folder can be made, even by root');
    const { status, lines } = build();
    expect(status).toBe(0);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/build cannot be written \(EEXIST\)/);
  });

  test('SOFT_TOKENS_NATIVE=skip says nothing, and the loader says it was skipped', () => {
    expect(build([], { SOFT_TOKENS_NATIVE: 'skip' })).toMatchObject({ status: 0, lines: [] });
    expect(() => loadAddon(native)).toThrow(/SOFT_TOKENS_NATIVE=skip/);
  });

  test('an install script that never ran is named', () => {
    expect(() => loadAddon(native)).toThrow(/^the native kernels are not compiled, the install script did not run/);
  });

  test('a file that is no addon for this machine is named', () => {
    mkdirSync(join(native, 'build'));
    writeFileSync(join(native, 'build/soft-tokens.node'), 'not a library');
    expect(() => loadAddon(native)).toThrow(/^native\/build\/soft-tokens\.node does not load here \(/);
  });
});

const compiler = ['c++', 'g++', 'clang++'].some((command) => spawnSync(command, ['--version']).status === 0);

describe.skipIf(!compiler || process.platform === 'win32')('with a compiler', () => {
  test('compiles, loads, and does nothing until a source changes', () => {
    writeFileSync(join(native, 'addon.cc'), addon.replace('node_api.h', 'napi.h')); // the headers of both packages
    expect(build()).toMatchObject({ status: 0, stdout: '', lines: [] });
    expect(loadAddon(native)).toMatchObject({ instructionSet: 'generic', answer: 42 });
    const stamp = stampOf();
    expect(Object.keys(stamp.durations)).toEqual(expect.arrayContaining(['addon', 'pool', 'link', 'check', 'total']));

    writeFileSync(join(native, 'build/failed.json'), '{}');
    const again = build();
    expect(again).toMatchObject({ status: 0, lines: [] });
    expect(again.ms).toBeLessThan(stamp.durations.total + 1000);
    expect(stampOf()).toEqual(stamp);
    expect(existsSync(join(native, 'build/failed.json'))).toBe(false);

    mkdirSync(join(native, 'ops'));
    writeFileSync(join(native, 'ops/new.h'), '// a header in a folder counts too\n');
    expect(build().status).toBe(0);
    expect(stampOf().sources).not.toBe(stamp.sources);
  });

  test('stays good when the compiler goes', () => {
    expect(build().status).toBe(0);
    expect(build([], { CXX: '', PATH: '/nowhere' })).toMatchObject({ status: 0, lines: [] });
    expect(loadAddon(native)).toMatchObject({ answer: 42 });
  });

  test('a compile error is one line, and the addon of other sources goes', () => {
    expect(build().status).toBe(0);
    writeFileSync(join(native, 'pool.cc'), 'int answer() { return forgotten; }\n');
    const { status, lines } = build();
    expect(status).toBe(0);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/pool\.cc does not compile: .*forgotten/);
    expect(() => loadAddon(native)).toThrow(/did not compile: pool\.cc/);

    const told = build(['--strict']);
    expect(told.status).toBe(1);
    expect(told.lines.length).toBeGreaterThan(1);
    expect(told.lines.join('\n')).toContain('return forgotten');
  });

  test('a symbol that is missing shows at build time', () => {
    writeFileSync(join(native, 'pool.cc'), '// no answer\n');
    expect(build().lines).toHaveLength(1);
    expect(reasonOf()).toMatch(/does not (load|link): .*answer/);
  });

  test('a prebuilt addon is loaded, and serves instead of compiling', () => {
    expect(build(['--prebuilt'])).toMatchObject({ status: 0, lines: [] });
    expect(existsSync(join(native, 'build'))).toBe(false);
    expect(loadAddon(native)).toMatchObject({ answer: 42 });
    expect(build([], { CXX: '/bin/false' })).toMatchObject({ status: 0, lines: [] });
    expect(existsSync(join(native, 'build/soft-tokens.node'))).toBe(false);
  });
});
