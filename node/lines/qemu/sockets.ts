/** A socket that QEMU serves to one client at a time: taking it anew lets go of the connection before. */
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import type { Socket } from 'node:net'
import { PlantError } from '../../../protocols/kit/index.ts'
import { shortPath } from '../../drivers/socket-path.ts'
import { openSocket } from './qmp.ts'

export class TakenSocket {
  readonly #path: string
  #current: Socket | undefined
  #turn: Promise<unknown> = Promise.resolve()

  constructor (path: string) { this.#path = path }

  /** Throws VM_DIED when nobody serves the socket. */
  async take (): Promise<Duplex> {
    const taken = this.#turn.then(async () => {
      await this.letGo()
      const socket = await openSocket(shortPath(this.#path))
      if (socket === undefined) throw new PlantError('VM_DIED', { reason: 'QEMU does not serve this socket any more' })
      this.#current = socket
      // Whoever uses it listens as well; nobody has to.
      socket.on('error', () => {})
      return socket
    })
    this.#turn = taken.catch(() => {})
    return await taken
  }

  async letGo (): Promise<void> {
    const socket = this.#current
    this.#current = undefined
    if (socket === undefined || socket.closed) return
    socket.destroy()
    await once(socket, 'close')
  }
}
