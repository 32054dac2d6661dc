import { defineConfig } from 'vitest/config'

/** Real QEMU machines under emulation are slow: a generous limit that only a hang reaches. */
export default defineConfig({ test: { include: ['test/**/*.test.ts'], testTimeout: 120_000, hookTimeout: 300_000, pool: 'forks', maxWorkers: 2 } })
