/** The structured log: pino, one JSON object a line, on stderr unless told otherwise. */
import { destination, pino } from 'pino'
import type { DestinationStream, LevelWithSilent, Logger } from 'pino'
import { PlantError } from '../../protocols/kit/index.ts'
import type { Log } from '../../protocols/kit/index.ts'

/** A field's text is cut here, so that a peer cannot fill the log with one message. */
const FIELD_CHARS_MAX = 2_000

export interface PinoLogInit {
  /** `info` by default. */
  level?: LevelWithSilent
  /** Fields on every line, such as the peer id. */
  fields?: Record<string, unknown>
  /** stderr (file descriptor 2) by default. */
  destination?: DestinationStream
}

/** A log that writes one JSON object a line; long fields are cut. */
export function pinoLog (init: PinoLogInit = {}): Log {
  const logger = pino({ level: init.level ?? 'info', base: init.fields ?? {} }, init.destination ?? destination({ dest: 2, sync: true }))
  return new PinoLog(logger)
}

class PinoLog implements Log {
  readonly #logger: Logger

  constructor (logger: Logger) { this.#logger = logger }

  debug (fields: Record<string, unknown>, message: string): void { this.#logger.debug(bounded(fields), message) }
  info (fields: Record<string, unknown>, message: string): void { this.#logger.info(bounded(fields), message) }
  warn (fields: Record<string, unknown>, message: string): void { this.#logger.warn(bounded(fields), message) }
  error (fields: Record<string, unknown>, message: string): void { this.#logger.error(bounded(fields), message) }
}

/** Errors are told with name, message and (for ours) code; long text is cut. */
function bounded (fields: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, boundedValue(value)]))
}

function boundedValue (value: unknown): unknown {
  if (typeof value === 'string') return value.slice(0, FIELD_CHARS_MAX)
  if (!(value instanceof Error)) return value
  const details = value instanceof PlantError ? { code: value.code, details: value.details } : {}
  const cause = value.cause instanceof Error ? { cause: value.cause.message.slice(0, FIELD_CHARS_MAX) } : {}
  return { name: value.name, message: value.message.slice(0, FIELD_CHARS_MAX), ...details, ...cause, stack: value.stack?.slice(0, FIELD_CHARS_MAX) }
}
