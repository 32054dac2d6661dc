/** Times. None of these reads the clock: an expression means the same today and in a simulation. */
import { ClassAd, ERROR, UNDEFINED, integer, real, string, type Node, type Scalar, type Value } from '../ast.ts'
import { fieldsOf, formatTime, parseAbsTime, parseRelTime, type TimeFields } from '../time-text.ts'
import { ofValues, textOf, type Builtins, type Context } from './call.ts'
import { toInteger, truncated } from './conversions.ts'

const absTime = ofValues(1, 2, ([value = UNDEFINED, offset]) => {
  if (value.type === 'undefined') return UNDEFINED
  const seconds = offset === undefined ? undefined : secondsOf(offset)
  if (offset !== undefined && seconds === undefined) return ERROR
  if (value.type === 'string') return timeOf(parseAbsTime(value.value))
  if (value.type === 'absTime') return value
  const since = secondsOf(value)
  return since === undefined ? ERROR : { type: 'absTime', seconds: since, offsetSeconds: seconds ?? 0 }
})

const relTime = ofValues(1, 1, ([value = UNDEFINED]) => {
  if (value.type === 'undefined') return UNDEFINED
  const seconds = value.type === 'string' ? parseRelTime(value.value) : value.type === 'real' ? value.value : secondsOf(value)
  return seconds === undefined ? ERROR : { type: 'relTime', seconds }
})

function timeOf (time: { seconds: number, offsetSeconds: number } | undefined): Scalar {
  return time === undefined ? ERROR : { type: 'absTime', ...time }
}

/** Whole seconds of a number or a time. */
function secondsOf (value: Value): number | undefined {
  switch (value.type) {
    case 'integer': case 'real': return Math.trunc(Number(value.value))
    case 'absTime': case 'relTime': return Math.trunc(value.seconds)
    default: return undefined
  }
}

/** The parts of a time as an ad. */
const splitTime = ofValues(1, 1, ([value = UNDEFINED], { env }) => {
  if (value.type === 'undefined') return UNDEFINED
  if (value.type === 'relTime') return adOfFields(relFields(value.seconds), env)
  const seconds = value.type === 'absTime' ? value.seconds : value.type === 'integer' || value.type === 'real' ? secondsOf(value) : undefined
  if (seconds === undefined) return ERROR
  const offsetSeconds = value.type === 'absTime' ? value.offsetSeconds : 0
  const fields = fieldsOf({ seconds, offsetSeconds })
  return adOfFields([['Type', string('AbsoluteTime')], ['Year', integer(fields.year)], ['Month', integer(fields.month)], ['Day', integer(fields.day)],
    ['Hours', integer(fields.hours)], ['Minutes', integer(fields.minutes)], ['Seconds', integer(fields.seconds)], ['Offset', truncated(offsetSeconds)]], env)
})

/** A negative duration carries its sign on its largest part. */
function relFields (total: number): Array<[string, Scalar]> {
  const size = Math.abs(Number.isFinite(total) ? total : 0)
  const whole = Math.trunc(size)
  const parts = [Math.trunc(whole / 86_400), Math.trunc(whole / 3600) % 24, Math.trunc(whole / 60) % 60, whole % 60 + (size - whole)]
  const largest = total < 0 ? parts.findIndex((part, i) => part > 0 || i === 3) : -1
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = parts.map((part, i) => i === largest ? -part : part)
  return [['Type', string('RelativeTime')], ['Days', truncated(days)], ['Hours', integer(hours)], ['Minutes', integer(minutes)], ['Seconds', real(seconds)]]
}

function adOfFields (fields: ReadonlyArray<[string, Scalar]>, env: Context['env']): Value {
  return { type: 'ad', ad: new ClassAd(fields.map(([name, value]) => ({ name, node: { kind: 'literal', value } }))), env: { ...env, frame: undefined } }
}

/** The time of an ad such as `splitTime` makes; what it lacks is 0. */
function fieldsOfAd (ad: ClassAd, { evaluation, env }: Context): TimeFields {
  const part = (name: string, otherwise: number): number => {
    const node: Node | undefined = ad.node(name)
    const value = node === undefined ? UNDEFINED : evaluation.value(node, { frame: { ad, outer: undefined }, my: env.my, target: env.target })
    const number = value.type === 'integer' ? Number(value.value) : otherwise
    return Math.max(0, Math.min(9_999, number))
  }
  return { year: part('Year', 1900), month: part('Month', 1), day: part('Day', 0), hours: part('Hours', 0), minutes: part('Minutes', 0), seconds: part('Seconds', 0) }
}

const formatted = ofValues(1, 2, ([time = UNDEFINED, format], context) => {
  const text = format === undefined ? '%c' : textOf(format)
  const seconds = time.type === 'relTime' ? undefined : secondsOf(time)
  if (text === undefined || (seconds === undefined && time.type !== 'ad')) return ERROR
  const fields = time.type === 'ad' ? fieldsOfAd(time.ad, context) : fieldsOf({ seconds: seconds ?? 0, offsetSeconds: time.type === 'absTime' ? time.offsetSeconds : 0 })
  // One letter writes 24 characters at most.
  context.evaluation.chargeText(text.length * 12)
  return context.evaluation.made(formatTime(fields, text))
})

/** Seconds as `days+hh:mm:ss`, without the parts in front that are zero; 32 bits wide, as in the library. */
const interval = ofValues(1, 1, ([value = UNDEFINED]) => {
  const seconds = toInteger(value)
  if (seconds.type !== 'integer') return ERROR
  const total = Number(BigInt.asIntN(32, seconds.value))
  const [days, hours, minutes, rest] = [Math.trunc(total / 86_400), Math.trunc(total / 3600) % 24, Math.trunc(total / 60) % 60, total % 60]
  const two = (part: number): string => String(Math.abs(part)).padStart(2, '0')
  if (days !== 0) return string(`${days}+${two(hours)}:${two(minutes)}:${two(rest)}`)
  if (hours !== 0) return string(`${hours}:${two(minutes)}:${two(rest)}`)
  return string(minutes !== 0 ? `${minutes}:${two(rest)}` : String(rest))
})

export const timeFunctions: Builtins = { abstime: absTime, reltime: relTime, splittime: splitTime, formattime: formatted, interval }
