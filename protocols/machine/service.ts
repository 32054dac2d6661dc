/** The machine protocol's streams, both ends. Authority is checked here, at the plant that has the machine (README.md, Authority). */
import { PlantError, asPlantError, errorFromReport, type Cancel, type Clock, type Crypto, type KeyId, type MessageStream, type PeerId, type Transport, type VmId } from '../kit/index.ts'
import { checkFresh, checkVia, honourOnce, openCall, vmIdOfOrder, type OpenedCall, type OpenedOrderCall, type Ownership, type SeenCalls } from '../member/index.ts'
import { CONSOLE_IDLE_TIMEOUT_MS, MACHINE_LIMITS, MACHINE_PROTOCOL, PIECE_BYTES_MAX } from './constants.ts'
import { judgeCall, type MachineCallKind } from './core.ts'
import { decodeAsk, decodeTell, encodeAsk, encodeTell, type CallAnswer, type CallEvent, type MachineStateName, type MachineView, type Tell } from './messages.ts'
import { serveNetworkCall, type NetworkHost } from './network-calls.ts'
import { batches, tell, tellOutput, withHeartbeat } from './telling.ts'

/** Whose a machine is, and its state. */
export interface Subject extends Ownership { state: MachineStateName, shop: PeerId }

type OnOutput = (source: 'stdout' | 'stderr', bytes: Uint8Array) => Promise<void>

/** What the plant does when a call has been judged good. Each may throw a PlantError, which goes back to the caller. */
export interface MachineHost extends SeenCalls {
  subject (vmId: VmId): Subject | undefined
  /** Whether this key owns the machine or was granted its domain. */
  mayCall (subject: Subject, caller: KeyId, signal: AbortSignal): Promise<boolean>
  view (vmId: VmId): MachineView
  /** Resolves when the machine runs; throws what it failed with. */
  follow (vmId: VmId, onProgress: (step: string, share: number) => void, signal: AbortSignal): Promise<MachineView>
  list (caller: KeyId, collectedToo: boolean, signal: AbortSignal): Promise<MachineView[]>
  exec (vmId: VmId, run: { script: string, timeoutMs: number, stdin?: Uint8Array }, onOutput: OnOutput, signal: AbortSignal): Promise<number>
  console (vmId: VmId, input: AsyncIterable<Uint8Array>, onOutput: OnOutput, signal: AbortSignal): Promise<void>
  publish (vmId: VmId, name: string, onStep: (step: string, share: number) => void, signal: AbortSignal): Promise<Record<string, unknown>>
  collect (vmId: VmId, signal: AbortSignal): Promise<MachineView>
}

/** Serves the calls of others on this plant's machines. */
export async function serveMachines (c: { transport: Transport, clock: Clock, crypto: Crypto, host: MachineHost, networks?: NetworkHost }): Promise<Cancel> {
  return c.transport.handle(MACHINE_PROTOCOL, MACHINE_LIMITS, async (stream) => {
    try {
      const first = await stream.receive()
      if (first === undefined) return
      const ask = decodeAsk(first)
      if (ask.t !== 0) throw new PlantError('MESSAGE_INVALID', { path: 't', problem: 'the first message must be a call' })
      await serveCall(c, stream, openCall(c.crypto, ask.signedCall))
    } catch (error) {
      await tell(stream, { t: 7, error: asPlantError(error).report() })
    } finally {
      await stream.close().catch(() => undefined) // Reset already: the caller knows.
    }
  })
}

async function serveCall (c: { clock: Clock, host: MachineHost, networks?: NetworkHost }, stream: MessageStream, call: OpenedCall): Promise<void> {
  const { host } = c
  const signal = stream.signal
  // Before anything is looked up: whoever else got hold of what the client signed learns nothing by it.
  checkVia(call, stream.peer)
  if (call.kind === 'order') return serveFollower(c, stream, call)
  checkFresh(call, c.clock.nowMs())
  if (call.kind === 'list') {
    const machines = await host.list(call.caller, call.body.all, signal)
    // Who sees no machine here has no rights here, and may not take up room.
    if (machines.length > 0) honourOnce(call, c.clock.nowMs(), host)
    for (const batch of batches(machines, (some) => encodeTell({ t: 1, machines: some }))) await stream.send(batch)
    await tell(stream, { t: 6 })
    return
  }
  if (call.kind === 'networks' || call.kind === 'capture') return serveNetworkCall(c, stream, call)
  if (call.kind === 'why') throw new PlantError('MESSAGE_INVALID', { path: 'kind', problem: 'answered by the shop that took the order, not by plants' })
  if (call.kind === 'join') throw new PlantError('MESSAGE_INVALID', { path: 'kind', problem: 'for the plant that a proxy is attached to, by its API' })
  const { vmId } = call
  const subject = host.subject(vmId)
  const allowed = subject !== undefined && await host.mayCall(subject, call.caller, signal)
  // Only now: what strangers sign must not cost a write, nor push out what those who may call have signed.
  if (allowed) honourOnce(call, c.clock.nowMs(), host)
  const verdict = judgeCall(call.kind satisfies MachineCallKind, subject && { state: subject.state, allowed })
  if (!verdict.taken) throw new PlantError(verdict.code, { ...verdict.details, vmId })
  const onOutput: OnOutput = async (source, bytes) => tellOutput(stream, source, bytes)
  switch (call.kind) {
    case 'query': return tell(stream, { t: 0, machine: host.view(vmId) })
    case 'collect': return tell(stream, { t: 0, machine: await withHeartbeat(c.clock, stream, () => host.collect(vmId, signal)) })
    case 'exec': return tell(stream, { t: 4, status: await withHeartbeat(c.clock, stream, () => host.exec(vmId, call.body, onOutput, signal)) })
    case 'console':
      await withHeartbeat(c.clock, stream, () => host.console(vmId, typed(stream), onOutput, signal))
      return tell(stream, { t: 6 })
    case 'publish': return tell(stream, { t: 5, golden: await withHeartbeat(c.clock, stream, (onStep) => host.publish(vmId, call.body.name, onStep, signal)) })
  }
}

/** Tells the shop that the order was handed to of its machine. Nothing is done but to tell, so it may be asked again and again. */
async function serveFollower (c: { clock: Clock, host: MachineHost }, stream: MessageStream, call: OpenedOrderCall): Promise<void> {
  const vmId = vmIdOfOrder(call)
  const subject = c.host.subject(vmId)
  if (subject === undefined) throw new PlantError('VM_UNKNOWN', { vmId })
  // The shop that had it made may ask for as long as that takes; another, which led its client there, as long as the client just asked.
  if (stream.peer !== subject.shop) checkFresh(call, c.clock.nowMs())
  await tell(stream, { t: 0, machine: await withHeartbeat(c.clock, stream, (onProgress) => c.host.follow(vmId, onProgress, stream.signal)) })
}

/** What the caller types. Ends with its `end` message, or with the stream; a console may be silent for as long as it likes. */
async function * typed (stream: MessageStream): AsyncGenerator<Uint8Array> {
  for (;;) {
    const bytes = await stream.receive({ timeoutMs: CONSOLE_IDLE_TIMEOUT_MS }).catch(() => undefined) // Reset: the console ends all the same.
    if (bytes === undefined) return
    const ask = decodeAsk(bytes)
    if (ask.t === 2) return
    if (ask.t === 1) yield ask.bytes
  }
}

/**
 * Makes a signed call to the plant that has the machine, or follows a signed order there. Throws what the plant answered, or STREAM_* and
 * PEER_UNREACHABLE.
 */
export async function askPlant (transport: Transport, plant: PeerId, signedCall: Uint8Array, traffic: { onEvent?: (event: CallEvent) => void | Promise<void>, input?: AsyncIterable<Uint8Array> }, signal: AbortSignal): Promise<CallAnswer> {
  const stream = await transport.open(plant, MACHINE_PROTOCOL, MACHINE_LIMITS, signal)
  const onAbort = (): void => { stream.abort(asPlantError(signal.reason)) }
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await stream.send(encodeAsk({ t: 0, signedCall }))
    if (traffic.input !== undefined) void sendInput(stream, traffic.input)
    for (;;) {
      const bytes = await stream.receive()
      if (bytes === undefined) throw new PlantError('STREAM_TRUNCATED', { plant })
      const answer = await take(decodeTell(bytes), traffic)
      if (answer === undefined) continue
      await stream.close().catch(() => undefined) // The answer is here; how the stream ends does not matter.
      return answer
    }
  } catch (error) {
    stream.abort(asPlantError(error))
    if (signal.aborted) throw signal.reason
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

async function take (message: Tell, traffic: { onEvent?: (event: CallEvent) => void | Promise<void> }): Promise<CallAnswer | undefined> {
  switch (message.t) {
    case 0: return { kind: 'machine', machine: message.machine }
    case 1: await traffic.onEvent?.({ kind: 'machines', machines: message.machines }); return undefined
    case 8: await traffic.onEvent?.({ kind: 'networks', networks: message.networks }); return undefined
    case 2: await traffic.onEvent?.({ kind: 'progress', step: message.step, share: message.share }); return undefined
    case 3: await traffic.onEvent?.({ kind: 'output', source: message.source, bytes: message.bytes }); return undefined
    case 4: return { kind: 'exit', status: message.status }
    case 5: return { kind: 'golden', golden: message.golden }
    case 6: return { kind: 'done' }
    case 7: throw errorFromReport(message.error)
  }
}

async function sendInput (stream: MessageStream, input: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    for await (const bytes of input) {
      for (let at = 0; at < bytes.length; at += PIECE_BYTES_MAX) await stream.send(encodeAsk({ t: 1, bytes: bytes.slice(at, at + PIECE_BYTES_MAX) }))
    }
    await stream.send(encodeAsk({ t: 2 }))
  } catch {
    // The stream is gone; whoever waits for its answer learns why.
  }
}
