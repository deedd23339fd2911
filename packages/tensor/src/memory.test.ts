import * as tf from '@tensorflow/tfjs-core';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { useEngine } from './engine.js';
import { formatBytes, freeMemory, type Machine, requireMemory } from './memory.js';

const meminfo = 'MemTotal:       16000000 kB\nMemFree:          100000 kB\nMemAvailable:    8000000 kB\n';
const machine = (files: Record<string, string>, platform: NodeJS.Platform = 'linux'): Machine => ({
  platform,
  read: (file) => files[file],
  total: () => 16e9,
  free: () => 3e9,
});
const linux = (files: Record<string, string> = {}) => machine({ '/proc/meminfo': meminfo, ...files });
const available = { bytes: 8_192_000_000, of: 'machine' };

describe('freeMemory', () => {
  test('what Linux would give, what Windows has unused, all that a Mac has', () => {
    expect(freeMemory(linux())).toEqual(available);
    expect(freeMemory(machine({}))).toEqual({ bytes: 3e9, of: 'machine' });
    expect(freeMemory(machine({ '/proc/meminfo': meminfo }, 'win32'))).toEqual({ bytes: 3e9, of: 'machine' });
    expect(freeMemory(machine({}, 'darwin'))).toEqual({ bytes: 16e9, of: 'machine' });
  });

  // The texts are those of the kernel's own files, shortened.
  const two = { '/proc/self/cgroup': '0::/job/step\n' };
  const one = { '/proc/self/cgroup': '9:cpu,cpuacct:/\n4:memory:/docker/ab\n0::/\n' };
  test.each<[string, Record<string, string>, object]>([
    [
      'version 2: files in the page cache are free',
      {
        ...two,
        '/sys/fs/cgroup/job/step/memory.max': '4000000000\n',
        '/sys/fs/cgroup/job/step/memory.current': '3000000000\n',
        '/sys/fs/cgroup/job/step/memory.stat': 'anon 1\ninactive_file 500000000\nactive_file 300000000\nshmem 7\n',
      },
      { bytes: 1_800_000_000, of: 'group' },
    ],
    [
      'version 2: the limit of a group around it',
      {
        ...two,
        '/sys/fs/cgroup/job/step/memory.max': 'max\n',
        '/sys/fs/cgroup/job/step/memory.current': '1000\n',
        '/sys/fs/cgroup/job/memory.max': '2000000000\n',
        '/sys/fs/cgroup/job/memory.current': '500000000\n',
      },
      { bytes: 1_500_000_000, of: 'group' },
    ],
    [
      "version 1: a container sees its group as the mount's root",
      {
        ...one,
        '/sys/fs/cgroup/memory/memory.limit_in_bytes': '1000000000\n',
        '/sys/fs/cgroup/memory/memory.usage_in_bytes': '900000000\n',
        '/sys/fs/cgroup/memory/memory.stat': 'inactive_file 1\ntotal_inactive_file 200000000\ntotal_active_file 0\n',
      },
      { bytes: 300_000_000, of: 'group' },
    ],
    [
      'version 1: no limit is a number beyond all memory',
      {
        ...one,
        '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
        '/sys/fs/cgroup/memory/memory.usage_in_bytes': '900000000\n',
      },
      available,
    ],
    [
      'a limit that is passed',
      {
        ...two,
        '/sys/fs/cgroup/memory.max': '1000000\n',
        '/sys/fs/cgroup/memory.current': '2000000\n',
      },
      { bytes: 0, of: 'group' },
    ],
    [
      'files that say nothing',
      { ...two, '/sys/fs/cgroup/memory.max': '\n', '/proc/self/cgroup': 'what\n0:x\n' },
      available,
    ],
  ])('%s', (_, files, want) => {
    expect(freeMemory(linux(files))).toEqual(want);
  });

  test('this machine has some', () => {
    expect(freeMemory().bytes).toBeGreaterThan(1e7);
  });
});

describe('requireMemory', () => {
  beforeEach(async () => {
    vi.stubEnv('SOFT_TOKENS_IGNORE_MEMORY', undefined);
    await useEngine('cpu');
  });
  afterEach(() => vi.unstubAllEnvs());

  test('says how much is missing, and of what', () => {
    const check =
      (bytes: number, processes: number, on: Machine = linux()) =>
      () =>
        requireMemory('dir', 'it', bytes, { processes, machine: on });
    check(8e9, 1)();
    check(4e9, 2)();
    expect(check(9e9, 1)).toThrow(
      'dir: expected about 9.0 GB of free memory for it, got 8.2 GB; free 808 MB, take a smaller model, ' +
        'or try all the same with SOFT_TOKENS_IGNORE_MEMORY=1',
    );
    expect(check(4.2e9, 2)).toThrow('expected about 8.4 GB of free memory for it, got 8.2 GB; free 208 MB');
    expect(check(Number.NaN, 1)).toThrow('expected about');
    const group = {
      '/proc/self/cgroup': '0::/\n',
      '/sys/fs/cgroup/memory.max': '2000000000',
      '/sys/fs/cgroup/memory.current': '0',
    };
    expect(check(3e9, 1, linux(group))).toThrow('raise the memory limit of the container or control group by 1.0 GB');
    vi.stubEnv('SOFT_TOKENS_IGNORE_MEMORY', '1');
    check(9e9, 1)();
  });

  test('WebAssembly has its own limit for each process', async () => {
    await useEngine('wasm');
    const large = machine({ '/proc/meminfo': 'MemAvailable: 64000000 kB' });
    requireMemory('dir', 'it', 4.2e9, { processes: 3, machine: large });
    expect(() => requireMemory('dir', 'it', 4.3e9, { machine: large })).toThrow(
      /about 4\.3 GB of free memory for it, got 4\.3 GB; choose the engine native/,
    );
    const held = tf.zeros([1000, 100_000]);
    expect(() => requireMemory('dir', 'it', 4.2e9, { machine: large })).toThrow('got 3.9 GB; choose the engine native');
    held.dispose();
  });
});

test('formatBytes', () => {
  expect([0, 1, 999e6, 1e9, 2.04e9, 1e12].map(formatBytes)).toEqual([
    '0 MB',
    '1 MB',
    '999 MB',
    '1.0 GB',
    '2.0 GB',
    '1000.0 GB',
  ]);
});
