/** A gate that lets so many through at once; the rest wait in line, at most `waitingMax` of them. */
import { PlantError } from './errors.ts'

export interface Limiter {
  /** Runs `work` when there is room; throws LIMIT when the line is full, or the signal's reason while waiting. */
  run<T> (work: () => Promise<T>, signal?: AbortSignal): Promise<T>
  readonly active: number
  readonly waiting: number
}

/** A gate for at most `atOnceMax` works at once and `waitingMax` that wait. */
export function limiter (atOnceMax: number, waitingMax: number): Limiter {
  let active = 0
  const line: Array<() => void> = []

  const enter = async (signal?: AbortSignal): Promise<void> => {
    signal?.throwIfAborted()
    if (active < atOnceMax) {
      active++
      return
    }
    if (line.length >= waitingMax) throw new PlantError('LIMIT', { bound: 'waiting', max: waitingMax })
    await new Promise<void>((resolve, reject) => {
      const turn = (): void => {
        signal?.removeEventListener('abort', leave)
        resolve()
      }
      const leave = (): void => {
        const at = line.indexOf(turn)
        if (at < 0) return
        line.splice(at, 1)
        reject(signal?.reason)
      }
      line.push(turn)
      signal?.addEventListener('abort', leave, { once: true })
    })
  }
  const exit = (): void => {
    const next = line.shift()
    if (next === undefined) active--
    else next() // The place passes on, so `active` stays.
  }
  return {
    get active () { return active },
    get waiting () { return line.length },
    async run (work, signal) {
      await enter(signal)
      try {
        return await work()
      } finally {
        exit()
      }
    }
  }
}
