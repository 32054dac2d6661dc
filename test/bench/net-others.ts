/** Others that join two hosts by a virtual network, set up as their own manuals do: tinc 1.0 (switch mode), nebula, n2n. */
import { execFileSync, spawnSync } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { end, startIn } from './net-places.ts'
import type { NetPlace } from './net-places.ts'
import type { Path } from './net-paths.ts'

type Other = 'tinc' | 'nebula' | 'n2n'

/** For each: what must be installed, the net of its addresses, and how it is started in a fresh directory. */
const OTHERS: Record<Other, { tools: string[], net: string, start: (root: string, places: readonly [NetPlace, NetPlace]) => ChildProcess[] }> = {
  tinc: { tools: ['tincd'], net: '10.78.0', start: tinc },
  nebula: { tools: ['nebula', 'nebula-cert'], net: '10.79.0', start: nebula },
  n2n: { tools: ['edge', 'supernode'], net: '10.80.0', start: n2n }
}

/** Sets one up; undefined when it is not installed. */
export async function otherPath (name: Other, places: readonly [NetPlace, NetPlace]): Promise<Path | undefined> {
  const { tools, net, start } = OTHERS[name]
  for (const tool of tools) if (spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0) return undefined
  const root = mkdtempSync(join(tmpdir(), 'pmbench-other-'))
  const children = start(root, places)
  return {
    name, address: `${net}.2`, pids: children.map(({ pid }) => pid ?? 0),
    stop: async () => {
      await Promise.all(children.map(async (child) => end(child)))
      rmSync(root, { recursive: true, force: true })
    }
  }
}

function tinc (root: string, places: readonly [NetPlace, NetPlace]): ChildProcess[] {
  const names = ['a', 'b']
  const dirs = names.map((name) => join(root, name))
  for (const [i, dir] of dirs.entries()) {
    mkdirSync(join(dir, 'hosts'), { recursive: true })
    writeFileSync(join(dir, 'tinc.conf'), `Name = ${names[i]}\nMode = switch\nDeviceType = tap\nInterface = tinc0\nAddressFamily = ipv4\n${i === 0 ? 'ConnectTo = b\n' : ''}`)
    writeFileSync(join(dir, 'tinc-up'), `#!/bin/sh\nip link set $INTERFACE up\nip addr add 10.78.0.${i + 1}/24 dev $INTERFACE\n`, { mode: 0o755 })
    execFileSync('tincd', ['-c', dir, '-K', '2048'], { stdio: 'pipe', input: '' })
    appendFileSync(join(dir, 'hosts', names[i] ?? ''), `\nAddress = ${places[i]?.address}\n`)
  }
  execFileSync('sh', ['-c', `cp ${root}/a/hosts/a ${root}/b/hosts/ && cp ${root}/b/hosts/b ${root}/a/hosts/`])
  return places.map((place, i) => startIn(place, ['tincd', '-c', dirs[i] ?? '', '-D', '--pidfile', join(root, `${i}.pid`)], { quiet: true }))
}

function nebula (root: string, places: readonly [NetPlace, NetPlace]): ChildProcess[] {
  const run = (line: string): void => { execFileSync('nebula-cert', line.split(' '), { cwd: root, stdio: 'pipe' }) }
  run('ca -name bench')
  return places.map((place, i) => {
    run(`sign -name host${i} -ip 10.79.0.${i + 1}/24`)
    const other = places[1 - i]?.address
    writeFileSync(join(root, `${i}.yml`), JSON.stringify({
      pki: { ca: join(root, 'ca.crt'), cert: join(root, `host${i}.crt`), key: join(root, `host${i}.key`) },
      static_host_map: { [`10.79.0.${2 - i}`]: [`${other}:4242`] },
      lighthouse: { am_lighthouse: false, hosts: [] },
      listen: { host: '0.0.0.0', port: 4_242 },
      tun: { dev: 'nebula0', mtu: 1_300 },
      logging: { level: 'error', format: 'text' },
      firewall: { outbound: [{ port: 'any', proto: 'any', host: 'any' }], inbound: [{ port: 'any', proto: 'any', host: 'any' }] }
    }))
    return startIn(place, ['nebula', '-config', join(root, `${i}.yml`)], { quiet: true })
  })
}

function n2n (_root: string, places: readonly [NetPlace, NetPlace]): ChildProcess[] {
  const supernode = startIn(places[0], ['supernode', '-l', '7654'], { quiet: true })
  return [supernode, ...places.map((place, i) => startIn(place, ['edge', '-d', 'n2n0', '-a', `10.80.0.${i + 1}`, '-c', 'bench', '-k', 'a key of the benchmark', '-l', `${places[0].address}:7654`], { quiet: true }))]
}
