/** Faults as they happen to a world: those of a scenario, and those that only the fuzz draws. What a fault began ends at its time, or when all heals. */
import type { PeerId } from '../../protocols/kit/index.ts'
import type { Fault, FaultResult, FaultTarget } from '../scenario/index.ts'
import type { Lie } from './liar.ts'
import type { SimPlant } from './plant.ts'
import { usOf } from './timeline.ts'
import type { World } from './world.ts'

/** Faults that no scenario file names. */
export type ExtraFault =
  /** The process dies in front of its n-th effect from then on: between a write and what follows it, in the middle of anything. */
  | { kind: 'crashAtEffect', atMs: number, plant: string, effects: number, restartAfterMs: number }
  /** The process is told to stop, and does so in order. */
  | { kind: 'stop', atMs: number, plant: string, restartAfterMs: number }
  /** The process gets no processor. */
  | { kind: 'standStill', atMs: number, plant: string, forMs: number }
  /** The plant tells this lie from then on, until all heals or for ever. */
  | { kind: 'lie', atMs: number, plant: string, lie: Lie, untilMs?: number }

/** Carries faults out, and undoes what they began. */
export class Faults {
  readonly results: FaultResult[] = []
  readonly #world: World
  readonly #undo = new Set<() => void>()

  constructor (world: World) { this.#world = world }

  /** Plans all of them. */
  plan (faults: readonly (Fault | ExtraFault)[]): void {
    for (const fault of faults) this.#world.timeline.at(usOf(fault.atMs), () => { this.strike(fault) })
  }

  strike (fault: Fault | ExtraFault): void {
    const struck = this.#struckBy(fault)
    const result: FaultResult = { atMs: this.#world.timeline.nowMs, kind: fault.kind, plants: struck.length, machinesLost: 0 }
    this.results.push(result)
    const { kind, atMs: _atMs, ...fields } = fault
    this.#world.tell(`fault.${kind}`, struck.length === 1 ? struck[0]?.name : undefined, { fault: fields })
    const before = this.#machines()
    this.#do(fault, struck)
    result.machinesLost = before - this.#machines()
  }

  /** Everything that was begun and not ended is ended; processes that are down are started. Clocks stay as they are. */
  endAll (): void {
    this.#world.tell('fault.endAll', undefined)
    // Each takes itself off the list.
    for (const undo of this.#undo) undo()
    this.#undo.clear()
    this.#world.network.links.heal()
    for (const plant of this.#world.plants) {
      plant.life?.dieAfterEffects(Infinity)
      plant.start()
    }
  }

  #do (fault: Fault | ExtraFault, struck: SimPlant[]): void {
    const { network, strikes } = this.#world
    const { kind } = fault
    switch (kind) {
      case 'crash': for (const plant of struck) this.#down(kind, plant, () => { plant.crash() }, fault.restartAfterMs); break
      case 'restart':
        for (const plant of struck) {
          if (plant.life === undefined) strikes.add(kind)
          plant.start()
        }
        break
      case 'hostDown': for (const plant of struck) this.#down(kind, plant, () => { plant.powerOff(fault.diskLost) }, fault.restartAfterMs); break
      case 'siteOutage': for (const plant of struck) this.#down(kind, plant, () => { plant.powerOff(false) }, fault.restartAfterMs); break
      case 'partition': this.#until(fault.untilMs, network.cut({ from: this.#peers(fault.from), to: this.#peers(fault.to) }, fault.oneWay)); break
      case 'slowLink': this.#until(fault.untilMs, network.links.slow({ from: this.#peers(fault.from), to: this.#peers(fault.to) }, fault)); break
      case 'heal': network.links.heal(); break
      case 'clockDrift': for (const plant of struck) plant.host.clock.drift(fault.driftPpm); break
      case 'clockStep': for (const plant of struck) plant.host.clock.step(fault.byMs); break
      case 'diskFull':
        for (const { host } of struck) {
          host.diskFull = true
          this.#until(fault.untilMs, () => { host.diskFull = false })
        }
        break
      case 'machineDeath': this.#killMachines(struck, fault.count); break
      case 'liar': for (const plant of struck) this.#lie(plant, fault.about, fault.untilMs); break
      case 'lie': for (const plant of struck) this.#lie(plant, fault.lie, fault.untilMs); break
      case 'stop':
        for (const plant of struck) {
          if (plant.life === undefined) continue
          if (plant.node !== undefined) strikes.add(kind)
          plant.onDeath(() => { this.#world.timeline.after(usOf(fault.restartAfterMs), () => { plant.start() }) })
          plant.stop()
        }
        break
      case 'standStill': for (const plant of struck) plant.standStill(fault.forMs); break
      case 'crashAtEffect':
        for (const plant of struck) {
          const { life } = plant
          life?.dieAfterEffects(fault.effects)
          const again = (): void => {
            if (life?.dead !== true) return
            if (life.diedBefore !== undefined) strikes.add(kind)
            this.#world.timeline.after(usOf(fault.restartAfterMs), () => { plant.start() })
          }
          plant.onDeath(again)
          this.#undo.add(() => { plant.offDeath(again) })
        }
        break
    }
  }

  #down (kind: 'crash' | 'hostDown' | 'siteOutage', plant: SimPlant, how: () => void, restartAfterMs: number | undefined): void {
    const ran = plant.life !== undefined
    how()
    if (ran && plant.life === undefined) this.#world.strikes.add(kind)
    if (restartAfterMs !== undefined) this.#world.timeline.after(usOf(restartAfterMs), () => { plant.start() })
  }

  #lie (plant: SimPlant, lie: Lie, untilMs: number | undefined): void {
    plant.lies.add(lie)
    this.#until(untilMs, () => { plant.lies.delete(lie) })
  }

  #until (untilMs: number | undefined, undo: () => void): void {
    const once = (): void => { if (this.#undo.delete(once)) undo() }
    this.#undo.add(once)
    if (untilMs !== undefined) this.#world.timeline.at(usOf(untilMs), once)
  }

  #killMachines (struck: SimPlant[], count: number): void {
    const running = struck.flatMap(({ host }) => [...host.machines.values()].filter(({ alive, made }) => alive && made).map((machine) => ({ host, machine })))
    const random = this.#world.random.fork('machineDeath', this.results.length)
    for (const { host, machine } of random.shuffled(running).slice(0, count)) {
      host.kill(machine, 'the VMM was killed')
      if (!machine.alive) this.#world.strikes.add('machineDeath')
    }
  }

  #machines (): number { return this.#world.plants.reduce((sum, { host }) => sum + host.inUse().machines, 0) }

  #peers (target: FaultTarget): Set<PeerId> { return new Set(this.#targets(target).map(({ peer }) => peer)) }

  #struckBy (fault: Fault | ExtraFault): SimPlant[] {
    if ('target' in fault) return this.#targets(fault.target)
    if ('plant' in fault) return this.#world.plants.filter(({ name }) => name === fault.plant)
    if ('site' in fault) return this.#world.plants.filter(({ host }) => host.site === fault.site)
    return 'from' in fault ? [...new Set([...this.#targets(fault.from), ...this.#targets(fault.to)])] : []
  }

  #targets ({ plants, sites, groups }: FaultTarget): SimPlant[] {
    return this.#world.plants.filter(({ name, host }) => plants.includes(name) || sites.includes(host.site) || groups.includes(host.group))
  }
}
