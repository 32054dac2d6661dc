/** What a plant does for an order on its own side of the machine: built-ins by name, never a free script (CONTRACT.md, Orders). */
import { PlantError } from '../../protocols/kit/index.ts'
import { ATTACH_DISK, ATTACHED_MIB_ALLOWED, attachedMiB } from '../../protocols/order/index.ts'
import type { Action } from '../../protocols/order/order.ts'
import type { LiveMachine } from '../lines/line.ts'

export interface HostActionComponents {
  machine: LiveMachine
  /** Absolute path of an image in the plant's media directory, or undefined. */
  media: (name: string) => Promise<string | undefined>
}

type BuiltIn = (args: Record<string, string>, c: HostActionComponents, signal: AbortSignal) => Promise<Record<string, string>>

/** Plain file names only: the name comes from a client, and must not lead out of the media directory. */
const MEDIA_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/

const BUILT_INS: Record<string, BuiltIn> = {
  /** `with: {image: tools.iso}`: an image of the plant's media directory in a virtual CD-ROM. */
  'attach-iso': async (args, c, signal) => {
    const name = args['image'] ?? ''
    const path = MEDIA_NAME.test(name) ? await c.media(name) : undefined
    if (path === undefined) throw new PlantError('ACTION_FAILED', { problem: 'this plant has no such image', image: name, hint: 'images lie in the media directory of the plant\'s data directory' })
    signal.throwIfAborted()
    await c.machine.attachIso(path, signal)
    return {}
  },
  /** `with: {sizeMiB: "64"}`: an empty disk, collected with the machine. Its size is part of the lease. */
  [ATTACH_DISK]: async (args, c, signal) => {
    const sizeMiB = attachedMiB(args)
    if (sizeMiB === undefined) throw new PlantError('ACTION_FAILED', { problem: 'with.sizeMiB is no size', found: String(args['sizeMiB']), allowed: ATTACHED_MIB_ALLOWED })
    await c.machine.attachDisk(sizeMiB, signal)
    return {}
  }
}

/** Runs a host action; throws HOST_ACTION_UNKNOWN, ACTION_FAILED, what the line fails with, or the signal's reason. Returns its outputs. */
export async function runHostAction (action: Action, c: HostActionComponents, signal: AbortSignal): Promise<Record<string, string>> {
  const name = action.use ?? ''
  if (!Object.hasOwn(BUILT_INS, name)) throw new PlantError('HOST_ACTION_UNKNOWN', { action: action.id, use: name, known: Object.keys(BUILT_INS).join(', ') })
  return BUILT_INS[name]?.(action.with ?? {}, c, signal) ?? {}
}
