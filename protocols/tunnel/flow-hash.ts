/**
 * Which flow a frame belongs to, as one of a few numbers: for fairness only, so that two flows may share a number. Looks at addresses, protocol and ports;
 * never throws and never reads past the end, whatever the bytes.
 */

const IPV4 = 0x0800
const IPV6 = 0x86dd
const VLAN = 0x8100
const TCP = 6
const UDP = 17
const SCTP = 132
const DCCP = 33
const UDP_LITE = 136

/** A number in `[0, below)` that is the same for all frames of a flow; `seed` keeps an outsider from choosing flows that collide. */
export function flowOf (frame: Uint8Array, seed: number, below: number): number {
  let hash = seed | 0
  let at = 12
  let type = word(frame, at)
  if (type === VLAN) {
    at += 4
    type = word(frame, at)
  }
  at += 2
  if (type === IPV4) hash = ipv4(frame, at, hash)
  else if (type === IPV6) hash = ipv6(frame, at, hash)
  // Neither: all that two stations say to each other is one flow. Bytes past the end count as 0.
  else for (let i = 0; i < 12; i += 2) hash = mix(hash, word(frame, i))
  return finish(hash) % below
}

function ipv4 (frame: Uint8Array, at: number, from: number): number {
  const protocol = frame[at + 9] ?? 0
  let hash = mix(from, protocol)
  for (let i = 12; i < 20; i += 2) hash = mix(hash, word(frame, at + i))
  // Only the first fragment of a packet has ports: all of them go without, and stay in order.
  const fragmented = (word(frame, at + 6) & 0x3fff) !== 0
  return fragmented ? hash : ports(frame, at + ((frame[at] ?? 0) & 0x0f) * 4, protocol, hash)
}

/** Extension headers are not followed: such packets of two hosts are one flow. */
function ipv6 (frame: Uint8Array, at: number, from: number): number {
  const protocol = frame[at + 6] ?? 0
  let hash = mix(from, protocol)
  for (let i = 8; i < 40; i += 2) hash = mix(hash, word(frame, at + i))
  return ports(frame, at + 40, protocol, hash)
}

function ports (frame: Uint8Array, at: number, protocol: number, hash: number): number {
  if (protocol !== TCP && protocol !== UDP && protocol !== SCTP && protocol !== DCCP && protocol !== UDP_LITE) return hash
  return mix(mix(hash, word(frame, at)), word(frame, at + 2))
}

function word (bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
}

/** One round of MurmurHash3. */
function mix (hash: number, value: number): number {
  const k = Math.imul(value, 0xcc9e2d51)
  const h = hash ^ Math.imul((k << 15) | (k >>> 17), 0x1b873593)
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0
}

function finish (hash: number): number {
  let h = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
