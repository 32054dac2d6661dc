/**
 * The `paper` set: VMPlants' plants clone by linking the disk and copying the memory state from one NFS server, then VMware resumes it. A
 * plant that fills up loses its page cache first, then has to write out pages of its other machines. UML boots instead; Xen (SO-MVDS)
 * starts on an empty incremental image and reads its template from the server.
 */
import type { Random } from '../../protocols/kit/index.ts'
import type { Phase } from '../scenario/index.ts'
import type { PaperConstant } from './paper-constants.ts'
import type { CloneWork, HostFill, Step, VmTimings } from './steps.ts'
import { factor } from './vary.ts'

const MIB = 2 ** 20

export interface PaperInit {
  line: 'vmware' | 'uml' | 'xen'
  clone: 'link' | 'copy'
  vary: boolean
  constants: Record<PaperConstant, number>
}

/** Timings of the papers' machines. */
export function paperTimings (init: PaperInit): VmTimings {
  const c = init.constants
  const cv = (name: 'copyCv' | 'resumeCv'): number => init.vary ? c[name] : 0
  const load = (fill: HostFill): number => 1 + c.loadPerMachine * fill.machines
  const time = (phase: Phase, ms: number): Step => ({ phase, on: 'time', ms })

  /** Bytes from the store, as that many bytes at its best rate: what does not stay in the server's memory comes more slowly. */
  const fetched = (mib: number): number => mib * MIB * (mib <= c.storeCacheMiB ? 1 : c.storeBytesPerMs / c.storeDiskBytesPerMs)
  const links = (random: Random): Step => time('copy', c.linkFiles * c.linkMsPerFile * factor(cv('copyCv'), random))

  const copied = (work: CloneWork, random: Random): Step[] => {
    const steps: Step[] = [links(random), { phase: 'copy', on: 'store', bytes: fetched(work.memoryMiB) * factor(cv('copyCv'), random) }]
    return init.clone === 'copy' ? [...steps, { phase: 'copy', on: 'store', bytes: fetched(work.diskMiB) * factor(cv('copyCv'), random) }] : steps
  }

  /** Reading the state, from the page cache as far as memory is left, and making room for the machine. */
  const memoryMs = ({ memoryMiB }: CloneWork, fill: HostFill): number => {
    const need = memoryMiB + c.vmmOverheadMiB
    const free = fill.hostMemoryMiB - c.hostBaseMiB - fill.machinesMemoryMiB - fill.machines * c.vmmOverheadMiB - need
    const cached = Math.min(memoryMiB, Math.max(0, free))
    const pushedOut = Math.min(need, Math.max(0, -free))
    return MIB * (cached / c.cacheBytesPerMs + (memoryMiB - cached) / c.diskBytesPerMs + pushedOut / c.swapBytesPerMs)
  }
  const resumed = (work: CloneWork, fill: HostFill, random: Random): Step =>
    time('resume', (c.resumeMs * load(fill) + memoryMs(work, fill)) * factor(cv('resumeCv'), random))
  const booted = (fill: HostFill, random: Random): Step => time('boot', c.umlBootMs * load(fill) * factor(cv('resumeCv'), random))
  const script = (phase: Phase, ms: number, fill: HostFill, random: Random): Step[] => [time(phase, ms * load(fill) * factor(cv('resumeCv'), random))]

  return {
    name: `paper (${init.line}${init.clone === 'copy' ? ', disks copied' : ''})`,
    store: init.line === 'xen' ? { bytesPerMs: c.xenStoreBytesPerMs, clientBytesPerMs: c.xenStoreBytesPerMs } : { bytesPerMs: c.storeBytesPerMs, clientBytesPerMs: c.storeBytesPerMs },
    clone (work, fill, random) {
      switch (init.line) {
        case 'vmware': return [...copied(work, random), resumed(work, fill, random)]
        case 'uml': return [links(random), booted(fill, random)]
        case 'xen': return [
          time('copy', c.xenCreateMs * factor(cv('copyCv'), random)),
          ...init.clone === 'copy' ? [{ phase: 'copy', on: 'store', bytes: work.diskMiB * MIB * c.xenStoreBytesPerMs / c.xenCopyBytesPerMs } as const] : [],
          { phase: 'boot', on: 'store', bytes: c.xenBootBytes * factor(cv('copyCv'), random) }
        ]
      }
    },
    resize: (work, fill, random) => [...copied(work, random), booted(fill, random)],
    identity: (fill, random) => init.line === 'xen' ? [] : script('identity', c.identityMs, fill, random),
    action: (takesMs, fill, random) => script('actions', takesMs ?? c.actionMs, fill, random),
    destroyMs: c.destroyMs,
    adoptMs: 0
  }
}
