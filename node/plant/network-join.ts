/** A client joins a network from this plant: what its call must say before the network's members are asked. */
import { PlantError, type Crypto, type PeerId } from '../../protocols/kit/index.ts'
import { checkVia, openCall } from '../../protocols/member/index.ts'
import type { Attachment, Device, Networks, WantedStation } from '../../protocols/tunnel/index.ts'

export interface NetworkJoinComponents {
  self: PeerId
  crypto: Crypto
  networks: Pick<Networks, 'attach'>
}

/**
 * Puts a client's end on the network that its signed `join` call names, for as long as that call and those that renew it let it in. Throws MESSAGE_INVALID, SIGNATURE_INVALID,
 * CALL_MISDIRECTED, and what `Networks.attach` throws.
 */
export async function joinNetwork (c: NetworkJoinComponents, signedCall: Uint8Array, addressing: 'mesh' | 'external', station: WantedStation, device: Device, signal: AbortSignal): Promise<Attachment> {
  const call = openCall(c.crypto, signedCall)
  if (call.kind !== 'join') throw new PlantError('MESSAGE_INVALID', { path: 'kind', problem: 'not a call to join a network' })
  checkVia(call, c.self)
  const { domainKey, domain, network } = call.body
  return c.networks.attach({ network: { domainKey, domain, name: network }, addressing, proof: { kind: 'proxy', signedCall } }, station, device, signal)
}
