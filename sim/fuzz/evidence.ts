/** A failing seed run once more, with everything kept that helps to see why: the whole trace and a diagram around the order it is about. */
import type { SimEvent } from '../scenario/index.ts'
import type { StreamSeen } from '../world/watch.ts'
import { canonical } from '../world/trace.ts'
import { drawCase } from './draw.ts'
import { DiagramBook } from './diagram.ts'
import { FuzzRun, type FuzzOptions, type FuzzOutcome } from './run.ts'

export interface Evidence {
  outcome: FuzzOutcome
  /** One JSON document a line, as it was hashed. */
  trace: string
  /** Mermaid; absent when the problem is about no order. */
  diagram?: string
}

/** Runs a seed again, which gives the same; `first` says what is looked for. */
export async function evidenceOf (first: FuzzOutcome, options: FuzzOptions): Promise<Evidence> {
  const lines: string[] = []
  const books: DiagramBook[] = []
  const run: FuzzRun = new FuzzRun(drawCase(first.seed), {
    ...options,
    onEvent: (event: SimEvent) => {
      lines.push(canonical(event))
      for (const book of books) book.onEvent(event)
      options.onEvent?.(event)
    },
    onMessage: (seen: StreamSeen) => {
      for (const book of books) book.onMessage(seen)
      options.onMessage?.(seen)
    }
  })
  const about = first.problem?.vmId
  run.onOrder = (order) => {
    if (order.vmId === about) books.push(new DiagramBook({ vmId: order.vmId, sequence: order.plan.sequence, orderId: order.orderId, nameOf: (peer) => run.world.nameOf(peer as never) }))
  }
  const outcome = await run.run()
  const [book] = books
  return { outcome, trace: lines.join(''), ...(book !== undefined && { diagram: book.text(`seed ${first.seed}: ${first.problem?.text ?? ''}`) }) }
}
