/** The world outside, for a plant in a network namespace: a page at an address of its own, and a resolver that knows its name. */
import { createSocket } from 'node:dgram'
import { createServer } from 'node:http'
import { decode, encode } from 'dns-packet'

const ADDRESS = '203.0.113.7'

const resolver = createSocket('udp4', (message, from) => {
  const { id, questions = [] } = decode(message)
  const known = questions[0]?.name === 'outside.example' && questions[0].type === 'A'
  const answers = known ? [{ type: 'A' as const, name: 'outside.example', ttl: 5, data: ADDRESS }] : []
  resolver.send(encode({ type: 'response', ...(id !== undefined && { id }), flags: known || questions[0]?.name === 'outside.example' ? 0 : 3, questions, answers }), from.port, from.address)
})
resolver.bind(53, '127.0.0.1', () => {
  createServer((_request, answer) => { answer.end('hello from outside') }).listen(80, () => { process.stdout.write('ready\n') })
})
