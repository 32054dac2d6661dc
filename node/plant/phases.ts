/** Where the time of a creation goes: phases by name, measured in monotonic time, each reported as it begins. */
import type { Clock } from '../../protocols/kit/index.ts'

/** The steps of a creation on its plant (`spare` in place of `clone` when one was ready; `network` is what is waited for its network beside `identity`), with the share of the whole that is over when each begins (measured on emulated machines). */
export const PHASE_SHARES = { plan: 0.02, resize: 0.05, fetch: 0.08, clone: 0.1, spare: 0.1, identity: 0.6, network: 0.68, configure: 0.7, done: 1 } as const
export type Phase = keyof typeof PHASE_SHARES

export interface Phases {
  begin (phase: Phase): void
  end (): void
  readonly ms: Record<string, number>
}

/** A stopwatch of phases; `onBegin` is told of each as it begins. */
export function phases (clock: Clock, onBegin: (phase: Phase) => void): Phases {
  const ms: Record<string, number> = {}
  let current: Phase | undefined
  let sinceMs = 0
  const end = (): void => {
    if (current !== undefined) ms[current] = Math.round((ms[current] ?? 0) + clock.monotonicMs() - sinceMs)
    current = undefined
  }
  return {
    ms,
    begin (phase) {
      end()
      current = phase
      sinceMs = clock.monotonicMs()
      onBegin(phase)
    },
    end
  }
}
