/**
 * An award that is said twice is granted once, and answered alike: with the same lease, or not at all. Listens at the plant's end, where what shops repeat comes
 * in (`lie repeat`).
 */
import { AWARD_PROTOCOL, decodeAwardAnswer, decodeAwardAsk } from '../../protocols/bid/index.ts'
import { PlantError, type MessageStream, type PeerId, type VmId } from '../../protocols/kit/index.ts'
import type { Compose } from '../world/plant.ts'
import { problem, type Checker } from './seen.ts'

interface Answers { vmId: VmId, leases: Set<string>, others: number }

/** Checks as plants answer; what it finds is told after the event. */
export class AwardsAlike {
  #found: { at: PeerId, vmId: VmId } | undefined

  checker (): Checker {
    const name = 'awards-alike'
    return {
      name,
      afterEvent: (seen) => this.#found === undefined ? undefined : problem(name, seen, `${seen.world.nameOf(this.#found.at)} was awarded ${this.#found.vmId} twice by one bid, and answered once with a lease and once otherwise`, this.#found.vmId)
    }
  }

  /** The same composition, listened to; a plant that was started anew knows nothing of bids before. */
  heard (compose: Compose): Compose {
    return async (init, c, signal) => {
      const { transport } = c
      const answers = new Map<string, Answers>()
      return compose(init, {
        ...c,
        transport: {
          self: transport.self,
          open: async (...args) => transport.open(...args),
          connected: () => transport.connected(),
          onNeighbour: (fn) => transport.onNeighbour(fn),
          handle: async (protocol, limits, handler) => transport.handle(protocol, limits, protocol === AWARD_PROTOCOL ? async (stream) => handler(this.#listening(stream, transport.self, answers)) : handler)
        }
      }, signal)
    }
  }

  #listening (stream: MessageStream, self: PeerId, answers: Map<string, Answers>): MessageStream {
    let award: Answers | undefined
    return {
      peer: stream.peer,
      protocol: stream.protocol,
      signal: stream.signal,
      close: async () => stream.close(),
      abort: (reason) => { stream.abort(reason) },
      receive: async (options) => {
        const bytes = await stream.receive(options)
        award = bytes && known(bytes, answers)
        return bytes
      },
      send: async (bytes) => {
        if (award !== undefined) this.#onAnswer(bytes, self, award)
        return stream.send(bytes)
      }
    }
  }

  #onAnswer (bytes: Uint8Array, at: PeerId, award: Answers): void {
    const answer = decodeAwardAnswer(bytes)
    if (answer.t === 0) award.leases.add(answer.leaseId)
    else award.others++
    if (award.leases.size > 1 || (award.leases.size > 0 && award.others > 0)) this.#found ??= { at, vmId: award.vmId }
  }
}

/** What was answered to awards of the same bid; undefined for other questions, and for rubbish. */
function known (bytes: Uint8Array, answers: Map<string, Answers>): Answers | undefined {
  try {
    const ask = decodeAwardAsk(bytes)
    if (ask.t !== 0) return undefined
    const award = answers.get(ask.bidId) ?? { vmId: ask.vmId, leases: new Set(), others: 0 }
    answers.set(ask.bidId, award)
    return award
  } catch (error) {
    if (error instanceof PlantError) return undefined
    throw error
  }
}
