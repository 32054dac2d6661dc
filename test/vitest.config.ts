import { defineConfig } from 'vitest/config'

/** Long tests (`*.long.test.ts`) are for `npm run test:all`. */
const everything = process.env['PLANTMESH_TEST_ALL'] === '1'

/** Real QEMU machines under emulation are slow: a generous limit that only a hang reaches. */
export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: everything ? ['**/node_modules/**'] : ['**/node_modules/**', '**/*.long.test.ts'],
    testTimeout: everything ? 1_800_000 : 120_000,
    hookTimeout: 300_000,
    pool: 'forks',
    maxWorkers: 2
  }
})
