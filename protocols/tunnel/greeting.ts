/** How a tunnel begins (README.md, Streams): each end shows its proof, the one that opened the stream first. No frame is taken before. */
import { PlantError, type MessageStream, type PeerId } from '../kit/index.ts'
import { GREETING_MS } from './constants.ts'
import { decodeControl, encodeControl, type Hello, type Refusal, type Welcome } from './messages.ts'

/** What the other end answered to our hello. */
export type GreetingAnswer = { t: 'welcome' } & Welcome | { t: 'refusal' } & Refusal

/** Shows our proof and waits for the answer. Throws STREAM_*, or MESSAGE_INVALID when it is neither a welcome nor a refusal. */
export async function greet (stream: MessageStream, hello: Hello): Promise<GreetingAnswer> {
  await stream.send(encodeControl({ t: 'hello', ...hello }))
  const message = await stream.receive({ timeoutMs: GREETING_MS })
  if (message === undefined) throw new PlantError('STREAM_RESET', { problem: 'closed while greeting' })
  const answer = decodeControl(message)
  if (answer.t !== 'welcome' && answer.t !== 'refusal') throw new PlantError('MESSAGE_INVALID', { path: 't', problem: 'neither a welcome nor a refusal' })
  return answer
}

/** What the peer that opened a stream says first. Throws STREAM_*, or MESSAGE_INVALID for anything but a hello. */
export async function receiveHello (stream: MessageStream): Promise<Hello> {
  const message = await stream.receive({ timeoutMs: GREETING_MS })
  if (message === undefined) throw new PlantError('STREAM_RESET', { problem: 'closed while greeting' })
  const hello = decodeControl(message)
  if (hello.t !== 'hello') throw new PlantError('MESSAGE_INVALID', { path: 't', problem: 'not a hello' })
  return hello
}

/** Says no and closes; never throws. */
export async function refuse (stream: MessageStream, code: Refusal['code']): Promise<void> {
  try {
    await stream.send(encodeControl({ t: 'refusal', code }))
    await stream.close()
  } catch {
    stream.abort(new PlantError('STREAM_RESET', { peer: stream.peer satisfies PeerId, problem: code })) // It is gone: nobody to tell.
  }
}
