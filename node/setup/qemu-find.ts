/** Finds a QEMU that can be used, on the host or unpacked by set-up, and knows how each is started. */
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { cacheDirOf } from './places.ts'
import { runTool } from './run-tool.ts'

/** Older releases lack `-netdev stream`, on which the data path rests (docs/about/removed-features and 7.2's change log). */
const VERSION_MIN = [7, 2] as const
/** What a 7.2 or later answers within; a loaded host under emulation has been seen to need two seconds. */
const PROBE_TIMEOUT_MS = 60_000

/** How the programs of one QEMU are started. */
export interface QemuCommands {
  /** `qemu-system-x86_64` and `qemu-img`: absolute paths. */
  system: string
  img: string
  /** Arguments that must come first on the line of `system`: where firmware is, when it is not where QEMU was built to look. */
  args: string[]
  /** Environment for both. */
  env: NodeJS.ProcessEnv
}

export interface QemuFound extends QemuCommands {
  /** Set when it is one that set-up unpacked; absent for the host's own. */
  qemuDir?: string
  /** As `7.2.22`. */
  version: string
  /** A phrase for people: which one and whence. */
  how: string
}

/** The commands of a QEMU unpacked in `dir` from Debian's packages: its libraries, modules and firmware are there, not in the system. */
export function unpackedQemu (dir: string, env: NodeJS.ProcessEnv = process.env): QemuCommands {
  const triplet = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu'
  const libraries = [join(dir, 'usr/lib', triplet), join(dir, 'lib', triplet)]
  return {
    system: join(dir, 'usr/bin/qemu-system-x86_64'),
    img: join(dir, 'usr/bin/qemu-img'),
    args: ['usr/share/qemu', 'usr/share/seabios', 'usr/lib/ipxe/qemu'].flatMap((data) => ['-L', join(dir, data)]),
    env: {
      ...env,
      LD_LIBRARY_PATH: [...libraries, ...(env['LD_LIBRARY_PATH'] ?? '').split(delimiter).filter((path) => path !== '')].join(delimiter),
      QEMU_MODULE_DIR: join(dir, 'usr/lib', triplet, 'qemu')
    }
  }
}

/** Places where an unpacked QEMU may be, the one that set-up writes first. */
export function qemuDirs (dataDir: string, env: NodeJS.ProcessEnv = process.env): string[] {
  return [join(cacheDirOf(env), 'qemu'), join(dataDir, 'qemu')]
}

/**
 * The QEMU that plants here use, or undefined when set-up has not been done: the host's (on PATH, 7.2 or later, both programs), else the
 * one unpacked in the cache or the data directory. `PLANTMESH_IGNORE_SYSTEM_QEMU=1` passes over the host's. Installs nothing.
 */
export async function findQemu ({ dataDir, env = process.env, signal }: { dataDir: string, env?: NodeJS.ProcessEnv, signal?: AbortSignal | undefined }): Promise<QemuFound | undefined> {
  if (env['PLANTMESH_IGNORE_SYSTEM_QEMU'] !== '1') {
    const system = await onPath('qemu-system-x86_64', env)
    const img = await onPath('qemu-img', env)
    if (system !== undefined && img !== undefined) {
      const version = await usable({ system, img, args: [], env }, signal)
      if (version !== undefined) return { system, img, args: [], env, version, how: `QEMU ${version}, found on this host` }
    }
  }
  for (const qemuDir of qemuDirs(dataDir, env)) {
    const commands = unpackedQemu(qemuDir, env)
    const version = await exists(commands.system) ? await usable(commands, signal) : undefined
    if (version !== undefined) return { ...commands, qemuDir, version, how: `QEMU ${version}, unpacked from Debian's packages in ${qemuDir}` }
  }
  return undefined
}

/** The version when both programs start and it is new enough. Never rejects but for the signal. */
async function usable (commands: QemuCommands, signal?: AbortSignal): Promise<string | undefined> {
  const limit = AbortSignal.any([AbortSignal.timeout(PROBE_TIMEOUT_MS), ...(signal === undefined ? [] : [signal])])
  try {
    const said = await runTool(commands.system, ['--version'], { env: commands.env, signal: limit })
    await runTool(commands.img, ['--version'], { env: commands.env, signal: limit })
    const found = /version (\d+)\.(\d+)(?:\.(\d+))?/.exec(said)
    if (found === null) return undefined
    const [major, minor] = [Number(found[1]), Number(found[2])]
    const enough = major > VERSION_MIN[0] || (major === VERSION_MIN[0] && minor >= VERSION_MIN[1])
    return enough ? found[0].slice('version '.length) : undefined
  } catch {
    // It does not start: as good as absent, and set-up brings another.
    signal?.throwIfAborted()
    return undefined
  }
}

/** Proves that a QEMU loads its libraries, its emulator module and its firmware: makes a stopped machine and ends it. Throws SETUP_FAILED. */
export async function provesItself (commands: QemuCommands, signal?: AbortSignal): Promise<void> {
  const args = [...commands.args, '-nodefaults', '-no-user-config', '-display', 'none', '-M', 'q35,accel=tcg', '-m', '32', '-S', '-monitor', 'stdio']
  const limit = AbortSignal.any([AbortSignal.timeout(PROBE_TIMEOUT_MS), ...(signal === undefined ? [] : [signal])])
  await runTool(commands.system, args, { env: commands.env, input: 'quit\n', signal: limit })
  await runTool(commands.img, ['--version'], { env: commands.env, signal: limit })
}

/** Absolute path of a program on the PATH of `env`, or undefined. */
export async function onPath (name: string, env: NodeJS.ProcessEnv = process.env): Promise<string | undefined> {
  for (const dir of (env['PATH'] ?? '').split(delimiter)) {
    if (dir !== '' && await exists(join(dir, name))) return join(dir, name)
  }
  return undefined
}

async function exists (file: string): Promise<boolean> {
  return await access(file, constants.X_OK).then(() => true, () => false)
}
