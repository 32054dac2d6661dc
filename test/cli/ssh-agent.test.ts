/** The client's key as ssh's, and the agent that signs with it. */
import { generateKeyPairSync, verify } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { DiskKey, makeKey } from '../../node/drivers/key-file.ts'
import { readSome } from '../../node/net/read-some.ts'
import { answerTo, serveSshAgent } from '../../node/cli/ssh-agent.ts'
import { sshKeyBlob, sshKeyOf, sshKeyText } from '../../node/plant/ssh-key.ts'

test('a key reads as ssh-keygen writes it', () => {
  // Made by ssh-keygen -t ed25519; the 32 bytes are the last of what it encodes.
  const text = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINXguIDiM6nHUPbB6wJZVTIuGVoduGdAzI7ewjFQy8Rl'
  const publicKey = Buffer.from(text.split(' ')[1] ?? '', 'base64').subarray(-32)
  expect(sshKeyText(publicKey)).toBe(text)
  const key = makeKey()
  expect(sshKeyOf(key.keyId)).toBe(sshKeyText(key.publicKey))
})

test('the agent names its one key and signs with it, and with no other', async () => {
  const pair = generateKeyPairSync('ed25519')
  const key = new DiskKey(pair.privateKey)
  const dir = await mkdtemp(join(tmpdir(), 'agent-'))
  const stop = await serveSshAgent(join(dir, 's'), key, 'mine')
  const socket = connect(join(dir, 's'))
  onTestFinished(async () => {
    socket.destroy()
    stop()
    await rm(dir, { recursive: true })
  })
  const limit = AbortSignal.timeout(10_000)
  const ask = async (message: Buffer): Promise<Buffer> => {
    socket.write(string(message))
    return readSome(socket, (await readSome(socket, 4, limit)).readUInt32BE(), limit)
  }
  const blob = Buffer.from(sshKeyBlob(key.publicKey))
  expect(await ask(Buffer.of(11))).toEqual(Buffer.concat([Buffer.of(12, 0, 0, 0, 1), string(blob), string(Buffer.from('mine'))]))
  const data = Buffer.from('a session')
  const signed = await ask(Buffer.concat([Buffer.of(13), string(blob), string(data), Buffer.alloc(4)]))
  expect(signed.subarray(0, 24)).toEqual(Buffer.concat([Buffer.of(14, 0, 0, 0, 83), string(Buffer.from('ssh-ed25519')), Buffer.of(0, 0, 0, 64)]))
  expect(verify(null, data, pair.publicKey, signed.subarray(24))).toBe(true)
  const other = Buffer.from(sshKeyBlob(makeKey().publicKey))
  expect(await ask(Buffer.concat([Buffer.of(13), string(other), string(data), Buffer.alloc(4)]))).toEqual(Buffer.of(5))
})

test('the agent refuses what is cut short or unknown', () => {
  const key = makeKey()
  const whole = Buffer.concat([Buffer.of(13), string(Buffer.from(sshKeyBlob(key.publicKey))), string(Buffer.from('x'))])
  for (let length = 0; length < whole.length; length++) expect(answerTo(whole.subarray(0, length), key, '')).toEqual(Buffer.of(5))
  expect(answerTo(Buffer.of(27), key, '')).toEqual(Buffer.of(5))
})

function string (bytes: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}
