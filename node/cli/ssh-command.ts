/** ssh: a shell in a machine by its network, with the client's key and without set-up. */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Command } from 'commander'
import { PlantError, keyIdOf, type KeyId } from '../../protocols/kit/index.ts'
import type { MachineView } from '../../protocols/machine/index.ts'
import { relayServer } from '../net/relay-server.ts'
import { serveSshAgent } from './ssh-agent.ts'
import { sshKeyText } from '../plant/ssh-key.ts'
import { onPath } from '../setup/qemu-find.ts'
import { clientOptions, runCommand, vmIdArgument, type Context } from './context.ts'
import { addressesOf, newMac, queried, userEnd } from './network-end.ts'
import { shellText } from './shell-text.ts'
import { makeSshDir } from './ssh-dir.ts'

const SSH_PORT = 22
/** For as long the key of somebody who was granted the machine opens its door; a session that is open stays. */
const LET_IN_S = 600
const LET_IN_WITHIN_MS = 20_000

export function sshCommand (program: Command): void {
  clientOptions(program.command('ssh').description('a shell (or a command) as root in a machine that has a network and an ssh server').argument('<vmid>').argument('[command...]'))
    .addHelpText('after', '\nYour key lets you in: the machine was told of it when it was made. Its host key is the one in its classad.\n\nExample:\n  plantmesh ssh 0123456789abcdef0123456789abcdef -- uptime')
    .action(async (vmid: string, command: string[], options) => runCommand(options, async (c) => ssh(c, vmid, command)))
}

async function ssh (c: Context, vmid: string, command: string[]): Promise<number> {
  const program = await onPath('ssh')
  if (program === undefined) throw unavailable('there is no ssh client on this host', 'apt-get install openssh-client')
  const machine = await queried(c, vmIdArgument(vmid))
  const { network, address, hostKey } = reachable(machine)
  const letIn = allowKey(c, machine)
  const end = await userEnd(c, { network, domain: machine.domain, domainKey: machine.attributes['DomainKey'] as KeyId }, { addressing: 'mesh', mac: newMac() }).catch(async (error: unknown) => {
    await letIn.catch(() => {}) // What keeps us from the network is what to tell.
    throw error
  })
  const { dir, remove } = makeSshDir()
  let stopAgent: (() => void) | undefined
  let server: { port: number, stop: () => void } | undefined
  try {
    await letIn
    const probe = await end.dial(address, SSH_PORT, c.signal) // What is wrong is told here, not by ssh.
    let first: typeof probe | undefined = probe
    server = await relayServer({ host: '127.0.0.1', port: 0 }, async (_caller, signal) => {
      const taken = first ?? await end.dial(address, SSH_PORT, signal)
      first = undefined
      return taken
    }, () => {})
    stopAgent = await serveSshAgent(join(dir, 'agent'), await c.signer(), 'plantmesh')
    writeFileSync(join(dir, 'known_hosts'), `${machine.vmid} ${hostKey}\n`, { mode: 0o600 })
    const child = spawn(program, [...sshOptions(dir, machine.vmid, server.port), '127.0.0.1', ...(command.length > 0 ? ['--', shellText(command)] : [])], { stdio: 'inherit' })
    const stop = (): void => { child.kill('SIGTERM') }
    c.signal.addEventListener('abort', stop, { once: true })
    const [status, signal] = await once(child, 'exit') as [number | null, string | null]
    c.signal.removeEventListener('abort', stop)
    return c.signal.aborted ? 130 : status ?? (signal === null ? 1 : 255)
  } finally {
    server?.stop()
    stopAgent?.()
    end.close()
    remove()
  }
}

/** What ssh needs to know of a machine; throws SSH_UNAVAILABLE with the one thing that is missing. */
function reachable (machine: MachineView): { network: string, address: string, hostKey: string } {
  const { Network, HostKey } = machine.attributes
  const [way] = addressesOf(machine)
  if (machine.state !== 'running') throw new PlantError('VM_STATE', { vmid: machine.vmid, state: machine.state })
  if (typeof Network !== 'string') throw unavailable('the machine has no network', 'order it with one: network: {name: lan}')
  const hostKey = /^ssh-ed25519 [A-Za-z0-9+/=]+/.exec(String(HostKey ?? ''))?.[0]
  if (hostKey === undefined) throw unavailable('the machine has no ssh server', 'golden build debian makes a golden machine that has; plantmesh exec and console need none')
  if (way === undefined) throw unavailable('the machine has no address that its plant knows', 'its network\'s addresses are given by a LAN of yours: connect there')
  return { network: way[0], address: way[1], hostKey }
}

function unavailable (problem: string, mend: string): PlantError { return new PlantError('SSH_UNAVAILABLE', { problem, mend }) }

/** No file of the user's is read: what it says is for other hosts. */
function sshOptions (dir: string, vmid: string, port: number): string[] {
  const options = {
    HostKeyAlias: vmid, UserKnownHostsFile: `"${join(dir, 'known_hosts')}"`, GlobalKnownHostsFile: 'none', StrictHostKeyChecking: 'yes', CheckHostIP: 'no', UpdateHostKeys: 'no',
    IdentityAgent: `"${join(dir, 'agent')}"`, IdentityFile: 'none', PreferredAuthentications: 'publickey', ServerAliveInterval: '30', LogLevel: 'ERROR'
  }
  return ['-F', 'none', '-p', String(port), '-l', 'root', ...Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`])]
}

/**
 * Makes sure that this client's key opens the door. The owner's was placed when the machine was made; one that was granted the machine may run commands in it, and so
 * places its own for a while. Whoever may not is told so; otherwise ssh itself says what is wrong.
 */
async function allowKey (c: Context, machine: MachineView): Promise<void> {
  const { publicKey } = await c.signer()
  const owner = machine.owner === keyIdOf(publicKey)
  const key = sshKeyText(publicKey)
  const script = `umask 077; f=/root/.ssh/authorized_keys; mkdir -p /root/.ssh; grep -qsF '${key} plantmesh' $f && ${owner ? 'exit 0' : ':'}
{ grep -sv ' plantmesh-${keyIdOf(publicKey)}$' $f; ${owner ? `echo '${key} plantmesh'` : `echo "expiry-time=\\"$(date -d @$(($(date +%s) + ${LET_IN_S})) +%Y%m%d%H%M%S)\\" ${key} plantmesh-${keyIdOf(publicKey)}"`}; } > $f.new$$ && mv $f.new$$ $f`
  try {
    await c.api.lines('/v1/calls', { signedCall: await c.sign({ kind: 'exec', vmId: vmIdArgument(machine.vmid), body: { script, timeoutMs: LET_IN_WITHIN_MS } }) }, () => {}, c.signal)
  } catch (error) {
    if (error instanceof PlantError && error.code === 'NOT_AUTHORISED') throw error
  }
}
