/** The serial console in a terminal. */
import type { Duplex } from 'node:stream'
import { PlantError, errorFromReport, type VmId } from '../../protocols/kit/index.ts'
import type { Context } from './context.ts'

/** Ctrl-] leaves, as in telnet and virsh. */
const LEAVE = 0x1d

/** Resolves with the exit status when the user leaves, standard input ends or the console is closed from the other side. */
export async function openConsole (c: Context, vmId: VmId): Promise<number> {
  const socket = await c.api.upgrade('/v1/console', 'plantmesh-console', c.signal)
  socket.write(await c.sign({ kind: 'console', vmId, body: {} }) + '\n')
  const { rest } = await accepted(socket)
  c.out.note('connected; Ctrl-] leaves')
  const raw = process.stdin.isTTY
  if (raw) process.stdin.setRawMode(true)
  try {
    if (rest.length > 0) process.stdout.write(rest)
    socket.pipe(process.stdout, { end: false })
    await new Promise<void>((resolve, reject) => {
      const leave = (): void => { resolve() }
      c.signal.addEventListener('abort', () => { reject(c.signal.reason) }, { once: true })
      socket.on('close', leave).on('error', leave)
      process.stdin.on('data', (bytes: Buffer) => {
        const at = bytes.indexOf(LEAVE)
        socket.write(at < 0 ? bytes : bytes.subarray(0, at))
        if (at >= 0) leave()
      })
      // A script that pipes commands in wants to see what they print: the console stays until it falls silent.
      process.stdin.on('end', () => { quietThen(socket, leave) })
    })
    return 0
  } finally {
    if (raw) process.stdin.setRawMode(false)
    process.stdin.pause()
    socket.destroy()
  }
}

/** How long a console whose input has ended must be silent before it is left, and how long it may take to say the first thing: a busy guest is slow. */
const QUIET_MS = 1_500
const FIRST_MS = 5_000

function quietThen (socket: Duplex, leave: () => void): void {
  let timer = setTimeout(leave, FIRST_MS)
  socket.on('data', () => {
    clearTimeout(timer)
    timer = setTimeout(leave, QUIET_MS)
  })
}

async function accepted (socket: Duplex): Promise<{ rest: Buffer }> {
  return new Promise((resolve, reject) => {
    socket.on('error', () => { socket.destroy() }) // `close` follows, and is told below.
    let bytes = Buffer.alloc(0)
    const onData = (part: Buffer): void => {
      bytes = Buffer.concat([bytes, part])
      const end = bytes.indexOf(0x0a)
      if (end < 0) return
      socket.off('data', onData)
      socket.pause()
      const line = bytes.subarray(0, end).toString('utf8')
      if (line === 'ok') resolve({ rest: bytes.subarray(end + 1) })
      else reject(refusalIn(line))
    }
    socket.on('data', onData)
    socket.on('close', () => { reject(new PlantError('STREAM_RESET', { problem: 'the console was closed' })) })
  })
}

function refusalIn (line: string): PlantError {
  try {
    return errorFromReport((JSON.parse(line) as { error: { code: string, details?: Record<string, unknown> } }).error)
  } catch (cause) {
    return new PlantError('MESSAGE_INVALID', { path: 'console', problem: 'the API answered something else than it should' }, { cause })
  }
}
