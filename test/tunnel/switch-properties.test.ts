/** What must never happen, whatever comes in whatever order. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { arpOf } from '../../protocols/tunnel/arp.ts'
import { FrameView, formatMac, ipv4Text, isGroup } from '../../protocols/tunnel/ethernet.ts'
import { LearntHosts } from '../../protocols/tunnel/learnt.ts'
import { LinkLocals } from '../../protocols/tunnel/link-locals.ts'
import { SwitchCore, type MacView, type PortId, type PortKind, type PortStation, type Verdict } from '../../protocols/tunnel/switch-core.ts'
import { Stations } from '../../protocols/tunnel/stations.ts'
import { SwitchPort } from '../../protocols/tunnel/switch-port.ts'
import { machine } from './switch-bench.ts'
import { BROADCAST, GATEWAY, advert, arp, dhcpAsk, dhcpGive, ethernet, ip, ipv4, ipv6, linkLocal, mac, probe, solicit } from './switch-frames.ts'

/** Few of everything, so that they meet. `me` is what a station at the port has that speaks. */
const NUMBERS = [1, 2, 3, 4, 5]
const HOSTS = ['02:aa:00:00:00:01', '02:aa:00:00:00:02', GATEWAY.mac]
const mostly = <T>(usual: T, others: readonly T[]): fc.Arbitrary<T> => fc.oneof({ weight: 3, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...others) })
const from = mostly('me', [...NUMBERS.map(mac), ...HOSTS])
const to = fc.constantFrom(...NUMBERS.map(mac), ...HOSTS, BROADCAST, BROADCAST, '33:33:00:00:00:01', '01:80:c2:00:00:00')
const anyIp = [...NUMBERS.map(ip), '10.200.0.1', '0.0.0.0', GATEWAY.address]
const myIp = mostly('me', anyIp)
const target = fc.constantFrom(...anyIp)
/** A number is a station's whose MAC it follows from, the rest is chosen freely. */
const anyLinkLocal = [...NUMBERS.map(String), 'a', 'b']
const myLinkLocal = mostly('me', anyLinkLocal)

/** What a frame says, before it is known who says it. */
type Said =
  | { say: 'ipv4', to: string, from: string, source: string }
  | { say: 'arp', to: string, from: string, reply: boolean, senderMac: string, sender: string, target: string }
  | { say: 'ipv6' | 'probe' | 'solicit' | 'advert', to: string, from: string, source: string, target: string, carried: string }
  | { say: 'ask', from: string, kind: number, client: string }
  | { say: 'give', from: string, to: string, server: string, client: string, your: string }
  | { say: 'bytes', to: string, from: string, type: number, contents: Uint8Array }

const anySaid: fc.Arbitrary<Said> = fc.oneof(
  fc.record({ say: fc.constant('ipv4' as const), to, from, source: myIp }),
  fc.record({ say: fc.constant('arp' as const), to: mostly(BROADCAST, NUMBERS.map(mac)), from, reply: fc.boolean(), senderMac: from, sender: myIp, target }),
  fc.record({ say: fc.constantFrom('ipv6' as const, 'probe' as const, 'solicit' as const, 'advert' as const), to, from, source: myLinkLocal, target: mostly('a', anyLinkLocal), carried: from }),
  fc.record({ say: fc.constant('ask' as const), from, kind: fc.constantFrom(1, 3), client: from }),
  fc.record({ say: fc.constant('give' as const), from, to, server: myIp, client: fc.constantFrom(...NUMBERS.map(mac)), your: target }),
  fc.record({ say: fc.constant('bytes' as const), to, from, type: fc.constantFrom(0x0800, 0x0806, 0x86dd, 0x8100, 0x8035), contents: fc.uint8Array({ maxLength: 80 }) })
)

/** The frame, said by who has this MAC and address. */
function frameOf (said: Said, me: { mac: string, ip: string }): Uint8Array {
  const as = (text: string, own: string): string => text === 'me' ? own : text
  const speaker = as(said.from, me.mac)
  const addressOf = (text: string): Uint8Array => text === 'me' ? linkLocal(me.mac) : /\d/.test(text) ? linkLocal(mac(Number(text))) : linkLocal([1, 2, 3, text.charCodeAt(0)])
  switch (said.say) {
    case 'ipv4': return ipv4({ to: said.to, from: speaker, source: as(said.source, me.ip) })
    case 'arp': return arp({ ...said, from: speaker, senderMac: as(said.senderMac, speaker), sender: as(said.sender, me.ip) })
    case 'ipv6': return ipv6({ to: said.to, from: speaker, source: addressOf(said.source) })
    case 'probe': return probe(speaker, addressOf(said.target))
    case 'solicit': return solicit(speaker, addressOf(said.source), addressOf(said.target))
    case 'advert': return advert(speaker, addressOf(said.source), addressOf(said.target), as(said.carried, speaker))
    case 'ask': return dhcpAsk(speaker, said.kind, as(said.client, speaker))
    case 'give': return dhcpGive(speaker, as(said.server, me.ip), said.client, said.your, { to: said.to })
    case 'bytes': return ethernet(said.to, speaker, said.type, said.contents)
  }
}

interface Announced { n: number, address: number, sinceMs: number, router: boolean }
const anyStations = fc.array(fc.record({ n: fc.constantFrom(...NUMBERS), address: fc.constantFrom(...NUMBERS), sinceMs: fc.nat(3), router: fc.boolean() }), { maxLength: 3 })
type Step =
  | { do: 'add', kind: PortKind, stations: Announced[], hasUplink: boolean }
  | { do: 'remove', at: number }
  | { do: 'set', at: number, stations: Announced[], hasUplink: boolean }
  | { do: 'frame', at: number, said: Said, waitMs: number }
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 1, arbitrary: fc.record({ do: fc.constant('add' as const), kind: fc.constantFrom<PortKind>('machine', 'machine', 'peer', 'uplink'), stations: anyStations, hasUplink: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('remove' as const), at: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('set' as const), at: fc.nat(9), stations: anyStations, hasUplink: fc.boolean() }) },
  { weight: 20, arbitrary: fc.record({ do: fc.constant('frame' as const), at: fc.nat(9), said: anySaid, waitMs: fc.constantFrom(0, 0, 1, 900, 3_000, 400_000) }) }
)
/** Two machines, a member, one with an uplink, and an uplink here; what follows changes it. */
const FIRST: Step[] = ([['machine', 1], ['machine', 2], ['peer', 3], ['peer', 4], ['uplink', 5]] as const).map(([kind, n]) =>
  ({ do: 'add', kind, stations: kind === 'uplink' ? [] : [{ n, address: n, sinceMs: 0, router: false }], hasUplink: n === 4 }))
const anySteps = fc.array(anyStep, { minLength: 40, maxLength: 120, size: 'max' }).map((steps) => [...FIRST, ...steps])
const anyMode = fc.constantFrom<'mesh' | 'external'>('mesh', 'mesh', 'external')

interface Port { id: PortId, kind: PortKind }

/** What a frame met: `before` are the MACs that were known just before it. */
type See = (core: SwitchCore, from: Port, bytes: Uint8Array, verdict: Verdict, ports: readonly Port[], nowMs: number, before: MacView[]) => void

/** Runs steps on a switch; `see` is called for each frame. */
function run (mode: 'mesh' | 'external', steps: readonly Step[], see: See): SwitchCore {
  const core = new SwitchCore({ addressing: mode, mtuBytes: 1500, ...mode === 'mesh' && { gateway: GATEWAY } })
  let ports: Port[] = []
  let nowMs = 1_000
  const stationsOf = (list: readonly Announced[]): PortStation[] => list.map(({ n, address, sinceMs, router }) => machine(n, { addresses: mode === 'mesh' ? [ip(address)] : [], sinceMs, ...router && { router } }))
  for (const step of steps) {
    const port = 'at' in step ? ports[step.at % Math.max(1, ports.length)] : undefined
    if (step.do === 'add') {
      const id = core.addPort(step.kind)
      if (id === undefined) continue
      ports.push({ id, kind: step.kind })
      core.setStations(id, stationsOf(step.stations), step.hasUplink)
    } else if (port === undefined) continue
    else if (step.do === 'remove') {
      core.removePort(port.id)
      ports = ports.filter((one) => one !== port)
    } else if (step.do === 'set') core.setStations(port.id, stationsOf(step.stations), step.hasUplink)
    else {
      nowMs += step.waitMs
      const before = core.macs(nowMs)
      const me = before.find((one) => one.port === port.id)
      const bytes = frameOf(step.said, { mac: me?.mac ?? '02:aa:00:00:00:03', ip: me?.addresses[0] ?? '10.200.0.1' })
      see(core, port, bytes, core.onFrame(nowMs, port.id, { bytes }), ports, nowMs, before)
    }
  }
  return core
}

const always = (see: See, alter = (step: Step): Step => step): void => {
  fc.assert(fc.property(anyMode, anySteps, (mode, steps) => { run(mode, steps.map(alter), see) }), { numRuns: 150 })
}
const withoutRouters = (step: Step): Step => 'stations' in step ? { ...step, stations: step.stations.map((station) => ({ ...station, router: false })) } : step

test('what is drawn for these tests meets every kind of end', () => {
  const met = new Map<string, number>()
  fc.assert(fc.property(anyMode, anySteps, (mode, steps) => {
    run(mode, steps, (_core, _from, _bytes, { to, gateway, answer, drop, lease }) => {
      for (const what of [drop ?? (answer !== undefined ? 'answer' : gateway ? 'gateway' : to.length > 1 ? 'many' : to.length === 1 ? 'one' : 'nobody'), ...lease === undefined ? [] : ['lease']]) met.set(what, (met.get(what) ?? 0) + 1)
    })
  }), { numRuns: 300, seed: 5 })
  const few = ['many', 'one', 'answer', 'gateway', 'lease', 'SOURCE_ELSEWHERE', 'BETWEEN_TUNNELS', 'ARP_SENDER', 'ND_SENDER', 'IPV4_SOURCE', 'IPV6_SOURCE', 'SOURCE_FOREIGN', 'SOURCE_OF_STATION', 'DHCP_SERVER'].filter((what) => (met.get(what) ?? 0) < 20)
  expect([few, Object.fromEntries(met)]).toEqual([[], Object.fromEntries(met)])
})

test('a frame goes to ports that are there, each once, never back, and never from tunnel to tunnel', () => {
  always((_core, from, _bytes, verdict, ports) => {
    expect(new Set(verdict.to).size).toBe(verdict.to.length)
    for (const id of verdict.to) {
      const to = ports.find((port) => port.id === id)
      expect(to).toBeDefined()
      expect(id).not.toBe(from.id)
      expect(from.kind === 'peer' && to?.kind === 'peer').toBe(false)
    }
    if (verdict.drop !== undefined) expect(verdict).toEqual({ to: [], gateway: false, drop: verdict.drop })
  })
})

test('what is for one goes to one machine at most: the one that has that MAC', () => {
  always((core, _from, bytes, verdict, ports, nowMs) => {
    const view = new FrameView().read(bytes)
    if (view === undefined || isGroup(view.destination)) return
    const machines = verdict.to.filter((id) => ports.find((port) => port.id === id)?.kind === 'machine')
    if (machines.length > 0) expect(core.macs(nowMs).find(({ port }) => port === machines[0])).toMatchObject({ kind: 'station', mac: formatMac(view.destination) })
    expect(machines.length).toBeLessThanOrEqual(1)
  })
})

test('a source is never another station\'s, and no IPv4 or ARP sender is another\'s address', () => {
  always((core, from, bytes, verdict, _ports, nowMs, before) => {
    const view = new FrameView().read(bytes)
    if (view === undefined || (verdict.to.length === 0 && !verdict.gateway && verdict.answer === undefined)) return
    const source = formatMac(view.source)
    const holder = core.macs(nowMs).find(({ mac }) => mac === source)
    expect(holder?.port).toBe(from.id)
    if (from.kind === 'machine') expect(holder?.kind).toBe('station')
    const ownerOf = (address: number): string | undefined => before.find(({ addresses }) => addresses.includes(ipv4Text(address)))?.mac
    // Whoever speaks: no other's. A machine: its own, and none that nobody has.
    const allowed = from.kind === 'machine' ? [source] : [undefined, source]
    if (view.contents === 'ipv4' && view.sourceIpv4 !== 0) expect(allowed).toContain(ownerOf(view.sourceIpv4))
    const said = view.contents === 'arp' ? arpOf(bytes, view.contentsAt) : undefined
    if (said === undefined) return
    expect(formatMac(said.senderMac)).toBe(source)
    if (said.senderAddress !== 0) expect(allowed).toContain(ownerOf(said.senderAddress))
  }, withoutRouters)
})

test('an answer names who holds the address, so that what is for a machine reaches no other', () => {
  always((core, _from, _bytes, { answer }, _ports, nowMs) => {
    const said = answer === undefined ? undefined : arpOf(answer, 14)
    if (answer === undefined || said === undefined) return
    expect(core.macs(nowMs).filter(({ addresses }) => addresses.includes(ipv4Text(said.senderAddress))).map(({ mac }) => mac)).toEqual([formatMac(said.senderMac)])
  })
})

test('a MAC and an address have one holder, at a port that is there; what was taken away leaves nothing behind', () => {
  fc.assert(fc.property(anyMode, anySteps, (mode, steps) => {
    let present: readonly Port[] = []
    const core = run(mode, steps, (core, _from, _bytes, _verdict, ports, nowMs) => {
      present = ports
      const macs = core.macs(nowMs)
      expect(new Set(macs.map(({ mac }) => mac)).size).toBe(macs.length)
      const addresses = macs.flatMap(({ addresses }) => addresses)
      expect(new Set(addresses).size).toBe(addresses.length)
      for (const { port } of macs) expect(ports.some(({ id }) => id === port)).toBe(true)
      expect(macs.some(({ mac }) => mac === GATEWAY.mac) && mode === 'mesh').toBe(false)
    })
    for (const { id } of present) core.removePort(id)
    for (const { port } of core.ports()) core.removePort(port)
    expect([core.macs(0), core.ports()]).toEqual([[], []])
  }), { numRuns: 100 })
})

test('frames of one network never reach ports of another, whose ids are not even asked for', () => {
  fc.assert(fc.property(anySteps, anySteps, (one, other) => {
    const alone = { one: [] as unknown[], other: [] as unknown[] }
    run('mesh', one, (_core, _from, _bytes, verdict) => { alone.one.push(verdict) })
    run('mesh', other, (_core, _from, _bytes, verdict) => { alone.other.push(verdict) })
    // In turns, with the same addresses in both: each decides as if the other were not there.
    const together = { one: [] as unknown[], other: [] as unknown[] }
    run('mesh', one, (_core, _from, _bytes, verdict) => {
      together.one.push(verdict)
      if (together.other.length === 0) run('mesh', other, (_core, _from, _bytes, verdict) => { together.other.push(verdict) })
    })
    expect(together.one).toEqual(alone.one)
    if (together.one.length > 0) expect(together.other).toEqual(alone.other)
  }), { numRuns: 50 })
})

test('stations hold what a plain model says: the newest proven MAC, the first address', () => {
  const announced = fc.record({ port: fc.nat(3), list: anyStations })
  fc.assert(fc.property(fc.array(announced, { maxLength: 30 }), (steps) => {
    const ports = [0, 1, 2, 3].map((n) => new SwitchPort(n as PortId, 'peer'))
    const stations = new Stations({ mac: undefined, address: undefined }, () => undefined)
    const model = new Map<number, Array<{ port: number, sinceMs: number, order: number }>>()
    let order = 0
    for (const { port, list } of steps) {
      const first = list.filter(({ n }, i) => list.findIndex((one) => one.n === n) === i)
      stations.set(ports[port] as SwitchPort, first.map(({ n, address, sinceMs }) => machine(n, { addresses: [ip(address)], sinceMs })))
      for (const n of NUMBERS) {
        const claims = model.get(n) ?? []
        const wanted = first.find((one) => one.n === n)
        const known = claims.find((claim) => claim.port === port)
        if (wanted === undefined) model.set(n, claims.filter((claim) => claim !== known))
        else if (known !== undefined) known.sinceMs = wanted.sinceMs
        else model.set(n, [...claims, { port, sinceMs: wanted.sinceMs, order: 0 }])
      }
      for (const { n } of first) for (const claim of model.get(n) ?? []) if (claim.port === port && claim.order === 0) claim.order = ++order
      for (const n of NUMBERS) {
        const [best] = (model.get(n) ?? []).toSorted((a, b) => b.sinceMs - a.sinceMs || a.order - b.order)
        expect(stations.ofMac(Number.parseInt(mac(n).replaceAll(':', ''), 16))?.port.id).toBe(best?.port)
      }
      for (const record of stations.held()) for (const address of record.held) expect(stations.ofAddress(address)).toBe(record)
    }
  }), { numRuns: 1000 })
})

test('learnt hosts stay within both bounds, whatever is heard, and the last heard of a port is known', () => {
  const heard = fc.record({ mac: fc.nat(60), port: fc.nat(3), waitMs: fc.constantFrom(0, 1, 500, 1_000, 200_000), forget: fc.constantFrom(0, 0, 0, 0, 1, 2) })
  fc.assert(fc.property(fc.array(heard, { maxLength: 300 }), (steps) => {
    const hosts = new LearntHosts<number>(8, 20)
    let nowMs = 0
    for (const { mac, port, waitMs, forget } of steps) {
      nowMs += waitMs
      if (forget === 1) hosts.forget(mac)
      else if (forget === 2) hosts.forgetPort(port)
      else {
        const elsewhere = hosts.hear(mac, port, nowMs)
        expect(hosts.portOf(mac, nowMs)).toBe(elsewhere ?? port)
      }
      expect(hosts.size).toBeLessThanOrEqual(20)
      let sum = 0
      for (let one = 0; one < 4; one++) {
        expect(hosts.countOf(one)).toBeLessThanOrEqual(8)
        sum += hosts.countOf(one)
      }
      expect(sum).toBe(hosts.size)
    }
  }), { numRuns: 500 })
})

test('a link-local address is one machine\'s here at a time, and is lost to a probe or to another member only', () => {
  const act = fc.record({ do: fc.constantFrom('use', 'use', 'use', 'probe', 'forget'), mac: fc.nat(3), address: fc.nat(2), waitMs: fc.constantFrom(0, 100, 3_000) })
  fc.assert(fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
    const linkLocals = new LinkLocals()
    // MACs 0 and 1 are here, 2 and 3 at other members.
    const users = new Map<number, number>()
    let nowMs = 0
    for (const { do: what, mac, address, waitMs } of acts) {
      nowMs += waitMs
      const bytes = linkLocal([1, 2, 3, address])
      const sure = linkLocals.holder(nowMs, bytes, 0)
      if (what === 'forget') linkLocals.forget(mac)
      else if (what === 'probe') linkLocals.probe(nowMs, mac, mac < 2, bytes, 0)
      const mayUse = what === 'use' && linkLocals.mayUse(nowMs, mac, mac < 2, bytes, 0)
      if (sure !== undefined && mayUse) expect(mac).toBe(sure)
      if (what === 'forget') for (const [key, user] of users) if (user === mac) users.delete(key)
      if (what === 'probe') users.clear()
      if (!mayUse) continue
      const former = users.get(address)
      if (former !== undefined && former !== mac) expect([former < 2, mac >= 2]).toEqual([true, true])
      users.set(address, mac)
      // A member's machine that took another left the one before.
      if (mac >= 2) for (const [key, user] of users) if (user === mac && key !== address) users.delete(key)
    }
  }), { numRuns: 1000 })
})
