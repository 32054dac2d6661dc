/** Says at times which test files are under way: a file of real machines may take minutes, and a log must show that it lives. */
import type { Reporter, TestModule } from 'vitest/node'

/** One line in half a minute is enough to see life. */
const EVERY_MS = 30_000

/** Named on vitest's command line; used beside its default reporter, which prints each file as it ends. */
class ProgressReporter implements Reporter {
  readonly #running = new Map<string, number>()
  #done = 0
  #timer: NodeJS.Timeout | undefined

  onTestRunStart (): void {
    this.#timer = setInterval(() => { this.#say() }, EVERY_MS)
    this.#timer.unref()
  }

  onTestModuleStart (module: TestModule): void {
    this.#running.set(module.relativeModuleId, performance.now())
  }

  onTestModuleEnd (module: TestModule): void {
    this.#running.delete(module.relativeModuleId)
    this.#done++
  }

  onTestRunEnd (): void {
    clearInterval(this.#timer)
  }

  #say (): void {
    if (this.#running.size === 0) return
    const names = [...this.#running].map(([name, sinceMs]) => `${name} (${Math.round((performance.now() - sinceMs) / 1000)} s)`)
    process.stdout.write(`… ${this.#done} test files done; under way: ${names.join(', ')}\n`)
  }
}

// Vitest takes a reporter only as a default export.
export { ProgressReporter as default }
