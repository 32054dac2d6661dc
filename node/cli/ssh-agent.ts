/** An ssh agent with one key (draft-miller-ssh-agent): ssh signs with the client's key, which neither leaves this process nor is written down in another form. */
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import type { Signer } from '../../protocols/kit/index.ts'
import { SSH_ED25519, sshKeyBlob } from '../plant/ssh-key.ts'

const MESSAGE = { FAILURE: 5, REQUEST_IDENTITIES: 11, IDENTITIES: 12, SIGN_REQUEST: 13, SIGNATURE: 14 } as const
/** OpenSSH's own bound. */
const MESSAGE_BYTES_MAX = 256 * 1024
/** ssh opens one, and another for what it forwards. */
const CLIENTS_MAX = 16

/** Serves the agent at a path that only this user reaches; returns what ends it. */
export async function serveSshAgent (path: string, signer: Signer, comment: string): Promise<() => void> {
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    open.add(socket)
    socket.on('close', () => { open.delete(socket) })
    socket.on('error', () => { socket.destroy() })
    answerOn(socket, (message) => answerTo(message, signer, comment))
  })
  server.maxConnections = CLIENTS_MAX
  server.listen(path)
  await once(server, 'listening')
  return () => {
    server.close()
    for (const socket of open) socket.destroy()
  }
}

function answerOn (socket: Socket, answer: (message: Buffer) => Buffer): void {
  let bytes = Buffer.alloc(0)
  socket.on('data', (piece: Buffer) => {
    bytes = Buffer.concat([bytes, piece])
    while (bytes.length >= 4) {
      const length = bytes.readUInt32BE()
      if (length > MESSAGE_BYTES_MAX) {
        socket.destroy()
        return
      }
      if (bytes.length < 4 + length) return
      socket.write(text(answer(bytes.subarray(4, 4 + length))))
      bytes = bytes.subarray(4 + length)
    }
  })
}

/** The answer to one message; what is none that we know, or is cut short, is refused as the protocol has it. */
export function answerTo (message: Buffer, signer: Signer, comment: string): Buffer {
  const blob = Buffer.from(sshKeyBlob(signer.publicKey))
  if (message[0] === MESSAGE.REQUEST_IDENTITIES) {
    const count = Buffer.alloc(4)
    count.writeUInt32BE(1)
    return Buffer.concat([Buffer.of(MESSAGE.IDENTITIES), count, text(blob), text(Buffer.from(comment))])
  }
  if (message[0] !== MESSAGE.SIGN_REQUEST) return Buffer.of(MESSAGE.FAILURE)
  const key = textAt(message, 1)
  const data = key && textAt(message, 5 + key.length)
  if (key === undefined || data === undefined || !key.equals(blob)) return Buffer.of(MESSAGE.FAILURE)
  return Buffer.concat([Buffer.of(MESSAGE.SIGNATURE), text(Buffer.concat([text(Buffer.from(SSH_ED25519)), text(signer.sign(data))]))])
}

/** A string as ssh has it: its length in four bytes, and the bytes. */
function text (bytes: Uint8Array): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

function textAt (message: Buffer, at: number): Buffer | undefined {
  if (message.length < at + 4) return undefined
  const end = at + 4 + message.readUInt32BE(at)
  return end <= message.length ? message.subarray(at + 4, end) : undefined
}
