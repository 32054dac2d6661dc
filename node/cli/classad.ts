/** `plantmesh classad eval|match|batch`: the ClassAd language by itself. Values go to stdout, everything else to stderr. */
import { readFile } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { createInterface } from 'node:readline'
import { once } from 'node:events'
import type { Command } from 'commander'
import { z } from 'zod'
import { evaluate, formatValue, matches, parseAd, parseExpression, rankOf, type ClassAd } from '../../protocols/order/classad.ts'
import { PlantError, asPlantError } from '../../protocols/kit/index.ts'

/** Does not parse. */
const EXIT_LANGUAGE = 1
/** A file that cannot be read is a wrong argument. */
const EXIT_USAGE = 2

export function classadCommands (program: Command): void {
  const classad = program.command('classad').description('evaluate and match ClassAd expressions')
    .addHelpText('after', '\nExample:\n  plantmesh classad eval \'strcat("a", 1 + 1)\'')
  classad.command('eval').description('the value of an expression, in the scope of an ad and against a target')
    .option('--ad <file>', 'the ad that the expression is part of; - reads stdin')
    .option('--target <file>', 'the other ad of the match; - reads stdin')
    .argument('<expression>', 'write -- before one that starts with -')
    .addHelpText('after', '\nExample:\n  plantmesh classad eval --ad plant.ad "FreeMemoryMiB >= 512"')
    .action((expression: string, options: { ad?: string, target?: string }) => answering(() => evalCommand(expression, options)))
  classad.command('match').description('whether two ads match, and how they rank each other')
    .argument('<left>', 'file').argument('<right>', 'file')
    .addHelpText('after', '\nExample:\n  plantmesh classad match order.ad plant.ad')
    .action((left: string, right: string) => answering(() => matchCommand(left, right)))
  classad.command('batch').description('answers requests, one JSON document a line, until the end of stdin')
    .addHelpText('after', '\nExample:\n  echo \'{"id":1,"op":"eval","expr":"1+1"}\' | plantmesh classad batch')
    .action(() => batch())
}

/** Runs a command that writes its answer only when all of it is there. */
async function answering (command: () => Promise<string>): Promise<void> {
  try {
    process.stdout.write(await command() + '\n')
  } catch (thrown) {
    const { code, details } = asPlantError(thrown)
    process.stderr.write(`${code === 'EXPRESSION_INVALID' ? parseMessage(details) : `plantmesh: ${problemOf(details)}`}\n`)
    process.exitCode = code === 'EXPRESSION_INVALID' ? EXIT_LANGUAGE : EXIT_USAGE
  }
}

async function evalCommand (expression: string, options: { ad?: string, target?: string }): Promise<string> {
  if (options.ad === '-' && options.target === '-') throw new PlantError('USAGE', { problem: 'only one of --ad and --target can be stdin' })
  const my = await adFile(options.ad)
  const target = options.target === undefined ? undefined : await adFile(options.target)
  return formatValue(evaluate(located('expression', () => parseExpression(expression)), { my, target }))
}

async function matchCommand (leftFile: string, rightFile: string): Promise<string> {
  const [left, right] = [await adFile(leftFile), await adFile(rightFile)]
  return `${matches(left, right)}\nleftRank ${formatValue(rankOf(left, right))}\nrightRank ${formatValue(rankOf(right, left))}`
}

async function adFile (file: string | undefined): Promise<ClassAd> {
  if (file === undefined) return parseAd('[]')
  let source: string
  try {
    source = file === '-' ? await text(process.stdin) : await readFile(file, 'utf8')
  } catch (cause) {
    throw new PlantError('USAGE', { problem: `cannot read ${file}: ${cause instanceof Error ? cause.message : String(cause)}` }, { cause })
  }
  return located(file === '-' ? 'stdin' : file, () => parseAd(source))
}

/** Adds where a text came from to what is wrong with it. */
function located<T> (source: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (!(cause instanceof PlantError)) throw cause
    throw new PlantError(cause.code, { source, ...cause.details }, { cause })
  }
}

/** `FILE:LINE:COLUMN: what is wrong`. */
function parseMessage (details: Record<string, unknown>): string {
  const near = typeof details['near'] === 'string' && details['near'] !== '' ? ` near ${JSON.stringify(details['near'])}` : ''
  return `${String(details['source'])}:${String(details['line'])}:${String(details['column'])}: ${String(details['problem'])}${near}`
}

function problemOf (details: Record<string, unknown>): string {
  return typeof details['problem'] === 'string' ? details['problem'] : JSON.stringify(details)
}

const requestSchema = z.discriminatedUnion('op', [
  z.object({ op: z.literal('eval'), ad: z.string().optional(), target: z.string().optional(), expr: z.string() }),
  z.object({ op: z.literal('match'), left: z.string(), right: z.string() })
])

/** Answers each line with one line, in order; nothing that a request holds ends the process. */
async function batch (): Promise<void> {
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    if (line.trim() === '') continue
    if (!process.stdout.write(JSON.stringify(answer(line)) + '\n')) await once(process.stdout, 'drain')
  }
}

function answer (line: string): Record<string, unknown> {
  let id: unknown = null
  try {
    const request: unknown = JSON.parse(line)
    if (typeof request === 'object' && request !== null && 'id' in request) id = request.id
    return { id, ok: true, ...answerTo(requestSchema.parse(request)) }
  } catch (thrown) {
    if (thrown instanceof SyntaxError || thrown instanceof z.ZodError) return { id, ok: false, error: 'request', message: requestProblem(thrown) }
    const { code, details } = asPlantError(thrown)
    return code === 'EXPRESSION_INVALID' ? { id, ok: false, error: 'parse', message: parseMessage(details) } : { id, ok: false, error: 'internal', message: problemOf(details) }
  }
}

function answerTo (request: z.output<typeof requestSchema>): Record<string, unknown> {
  if (request.op === 'match') {
    const left = located('left', () => parseAd(request.left))
    const right = located('right', () => parseAd(request.right))
    return { match: matches(left, right), leftRank: formatValue(rankOf(left, right)), rightRank: formatValue(rankOf(right, left)) }
  }
  const my = located('ad', () => parseAd(request.ad ?? '[]'))
  const { target: targetText } = request
  const target = targetText === undefined ? undefined : located('target', () => parseAd(targetText))
  return { value: formatValue(evaluate(located('expr', () => parseExpression(request.expr)), { my, target })) }
}

function requestProblem (thrown: SyntaxError | z.ZodError): string {
  if (thrown instanceof SyntaxError) return 'not JSON'
  const issue = thrown.issues[0]
  return `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`
}
