/** Speaks to the local plant's API: over its unix socket, or a URL. */
import { request, type IncomingMessage, type RequestOptions } from 'node:http'
import { createInterface } from 'node:readline'
import type { Duplex } from 'node:stream'
import { PlantError, errorFromReport, isErrorCode } from '../../protocols/kit/index.ts'
import { shortPath } from '../drivers/socket-path.ts'

export interface ApiClient {
  readonly where: string
  get (path: string, signal?: AbortSignal): Promise<Record<string, unknown>>
  delete (path: string, signal?: AbortSignal): Promise<Record<string, unknown>>
  post (path: string, body: unknown, signal?: AbortSignal): Promise<Record<string, unknown>>
  /** Posts and reads lines: events as they come, the answer at the end. While an event is dealt with, no more is read. */
  lines (path: string, body: unknown, onEvent: (event: Record<string, unknown>) => void | Promise<void>, signal?: AbortSignal): Promise<unknown>
  /** Opens `GET path` upgraded to a raw duplex. */
  upgrade (path: string, protocol: string, signal?: AbortSignal): Promise<Duplex>
}

/** `where` is a socket's path or an http URL. */
export function apiClient (where: string): ApiClient {
  const open = async (method: string, path: string, body: unknown, signal?: AbortSignal): Promise<IncomingMessage> => new Promise((resolve, reject) => {
    const call = request({ ...target(where, path), method, ...(signal !== undefined && { signal }), headers: body === undefined ? {} : { 'content-type': 'application/json' } }, resolve)
    call.on('error', (cause: NodeJS.ErrnoException) => { reject(signal?.aborted === true ? signal.reason : unreachable(where, cause)) })
    call.end(body === undefined ? undefined : JSON.stringify(body))
  })
  const whole = async (method: string, path: string, body: unknown, signal?: AbortSignal): Promise<Record<string, unknown>> => {
    const response = await open(method, path, body, signal)
    const parts: Buffer[] = []
    for await (const part of response) parts.push(part as Buffer)
    const answer = JSON.parse(Buffer.concat(parts).toString('utf8')) as Record<string, unknown>
    if ((response.statusCode ?? 500) >= 400) throw errorOf(answer)
    return answer
  }
  return {
    where,
    get: async (path, signal) => whole('GET', path, undefined, signal),
    delete: async (path, signal) => whole('DELETE', path, undefined, signal),
    post: async (path, body, signal) => whole('POST', path, body, signal),
    async lines (path, body, onEvent, signal) {
      const response = await open('POST', path, body, signal)
      try {
        for await (const text of createInterface({ input: response, crlfDelay: Infinity })) {
          const line = JSON.parse(text) as Record<string, unknown>
          if ('answer' in line) return line['answer']
          if ('error' in line) throw errorOf(line)
          await onEvent(line)
        }
      } catch (cause) {
        if (signal?.aborted === true) throw signal.reason
        if (cause instanceof PlantError) throw cause
        throw unreachable(where, cause as NodeJS.ErrnoException)
      }
      if (signal?.aborted === true) throw signal.reason
      throw new PlantError('API_UNREACHABLE', { api: where, problem: 'the plant broke off before it had answered; asked again with the same id, the order is still made once' })
    },
    upgrade: async (path, protocol, signal) => new Promise((resolve, reject) => {
      const call = request({ ...target(where, path), method: 'GET', headers: { connection: 'Upgrade', upgrade: protocol }, ...(signal !== undefined && { signal }) })
      call.on('upgrade', (_response, socket, head) => {
        if (head.length > 0) socket.unshift(head)
        resolve(socket)
      })
      call.on('response', () => { reject(new PlantError('API_UNREACHABLE', { api: where, problem: 'the API does not offer a console' })) })
      call.on('error', (cause: NodeJS.ErrnoException) => { reject(unreachable(where, cause)) })
      call.end()
    })
  }
}

function target (where: string, path: string): RequestOptions {
  if (!/^https?:\/\//.test(where)) return { socketPath: shortPath(where), path }
  const url = new URL(path, where)
  return { host: url.hostname, port: url.port === '' ? 80 : Number(url.port), path: url.pathname + url.search }
}

function unreachable (where: string, cause: NodeJS.ErrnoException): PlantError {
  return new PlantError('API_UNREACHABLE', { api: where, problem: cause.code ?? cause.message }, { cause })
}

function errorOf (answer: Record<string, unknown>): PlantError {
  const error = answer['error'] as { code?: unknown, details?: Record<string, unknown> } | undefined
  return isErrorCode(error?.code) ? errorFromReport({ code: error.code, ...(error.details !== undefined && { details: error.details }) }) : new PlantError('INTERNAL', { answer: JSON.stringify(answer).slice(0, 500) })
}
