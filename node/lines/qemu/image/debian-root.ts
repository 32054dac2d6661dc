/**
 * The root file system of a Debian machine, as an archive, from Debian's packages by mmdebstrap. Packages' scripts run in a user namespace of
 * their own, with fakeroot's library keeping owners: that needs neither root nor anything installed, and whoever is root lends no rights to them.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { PlantError, asPlantError } from '../../../../protocols/kit/index.ts'
import { fetchPackages, unpackPackages } from '../../../setup/debian-packages.ts'
import { runTool } from '../../../setup/run-tool.ts'

const DEBIAN_SUITE = 'bookworm'
const MIRROR = 'http://deb.debian.org/debian'
const SECURITY = 'http://security.debian.org/debian-security'
const KEYRING = 'usr/share/keyrings/debian-archive-keyring.gpg'
/** mmdebstrap, what runs it, and the keys that Debian signs with. */
const TOOLS = ['mmdebstrap', 'fakeroot', 'libfakeroot', 'debian-archive-keyring']
/** What is in the machine beside the packages that every Debian has. */
const DEBIAN_PACKAGES = ['systemd-sysv', 'udev', 'dbus', 'openssh-server', 'python3', 'iproute2', 'iputils-ping', 'ca-certificates', 'kmod', 'procps', 'netbase', 'less']
const GUEST_LIBRARY_DIR = '/usr/lib/x86_64-linux-gnu/libfakeroot'
const LIBRARY = 'libfakeroot-sysv.so'
/** fakeroot's daemon and library talk by System V messages: in a namespace they go with it. */
const NAMESPACES = ['--user', '--map-root-user', '--mount', '--ipc', '--pid', '--fork', '--mount-proc']
/** $0 is the daemon, which prints its key and process number. */
const START = `key=$("$0") && FAKEROOTKEY=\${key%%:*} LD_PRELOAD=${LIBRARY} exec "$@" 2>&1`
const BY_HAND = 'allow user namespaces (as root: sysctl kernel.unprivileged_userns_clone=1; on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0), or build as root'

export interface DebianRootRequest {
  /** The archive to write. */
  archive: string
  /** Emptied afterwards by whoever made it. */
  workDir: string
  /** Packages, apt's lists. */
  cacheDir: string
  /** Packages beside DEBIAN_PACKAGES. */
  packages?: string[]
  /** Kernel drivers to take in: a directory that has `lib/modules`. */
  modulesFrom?: string
  onStep: (step: string, share: number) => void
  signal?: AbortSignal | undefined
}

/** Steps of mmdebstrap as it tells them, with their share of its time (measured: 56 s as root, most of it unpacking and configuring). */
const TOLD: Array<[RegExp, string, number]> = [
  [/running apt-get update/, 'asking Debian for its lists', 0.05], [/downloading packages/, 'fetching Debian\'s packages', 0.1], [/extracting archives/, 'unpacking the essential packages', 0.2],
  [/installing essential/, 'installing the essential packages', 0.3], [/installing remaining/, 'installing the rest', 0.5], [/cleaning package/, 'cleaning up', 0.9], [/creating tarball/, 'packing', 0.93]
]

/** Throws SETUP_FAILED (tools cannot be fetched, or user namespaces are refused: `problem` has the one line that helps) or GOLDEN_BUILD_FAILED. */
export async function makeDebianRoot (request: DebianRootRequest): Promise<void> {
  const { workDir, cacheDir, signal, onStep } = request
  onStep('fetching mmdebstrap', 0)
  await userNamespaces(signal)
  const tools = join(workDir, 'tools')
  await unpackPackages(await fetchPackages({ names: TOOLS, dir: join(cacheDir, 'debs'), cacheDir, signal }), tools, signal)
  const debs = join(cacheDir, 'debian-archives')
  await mkdir(debs, { recursive: true })
  const env = await environment(tools, workDir)
  const onLine = (line: string): void => {
    const told = TOLD.find(([pattern]) => pattern.test(line))
    if (told !== undefined) onStep(told[1], told[2])
  }
  // mmdebstrap tells its steps on the other stream: the shell joins them. All ends with the first process of the namespace.
  const command = [...NAMESPACES, '--kill-child', 'sh', '-c', START, join(tools, 'usr/bin/faked-sysv'), 'perl', join(tools, 'usr/bin/mmdebstrap'), ...mmdebstrapArgs(request, tools, debs)]
  const tail: string[] = []
  try {
    await runTool('unshare', command, { env, signal, failure: 'GOLDEN_BUILD_FAILED', onLine: (line) => { onLine(line); tail.push(line); if (tail.length > 30) tail.shift() } })
  } catch (error) {
    signal?.throwIfAborted()
    throw new PlantError('GOLDEN_BUILD_FAILED', { command: 'mmdebstrap', output: tail.join('\n').slice(-4096) }, { cause: asPlantError(error) })
  }
  onStep('the root file system is there', 1)
}

function mmdebstrapArgs ({ archive, packages = [], modulesFrom }: DebianRootRequest, tools: string, debs: string): string[] {
  const sources = [`${MIRROR} ${DEBIAN_SUITE} main`, `${MIRROR} ${DEBIAN_SUITE}-updates main`, `${SECURITY} ${DEBIAN_SUITE}-security main`].map((source) => `deb ${source}`)
  const quoted = (path: string): string => `'${path.replaceAll('\'', '\'\\\'\'')}'`
  const library = join(tools, 'usr/lib/x86_64-linux-gnu/libfakeroot', LIBRARY)
  return ['--mode=root', '--variant=minbase', '--format=tar', `--include=${[...DEBIAN_PACKAGES, ...packages].join(',')}`, `--keyring=${join(tools, KEYRING)}`,
    '--skip=chroot/mount', '--skip=output/mknod', '--skip=download/empty', '--skip=essential/unlink', '--skip=cleanup/tmp', '--aptopt=Acquire::Languages "none"', '--dpkgopt=force-unsafe-io',
    // Downloads are kept between builds.
    `--setup-hook=mkdir -p "$1"/var/cache/apt/archives "$1"${GUEST_LIBRARY_DIR}; cp ${quoted(library)} "$1"${GUEST_LIBRARY_DIR}/; cp ${quoted(debs)}/*.deb "$1"/var/cache/apt/archives/ 2>/dev/null; true`,
    '--extract-hook=mount --rbind /proc "$1"/proc && mount --rbind /dev "$1"/dev',
    ...(modulesFrom === undefined ? [] : [`--customize-hook=cp -r ${quoted(join(modulesFrom, 'lib/modules'))} "$1"/usr/lib/ && for v in "$1"/usr/lib/modules/*; do chroot "$1" depmod "$(basename "$v")"; done`]),
    // Those that Debian has superseded go first.
    `--customize-hook=chroot "$1" apt-get -q autoclean; rm -f ${quoted(debs)}/*.deb; mv "$1"/var/cache/apt/archives/*.deb ${quoted(debs)}/`,
    `--customize-hook=umount -l "$1"/proc "$1"/dev; rm -rf "$1"${GUEST_LIBRARY_DIR} "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap "$1"/etc/apt/apt.conf.d/99mmdebstrap`,
    DEBIAN_SUITE, archive, ...sources]
}

/** What fakeroot's library and mmdebstrap need to find each other, outside of the new system and in it. */
async function environment (tools: string, workDir: string): Promise<NodeJS.ProcessEnv> {
  const tmp = join(workDir, 'tmp')
  await mkdir(tmp)
  const path = [process.env['PATH'] ?? '', '/usr/sbin', '/sbin'].join(':')
  const libraries = [join(tools, 'usr/lib/x86_64-linux-gnu/libfakeroot'), GUEST_LIBRARY_DIR].join(':')
  return { ...process.env, PATH: path, HOME: tmp, TMPDIR: tmp, LC_ALL: 'C.UTF-8', LD_LIBRARY_PATH: libraries, FAKEROOTDONTTRYCHOWN: '1' }
}

async function userNamespaces (signal?: AbortSignal): Promise<void> {
  try {
    await runTool('unshare', [...NAMESPACES, 'true'], { signal })
  } catch (error) {
    signal?.throwIfAborted()
    throw new PlantError('SETUP_FAILED', { problem: 'this host refuses user namespaces', mend: BY_HAND }, { cause: error })
  }
}
