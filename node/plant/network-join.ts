/** A client joins a network from this plant: what its call must say before the network's members are asked. */
import { PlantError, type Clock, type Crypto, type PeerId } from '../../protocols/kit/index.ts'
import { checkFresh, checkVia, honourOnce, openCall, type SeenCalls } from '../../protocols/member/index.ts'
import type { Attachment, Device, Networks, WantedStation } from '../../protocols/tunnel/index.ts'

export interface NetworkJoinComponents {
  self: PeerId
  crypto: Crypto
  clock: Pick<Clock, 'nowMs'>
  /** Each call opens one end: the network's members, who are shown it, cannot use it once more. */
  seen: SeenCalls
  networks: Pick<Networks, 'attach'>
}

/**
 * Puts a client's end on the network that its signed `join` call names, for as long as that call and those that renew it let it in. Throws MESSAGE_INVALID, SIGNATURE_INVALID,
 * CALL_MISDIRECTED, CALL_STALE, CALL_REPLAYED, and what `Networks.attach` throws.
 */
export async function joinNetwork (c: NetworkJoinComponents, signedCall: Uint8Array, addressing: 'mesh' | 'external', station: WantedStation, device: Device, signal: AbortSignal): Promise<Attachment> {
  const call = openCall(c.crypto, signedCall)
  if (call.kind !== 'join') throw new PlantError('MESSAGE_INVALID', { path: 'kind', problem: 'not a call to join a network' })
  checkVia(call, c.self)
  const { domainKey, domain, network } = call.body
  checkFresh(call, c.clock.nowMs())
  // Before it is on: one that comes again must not take the place of the end that it let in.
  honourOnce(call, c.clock.nowMs(), c.seen)
  return c.networks.attach({ network: { domainKey, domain, name: network }, addressing, proof: { kind: 'proxy', signedCall } }, station, device, signal)
}
