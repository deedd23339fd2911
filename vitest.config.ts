import { defineConfig } from 'vitest/config';

/** Tests read the sources of sister packages through the `@soft-tokens/source` condition, so no build is stale. */
const conditions = ['@soft-tokens/source'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: { include: ['src/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 60_000 },
});
