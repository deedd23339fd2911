// Bundles the tests that tfjs-core publishes beside its code (dist/**/*_test.js) into one CommonJS file: like the
// gradients (bundle-gradients.mjs) they are written for bundlers and plain Node cannot load them.
//
// The bundle holds a copy of tfjs-core of its own, since the tests reach into its files. The engine, the environment, the
// registries of kernels and gradients and the tensor class live on `globalThis`, so the copy works on the backends that
// the CommonJS instance of everybody else has registered, provided that one is loaded first. Also bundled and shared in
// the same way: the gradients and the operations as methods of tensors, which many tests call.
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const packageRoot = fileURLToPath(new URL('..', import.meta.url));

/** Writes the bundle, which exports `setTestEnvs` and `loadTests`; call them in this order, jasmine's globals in place. */
export async function bundleTfjsTests(outfile) {
  await build({
    absWorkingDir: packageRoot,
    stdin: {
      contents: `
        export { setTestEnvs } from '@tensorflow/tfjs-core/dist/jasmine_util.js';
        export const loadTests = () => require('@tensorflow/tfjs-core/dist/tests.js');`,
      resolveDir: packageRoot,
    },
    outfile,
    bundle: true,
    format: 'cjs',
    platform: 'node',
    mainFields: ['module', 'main'],
    target: 'node20',
    // tfjs-core's "sideEffects" list leaves out the tests, so esbuild would drop them all.
    ignoreAnnotations: true,
    logLevel: 'error',
  });
}
