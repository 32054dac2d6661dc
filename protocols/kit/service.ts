/** Life cycle: what is started is stopped, in the opposite order, whatever fails on the way. */
import type { Cancel } from './ports.ts'

/** Something that runs until it is stopped. `stop` may be called twice, or on what never started. */
export interface Service {
  start (): Promise<void>
  stop (): Promise<void>
}

/**
 * Collects what has to be undone. A service owns one, adds to it whatever it opens, and ends it in `stop`: nothing is forgotten on a
 * failed start either.
 */
export class Lifetime {
  #undo: Array<() => void | Promise<void>> = []
  #controller = new AbortController()

  /** Aborted when the lifetime ends. */
  get signal (): AbortSignal { return this.#controller.signal }

  get ended (): boolean { return this.#controller.signal.aborted }

  /** Undoes this at the end; at once when the end has come already. The returned function forgets it, undoing nothing. */
  own (undo: () => void | Promise<void>): Cancel {
    if (this.ended) {
      void Promise.resolve(undo()).catch(() => {}) // Too late for anyone to hear of its failure: the owner has stopped.
      return () => {}
    }
    this.#undo.push(undo)
    return () => { this.#undo = this.#undo.filter((other) => other !== undo) }
  }

  /** Undoes all, last first; goes on past failures and throws the first of them at the end. */
  async end (reason: Error = new Error('stopped')): Promise<void> {
    if (this.ended) return
    this.#controller.abort(reason)
    const failures: unknown[] = []
    for (const undo of this.#undo.splice(0).reverse()) {
      try {
        await undo()
      } catch (failure) {
        failures.push(failure)
      }
    }
    if (failures.length > 0) throw failures[0]
  }
}
