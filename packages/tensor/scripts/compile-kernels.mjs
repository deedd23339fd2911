// Compiles wasm/*.ts (AssemblyScript) into one module, dist/kernels.wasm, which src/kernels/wasm.ts loads.
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const { error, stderr } = await asc.main([
  'wasm/attention.ts',
  'wasm/rotary.ts',
  '--baseDir',
  fileURLToPath(new URL('..', import.meta.url)),
  '--outFile',
  'dist/kernels.wasm',
  '-O3',
  '--enable',
  'simd',
  // Bare functions on memory: no garbage collector, and nothing that aborts, so the module imports nothing.
  '--runtime',
  'stub',
  '--noAssert',
  '--use',
  'abort=',
]);
if (error) throw new Error(`compile-kernels: expected wasm/*.ts to compile, got: ${error.message}\n${stderr}`);
