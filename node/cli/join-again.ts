/** A proxy that stays: joined again when its plant was away, or gave it another address. */
import { setTimeout as pause } from 'node:timers/promises'
import { asPlantError, type ErrorCode } from '../../protocols/kit/index.ts'
import type { Context } from './context.ts'
import { untilOver } from './until-over.ts'

const PAUSE_MS = 500
const PAUSE_MS_MAX = 15_000

/** What trying again does not mend. */
const FINAL: readonly ErrorCode[] = ['NOT_AUTHORISED', 'SIGNATURE_INVALID', 'CONFIG_INVALID', 'USAGE', 'VMM_MISSING', 'TAP_UNAVAILABLE']

/** Something that is joined for as long as it is not closed. */
export interface Joined { readonly closed: AbortSignal }

/**
 * Stays joined until the user ends it; `onJoined` is given what was joined, and undefined when it is gone. Throws what ends it for good: what the first try says, and later what cannot
 * be mended by trying again.
 */
export async function stayJoined<T extends Joined> (c: Context, join: () => Promise<T>, onJoined: (joined: T | undefined) => Promise<void> | void): Promise<void> {
  let joined = await join()
  for (;;) {
    await onJoined(joined)
    const reason = await untilOver(c.signal, joined.closed).then(() => undefined, asPlantError)
    await onJoined(undefined)
    if (reason === undefined) return
    if (FINAL.includes(reason.code)) throw reason
    c.out.note(`the way to the network is gone (${reason.code}): joined again as soon as it can be`)
    const again = await untilJoined(c, join)
    if (again === undefined) return
    joined = again
  }
}

/** Undefined when the user ends it. */
async function untilJoined<T> (c: Context, join: () => Promise<T>): Promise<T | undefined> {
  for (let pauseMs = PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX)) {
    await pause(pauseMs, undefined, { signal: c.signal }).catch(() => {}) // Called off: looked at next.
    if (c.signal.aborted) return undefined
    try {
      return await join()
    } catch (error) {
      if (c.signal.aborted) return undefined
      if (FINAL.includes(asPlantError(error).code)) throw error
    }
  }
}
