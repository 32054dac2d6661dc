// Plain JavaScript that Node 20 runs without packages: turns this process into one of the bundled Node.
import { spawn } from 'node:child_process'
import { accessSync, constants, existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import process from 'node:process'

/** The first release that runs the program's TypeScript directly and has node:sqlite without a flag. */
const NODE_MAJOR_MIN = 24

/**
 * The Node that runs the program: the one that the packages bring, else the current one when it is new enough.
 * @param {string} root the checkout
 * @returns {string | undefined} absolute path, or undefined when there is none (say NODE_ADVICE)
 */
export function programNode (root) {
  const bundled = join(root, 'node_modules', '.bin', 'node')
  if (existsSync(bundled)) return bundled
  return Number(process.versions.node.split('.')[0]) >= NODE_MAJOR_MIN ? process.execPath : undefined
}

/** What to do where the packages bring no Node for the platform; one line. */
export const NODE_ADVICE = `plantmesh needs Node ${NODE_MAJOR_MIN}; the packages bring it for Linux on x64 and arm64, so install Node ${NODE_MAJOR_MIN} or later on this ${process.platform}-${process.arch} machine and try again`

/**
 * Becomes `file` with `args`. Where Node can (22.15, 23.11 and later) the process is replaced, so that signals, exit status and even
 * SIGKILL meet the program itself. Older Node runs it as a child that gets every signal that can be forwarded, and dies with this process
 * when that is killed outright: `setpriv --pdeathsig` (util-linux, essential in Debian) asks the kernel for that.
 * @param {string} file absolute path of an executable
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 */
export function become (file, args, env = process.env) {
  if (typeof process.execve === 'function' && process.platform !== 'win32') {
    // A replaced process inherits the descriptors' flags: what is still buffered for stdout would be lost, so write nothing before.
    process.execve(file, [file, ...args], env)
  }
  const setpriv = onPath('setpriv', env)
  const child = setpriv === undefined
    ? spawn(file, args, { stdio: 'inherit', env })
    : spawn(setpriv, ['--pdeathsig', 'KILL', file, ...args], { stdio: 'inherit', env })
  const onTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGCONT', 'SIGWINCH']) {
    // A terminal sends its signals to the whole group: forwarded as well, one Ctrl-C would look like two.
    const group = signal === 'SIGINT' || signal === 'SIGQUIT' || signal === 'SIGWINCH'
    process.on(signal, () => { if (!(group && onTerminal)) child.kill(signal) })
  }
  child.on('error', (error) => { end(`cannot start ${file}: ${error.message}`) })
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}

/** Ends the process with one line on stderr. */
function end (line) {
  process.stderr.write(`plantmesh: ${line}\n`)
  process.exit(1)
}

function onPath (name, env) {
  for (const dir of (env.PATH ?? '').split(delimiter)) {
    const file = join(dir, name)
    try {
      accessSync(file, constants.X_OK)
      return file
    } catch {
      // Not there: the next directory may have it.
    }
  }
  return undefined
}
