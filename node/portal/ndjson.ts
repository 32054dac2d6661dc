/** Answers that take time: lines of JSON, events first, then one line `{"answer": …}` or `{"error": …}`. */
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { asPlantError } from '../../protocols/kit/index.ts'

export interface Lines {
  /** Resolves when the caller has read enough for more. */
  event (event: unknown): Promise<void>
  /** Aborted when the caller hangs up. */
  readonly signal: AbortSignal
}

/** Runs `work`, streaming its events and its outcome. */
export function answerInLines (reply: FastifyReply, work: (lines: Lines) => Promise<unknown>): FastifyReply {
  const out = new PassThrough()
  const gone = new AbortController()
  reply.raw.on('close', () => { if (!reply.raw.writableFinished) gone.abort(new Error('the caller hung up')) })
  out.on('error', () => { gone.abort(new Error('the caller hung up')) })
  const write = async (line: unknown): Promise<void> => {
    if (gone.signal.aborted || out.destroyed || out.write(JSON.stringify(line) + '\n')) return
    await once(out, 'drain', { signal: gone.signal }).catch(() => undefined) // The caller hung up: the work is told by the signal.
  }
  work({ event: write, signal: gone.signal })
    .then(async (answer) => { await write({ answer: answer ?? null }) }, async (error: unknown) => { await write({ error: asPlantError(error).report() }) })
    .finally(() => { out.end() })
  return reply.type('application/x-ndjson').send(out)
}
