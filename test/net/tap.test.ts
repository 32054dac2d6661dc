import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { inOwnNetwork, lastLine } from './host.ts'

test('a TAP carries frames both ways in order, drops what cannot go, tells when it is gone, and leaves nothing', async () => {
  const said = await inOwnNetwork('tap-child.ts') as Record<string, unknown>
  expect(said).toMatchObject({
    opened: { name: 'pm0', mtu: true, up: true, mac: true },
    refused: {
      taken: { code: 'TAP_UNAVAILABLE', problem: 'another process has it open', mend: expect.stringMatching(/./) },
      noTap: { code: 'TAP_UNAVAILABLE', problem: expect.stringContaining('no TAP'), mend: expect.stringMatching(/./) },
      badName: { code: 'CONFIG_INVALID' },
      badMtu: { code: 'CONFIG_INVALID' }
    },
    inOrder: true, left: true, heard: 'hello', dropped: 5, filesRead: 8, deleted: true, persistent: [true, 'keep']
  })
  expect(said['descriptors']).toBeLessThan(30)
})

test('a user who may make no TAP is told the line that makes one for him', async () => {
  const program = `import { openTap } from ${JSON.stringify(join(import.meta.dirname, '../../node/net/tap.ts'))}
    try { openTap({ name: 'mine' }) } catch (error) { console.log(JSON.stringify({ code: error.code, mend: error.details.mend })) }`
  const plain = process.getuid?.() === 0 ? { uid: 65_534 } : {}
  const said = await lastLine([process.execPath, '--input-type=module', '--eval', program], plain) as Record<string, unknown>
  expect(said).toEqual({ code: 'TAP_UNAVAILABLE', mend: expect.stringMatching(/^sudo ip tuntap add dev mine mode tap user \$USER && sudo ip link set mine mtu 1500 up/) })
  // It is typed as it stands.
  execFileSync('/bin/sh', ['-n', '-c', String(said['mend'])])
})

test('frames are cut and summed as the kernel of this host does it, byte by byte', async () => {
  expect(await inOwnNetwork('kernel-segments-child.ts', ['300'])).toMatchObject({ failed: false, packets: 300, dropped: 0, why: '' })
})
