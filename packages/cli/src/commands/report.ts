import { dirname, join, resolve } from 'node:path';
import { Command } from '@commander-js/extra-typings';
import { display } from '../config/paths.js';
import type { Io } from '../io.js';
import { tableText } from '../report/text.js';
import { reportData, writeReport } from '../report/write.js';
import { examples, jsonOption } from './options.js';

export function reportCommand(io: Io): Command {
  const command = new Command('report')
    .description("tables and figures of the paper from runs, beside the paper's numbers")
    .argument('<run...>', 'run folders and sweep folders')
    .option('--out <directory>', 'where to write (default: the folder given, or report/ beside several)')
    .addOption(jsonOption())
    .addHelpText(
      'after',
      `${examples(
        'soft-tokens report runs/demo',
        'soft-tokens report runs/seed-1 runs/seed-2 runs/seed-3 --out report',
        'soft-tokens report sweeps/noise',
      )}\nWrites report.html, report.md, report.csv and report.json. Runs that differ by\ntheir seed alone are averaged.\n`,
    )
    .action(async (runs, flags) => {
      const directory = resolve(
        flags.out ?? (runs.length === 1 ? runs[0]! : join(dirname(resolve(runs[0]!)), 'report')),
      );
      const { report, files } = await writeReport(runs, directory);
      if (flags.json) return io.out(`${JSON.stringify({ files, ...reportData(report) })}\n`);
      const tables = report.tables.filter(({ ours }) => ours);
      const shown = tables.find(({ title }) => title.startsWith('The six')) ?? tables[0];
      if (shown) io.out(`${tableText(shown, io.colors.out)}\n\n`);
      for (const { name, why } of report.collection.leftOut) io.note(`left out: ${name}: ${why}\n`);
      io.out(`${files.map(display).join('\n')}\n`);
    });
  return command as unknown as Command;
}
