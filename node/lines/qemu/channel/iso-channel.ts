/**
 * Actions on ISO images (VMPlants 4.1): each request is written on an image, the machine is given a virtual CD-ROM with it, the daemon in
 * the guest finds it and runs it, and its output comes back through port `org.plantmesh.iso`.
 */
import { randomUUID } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { GuestChannel, ScriptResult, ScriptRun } from '../../line.ts'
import { DISC_TAKEN_WITHIN_MS } from './constants.ts'
import { GuestLink } from './guest-link.ts'
import type { LinkOptions } from './guest-link.ts'
import { isoImage } from './iso-image.ts'
import { encodeRequest } from './request.ts'

export interface IsoChannelOptions extends LinkOptions {
  /** Where images are written while they are needed (made when absent). */
  dir: string
  /** Puts an image into a virtual CD-ROM drive of its own, added to the running machine; what it resolves to takes the drive out again. */
  attachIso: (path: string) => Promise<() => Promise<void>>
}

export interface IsoChannel extends GuestChannel {
  readonly kind: 'iso'
  /** Lets go of the port; what is under way fails with VM_DIED. The machine goes on. */
  close (): void
}

/** Connects to the socket of port `org.plantmesh.iso`; resolves when the daemon in the guest has answered. */
export async function connectIsoChannel (socketPath: string, options: IsoChannelOptions): Promise<IsoChannel> {
  return new CdRomChannel(await GuestLink.connect(socketPath, options), options)
}

class CdRomChannel implements IsoChannel {
  readonly kind = 'iso'
  readonly #link: GuestLink
  readonly #options: IsoChannelOptions

  constructor (link: GuestLink, options: IsoChannelOptions) {
    this.#link = link
    this.#options = options
  }

  async run (run: ScriptRun, signal?: AbortSignal): Promise<ScriptResult> {
    const request = encodeRequest(run)
    return await this.#link.run(run, async (id, token) => await this.#insert(id, token, request), DISC_TAKEN_WITHIN_MS, signal)
  }

  close (): void { this.#link.close() }

  /** The guest has read the whole image when it says that the request is taken; then drive and image go. */
  async #insert (id: number, token: Uint8Array, request: Uint8Array): Promise<() => Promise<void>> {
    const { dir, attachIso } = this.#options
    const path = join(dir, `request-${randomUUID()}.iso`)
    const number = Buffer.alloc(4)
    number.writeUInt32BE(id)
    await mkdir(dir, { recursive: true })
    try {
      await writeFile(path, isoImage('PLANTMESH', [{ name: 'NONCE.BIN', data: Buffer.concat([token, number]) }, { name: 'REQUEST.BIN', data: request }]), { mode: 0o600 })
      const detach = await attachIso(path)
      return async () => {
        try {
          await detach()
        } finally {
          await rm(path, { force: true })
        }
      }
    } catch (error) {
      await rm(path, { force: true })
      throw error
    }
  }
}
