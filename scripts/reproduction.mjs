// Puts the tables of a report into docs/reproduction.md, each where a comment names it:
//   node scripts/reproduction.mjs runs/reproduction/report.md
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { publish } from '../bench/lib/sections.mjs';

const document = fileURLToPath(new URL('../docs/reproduction.md', import.meta.url));
const [report] = process.argv.slice(2);
if (report === undefined) {
  console.error('reproduction: expected the report.md of a report, got none; see docs/reproduction.md');
  process.exit(2);
}

/** What stands under each heading of the second level. */
const parts = new Map(
  readFileSync(report, 'utf8')
    .split(/^## /m)
    .slice(1)
    .map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n')).trim()]),
);
const named = [...readFileSync(document, 'utf8').matchAll(/^<!-- ([^/].*?) -->$/gm)].map(([, title]) => title);
const missing = named.find((title) => !parts.has(title));
if (missing !== undefined) {
  console.error(`reproduction: expected "${missing}" in ${report}, got none; report on all of the runs`);
  process.exit(1);
}
publish(Object.fromEntries(named.map((title) => [title, parts.get(title)])), document);
