/** What a line and its machines have in common: who is told of their work, and waiting on behalf of a process. */
import type { VmId } from '../../../protocols/kit/index.ts'
import type { Phase } from '../../scenario/index.ts'
import type { Life } from '../life.ts'
import type { SimHost } from './host.ts'

/** What the world knows of orders and the line does not. */
export interface LineWatch {
  /** How long an action takes in the guest; undefined: the timing set's own figure. */
  actionMs (vmId: VmId, script: string): number | undefined
  /** Where time went inside a clone, for reports. */
  phases (vmId: VmId, ms: Partial<Record<Phase, number>>): void
  /** How full the host was when a machine was begun. */
  begun (host: SimHost, vmId: VmId): void
}

/** Waits on behalf of a process, in true time; rejects with the signal's reason. */
export async function wait (host: SimHost, life: Life, ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted()
  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void => {
      cancel()
      reject(signal?.reason)
    }
    const cancel = host.timeline.after(Math.round(ms * 1_000), () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, life)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
