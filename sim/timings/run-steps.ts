/** Carries steps out on a virtual clock: one after the other, each in its share of what it uses. */
import type { Clock } from '../../protocols/kit/index.ts'
import type { Phase } from '../scenario/index.ts'
import type { FairShare } from './fair-share.ts'
import type { Step } from './steps.ts'

export interface StepWorld {
  /** The host's clock. */
  clock: Pick<Clock, 'monotonicMs' | 'after'>
  /** The host's processors: a rate of their number, 1 for each user. */
  cpu: FairShare
  /** The store that plants share; steps on it take no time where there is none. */
  store?: FairShare
}

/** Resolves when all steps are over, with how long each phase took; rejects with the signal's reason, leaving nothing behind. */
export async function runSteps (steps: readonly Step[], world: StepWorld, signal?: AbortSignal): Promise<Partial<Record<Phase, number>>> {
  const took: Partial<Record<Phase, number>> = {}
  for (const step of steps) {
    const sinceMs = world.clock.monotonicMs()
    await one(step, world, signal)
    took[step.phase] = (took[step.phase] ?? 0) + world.clock.monotonicMs() - sinceMs
  }
  return took
}

async function one (step: Step, { clock, cpu, store }: StepWorld, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted()
  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void => {
      cancel()
      reject(signal?.reason as Error)
    }
    const done = (): void => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }
    const start = (): (() => void) => {
      if (step.on === 'time') return clock.after(step.ms, done)
      if (step.on === 'cpu') return cpu.use(step.ms, done)
      return store === undefined ? clock.after(0, done) : store.use(step.bytes, done)
    }
    const cancel = start()
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
