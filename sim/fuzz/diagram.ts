/** The events around one order as a sequence diagram (mermaid): who said what to whom, what became of machines, what went wrong meanwhile. */
import { z } from 'zod'
import { decode, type VmId } from '../../protocols/kit/index.ts'
import { AWARD_PROTOCOL, BID_PROTOCOL } from '../../protocols/bid/index.ts'
import { CLAIM_PROTOCOL } from '../../protocols/claim/index.ts'
import { MACHINE_PROTOCOL } from '../../protocols/machine/index.ts'
import type { SimEvent } from '../scenario/index.ts'
import type { StreamSeen } from '../world/watch.ts'

/** Steps in a diagram: more are not read by anyone; the last ones are kept. */
const STEPS_MAX = 160

/** Message numbers by protocol: questions, answers. */
const NAMES: Record<string, { ask: readonly string[], answer: readonly string[] }> = {
  [BID_PROTOCOL]: { ask: ['call for bids'], answer: ['bid', 'refusal', 'held'] },
  [AWARD_PROTOCOL]: { ask: ['award', 'settle', 'cancel'], answer: ['granted', 'refused', 'held', 'void'] },
  [CLAIM_PROTOCOL]: { ask: ['claim', 'unclaim', 'confirm', 'hold', 'do you hold it?', 'bye'], answer: ['claim granted', 'claimed by', 'held by', 'collected', 'full', 'done', 'noted', 'mine', 'not mine'] },
  [MACHINE_PROTOCOL]: { ask: ['call', 'input', 'end'], answer: ['machine', 'machines', 'progress', 'output', 'exit', 'golden', 'done', 'error'] }
}

/** Events that belong into every diagram, whatever order they are about. */
const ALWAYS = /^(?:fault\.|plant\.)/
/** Steps that say little and come often. */
const NOISE = /^(?:progress|noted)$/

/** What a diagram is about. */
export interface Subject { vmId: VmId, sequence: number, orderId: string, nameOf: (peer: string) => string }

/** One line of the diagram, with its time and place in the trace for the order of things. */
interface Step { atMs: number, order: number, text: string }

/** Gathers what is said and done about one order while a run goes on. */
export class DiagramBook {
  readonly #subject: Subject
  readonly #participants = new Set<string>(['client'])
  readonly #steps: Step[] = []
  readonly #latin = new TextDecoder('latin1')
  readonly #needles: string[]
  /** Questions about the order that have no answer yet. */
  readonly #asked = new Set<string>()
  #count = 0

  constructor (subject: Subject) {
    this.#subject = subject
    // CBOR writes a short text's length in front of it (0x60 + length), so that order-1 is not found in order-12.
    this.#needles = [subject.vmId, `${String.fromCharCode(0x60 + subject.orderId.length)}${subject.orderId}`]
  }

  onMessage (seen: StreamSeen): void {
    const names = NAMES[seen.protocol]
    if (names === undefined) return
    const text = this.#latin.decode(seen.bytes)
    const about = this.#needles.some((needle) => text.includes(needle))
    // An answer may not name what was asked; claims and awards are of one machine each, so that what follows a question on it is about it.
    if (!about && !(seen.inbound && this.#asked.delete(`${seen.to}>${seen.from}>${seen.protocol}`))) return
    if (!seen.inbound) this.#asked.add(`${seen.from}>${seen.to}>${seen.protocol}`)
    const label = this.#label(seen, names)
    if (NOISE.test(label)) return
    this.#add(seen.atMs, [seen.from, seen.to], `${seen.from}${seen.inbound ? '-->>' : '->>'}${seen.to}: ${clean(label)}`)
  }

  onEvent (event: SimEvent): void {
    const { kind, plant, atMs } = event
    const mine = event['vmId'] === this.#subject.vmId || event['sequence'] === this.#subject.sequence
    if (!mine && !ALWAYS.test(kind)) return
    const fields = Object.entries(event).filter(([key]) => !['atMs', 'id', 'plant', 'kind', 'vmId', 'sequence'].includes(key)).map(([key, value]) => `${key} ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`).join(', ')
    const text = clean(`${kind}${fields === '' ? '' : `: ${fields}`}`)
    if (plant === undefined) this.#add(atMs, [], `Note over client: ${text}`)
    else if (kind.startsWith('order.')) this.#add(atMs, [plant], `${kind === 'order.placed' || kind === 'order.askedTwice' ? `client->>${plant}` : `${plant}-->>client`}: ${text}`)
    else this.#add(atMs, [plant], `Note over ${plant}: ${text}`)
  }

  /** The diagram as mermaid text; `why` is its title. */
  text (why: string): string {
    const steps = this.#steps.sort((a, b) => a.atMs - b.atMs || a.order - b.order)
    const shown = steps.slice(-STEPS_MAX)
    const participants = [...this.#participants].sort()
    return [
      '---', `title: ${JSON.stringify(clean(why))}`, '---', 'sequenceDiagram',
      ...participants.map((name) => `  participant ${name}`),
      ...(shown.length < steps.length ? [`  Note over client: ${steps.length - shown.length} steps before`] : []),
      ...shown.map(({ atMs, text }) => `  ${text} [${(atMs / 1_000).toFixed(3)} s]`), ''
    ].join('\n')
  }

  #add (atMs: number, participants: string[], text: string): void {
    for (const name of participants) this.#participants.add(name)
    this.#steps.push({ atMs, order: this.#count++, text })
  }

  #label (seen: StreamSeen, names: { ask: readonly string[], answer: readonly string[] }): string {
    let message: Record<string, unknown>
    try {
      message = decode(z.record(z.string(), z.unknown()), seen.bytes)
    } catch {
      return 'rubbish'
    }
    const t = Number(message['t'])
    const name = (seen.inbound ? names.answer : names.ask)[t] ?? `message ${t}`
    const { nameOf } = this.#subject
    const bid = message['bid'] as { total?: number } | undefined
    const refusal = message['refusal'] as { reasons?: Array<{ code: string }> } | undefined
    const error = message['error'] as { code?: string } | undefined
    const who = ['shop', 'holder'].flatMap((field) => typeof message[field] === 'string' ? [nameOf(message[field])] : [])
    const machine = message['machine'] as { state?: string } | undefined
    const more = [...who, ...(bid?.total === undefined ? [] : [`${bid.total}`]), ...(refusal?.reasons?.map(({ code }) => code) ?? []), ...(error?.code === undefined ? [] : [error.code]), ...(machine?.state === undefined ? [] : [machine.state]), ...(message['settled'] === true ? ['settled'] : [])]
    return more.length === 0 ? name : `${name} (${more.join(', ')})`
  }
}

/** Mermaid takes `;`, `#` and line ends for its own. */
function clean (text: string): string { return text.replace(/[\n\r]+/g, ' ').replace(/[;#]/g, ',').slice(0, 240) }
