/** What tiny is and what becomes of its clones, on real QEMU. */
import { copyFile, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { scheduler } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Identity } from '../../node/lines/line.ts'
import { connectAgent } from '../../node/lines/qemu/channel/agent-client.ts'
import type { AgentClient } from '../../node/lines/qemu/channel/agent-client.ts'
import { SETTLED_SHARE } from '../../node/lines/qemu/limits.ts'
import { fetchPackages } from '../../node/setup/debian-packages.ts'
import { runTool } from '../../node/setup/run-tool.ts'
import { buildTestImage, QEMU_IMG, startTiny, TEST_CACHE, until } from './tiny-machine.ts'
import type { TinyMachine } from './tiny-machine.ts'

const MIB = 1024 * 1024
let image: string
beforeAll(async () => {
  image = await mkdtemp(join(tmpdir(), 'tiny-image-'))
  await buildTestImage(image)
})
afterAll(async () => { await rm(image, { recursive: true, force: true }) })

async function sh (agent: AgentClient, script: string): Promise<string> {
  return (await agent.run({ script, parameters: {}, files: {}, timeoutMs: 60_000 })).outputTail.trim()
}

function identityOf (n: number): Identity {
  return { mac: `52:54:00:00:00:0${n}`, hostName: `clone-${n}`, machineId: String(n).repeat(32), seed: randomBytes(32) }
}

const WHO = 'hostname; cat /etc/hostname /etc/machine-id; cat /sys/class/net/eth0/address; cat /sys/class/net/eth0/flags'

test('tiny is small, whole, and belongs to root', async () => {
  expect((await readdir(image)).sort()).toEqual(['disk.qcow2', 'initrd', 'kernel'])
  expect((await stat(join(image, 'disk.qcow2'))).size).toBeLessThan(24 * MIB)
  const raw = join(image, 'check.raw')
  await runTool(QEMU_IMG, ['convert', '-O', 'raw', join(image, 'disk.qcow2'), raw])
  await runTool('/usr/sbin/e2fsck', ['-fn', raw])
  await rm(raw)
  const machine = await startTiny(image)
  try {
    const agent = await connectAgent(machine.agentSocket, { timeoutMs: 60_000 })
    expect(await sh(agent, 'find / -xdev ! -user 0 -o -xdev ! -group 0')).toBe('')
    expect(await sh(agent, 'cat /sys/class/net/eth0/flags')).toBe('0x1002')
    expect(await sh(agent, 'adduser -D -s /bin/sh alice && id alice && su alice -c "id -un; pwd; touch ~/x" && deluser --remove-home alice; id alice 2>&1; ls /home'))
      .toBe('uid=1000(alice) gid=1000(alice) groups=1000(alice)\nalice\n/\nid: unknown user alice')
  } finally {
    await machine.stop()
  }
})

test('a bigger disk is grown into, and stays so over a boot', async () => {
  const machine = await startTiny(image, { diskMiB: 1024 })
  try {
    const agent = await connectAgent(machine.agentSocket, { timeoutMs: 60_000 })
    expect(await agent.grow(1024 * MIB)).toBe(1024 * MIB)
    expect(Number(await sh(agent, 'df -m / | awk \'NR == 2 { print $2 }\''))).toBeGreaterThan(900)
    // A disk that grows while the machine runs: asked before QEMU has told the guest.
    const grown = agent.grow(2048 * MIB)
    await machine.qmp('block_resize', { device: 'disk0', size: 2048 * MIB })
    expect(await grown).toBe(2048 * MIB)
    await expect(agent.run({ script: 'reboot; sleep 1000', parameters: {}, files: {}, timeoutMs: 60_000 })).rejects.toMatchObject({ code: 'VM_DIED' })
    await agent.hello()
    expect(Number(await sh(agent, 'df -m / | awk \'NR == 2 { print $2 }\''))).toBeGreaterThan(1900)
  } finally {
    await machine.stop()
  }
})

test('a router of it forwards, filters and translates, also after a boot, and has nothing of that loaded before', async () => {
  const machine = await startTiny(image)
  try {
    const agent = await connectAgent(machine.agentSocket, { timeoutMs: 60_000 })
    expect(await sh(agent, 'lsmod | grep -c _tables')).toBe('0')
    expect(await sh(agent, 'cat /proc/sys/net/ipv4/ip_forward')).toBe('0')
    const rules = [
      'sysctl -w net.ipv4.ip_forward=1', 'iptables -P FORWARD DROP', 'iptables -A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT', 'iptables -A FORWARD -p icmp --icmp-type echo-request -m limit --limit 5/s -j ACCEPT',
      'iptables -A INPUT -p tcp -m multiport --dports 25,26 -j REJECT --reject-with tcp-reset', 'iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE', 'iptables -t nat -A PREROUTING -p tcp --dport 81 -j DNAT --to-destination 127.0.0.1:80',
      'iptables -t nat -A OUTPUT -o lo -p tcp --dport 81 -j REDIRECT --to-ports 80'
    ]
    await agent.run({ script: 'chmod +x /etc/boot.d/rules; sync', parameters: {}, files: { '/etc/boot.d/rules': ['#!/bin/sh', 'set -e', ...rules, ''].join('\n') }, timeoutMs: 60_000 })
    await expect(agent.run({ script: 'reboot; sleep 1000', parameters: {}, files: {}, timeoutMs: 60_000 })).rejects.toMatchObject({ code: 'VM_DIED' })
    await agent.hello()
    expect(await sh(agent, 'cat /proc/sys/net/ipv4/ip_forward; iptables -S FORWARD | wc -l; iptables -t nat -S | grep -c -E "MASQUERADE|DNAT|REDIRECT"')).toBe('1\n3\n3')
    expect(await sh(agent, 'mkdir /root/www; echo there > /root/www/index.html; httpd -p 127.0.0.1:80 -h /root/www; wget -q -O - http://127.0.0.1:81/; nc -w 5 127.0.0.1 25 < /dev/null 2> /dev/null || echo refused')).toBe('there\nrefused')
  } finally {
    await machine.stop()
  }
})

test('a guest that does nothing takes no processor, with a host at the other end and without', async () => {
  const machine = await startTiny(image)
  try {
    const agent = await connectAgent(machine.agentSocket, { timeoutMs: 60_000 })
    await agent.identify(identityOf(1))
    expect(await idleShare(machine)).toBeLessThan(SETTLED_SHARE)
    agent.close()
    expect(await idleShare(machine)).toBeLessThan(SETTLED_SHARE)
  } finally {
    await machine.stop()
  }
})

test('clones of a suspended machine become different ones, have the right time, and stay what they are over a boot', async () => {
  const ram = join(image, 'ram')
  const golden = await startTiny(image, { ram: { path: ram, share: true } })
  const clones: TinyMachine[] = []
  try {
    const goldenAgent = await connectAgent(golden.agentSocket, { timeoutMs: 60_000 })
    await sh(goldenAgent, 'date -s 2020-01-01; sync')
    const state = join(image, 'state')
    await migrate(golden, 'migrate', `exec:cat > ${state}`)
    const disk = join(golden.dir, 'overlay.qcow2')
    for (const n of [1, 2]) {
      const overlay = join(image, `clone-${n}.qcow2`)
      await copyFile(disk, overlay)
      const clone = await startTiny(image, { ram: { path: ram, share: false }, disk: overlay, extra: ['-S', '-incoming', 'defer'] })
      clones.push(clone)
      await migrate(clone, 'migrate-incoming', `exec:cat ${state}`)
      await clone.qmp('cont')
    }
    const agents = await Promise.all(clones.map(async (clone) => await connectAgent(clone.agentSocket, { timeoutMs: 20_000 })))
    await Promise.all(agents.map(async (agent, i) => await agent.identify(identityOf(i + 1))))
    const randoms = await Promise.all(agents.map(async (agent) => await sh(agent, 'head -c 32 /dev/urandom | xxd -p -c 64')))
    expect(new Set(randoms).size).toBe(2)
    for (const [i, agent] of agents.entries()) {
      const n = i + 1
      const self = [`clone-${n}`, `clone-${n}`, String(n).repeat(32), `52:54:00:00:00:0${n}`, '0x1003'].join('\n')
      expect(await sh(agent, WHO)).toBe(self)
      expect(Math.abs(Number(await sh(agent, 'date +%s')) - Date.now() / 1000)).toBeLessThan(5)
      // Again is no harm.
      await agent.identify(identityOf(n))
      expect(await sh(agent, WHO)).toBe(self)
      if (n > 1) continue
      await expect(agent.run({ script: 'reboot -f', parameters: {}, files: {}, timeoutMs: 60_000 })).rejects.toMatchObject({ code: 'VM_DIED' })
      await agent.hello()
      expect(await sh(agent, WHO)).toBe(self)
    }
    await expect(agents[0]?.identify({ ...identityOf(1), mac: '52:54:00' })).rejects.toMatchObject({ code: 'IDENTITY_FAILED', details: { part: 'mac' } })
  } finally {
    for (const machine of [golden, ...clones]) await machine.stop()
  }
})

test('packages are fetched once, and again when one was altered', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'debs-'))
  try {
    const steps: string[] = []
    const fetch = async (): Promise<string[]> => await fetchPackages({ names: ['busybox-static'], dir, cacheDir: TEST_CACHE, onStep: (step) => { steps.push(step) } })
    const [deb] = await fetch()
    expect(steps.some((step) => step.startsWith('fetching 1 Debian package'))).toBe(true)
    const whole = await readFile(deb ?? '')
    steps.length = 0
    expect(await fetch()).toEqual([deb])
    expect(steps).toEqual([])
    await writeFile(deb ?? '', 'altered')
    expect(await fetch()).toEqual([deb])
    expect((await readFile(deb ?? '')).equals(whole)).toBe(true)
    await expect(fetchPackages({ names: ['no-such-package'], dir, cacheDir: TEST_CACHE })).rejects.toMatchObject({ code: 'SETUP_FAILED' })
    expect((await readdir(dir)).filter((name) => name.startsWith('.'))).toEqual([])
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
})

/** Suspends into or resumes from a file, and waits until it is done. */
async function migrate (machine: TinyMachine, command: 'migrate' | 'migrate-incoming', uri: string): Promise<void> {
  await machine.qmp('migrate-set-capabilities', { capabilities: [{ capability: 'x-ignore-shared', state: true }] })
  if (command === 'migrate') await machine.qmp('stop')
  await machine.qmp(command, { uri })
  await until(async () => {
    const { status } = await machine.qmp(command === 'migrate' ? 'query-migrate' : 'query-status') as { status: string }
    if (status === 'failed') throw new Error('the migration failed')
    return (command === 'migrate' ? status === 'completed' : status !== 'inmigrate') || undefined
  })
}

const WINDOWS_MAX = 10

/**
 * Share of one processor that QEMU takes in a second; the second is what is measured. The least of some: on a busy host everything costs
 * more at times, and a guest that polls does so in every one.
 */
async function idleShare (machine: TinyMachine): Promise<number> {
  const ticks = async (): Promise<number> => {
    const fields = (await readFile(`/proc/${machine.pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? []
    return Number(fields[11]) + Number(fields[12])
  }
  let least = Infinity
  for (let window = 0; window < WINDOWS_MAX && least >= SETTLED_SHARE; window++) {
    const startedAtMs = performance.now()
    const before = await ticks()
    await scheduler.wait(1_000)
    least = Math.min(least, (await ticks() - before) / 100 / ((performance.now() - startedAtMs) / 1000))
  }
  return least
}
