// Installs and builds what is not installed and built yet: the first half of `npm run demo` and `npm test`.
// A fresh machine has npm but no pnpm, so the first install goes through `npx` at the version package.json pins.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const marker = join(root, 'node_modules', '.setup');

function run(command, args) {
  const path = [join(root, 'node_modules', '.bin'), process.env.PATH].join(delimiter);
  const env = { ...process.env, PATH: path, CI: 'true', TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1' };
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    env,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  if (status !== 0) {
    console.error(
      `setup: expected \`${command} ${args.join(' ')}\` to succeed, got ${error?.message ?? `exit code ${status}`}`,
    );
    process.exit(status ?? 1);
  }
}

const hash = createHash('sha256')
  .update(readFileSync(join(root, 'pnpm-lock.yaml')))
  .update(process.version)
  .digest('hex');
if (!existsSync(marker) || readFileSync(marker, 'utf8') !== hash) {
  console.error('setup: installing the dependencies (10 to 60 s)');
  run('npx', ['--yes', packageManager, 'install', '--frozen-lockfile', '--prefer-offline']);
  writeFileSync(marker, hash);
}
console.error('setup: building what changed (up to 60 s)');
run('turbo', ['run', 'build']);
// The addon belongs to this machine, so turbo does not keep it: a build that turbo found in its cache may lack it.
run('node', ['packages/tensor/native/build.mjs']);
