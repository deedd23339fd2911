// The random numbers of src/random.ts by C++ kernels, to the same bits.
import type { Run } from './backend.js';

export const noiseKernels: Record<string, Run> = {
  NormalNoise: noise('normalNoise'),
  UniformNoise: noise('uniformNoise'),
};

function noise(name: string): Run {
  return ({ attrs, backend, kernels }) => {
    const { samples, width, c1, c3, k0, k1 } = attrs as { samples: Int32Array } & Record<string, number>;
    const y = backend.output([samples.length, width!]);
    kernels[name]!([samples, backend.values(y)], [samples.length, width!, c1!, c3!, k0!, k1!]);
    return y;
  };
}
