/** Brings QEMU: the host's when it is there, by apt when we are root, else unpacked from Debian's packages without root. */
import { access, constants, mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { PlantError, asPlantError } from '../../protocols/kit/index.ts'
import { fetchPackages, unpackPackages } from './debian-packages.ts'
import { withLock } from './lock.mjs'
import { cacheDirOf } from './places.ts'
import { findQemu, onPath, provesItself, qemuDirs, unpackedQemu, type QemuFound } from './qemu-find.ts'
import { runTool } from './run-tool.ts'

const PACKAGES = ['qemu-system-x86', 'qemu-utils']
/**
 * Of all that the packages depend on, what QEMU loads: itself, firmware and libraries. The C library is the host's: the loader that starts
 * the program is too, and the two must be of one build.
 */
const UNPACKED = /^(?:qemu-(?:system-(?:x86|common|data)|utils|block-extra)|seabios|ipxe-qemu|lib(?!c6$|c-bin$|c-l10n$|perl|gcc-s1$|systemd-shared$|pam-).+)$/
/** Another apt (a cloud image's first updates, say) may hold its lock for so long before we give up. */
const APT_LOCK_WAIT_MS = 300_000
const APT_LOCK_POLL_MS = 2_000
const STEP_EVERY_MS = 1_500
/** The one line for a host that is not Debian's. */
const BY_HAND = 'install QEMU 7.2 or later (qemu-system-x86_64 and qemu-img) with this system\'s package manager and try again'

export interface QemuRequest {
  /** Where a plant keeps its things: holds QEMU when the cache cannot be written. */
  dataDir: string
  /** Called with a sentence for people at each step, and often while something is fetched. */
  onStep?: (step: string) => void
  signal?: AbortSignal | undefined
  env?: NodeJS.ProcessEnv
}

/**
 * Makes sure that there is a usable QEMU and says which. Once done it takes some 50 ms. Throws SETUP_FAILED, whose `details.mend` is the one
 * line that helps; what was half done is removed. May be called by several processes at once: one works, the others wait.
 */
export async function ensureQemu (request: QemuRequest): Promise<QemuFound> {
  const env = request.env ?? process.env
  const find = async (): Promise<QemuFound | undefined> => findQemu({ dataDir: request.dataDir, env, signal: request.signal })
  const there = await find()
  if (there !== undefined) return there
  const cacheDir = cacheDirOf(env)
  const options = { onWait: () => { request.onStep?.('another process is bringing QEMU; waiting for it') }, ...(request.signal !== undefined && { signal: request.signal }) }
  return await withLock(`qemu ${cacheDir}`, async () => {
    const meanwhile = await find()
    if (meanwhile !== undefined) return meanwhile
    await bring({ ...request, env, ...(request.onStep !== undefined && { onStep: paced(request.onStep) }) }, cacheDir)
    const brought = await find()
    if (brought === undefined) throw failed(`QEMU was installed but does not start; ${BY_HAND}`)
    return brought
  }, options)
}

/** Figures of one step (`fetching: 3 of 95`, `installing: 7 %`) come faster than anyone reads: one in a while is passed on. */
function paced (onStep: (step: string) => void): (step: string) => void {
  let last = { what: '', atMs: 0 }
  return (text) => {
    const what = text.replace(/: \d.*$/, '')
    if (what !== text && what === last.what && performance.now() - last.atMs < STEP_EVERY_MS) return
    last = { what, atMs: performance.now() }
    onStep(text)
  }
}

async function bring (request: QemuRequest & { env: NodeJS.ProcessEnv }, cacheDir: string): Promise<void> {
  const { env, onStep, signal } = request
  if (process.platform !== 'linux') throw failed(process.platform === 'darwin' ? 'install QEMU with: brew install qemu' : BY_HAND)
  for (const tool of ['apt-get', 'dpkg-deb']) {
    if (await onPath(tool, env) === undefined) throw failed(`${tool} was not found, so this is no Debian: ${BY_HAND}`)
  }
  if (process.geteuid?.() === 0 && env['PLANTMESH_IGNORE_SYSTEM_QEMU'] !== '1') {
    try {
      await byApt(request)
      return
    } catch (error) {
      signal?.throwIfAborted()
      // Root in a container may still not be allowed to install: what a plain user does works there too.
      onStep?.(`apt could not install QEMU (${lastLine(error)}); unpacking it instead`)
    }
  }
  await unpacked(request, cacheDir)
}

async function byApt ({ env, onStep, signal }: QemuRequest & { env: NodeJS.ProcessEnv }): Promise<void> {
  const quiet = { env: { ...env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' }, signal }
  onStep?.('asking Debian for its list of packages (apt-get update)')
  // Lists of other sources may fail: the install says whether what we need is there.
  await patiently(async () => runTool('apt-get', ['-q', 'update'], quiet), onStep, signal).catch(() => { signal?.throwIfAborted() })
  onStep?.('installing QEMU (apt-get install qemu-system-x86 qemu-utils)')
  const onLine = (line: string): void => {
    const found = /^(dlstatus|pmstatus):[^:]*:([\d.]+):(.*)$/.exec(line)
    if (found !== null) onStep?.(`${found[1] === 'dlstatus' ? 'fetching QEMU' : 'installing QEMU'}: ${Math.floor(Number(found[2]))} %`)
  }
  const args = ['-q', '-y', '-o', 'APT::Status-Fd=1', '-o', `DPkg::Lock::Timeout=${APT_LOCK_WAIT_MS / 1000}`, '-o', 'Dpkg::Use-Pty=0', 'install', '--no-install-recommends', ...PACKAGES]
  await patiently(async () => runTool('apt-get', args, { ...quiet, onLine }), onStep, signal)
}

/** Tries again while another apt holds a lock that apt itself does not wait for (that of its lists). */
async function patiently<T> (work: () => Promise<T>, onStep?: (step: string) => void, signal?: AbortSignal): Promise<T> {
  const untilMs = performance.now() + APT_LOCK_WAIT_MS
  for (let said = false; ; said = true) {
    try {
      return await work()
    } catch (error) {
      if (!/Could not get lock|Unable to lock/.test(String(asPlantError(error).details['output'])) || performance.now() > untilMs) throw error
      if (!said) onStep?.('another apt is at work; waiting for it')
      await pause(APT_LOCK_POLL_MS, undefined, signal === undefined ? {} : { signal })
    }
  }
}

async function unpacked ({ dataDir, env, onStep, signal }: QemuRequest & { env: NodeJS.ProcessEnv }, cacheDir: string): Promise<void> {
  const dir = await writable(qemuDirs(dataDir, env))
  const fetchDir = dir.startsWith(cacheDir) ? cacheDir : join(dataDir, 'cache')
  const draft = await mkdtemp(`${dir}.draft-`)
  try {
    const say = onStep === undefined ? {} : { onStep }
    const debs = await fetchPackages({ names: PACKAGES, closure: true, wanted: UNPACKED, dir: join(fetchDir, 'qemu-debs'), cacheDir: fetchDir, signal, ...say })
    onStep?.(`unpacking ${debs.length} packages`)
    await unpackPackages(debs, draft, signal)
    await provesItself(unpackedQemu(draft, env), signal)
    await rm(dir, { recursive: true, force: true })
    await rename(draft, dir)
    // The packages are in the unpacked tree now; kept, they would only take up room.
    await rm(join(fetchDir, 'qemu-debs'), { recursive: true, force: true })
  } catch (error) {
    signal?.throwIfAborted()
    throw failed(adviceFor(asPlantError(error)), error)
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}

/** The first of the places that can be written. */
async function writable (dirs: string[]): Promise<string> {
  for (const dir of dirs) {
    const done = await mkdir(dirname(dir), { recursive: true }).then(async () => access(dirname(dir), constants.W_OK)).then(() => true, () => false)
    if (done) return dir
  }
  throw failed(`neither ${dirs.map((dir) => dirname(dir)).join(' nor ')} can be written: set PLANTMESH_CACHE to a directory of yours with 400 MiB of room`)
}

function adviceFor (error: PlantError): string {
  const text = `${String(error.details['output'] ?? '')} ${String(error.details['problem'] ?? '')} ${error.message}`
  if (/No space left|ENOSPC/.test(text)) return 'the disk is full: free 400 MiB in the cache directory, or set PLANTMESH_CACHE to another, and try again'
  if (/resolve|Failed to fetch|Could not connect|Temporary failure|timed out/i.test(text)) return 'Debian\'s mirror cannot be reached: check the network and the addresses in /etc/apt, and try again'
  if (/Unable to locate package|no Debian packages|no installation candidate/i.test(text)) return `the sources in /etc/apt do not offer QEMU: add Debian's main archive there, or ${BY_HAND}`
  return `QEMU could not be unpacked (${lastLine(error)}); as root run: apt-get install qemu-system-x86 qemu-utils`
}

function failed (mend: string, cause?: unknown): PlantError {
  const known = cause instanceof PlantError ? cause.details : {}
  return new PlantError('SETUP_FAILED', { ...known, mend }, { cause })
}

/** The last line that a failed tool printed, for a sentence. */
function lastLine (error: unknown): string {
  const { details, message } = asPlantError(error)
  const output = typeof details['output'] === 'string' ? details['output'].trim().split('\n').at(-1) : undefined
  const problem = typeof details['problem'] === 'string' ? details['problem'] : undefined
  return (output ?? problem ?? message).slice(0, 200)
}
