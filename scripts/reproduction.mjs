// Puts the tables of reports into docs/reproduction.md, each where a comment like `<!-- ablations: As table 6 -->` names
// the report and the heading:
//   node scripts/reproduction.mjs main=runs/reproduction/report.md ablations=runs/ablations/report.md
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { publish } from '../bench/lib/sections.mjs';

const document = fileURLToPath(new URL('../docs/reproduction.md', import.meta.url));
const reports = process.argv.slice(2).map((argument) => argument.split('='));
if (reports.length === 0 || reports.some(([, file]) => file === undefined)) {
  console.error('reproduction: expected NAME=REPORT.md, got none; see docs/reproduction.md');
  process.exit(2);
}

/** What stands under each heading of the second and third level; a claim's heading goes without its source and count. */
const parts = new Map(
  reports.flatMap(([name, file]) =>
    readFileSync(file, 'utf8')
      .split(/^##+ /m)
      .slice(1)
      .map((part) => {
        const [heading, ...lines] = part.split('\n');
        return [`${name}: ${heading.replace(/ \(the paper's .*$/, '')}`, lines.join('\n').trim()];
      }),
  ),
);
const named = [...readFileSync(document, 'utf8').matchAll(/^<!-- ([^/].*?) -->$/gm)].map(([, title]) => title);
const missing = named.find((title) => !parts.has(title));
if (missing !== undefined) {
  console.error(`reproduction: expected "${missing}", got no such heading; report on all of the runs`);
  process.exit(1);
}
publish(Object.fromEntries(named.map((title) => [title, parts.get(title)])), document);
