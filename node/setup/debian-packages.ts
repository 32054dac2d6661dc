/**
 * Debian packages without root and without touching the host: apt gets a state directory, a cache and an (empty) list of installed
 * packages of its own, and uses only the host's sources and keys. apt checks signatures and digests.
 */
import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { z } from 'zod'
import { PlantError } from '../../protocols/kit/index.ts'
import { withLock } from './lock.mjs'
import { runTool } from './run-tool.ts'

/** Lists older than this are fetched anew: Debian's mirrors keep superseded versions for about a day. */
const LISTS_AGE_MS_MAX = 12 * 60 * 60 * 1000
/** What is kept about a finished download, so that the next call needs no network. */
const MANIFEST = z.record(z.string(), z.array(z.object({ file: z.string(), sha256: z.string() })))
const MANIFEST_NAME = 'packages.json'

export interface PackageRequest {
  /** Binary packages by name. */
  names: string[]
  /** Where the .deb files go; only whole, verified ones ever appear there. */
  dir: string
  /** apt's own state (lists, caches): may be shared by requests, also of other processes; one fetches at a time. */
  cacheDir: string
  /** Also everything that the packages depend on (no recommendations), resolved as if nothing were installed. */
  closure?: boolean
  /** Of the closure, take only the packages whose names match. */
  wanted?: RegExp
  /** Called with a sentence for people at each step. */
  onStep?: (step: string) => void
  signal?: AbortSignal | undefined
}

/**
 * Fetches packages and returns the paths of their .deb files, those of an earlier call when they are still whole. Throws SETUP_FAILED
 * with the failing command and the end of what it printed; whatever was downloaded in part is removed then.
 */
export async function fetchPackages (request: PackageRequest): Promise<string[]> {
  const { dir, signal } = request
  await mkdir(dir, { recursive: true })
  const key = `${request.closure === true ? 'closure' : 'only'}:${[...request.names].sort().join(',')}:${request.wanted?.source ?? ''}`
  const kept = await keptFiles(dir, key)
  if (kept !== undefined) return kept
  await mkdir(request.cacheDir, { recursive: true })
  return await withLock(`apt ${resolve(request.cacheDir)}`, async () => await keptFiles(dir, key) ?? await fetchAnew(request, key), signal === undefined ? {} : { signal })
}

async function fetchAnew (request: PackageRequest, key: string): Promise<string[]> {
  const { dir, signal } = request
  const apt = await prepareApt(request.cacheDir)
  const fresh = await refreshLists(apt, request, false)
  const draft = join(dir, `.partial-${randomUUID()}`)
  await mkdir(draft)
  try {
    try {
      await download(apt, request, draft)
    } catch (error) {
      signal?.throwIfAborted()
      if (fresh) throw error
      // The lists may name versions that the mirror has replaced.
      await refreshLists(apt, request, true)
      await download(apt, request, draft)
    }
    return await keep(dir, draft, key)
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}

/** Unpacks .deb files into `into` (made when absent) without running any of their scripts. */
export async function unpackPackages (debs: string[], into: string, signal?: AbortSignal): Promise<void> {
  await mkdir(into, { recursive: true })
  for (const deb of debs) await runTool('dpkg-deb', ['-x', deb, into], { signal })
}

interface Apt { args: string[], env: NodeJS.ProcessEnv, listsDir: string, stamp: string }

async function prepareApt (cacheDir: string): Promise<Apt> {
  const stateDir = join(cacheDir, 'apt-state')
  const listsDir = join(stateDir, 'lists')
  await mkdir(join(listsDir, 'partial'), { recursive: true })
  await mkdir(join(cacheDir, 'apt-cache', 'archives', 'partial'), { recursive: true })
  const status = join(stateDir, 'status')
  await writeFile(status, '', { flag: 'a' })
  const architecture = (await runTool('dpkg', ['--print-architecture'])).trim()
  const config = join(cacheDir, 'apt.conf')
  // Hooks of the host's apt are for the host's system; foreign architectures, translations and the like are not asked for.
  await writeFile(config, [
    `Dir::State "${stateDir}";`, `Dir::State::lists "${listsDir}";`, `Dir::State::status "${status}";`,
    `Dir::Cache "${join(cacheDir, 'apt-cache')}";`, 'Dir::Log "/dev/null";', 'Debug::NoLocking "true";', 'APT::Sandbox::User "root";',
    '#clear APT::Update;', '#clear DPkg;', '#clear APT::Architectures;', `APT::Architecture "${architecture}";`,
    `APT::Architectures { "${architecture}"; };`, 'Acquire::Languages "none";', 'Acquire::Retries "3";',
    'Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";', 'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";', ''
  ].join('\n'))
  return { args: ['-q', '-c', config], env: { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' }, listsDir, stamp: join(stateDir, 'updated') }
}

/** Fetches the lists when they are missing or old (or `force`); says whether it did. */
async function refreshLists (apt: Apt, { onStep, signal }: PackageRequest, force: boolean): Promise<boolean> {
  const updated = await stat(apt.stamp).catch(() => undefined)
  const ageMs = updated === undefined ? Infinity : Date.now() - updated.mtimeMs
  if (!force && ageMs >= 0 && ageMs < LISTS_AGE_MS_MAX) return false
  onStep?.('fetching the lists of Debian packages')
  await rm(apt.stamp, { force: true })
  await runTool('apt-get', [...apt.args, 'update'], { env: apt.env, signal })
  const lists = await readdir(apt.listsDir)
  if (!lists.some((name) => name.includes('_Packages'))) {
    throw new PlantError('SETUP_FAILED', { command: 'apt-get update', problem: 'the host\'s apt sources name no Debian packages' })
  }
  await writeFile(apt.stamp, '')
  return true
}

async function download (apt: Apt, request: PackageRequest, draft: string): Promise<void> {
  const { onStep, signal } = request
  const names = request.closure === true ? await closureOf(apt, request) : request.names
  onStep?.(`fetching ${names.length} Debian package${names.length === 1 ? '' : 's'}`)
  let fetched = 0
  const onLine = (line: string): void => {
    if (!line.startsWith('Get:')) return
    fetched++
    onStep?.(`fetching Debian packages: ${fetched} of ${names.length}`)
  }
  await runTool('apt-get', [...apt.args, 'download', ...names], { cwd: draft, env: apt.env, signal, onLine })
}

/** Names of the packages that apt would install on an empty system. */
async function closureOf (apt: Apt, { names, wanted, signal }: PackageRequest): Promise<string[]> {
  const printed = await runTool('apt-get', [...apt.args, '-q', '--print-uris', '--yes', '--no-install-recommends', 'install', ...names], { env: apt.env, signal })
  // Each line: 'URI' name_version_architecture.deb SIZE DIGEST
  const found = printed.split('\n').flatMap((line) => /^'[^']+' ([a-z0-9][a-z0-9.+-]*)_\S+\.deb \d+/.exec(line)?.[1] ?? [])
  const taken = wanted === undefined ? found : found.filter((name) => wanted.test(name))
  if (taken.length === 0) throw new PlantError('SETUP_FAILED', { command: 'apt-get --print-uris install', names, output: printed.slice(-2000) })
  return taken
}

async function keep (dir: string, draft: string, key: string): Promise<string[]> {
  const files: { file: string, sha256: string }[] = []
  for (const file of (await readdir(draft)).filter((name) => name.endsWith('.deb')).sort()) {
    files.push({ file, sha256: await sha256Of(join(draft, file)) })
    await rename(join(draft, file), join(dir, file))
  }
  const manifest = { ...await readManifest(dir), [key]: files }
  const written = join(dir, `.${MANIFEST_NAME}-${randomUUID()}`)
  await writeFile(written, JSON.stringify(manifest, null, 1))
  await rename(written, join(dir, MANIFEST_NAME))
  return files.map(({ file }) => join(dir, file))
}

async function keptFiles (dir: string, key: string): Promise<string[] | undefined> {
  const files = (await readManifest(dir))[key]
  if (files === undefined || files.length === 0) return undefined
  for (const { file, sha256 } of files) {
    const found = await sha256Of(join(dir, file)).catch(() => undefined)
    if (found !== sha256) return undefined
  }
  return files.map(({ file }) => join(dir, file))
}

async function readManifest (dir: string): Promise<z.output<typeof MANIFEST>> {
  try {
    return MANIFEST.parse(JSON.parse(await readFile(join(dir, MANIFEST_NAME), 'utf8')))
  } catch {
    return {} // Absent or unreadable: the packages are fetched again, nothing is lost.
  }
}

async function sha256Of (path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}
