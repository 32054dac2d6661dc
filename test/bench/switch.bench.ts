/**
 * How many frames a second a network's switch decides on: unicast between two machines here, and from one here to one at a member, beside a loop that
 * only looks up two MACs in a Map of as many stations, which no switch can beat.
 *   node test/bench/switch.bench.ts
 */
import { pathToFileURL } from 'node:url'
import { formatMac, macAt, putMac, putU16, putU32 } from '../../protocols/tunnel/ethernet.ts'
import { SwitchCore, type PortId } from '../../protocols/tunnel/switch-core.ts'
import type { VmId } from '../../protocols/kit/index.ts'

const STATIONS = 1_000
const ROUNDS = 7
const ROUND_FRAMES = 500_000
/** The aim: a gigabit of the smallest frames is 1.5 million a second, of the largest 81,000. */
const AIM_PER_S = 1_000_000

const macNumber = (n: number): number => 0x525400000000 + n
const address = (n: number): number => 0x0ac00000 + n + 1

/** TCP over IPv4, from station `from` to station `to`. */
function frameOf (from: number, to: number, bytes: number): Uint8Array {
  const frame = new Uint8Array(bytes)
  putMac(frame, 0, macNumber(to))
  putMac(frame, 6, macNumber(from))
  putU16(frame, 12, 0x0800)
  frame[14] = 0x45
  putU16(frame, 16, bytes - 14)
  frame[23] = 6
  putU32(frame, 26, address(from))
  putU32(frame, 30, address(to))
  return frame
}

function stationOf (n: number): { mac: string, addresses: string[], vmId: VmId } {
  const number = address(n)
  return { mac: formatMac(macNumber(n)), addresses: [[24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join('.')], vmId: n.toString(16).padStart(32, '0') as VmId }
}

/** Two machines here, the other stations at a member. */
function switchOf (): { core: SwitchCore, one: PortId, other: PortId, peer: PortId } {
  const core = new SwitchCore({ addressing: 'mesh', mtuBytes: 1500, gateway: { mac: '02:00:5e:00:00:01', address: '10.192.255.254' } })
  const [one, other, peer] = [core.addPort('machine'), core.addPort('machine'), core.addPort('peer')]
  if (one === undefined || other === undefined || peer === undefined) throw new Error('a new switch has room for three ports')
  core.setStations(one, [stationOf(0)], false)
  core.setStations(other, [stationOf(1)], false)
  core.setStations(peer, Array.from({ length: STATIONS - 2 }, (_, i) => stationOf(i + 2)), false)
  return { core, one, other, peer }
}

/** The median of some rounds, in frames a second; the first warms up. */
function perSecond (decide: (i: number) => boolean): number {
  const rates = Array.from({ length: ROUNDS + 1 }, () => {
    const start = performance.now()
    let passed = 0
    for (let i = 0; i < ROUND_FRAMES; i++) if (decide(i)) passed++
    if (passed !== ROUND_FRAMES) throw new Error(`${ROUND_FRAMES - passed} frames of ${ROUND_FRAMES} were dropped`)
    return ROUND_FRAMES / (performance.now() - start) * 1000
  }).slice(1).sort((a, b) => a - b)
  return rates[ROUNDS >> 1] ?? 0
}

/** Measures all cases; each beside the bare look-ups of its own frames, in the same run. */
export function main (): void {
  const { core, one, other, peer } = switchOf()
  const table = new Map(Array.from({ length: STATIONS }, (_, n) => [macNumber(n), n]))
  const cases: Array<[what: string, port: PortId, frames: Uint8Array[]]> = [64, 1514].flatMap((bytes): Array<[string, PortId, Uint8Array[]]> => [
    [`${bytes} bytes, machine to machine`, one, [frameOf(0, 1, bytes)]],
    [`${bytes} bytes, machine to 998 at a member`, other, Array.from({ length: STATIONS - 2 }, (_, i) => frameOf(1, i + 2, bytes))],
    [`${bytes} bytes, 998 at a member to a machine`, peer, Array.from({ length: STATIONS - 2 }, (_, i) => frameOf(i + 2, 0, bytes))]
  ])
  for (const [what, port, frames] of cases) {
    const made = frames.map((bytes) => ({ bytes }))
    const bare = perSecond((i) => {
      const { bytes } = made[i % made.length] ?? { bytes: new Uint8Array(0) }
      return table.has(macAt(bytes, 6)) && table.has(macAt(bytes, 0))
    })
    const ours = perSecond((i) => core.onFrame(i / 1000, port, made[i % made.length] ?? { bytes: new Uint8Array(0) }).to.length === 1)
    console.log(`switch, ${STATIONS} stations, ${what}: ${(ours / 1e6).toFixed(2)} million frames/s (aim ${AIM_PER_S / 1e6}: ${ours >= AIM_PER_S ? 'met' : 'missed'}), median of ${ROUNDS}; bare look-ups ${(bare / 1e6).toFixed(2)}, ratio ${(ours / bare).toFixed(2)}`)
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) main()
