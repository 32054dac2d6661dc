/** Calls about networks, at a plant that is on them: which there are, and what passes (README.md, Networks). */
import { PlantError, type Clock, type KeyId, type MessageStream } from '../kit/index.ts'
import { honourOnce, type OpenedNetworkCall, type SeenCalls } from '../member/index.ts'
import type { NetworkId } from '../tunnel/types.ts'
import { encodeTell } from './messages.ts'
import type { NetworkTold } from './network-told.ts'
import { batches, tell, tellOutput, withHeartbeat } from './telling.ts'

/** What the plant does when it is asked about networks. Each may throw a PlantError, which goes back to the caller. */
export interface NetworkHost {
  /** The networks here that the key may see; one of them with all that is known of it. */
  told (caller: KeyId, network: NetworkId | undefined, signal: AbortSignal): Promise<NetworkTold[]>
  /** Whether the key may see all that passes on this network here; false where there is none. */
  mayCapture (caller: KeyId, network: NetworkId, signal: AbortSignal): Promise<boolean>
  /** A capture file, as it grows, of all frames that the plant's switch takes in; ends with the signal, or when the plant leaves the network. */
  capture (network: NetworkId, onBytes: (bytes: Uint8Array) => Promise<void>, signal: AbortSignal): Promise<void>
}

/** Answers a call that has come fresh and by its shop. */
export async function serveNetworkCall (c: { clock: Clock, host: SeenCalls, networks?: NetworkHost }, stream: MessageStream, call: OpenedNetworkCall): Promise<void> {
  const { clock, host, networks } = c
  if (call.kind === 'networks') {
    const told = await networks?.told(call.caller, call.body.network as NetworkId | undefined, stream.signal) ?? []
    // Who sees no network here has no rights here, and may not take up room.
    if (told.length > 0) honourOnce(call, clock.nowMs(), host)
    for (const batch of batches(told, (some) => encodeTell({ t: 8, networks: some }))) await stream.send(batch)
    return tell(stream, { t: 6 })
  }
  const network = call.body.network as NetworkId
  if (networks === undefined || (await networks.told(call.caller, network, stream.signal)).length === 0) throw new PlantError('NETWORK_UNKNOWN', { network })
  if (!await networks.mayCapture(call.caller, network, stream.signal)) throw new PlantError('NOT_AUTHORISED', { network, problem: 'what passes between the machines of others is the domain\'s to see, and its grantees\'' })
  honourOnce(call, clock.nowMs(), host)
  await withHeartbeat(clock, stream, async () => networks.capture(network, async (bytes) => tellOutput(stream, 'stdout', bytes), stream.signal))
  return tell(stream, { t: 6 })
}
