// Bundles what tfjs leaves out of its Node build into dist/gradients.js, which engine.ts imports as `#gradients`: the
// gradients of all operations, and the operations as methods of tensors (`x.square().sum()`).
//
// `@tensorflow/tfjs-core` resolves in Node to a CommonJS bundle without them, and the files that register them are
// written for bundlers (ESM syntax, imports without extension, no "type": "module"). The registry and the tensor class
// they fill live on `globalThis`, so a bundled copy serves the CommonJS instance that everybody else uses.
import { copyFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const packageRoot = fileURLToPath(new URL('..', import.meta.url));

await build({
  absWorkingDir: packageRoot,
  stdin: {
    contents: `
      import '@tensorflow/tfjs-core/dist/register_all_gradients.js';
      import '@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops.js';`,
    resolveDir: packageRoot,
  },
  // The instance whose engine and tensor class are to be filled must be on globalThis first.
  banner: { js: "import '@tensorflow/tfjs-core';" },
  outfile: 'dist/gradients.js',
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  // tfjs-core's "sideEffects" list would keep its flags and platform files; the engine on globalThis has them already.
  ignoreAnnotations: true,
  legalComments: 'eof',
  minifySyntax: true,
  minifyWhitespace: true,
  logLevel: 'warning',
});
await copyFile(`${packageRoot}src/gradients.d.ts`, `${packageRoot}dist/gradients.d.ts`);
