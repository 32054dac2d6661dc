/** Two hosts as network namespaces for the network benchmark, on a veth (capped or not) or on an impairing link of ours. */
import { execFileSync, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'

/** One host: its namespace, and its address on the bare link. */
export interface NetPlace { namespace: string, address: string }

/** The two hosts; `undo` removes them and ends the link's program. */
export interface NetPair { places: [NetPlace, NetPlace], undo: () => Promise<void> }

/** What the link between them is like. */
export type LinkKind = { kind: 'capped', mbitPerS: number } | { kind: 'uncapped' } | { kind: 'impaired' }

/** `ip …`, which must succeed. */
export function ip (line: string): string { return execFileSync('ip', line.split(' '), { encoding: 'utf8', stdio: 'pipe' }) }

/** Starts a program in a namespace, with a channel for messages when it is one of ours. */
export function startIn (place: NetPlace, command: string[], options: { ipc?: boolean, nice?: number, quiet?: boolean } = {}): ChildProcess {
  const nice = options.nice === undefined ? [] : ['nice', '-n', String(options.nice)]
  return spawn('ip', ['netns', 'exec', place.namespace, ...nice, ...command], { stdio: ['ignore', options.quiet === true ? 'ignore' : 'inherit', options.quiet === true ? 'ignore' : 'inherit', ...(options.ipc === true ? ['ipc' as const] : [])] })
}

/** Ends a process and waits until it is gone. */
export async function end (child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise((resolve) => { child.once('exit', resolve) })
  child.kill(signal)
  await gone
}

/** Bytes that a host has sent on the bare link so far, with all headers. */
export function sentBytes ({ namespace }: NetPlace): number {
  return Number(execFileSync('ip', ['netns', 'exec', namespace, 'cat', '/sys/class/net/eth0/statistics/tx_bytes'], { encoding: 'utf8' }))
}

/** Two namespaces with a link; needs root. */
export async function netPair (link: LinkKind): Promise<NetPair> {
  const prefix = `pmn${process.pid % 10_000}`
  const places: [NetPlace, NetPlace] = [{ namespace: `${prefix}a`, address: '10.231.1.1' }, { namespace: `${prefix}b`, address: '10.231.1.2' }]
  let program: ChildProcess | undefined
  const undo = async (): Promise<void> => {
    if (program !== undefined) await end(program)
    for (const { namespace } of places) {
      try { ip(`netns del ${namespace}`) } catch { /* It was not made. */ }
    }
  }
  try {
    for (const { namespace } of places) {
      ip(`netns add ${namespace}`)
      execFileSync('ip', ['netns', 'exec', namespace, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6'])
    }
    if (link.kind === 'impaired') program = await impairedLink(places)
    else ip(`link add name eth0 netns ${places[0].namespace} type veth peer name eth0 netns ${places[1].namespace}`)
    for (const { namespace, address } of places) {
      ip(`-n ${namespace} addr add ${address}/24 dev eth0`)
      ip(`-n ${namespace} link set eth0 up`)
      ip(`-n ${namespace} link set lo up`)
      if (link.kind === 'capped') execFileSync('ip', ['netns', 'exec', namespace, ...`tc qdisc add dev eth0 root tbf rate ${link.mbitPerS}mbit burst 128kb latency 20ms`.split(' ')])
    }
    return { places, undo }
  } catch (error) {
    await undo()
    throw error
  }
}

/** The link's program makes two TAPs here, which are then moved into the hosts; frames go through it. */
async function impairedLink (places: readonly NetPlace[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'net-impair.ts')], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const names = await new Promise<string[]>((resolve, reject) => {
    child.once('message', (message) => { resolve(message as string[]) })
    child.once('exit', (status) => { reject(new Error(`the impairing link ended with ${status}`)) })
  })
  for (const [i, { namespace }] of places.entries()) {
    ip(`link set ${names[i]} netns ${namespace}`)
    ip(`-n ${namespace} link set ${names[i]} name eth0`)
  }
  return child
}
