/** A socket that QEMU serves to one client at a time: taking it anew lets go of the connection before. */
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import type { Socket } from 'node:net'
import { PlantError } from '../../../protocols/kit/index.ts'
import { shortPath } from '../../drivers/socket-path.ts'
import { openSocket } from './qmp.ts'

/** Its user gets what `dress` makes of each new connection: the socket itself, or a port around it. */
export class TakenSocket {
  readonly #path: string
  readonly #dress: (socket: Socket) => Duplex
  #current: Duplex | undefined
  #turn: Promise<unknown> = Promise.resolve()

  constructor (path: string, dress: (socket: Socket) => Duplex = (socket) => socket) {
    this.#path = path
    this.#dress = dress
  }

  /** Throws VM_DIED when nobody serves the socket. */
  async take (): Promise<Duplex> {
    const taken = this.#turn.then(async () => {
      await this.letGo()
      const socket = await openSocket(shortPath(this.#path))
      if (socket === undefined) throw new PlantError('VM_DIED', { reason: 'QEMU does not serve this socket any more' })
      // Whoever uses it listens as well; nobody has to.
      socket.on('error', () => {})
      return (this.#current = this.#dress(socket))
    })
    this.#turn = taken.catch(() => {})
    return await taken
  }

  /** Resolves when QEMU has been told, so that it takes the next. */
  async letGo (): Promise<void> {
    const stream = this.#current
    this.#current = undefined
    if (stream === undefined || stream.closed) return
    stream.destroy()
    await once(stream, 'close')
  }
}
