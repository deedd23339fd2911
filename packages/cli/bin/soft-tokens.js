#!/usr/bin/env node
// Stands outside dist, so that an install in the workspace finds it before the first build.
import { existsSync } from 'node:fs';

const program = new URL('../dist/bin.js', import.meta.url);
if (!existsSync(program)) {
  console.error('soft-tokens: expected a build in dist/, got none; run `npm run setup`');
  process.exit(1);
}
await import(program.href);
