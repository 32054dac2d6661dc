/**
 * A production line: the driver of one VMM behind one interface (VMPlants 3.2, P10). The same contract suite
 * (`test/contracts/line.ts`) runs against every line. A line holds no decision and no record: what exists on disk and as
 * processes is its only state, so that it can be asked anew after a crash.
 */
import type { Duplex } from 'node:stream'
import type { Golden } from '../../protocols/order/golden.ts'
import type { DroppedOutputs } from '../../protocols/order/index.ts'
import type { ChannelKind } from '../../protocols/order/order.ts'
import type { VmId } from '../../protocols/kit/index.ts'
import type { ImageMaker } from './image-maker.ts'

export interface ScriptRun {
  script: string
  /** Environment variables. */
  parameters: Record<string, string>
  /** Absolute path and text, placed before the script runs; parent directories are made. */
  files: Record<string, string>
  timeoutMs: number
  /**
   * Called with each piece of output as it comes. While what it returns is pending for much output, the guest's output waits; when it
   * rejects, the run ends with that error.
   */
  onOutput?: (piece: Uint8Array, source: 'stdout' | 'stderr') => void | Promise<void>
  /** Fed to the command's standard input, then closed; none by default. */
  stdin?: Uint8Array
}

export interface ScriptResult {
  /** Exit status; 128 + signal when killed. */
  status: number
  /** The last OUTPUT_TAIL_BYTES of stdout and stderr as they came. */
  outputTail: string
  /** How much it printed in all. */
  outputBytes: number
  /** What it appended to `$PLANT_OUTPUT` as Name=value lines. */
  outputs: Record<string, string>
  /** What of it was left out. */
  outputsDropped?: DroppedOutputs
}

/** How actions reach the guest: the agent, or ISO images in a virtual CD-ROM. Both pass `test/contracts/guest-channel.ts`. */
export interface GuestChannel {
  readonly kind: ChannelKind
  /**
   * Runs a script by `sh` as root. Several may run at once. Throws ACTION_TIMEOUT (the guest's whole process group is killed),
   * AGENT_SILENT when the guest does not take it, VM_DIED when the machine dies or reboots meanwhile, or the signal's reason.
   */
  run (run: ScriptRun, signal?: AbortSignal): Promise<ScriptResult>
}

/** What the guest is told to become; every clone differs in all of it (VMM.md: a clone is not yet a machine of its own). */
export interface Identity {
  mac: string
  hostName: string
  /** 32 lower-case hex digits. */
  machineId: string
  /** 32 bytes of the host's entropy, for the guest's random pool (reseeded, not only written). */
  seed: Uint8Array
  /** Its card leads to a network: the guest asks there for its address. */
  networked?: true
  /** `ssh-ed25519 …`: who may log in as root, where the guest has an ssh server. What another machine's identity placed goes. */
  ownerKey?: string
  /** The host's wall clock is read by the line when it is sent, not here. */
}

export interface IdentityTaken {
  /** `ssh-ed25519 …` public host key, when the guest has ssh. */
  hostKey?: string
}

export interface MachineStats {
  /** Memory that no other clone shares: Private_Clean + Private_Dirty of the VMM process (smaps_rollup). */
  privateMemoryBytes: number
  /** Bytes that its disks occupy on the host's: the overlay, and what was added. */
  overlayBytes: number
  /** User + system CPU time of the VMM process. */
  cpuMs: number
}

/** Network cards that are added to a machine at most: with its first it may be on 8 networks (`protocols/order`, NETWORKS_MAX). */
export const CARDS_MAX = 7

/** A network card beside a machine's first. */
export interface AddedCard {
  /** Its other end, as with `LiveMachine.network`. Throws VM_STATE once it was taken away. */
  network (): Promise<Duplex>
  /** Takes it away; done when it has been before. */
  detach (): Promise<void>
}

/** A machine that runs (or is paused) under this line. */
export interface LiveMachine {
  readonly vmId: VmId
  readonly pid: number
  readonly mac: string
  /** Resolves, once, with a sentence for people when the VMM process is gone or the guest has powered off. Never rejects. */
  readonly died: Promise<{ reason: string }>
  channel (kind: ChannelKind): GuestChannel
  /** Gives the clone its own identity; resolves when the guest has acknowledged every part. Throws IDENTITY_FAILED. Idempotent. */
  identify (identity: Identity, signal?: AbortSignal): Promise<IdentityTaken>
  /** The serial console; one at a time, a new one takes over. */
  console (): Promise<Duplex>
  /** The network card's other end: frames as u32 big-endian length + frame. One at a time; may be attached again and again. */
  network (): Promise<Duplex>
  stats (): Promise<MachineStats>
  /**
   * Hot-plugs a further network card of this address, which its guest brings up by itself; the one that is there already is given again, also when an earlier run of
   * the plant added it. CARDS_MAX of them beside the first. Called off, nothing is left.
   */
  attachCard (mac: string, signal?: AbortSignal): Promise<AddedCard>
  /** Hot-plugs a virtual CD-ROM holding this image; returns what unplugs it. For host actions, and the ISO channel's own way in. Called off, nothing is left. */
  attachIso (imagePath: string, signal?: AbortSignal): Promise<() => Promise<void>>
  /** Makes an empty disk of this size in the machine's directory and hot-plugs it; it goes when it is unplugged, or with the machine. Called off, nothing is left. */
  attachDisk (sizeMiB: number, signal?: AbortSignal): Promise<() => Promise<void>>
  /** Where the plant must serve the disk of its golden machine (`CloneRequest.disk`); undefined once all that it needs is in local files. */
  readonly diskSocket: string | undefined
  /**
   * The golden machine's disk is here whole, as this file, which stays for as long as the machine does: the machine is switched to it while it runs. Until
   * this resolves the disk is served; from then on nobody needs to. Done at once when it was before, so that it may be asked again after a failure.
   */
  arrived (diskPath: string): Promise<void>
  /** Pieces of the golden machine's memory file that it has looked at so far, in ascending order: what its next clone wants first. None when it was booted. */
  memoryTouched (pieceBytes: number): Promise<number[]>
  pause (): Promise<void>
  resume (): Promise<void>
  /** Ends the machine and removes all that it left: process, sockets, overlay, directory. Idempotent. */
  destroy (): Promise<void>
  /** Lets go without ending the machine (the plant stops; the machine goes on). */
  release (): Promise<void>
}

export interface CloneRequest {
  vmId: VmId
  golden: Golden
  /** Verified directory of the golden machine's files; all of them but its disk, when that has not arrived. */
  goldenDir: string
  /**
   * The disk has not arrived: it is served over NBD (storage/nbd) at this socket, from before the machine is made until it is told that it has (`arrived`). A
   * machine whose server has gone waits where it reads, for days; the plant serves the same bytes there again before it adopts it (`diskSocketOf`).
   */
  disk?: { socketPath: string }
  mac: string
  /** At least the golden machine's; more grows the overlay and the guest's file system. */
  diskMiB: number
}

/**
 * A machine that was made before anybody ordered it. It has answered and been told who it is once, in a rehearsal, so that it shares no random state with its
 * golden machine; from then on it stands still. It becomes an order's machine by `handOut`; identity is then the caller's to give, as with every clone.
 */
export interface SpareMachine {
  /** Its name on the line until it is handed out: what `leftovers` tells and `sweep` takes. */
  readonly spareId: VmId
  /** The address of its card. It is nobody else's and stays when the spare is handed out: a card takes its own address again when its guest boots. */
  readonly mac: string
  /** As with `LiveMachine`. */
  readonly died: Promise<{ reason: string }>
  /** Host memory that is taken by it alone; while it stands still this does not change. */
  memoryBytes (): Promise<number>
  /**
   * It becomes the machine of this id, in one step: whatever is interrupted leaves either the spare or what is to be swept as that machine. Resolves when it runs,
   * with its disk grown if more is asked. Once only; on failure nothing is left over, and the id is free. Throws VM_STATE, VM_DIED, DISK_FULL or the signal's reason.
   */
  handOut (request: { vmId: VmId, diskMiB: number }, signal?: AbortSignal): Promise<LiveMachine>
  /** Ends it and removes all that it left; nothing once it was handed out. Idempotent. */
  destroy (): Promise<void>
}

export interface ProductionLine {
  readonly kind: string
  readonly isa: string
  readonly accelerator: 'kvm' | 'tcg' | 'uml' | 'v86'
  /** Suspended state resumes only where this is equal. */
  readonly fingerprint: string
  /**
   * Clones a suspended golden machine, or boots one that is only a disk (no `state` among its files; its own boot loader's, without a `kernel`): returns
   * when the guest runs and its agent answers. On failure nothing is left over.
   */
  clone (request: CloneRequest, signal?: AbortSignal): Promise<LiveMachine>
  /** Makes a spare of a suspended golden machine, by the name `vmId`, which no machine has or gets. It is not adopted: a restart sweeps it. On failure nothing is left over. */
  prepare (request: Omit<CloneRequest, 'disk' | 'diskMiB'>, signal?: AbortSignal): Promise<SpareMachine>
  /**
   * A machine that an earlier run of the plant made and that is still there, attached again (QMP, agent, network card). Undefined when it has no
   * process any more, or was never made whole: only sweeping is left. Throws when it has one that does not answer: to be asked again.
   */
  adopt (vmId: VmId, signal?: AbortSignal): Promise<LiveMachine | undefined>
  /**
   * Where the disk of a machine that an earlier run of the plant made must be served before it is adopted; undefined when nobody needs to. One that waits for
   * its disk may not even answer (a plant that ended in the middle of a switch leaves it so); whether it still needs it is known once it is adopted.
   */
  diskSocketOf (vmId: VmId): Promise<string | undefined>
  /** Every machine directory or process of this plant's that exists, whatever its state: to be compared with the records. */
  leftovers (): Promise<VmId[]>
  /** Removes whatever is left of a machine that has no record: process, sockets, overlay, directory. */
  sweep (vmId: VmId): Promise<void>
  /**
   * Suspends a copy of a running machine into `dir` (disk flattened, ram, state; the source is paused meanwhile and goes on, unless it was told to
   * pause). The copy's hardware is the machine's. Returns its disk's size. Throws VM_STATE while it is being published already, and while devices are
   * hot-plugged: the suspended state would name them.
   */
  publish (machine: LiveMachine, dir: string, signal?: AbortSignal): Promise<{ diskMiB: number }>
  /**
   * Boots a golden machine's disk, which must be there whole, at another size, waits until its agent answers, suspends that into `dir` (with the golden machine's
   * kernel, initrd and disk linked or copied there).
   */
  resize (golden: Golden, goldenDir: string, hardware: { cpus: number, memoryMiB: number }, dir: string, signal?: AbortSignal): Promise<void>
  /** Builds the family `tiny` from Debian's packages into `dir`: fetch, root file system, boot, suspend. Reports each step. */
  buildTiny (dir: string, hardware: { cpus: number, memoryMiB: number, diskMiB: number }, onStep: (step: string, share: number) => void, signal?: AbortSignal): Promise<void>
  /** What else it can make golden machines from; absent where it cannot. */
  readonly images?: ImageMaker
}
