/** How a command that stays ends: by its user, or because what it needs is gone. */
import { asPlantError } from '../../protocols/kit/index.ts'

/** Resolves when the user ends it; throws what ended the other. */
export async function untilOver (user: AbortSignal, other: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    for (const signal of [user, other]) {
      if (signal.aborted) resolve()
      else signal.addEventListener('abort', () => { resolve() }, { once: true })
    }
  })
  if (!user.aborted) throw asPlantError(other.reason)
}
