// Brings node_modules in line with package-lock.json, once, whoever asks at the same time.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, readFile, readdir, readlink, rename, writeFile } from 'node:fs/promises'
import { join, sep } from 'node:path'
import process from 'node:process'
import { withLock } from './lock.mjs'
import { step } from './steps.mjs'
import { wrapperText } from './wrapper.mjs'

/** How much of npm's output is kept to be shown when it fails. */
const NPM_TAIL_BYTES = 16_384
const POLL_MS = 500

/** A failure with one line that says what to do. */
export class SetupProblem extends Error {}

/**
 * Installs the packages when node_modules is missing or not what package-lock.json says, and writes `node_modules/.bin/plantmesh`.
 * @param {string} root the checkout
 */
export async function ensurePackages (root) {
  if (!await installed(root)) {
    await withLock(`packages ${root}`, async () => {
      if (!await installed(root)) await install(root)
    }, { onWait: () => process.stderr.write('… another npm command is installing the packages; waiting for it\n') })
  }
  await writeWrapper(root)
}

const stampFile = (root) => join(root, 'node_modules', '.plantmesh-lock-sha256')

async function lockDigest (root) {
  const text = await readFile(join(root, 'package-lock.json'))
  return createHash('sha256').update(text).digest('hex')
}

/** True when what is installed is what the lock file says: by our stamp, else by npm's own record of what it installed. */
async function installed (root) {
  const digest = await lockDigest(root)
  const stamp = await readFile(stampFile(root), 'utf8').catch(() => '')
  if (stamp === digest) return true
  if (!await sameAsInstalled(root)) return false
  await writeFile(stampFile(root), digest)
  return true
}

/** npm writes `node_modules/.package-lock.json` when an install has ended well; a lock file that says the same needs no other install. */
async function sameAsInstalled (root) {
  let wanted, found
  try {
    wanted = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')).packages
    found = JSON.parse(await readFile(join(root, 'node_modules', '.package-lock.json'), 'utf8')).packages
  } catch {
    // No such record, or half of one: install.
    return false
  }
  const same = Object.entries(wanted).every(([path, entry]) => path === '' ||
    (path in found ? found[path].version === entry.version && found[path].integrity === entry.integrity : entry.optional === true || entry.devOptional === true))
  return same && Object.keys(found).every((path) => path in wanted)
}

async function install (root) {
  const users = await usersOf(root)
  if (users.length > 0) {
    throw new SetupProblem(`the packages have changed, but processes of this checkout still use them: stop ${users.map(({ pid, command }) => `pid ${pid} (${command})`).join(', ')} and try again`)
  }
  const wanted = Object.keys(JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')).packages).filter((path) => path !== '')
  const shown = step('installing packages from the npm registry')
  const timer = setInterval(() => {
    const there = wanted.filter((path) => existsSync(join(root, path, 'package.json'))).length
    shown.set(`${there} of about ${wanted.length}`)
  }, POLL_MS)
  try {
    const digest = await lockDigest(root)
    await npmCi(root)
    await writeFile(stampFile(root), digest)
    shown.done()
  } catch (error) {
    shown.failed()
    throw error
  } finally {
    clearInterval(timer)
  }
}

/** Runs `npm ci` without its noise: warnings about engines and old packages say nothing that a user could act on. */
function npmCi (root) {
  const args = ['ci', '--include=dev', '--include=optional', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', '--no-progress']
  // npm started us, perhaps with the Node that is about to be replaced: use npm's own Node and file where it names them.
  const { npm_execpath: npmFile, npm_node_execpath: npmNode } = process.env
  const [file, before] = npmFile !== undefined && npmNode !== undefined && existsSync(npmFile) && existsSync(npmNode) && !npmNode.startsWith(root + sep)
    ? [npmNode, [npmFile]]
    : ['npm', []]
  return new Promise((resolve, reject) => {
    const child = spawn(file, [...before, ...args], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    let tail = ''
    const keep = (piece) => { tail = (tail + piece).slice(-NPM_TAIL_BYTES) }
    child.stdout.setEncoding('utf8').on('data', keep)
    child.stderr.setEncoding('utf8').on('data', keep)
    const pass = (signal) => child.kill(signal)
    process.on('SIGINT', pass).on('SIGTERM', pass)
    const unhook = () => process.off('SIGINT', pass).off('SIGTERM', pass)
    child.on('error', (error) => {
      unhook()
      reject(new SetupProblem(error.code === 'ENOENT' ? 'npm was not found: install it beside Node (Debian: apt-get install npm) and try again' : `npm could not be started: ${error.message}`))
    })
    child.on('close', (code, signal) => {
      unhook()
      if (code === 0) return resolve(undefined)
      if (signal !== null) return reject(new SetupProblem(`npm ci was ended by ${signal}; run the command again to go on`))
      process.stderr.write(`\n${tail.trimEnd()}\n`)
      reject(new SetupProblem(adviceFor(tail)))
    })
  })
}

function adviceFor (output) {
  if (/ENOSPC/.test(output)) return 'npm ci ran out of disk: free some room and try again'
  if (/EAI_AGAIN|ENOTFOUND|ECONNREFUSED|ETIMEDOUT|ECONNRESET/.test(output)) return 'npm cannot reach its registry: check the network (npm ping) and try again'
  if (/EACCES|EPERM|EROFS/.test(output)) return 'npm may not write here: give yourself this checkout (chown) or clone it again'
  return 'npm ci failed as shown above: mend that and try again'
}

/** Processes that run the bundled Node of this checkout: replacing the packages under them would break them. Ourselves and waiters aside. */
async function usersOf (root) {
  const users = []
  const ours = join(root, 'node_modules') + sep
  for (const pid of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue
    // Processes of other users, and those that end meanwhile, cannot be read.
    const exe = await readlink(`/proc/${pid}/exe`).catch(() => '')
    if (!exe.startsWith(ours)) continue
    const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0').filter((word) => word !== '')
    if (words.some((word) => word.endsWith('launch.mjs'))) continue
    users.push({ pid: Number(pid), command: words.slice(1, 4).join(' ').replace(`${root}${sep}`, '') })
  }
  return users
}

/** Writes the command into place in one move, so that a command started meanwhile finds the old or the new one. */
async function writeWrapper (root) {
  const file = join(root, 'node_modules', '.bin', 'plantmesh')
  const text = wrapperText()
  if (await readFile(file, 'utf8').catch(() => '') === text) return
  const fresh = `${file}.${process.pid}`
  await writeFile(fresh, text)
  await chmod(fresh, 0o755)
  await rename(fresh, file)
}
