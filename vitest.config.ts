import { defineConfig } from 'vitest/config'

export default defineConfig(({ mode }) => ({
  test: {
    include: [mode === 'screenshots' ? 'test/screenshots.ts' : 'test/**/*.test.ts'],
    // What a test waits for has deadlines of its own, one after the other.
    testTimeout: 240_000,
    hookTimeout: 240_000,
    expect: { poll: { timeout: 30_000, interval: 50 } },
    maxWorkers: 2,
    reporters: process.env.CI === 'true' ? ['default', 'json'] : ['default'],
    outputFile: { json: '.vitest-report.json' },
  },
}))
