/**
 * What became of a connection that the user-mode gateway opens into the network. The gateway takes the host's connection before it has asked the machine; the frames
 * tell the truth: the machine's SYN with ACK, or its RST. Pure.
 */
import type { Cancel } from '../../protocols/kit/index.ts'

/** A connection into the network; `localPort` is the gateway's own. */
export interface DialKey { address: number, port: number, localPort: number }

export type DialOutcome = 'open' | 'refused'

const ETHERTYPE_IPV4 = 0x0800
const PROTOCOL_TCP = 6
const FLAG_SYN = 0x02
const FLAG_RST = 0x04
const FLAG_ACK = 0x10

/** Connections that are being opened; as many as its user lets be opened at once. */
export class DialWatch {
  readonly #waiting = new Map<string, (outcome: DialOutcome) => void>()

  /** Tells the outcome once, unless it is called off before. */
  expect (key: DialKey, settle: (outcome: DialOutcome) => void): Cancel {
    const name = nameOf(key.address, key.port, key.localPort)
    this.#waiting.set(name, settle)
    return () => { if (this.#waiting.get(name) === settle) this.#waiting.delete(name) }
  }

  /** Looks at a frame on its way from the network to the gateway; costs nothing while nothing is being opened. */
  onFrame (bytes: Uint8Array): void {
    if (this.#waiting.size === 0) return
    const tcp = tcpOf(bytes)
    if (tcp === undefined) return
    const outcome = (tcp.flags & FLAG_RST) !== 0 ? 'refused' : (tcp.flags & (FLAG_SYN | FLAG_ACK)) === (FLAG_SYN | FLAG_ACK) ? 'open' : undefined
    if (outcome === undefined) return
    const name = nameOf(tcp.source, tcp.sourcePort, tcp.targetPort)
    const settle = this.#waiting.get(name)
    this.#waiting.delete(name)
    settle?.(outcome)
  }
}

function nameOf (address: number, port: number, localPort: number): string { return `${address}:${port}/${localPort}` }

/** The head of an unfragmented TCP segment in IPv4; undefined for everything else. */
function tcpOf (bytes: Uint8Array): { source: number, sourcePort: number, targetPort: number, flags: number } | undefined {
  if (bytes.length < 54) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint16(12) !== ETHERTYPE_IPV4 || view.getUint8(23) !== PROTOCOL_TCP) return undefined
  const at = 14 + (view.getUint8(14) & 0x0f) * 4
  if ((view.getUint16(20) & 0x1fff) !== 0 || bytes.length < at + 14) return undefined
  return { source: view.getUint32(26), sourcePort: view.getUint16(at), targetPort: view.getUint16(at + 2), flags: view.getUint8(at + 13) }
}
