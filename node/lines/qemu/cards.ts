/** Network cards added to a machine while it runs: its guest is on further networks. QEMU itself says which there are, also to a plant that was started anew. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { PlantError } from '../../../protocols/kit/index.ts'
import { CARDS_MAX } from '../line.ts'
import type { AddedCard } from '../line.ts'
import { cardServed } from './card-served.ts'
import { CARD_BUS } from './command-line.ts'
import { DETACH_WITHIN_MS } from './limits.ts'
import { NetworkPort } from './network-port.ts'
import type { Qmp } from './qmp.ts'
import { TakenSocket } from './sockets.ts'

/** Where QEMU's object model has the devices that have a name (docs/devel/qom.rst). */
const DEVICES = '/machine/peripheral'
const CARD = /^card-(\d)$/

interface Card { number: number, socket: TakenSocket }

export class Cards {
  readonly #qmp: Qmp
  readonly #dir: string
  /** By address. */
  readonly #cards = new Map<string, Card>()
  readonly #taken = new Set<number>()
  #turn: Promise<unknown> = Promise.resolve()

  constructor (qmp: Qmp, dir: string) {
    this.#qmp = qmp
    this.#dir = dir
  }

  /** Learns of the cards that an earlier run of the plant added. */
  async recall (): Promise<void> {
    const devices = await this.#qmp.execute('qom-list', { path: DEVICES })
    for (const { name } of Array.isArray(devices) ? devices as Array<{ name?: unknown }> : []) {
      const number = Number(CARD.exec(String(name))?.[1])
      if (!(number <= CARDS_MAX)) continue
      const mac = String(await this.#qmp.execute('qom-get', { path: `${DEVICES}/card-${number}`, property: 'mac' }))
      this.#taken.add(number)
      this.#cards.set(mac.toLowerCase(), this.#card(number))
    }
  }

  /** How many there are now, those included that are just being added. */
  get count (): number { return this.#taken.size }

  /** See `LiveMachine.attachCard`. */
  async attach (mac: string, signal?: AbortSignal): Promise<AddedCard> {
    const address = mac.toLowerCase()
    return await this.#afterOthers(async () => {
      signal?.throwIfAborted()
      const card = this.#cards.get(address) ?? await this.#plug(address, signal)
      return {
        network: async () => {
          if (this.#cards.get(address) !== card) throw new PlantError('VM_STATE', { problem: 'this network card was taken away', mac })
          return await card.socket.take()
        },
        detach: async () => { await this.#afterOthers(async () => { if (this.#cards.get(address) === card) await this.#unplug(address, card) }) }
      }
    })
  }

  /** Lets go of their other ends; the cards stay. */
  async letGo (): Promise<void> { await Promise.all([...this.#cards.values()].map(async ({ socket }) => socket.letGo())) }

  /** One change at a time, so that who asks for a card that is just being added gets that one. */
  async #afterOthers<T> (change: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(change)
    this.#turn = done.catch(() => {}) // Told to who asked.
    return await done
  }

  /** What is asked of QEMU is waited for, as it would be done all the same; called off, it is undone. */
  async #plug (mac: string, signal?: AbortSignal): Promise<Card> {
    let number = 1
    while (this.#taken.has(number)) number++
    if (number > CARDS_MAX) throw new PlantError('LIMIT', { bound: 'CARDS_MAX', max: CARDS_MAX })
    this.#taken.add(number)
    const { device, netdev, file } = namesOf(number)
    try {
      await this.#removeBackend(number) // A plant that ended between the two steps left it without a card.
      await this.#qmp.execute('netdev_add', { type: 'stream', id: netdev, server: true, addr: { type: 'unix', path: file } })
      await cardServed(this.#qmp, { netdev, path: join(this.#dir, file) }, signal)
      signal?.throwIfAborted()
      await this.#qmp.execute('device_add', { 'driver': 'virtio-net-pci', 'id': device, 'bus': CARD_BUS, netdev, mac, 'romfile': '', 'disable-legacy': 'on' })
    } catch (error) {
      await this.#removeBackend(number)
      this.#taken.delete(number)
      throw error
    }
    const card = this.#card(number)
    this.#cards.set(mac, card)
    if (signal?.aborted === true) {
      await this.#unplug(mac, card)
      throw signal.reason
    }
    return card
  }

  async #unplug (mac: string, { number, socket }: Card): Promise<void> {
    const { device } = namesOf(number)
    const gone = this.#qmp.event('DEVICE_DELETED', (data) => data['device'] === device, { timeoutMs: DETACH_WITHIN_MS })
    gone.catch(() => {}) // Told below, unless the command itself fails.
    await this.#qmp.execute('device_del', { id: device })
    await gone
    await socket.letGo()
    await this.#removeBackend(number)
    this.#cards.delete(mac)
    this.#taken.delete(number)
  }

  async #removeBackend (number: number): Promise<void> {
    const { netdev, file } = namesOf(number)
    await this.#qmp.execute('netdev_del', { id: netdev }).catch(() => {}) // There is none.
    await rm(join(this.#dir, file), { force: true })
  }

  #card (number: number): Card {
    return { number, socket: new TakenSocket(join(this.#dir, namesOf(number).file), (socket) => new NetworkPort(socket)) }
  }
}

function namesOf (number: number): { device: string, netdev: string, file: string } {
  return { device: `card-${number}`, netdev: `net${number}`, file: `net-${number}.sock` }
}
