/** A client's own end of its network: SOCKS, published ports, and what keeps others out (P15). */
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readSome } from '../../node/net/read-some.ts'
import { startProxy, type TestProxy } from '../support/proxies.ts'
import { TestHost, until, type TestPlant } from '../support/plants.ts'

const host = new TestHost()
let plants: TestPlant[]
let here: TestPlant
let web: { vmid: string, attributes: Record<string, string> }

const order = (name: string, network: Record<string, unknown> | undefined, script = 'true'): string => {
  const file = join(host.dir, `${name}.json`)
  writeFileSync(file, JSON.stringify({
    apiVersion: 'plantmesh/v1', kind: 'Machine', metadata: { name }, ...(network !== undefined && { network }),
    software: { os: 'tiny', actions: [{ id: 'serve', script }] }
  }))
  return file
}
const SERVE = 'mkdir -p /srv && echo "hello from $(hostname)" > /srv/index.html && httpd -p 80 -h /srv'

beforeAll(async () => {
  plants = await host.mesh(2, ['--capacity', 'memoryMiB=4096'])
  here = plants[0] as TestPlant
  const made = await here.cli(['create', '-f', order('web', { name: 'lan' }, SERVE), '--json'])
  if (made.status !== 0) throw new Error(`${made.stdout}${made.stderr}`)
  web = made.json
})
afterAll(async () => { await host.cleanUp() })

/** Asks by SOCKS for the page of a machine, as curl --socks5-hostname does. */
async function bySocks (proxy: TestProxy, name: string, port = 80): Promise<{ reply: number, page: string }> {
  const limit = AbortSignal.timeout(60_000)
  const socket = connect({ host: '127.0.0.1', port: Number(proxy.ready.socks?.split(':').at(-1)) })
  socket.write(Buffer.concat([Buffer.of(5, 1, 0, 5, 1, 0, 3, name.length), Buffer.from(name), Buffer.of(port >> 8, port & 0xff)]))
  const reply = (await readSome(socket, 12, limit))[3] ?? 255
  socket.write('GET / HTTP/1.0\r\n\r\n')
  let page = ''
  if (reply === 0) for await (const bytes of socket) page += String(bytes)
  socket.destroy()
  return { reply, page }
}

test('a client reaches a machine by SOCKS and by a published port, from a plant that has it and from one that has not', async () => {
  const name = String(web.attributes['HostName'])
  for (const plant of plants) {
    const proxy = await startProxy(plant, host.key('owner'), ['lan', '--socks', '0', '--publish', `0:${web.vmid}:80`, '--publish', '0:web:80'])
    try {
      const unknown = bySocks(proxy, 'nobody')
      for (const machine of [name, web.vmid, 'web', String(web.attributes['Address'])]) expect(await bySocks(proxy, machine), machine).toMatchObject({ reply: 0, page: expect.stringContaining(`hello from ${name}`) })
      for (const { at } of proxy.ready.published ?? []) expect(await (await fetch(`http://${at}/`)).text()).toBe(`hello from ${name}\n`)
      expect((await bySocks(proxy, name, 81)).reply).toBe(5)
      expect((await unknown).reply).toBe(4)
    } finally {
      expect(await proxy.stop()).toBe(0)
    }
  }
})

test('connect joins standard input and output to a port, and says what is wrong', async () => {
  const got = await here.cli(['connect', 'lan', 'web', '80'], { input: 'GET / HTTP/1.0\r\n\r\n' })
  expect([got.status, got.stdout.includes('hello from')], got.stderr).toEqual([0, true])
  expect((await here.cli(['connect', 'lan', String(web.attributes['Address']), '81', '--json'])).json).toMatchObject({ error: { code: 'VM_UNREACHABLE', details: { problem: 'refused: nothing listens there' } } })
})

test('nothing is left of a proxy that ends, however it ends', async () => {
  const proxy = await startProxy(here, host.key('owner'), ['lan', '--socks', '0'])
  expect(await userNetworks()).toBe(1)
  proxy.process.kill('SIGKILL')
  await until(async () => await userNetworks() === 0, 10_000, 'the user-mode network is gone')
  const again = await startProxy(here, host.key('owner'), ['laan', '--socks', '0'])
  await until(() => again.log().includes('no machine that can be seen is on the network laan'), 20_000, 'who mistook the name is told')
  expect(await again.stop()).toBe(0)
  await until(async () => await userNetworks() === 0, 10_000, 'the user-mode network is gone')
})

test('nobody else is let onto the network', async () => {
  await expect(startProxy(here, host.key('stranger'), ['lan', '--domain-key', String(web.attributes['DomainKey']), '--socks', '0'])).rejects.toThrow('NOT_AUTHORISED')
  // A network of that name of the stranger's own is another one.
  const own = await startProxy(here, host.key('stranger'), ['lan', '--socks', '0'])
  try {
    const replies = await Promise.all(['HostName', 'Address'].map(async (name) => bySocks(own, String(web.attributes[name]))))
    expect(replies.map(({ reply }) => reply)).toEqual([4, 4])
  } finally {
    await own.stop()
  }
})

test('ssh says in one line what is missing', async () => {
  expect((await here.cli(['ssh', web.vmid, '--json', '--', 'true'])).json).toMatchObject({ error: { code: 'SSH_UNAVAILABLE', details: { problem: 'the machine has no ssh server' } } })
  const bare = await here.cli(['create', '-f', order('bare', undefined), '--json'])
  expect((await here.cli(['ssh', bare.json.vmid, '--json', '--', 'true'])).json).toMatchObject({ error: { code: 'SSH_UNAVAILABLE', details: { problem: 'the machine has no network' } } })
})

test('hosts with network interfaces on a network reach its machines and each other', async () => {
  const unshared = (command: string[]): string[] => ['unshare', '-rn', ...command]
  const taps = await Promise.all(plants.map(async (plant, i) => startProxy(plant, host.key('owner'), ['lan', '--tap', 'pm0', '--name', `client${i}`], unshared)))
  try {
    /** The page at a URL, as a program in the namespace of a proxy sees it. */
    const seenBy = async (tap: TestProxy | undefined, url: string): Promise<string> => {
      const { stdout } = await promisify(execFile)('nsenter', ['--preserve-credentials', '-U', '-n', '-t', String(tap?.process.pid), process.execPath, '-e', `fetch('${url}').then(async (page) => console.log(await page.text()))`], { timeout: 60_000 })
      return stdout
    }
    const addresses = taps.map(({ ready }) => ready.address?.split('/')[0] ?? '')
    for (const tap of taps) expect(await seenBy(tap, `http://${web.attributes['Address']}/`)).toContain('hello from')
    const other = await here.cli(['exec', web.vmid, '--', `ping -c 1 -w 20 ${addresses[0]} > /dev/null && ping -c 1 -w 20 client1 > /dev/null && echo both`])
    expect(other.stdout).toBe('both\n')
    const served = execFile('nsenter', ['--preserve-credentials', '-U', '-n', '-t', String(taps[0]?.process.pid), process.execPath, '-e', 'require("http").createServer((_, answer) => answer.end("from client0")).listen(80)'])
    await until(async () => (await seenBy(taps[1], `http://${addresses[0]}/`).catch(() => '')).includes('from client0'), 30_000, 'one client serves another')
    served.kill('SIGKILL')
  } finally {
    for (const tap of taps) expect(await tap.stop()).toBe(0)
  }
})

test('an interface that root made for its user has the address for as long as the proxy is there', async () => {
  const proxy = await startProxy(here, host.key('owner'), ['lan', '--tap', 'pm1'], (command) => ['unshare', '-rn', '/bin/sh', '-c', 'ip tuntap add dev pm1 mode tap && exec "$@"', 'sh', ...command])
  const within = execFile('nsenter', ['--preserve-credentials', '-U', '-n', '-t', String(proxy.process.pid), '/bin/sh', '-c', 'show () { ip -o address show dev pm1 scope global; echo .; }; show; read -r _; show'])
  let said = ''
  within.stdout?.on('data', (text: string) => { said += text })
  const over = once(within, 'close')
  await until(() => said.endsWith('.\n'), 10_000, 'the addresses are told')
  expect(said).toContain(proxy.ready.address)
  expect(await proxy.stop()).toBe(0)
  said = ''
  within.stdin?.end('\n')
  await over
  expect(said).toBe('.\n')
})

test('a proxy stays when its plant is killed, and is back with it at the same address', async () => {
  const before = plants[1] as TestPlant
  const proxy = await startProxy(before, host.key('owner'), ['lan', '--socks', '0'])
  try {
    const name = String(web.attributes['HostName'])
    expect((await bySocks(proxy, name)).reply).toBe(0)
    await before.kill('SIGKILL')
    await until(() => proxy.log().includes('joined again as soon as it can be'), 20_000, 'the proxy has noticed')
    expect((await bySocks(proxy, name)).reply).toBe(4)
    plants[1] = await host.plant({ dataDir: before.dataDir, bootstrap: here.addresses, args: ['--capacity', 'memoryMiB=4096'] })
    await until(async () => (await bySocks(proxy, name)).reply === 0, 60_000, 'the machine is reached again')
    expect(proxy.log()).toContain(`joined again, as ${proxy.ready.address}`)
  } finally {
    expect(await proxy.stop()).toBe(0)
  }
})

/** User-mode networks of proxies here. */
async function userNetworks (): Promise<number> {
  const { stdout } = await promisify(execFile)('ps', ['-eo', 'pid,args'])
  return stdout.split('\n').filter((line) => line.includes('/bin/sh -c') && line.includes('restrict=on') && line.includes('user,id=user')).length
}
