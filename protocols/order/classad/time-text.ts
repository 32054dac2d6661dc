/** Times as text. Without an offset of its own a time is UTC: a plant's time zone must not change what an expression means. */

export interface AbsTime { readonly seconds: number, readonly offsetSeconds: number }

const DAY_S = 86_400
/** Year 9999 both ways: what JavaScript's and everyone's calendar can show. */
const SECONDS_MAX = 253_402_300_799

/** Longer texts are no times. */
const TIME_CHARS_MAX = 64

/**
 * Reads `dddd dd dd dd dd dd` with any separators, parts after the year optional, and an offset `Z`, `+dd:dd` or `+dddd` at the end.
 * Undefined when it is no time.
 */
export function parseAbsTime (text: string): AbsTime | undefined {
  if (text.length > TIME_CHARS_MAX) return undefined
  const zone = /(?:[zZ]|([+-])(\d\d):?(\d\d))\s*$/.exec(text)
  const digits = (zone === null ? text : text.slice(0, zone.index)).match(/\d+/g)?.join('') ?? ''
  // Separators are optional, so only the count of digits tells the parts: a year, and up to five pairs.
  if (digits.length < 4 || digits.length > 14 || digits.length % 2 !== 0) return undefined
  const part = (from: number, otherwise: number): number => digits.length >= from + 2 ? Number(digits.slice(from, from + 2)) : otherwise
  const offsetSeconds = zone?.[1] === undefined ? 0 : (zone[1] === '-' ? -1 : 1) * (Number(zone[2]) * 3600 + Number(zone[3]) * 60)
  const local = new Date(0)
  local.setUTCFullYear(Number(digits.slice(0, 4)), part(4, 1) - 1, part(6, 1))
  local.setUTCHours(part(8, 0), part(10, 0), part(12, 0))
  return { seconds: local.getTime() / 1000 - offsetSeconds, offsetSeconds }
}

/** Reads `[[[days+]hh:]mm:]ss` or `1d2h3m4.5s`, in seconds; undefined when it is no duration. */
export function parseRelTime (text: string): number | undefined {
  if (text.length > TIME_CHARS_MAX) return undefined
  const dense = text.trim().replace(/\s*([dDhHmMsS:+.-])\s*/g, '$1')
  const parts = /^(-)?(?:(\d+)[dD+])?(?:(\d+)[hH:])?(?:(\d+)[mM:])?(?:(\d+(?:\.\d*)?|\.\d+)[sS]?)?$/.exec(dense)
  if (parts === null) return undefined
  // `02:03` is minutes and seconds: a single colon stands for the smaller unit.
  const clock = parts[3] !== undefined && parts[4] === undefined && !/[hH]/.test(dense)
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = [parts[2], clock ? '0' : parts[3], clock ? parts[3] : parts[4], parts[5]].map((part) => Number(part ?? 0))
  const total = days * DAY_S + hours * 3600 + minutes * 60 + seconds
  return parts[1] === undefined ? total : -total
}

/** `2004-01-01T00:00:00+00:00`. */
export function absTimeText (time: AbsTime): string {
  const { year, month, day, hours, minutes, seconds } = fieldsOf(time)
  const zone = Math.abs(Math.trunc(time.offsetSeconds / 60))
  return `${padded(year, 4)}-${padded(month)}-${padded(day)}T${padded(hours)}:${padded(minutes)}:${padded(seconds)}` +
    `${time.offsetSeconds < 0 ? '-' : '+'}${padded(Math.trunc(zone / 60))}:${padded(zone % 60)}`
}

/** `3+01:14:16.123`. */
export function relTimeText (seconds: number): string {
  const size = Math.abs(Number.isFinite(seconds) ? seconds : 0)
  const whole = Math.trunc(size)
  const fraction = size === whole ? '' : (size - whole).toFixed(3).slice(1)
  const days = Math.trunc(whole / DAY_S)
  return `${seconds < 0 ? '-' : ''}${days > 0 ? `${days}+` : ''}${padded(Math.trunc(whole / 3600) % 24)}:${padded(Math.trunc(whole / 60) % 60)}:${padded(whole % 60)}${fraction}`
}

export interface TimeFields { year: number, month: number, day: number, hours: number, minutes: number, seconds: number }

/** The calendar of a time in its own offset; times beyond the calendar are brought to its end. */
export function fieldsOf (time: AbsTime): TimeFields {
  const local = time.seconds + time.offsetSeconds
  const date = new Date(Math.max(-62_167_219_200, Math.min(SECONDS_MAX, Number.isNaN(local) ? 0 : Math.floor(local))) * 1000)
  return {
    year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, day: date.getUTCDate(),
    hours: date.getUTCHours(), minutes: date.getUTCMinutes(), seconds: date.getUTCSeconds()
  }
}

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const MONTHS = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December']

/** As strftime(3) in the C locale; what it does not know is left as it is. */
export function formatTime (fields: TimeFields, format: string): string {
  const date = new Date(0)
  date.setUTCFullYear(fields.year, fields.month - 1, fields.day)
  const weekday = date.getUTCDay()
  const yearDay = Math.round((date.getTime() - Date.UTC(fields.year, 0, 1)) / (DAY_S * 1000)) + 1
  const one = (letter: string): string | undefined => {
    switch (letter) {
      case 'a': return DAYS[weekday]?.slice(0, 3)
      case 'A': return DAYS[weekday]
      case 'b': case 'h': return MONTHS[fields.month - 1]?.slice(0, 3)
      case 'B': return MONTHS[fields.month - 1]
      case 'c': return formatTime(fields, '%a %b %e %H:%M:%S %Y')
      case 'C': return padded(Math.trunc(fields.year / 100))
      case 'd': return padded(fields.day)
      case 'D': case 'x': return formatTime(fields, '%m/%d/%y')
      case 'e': return String(fields.day).padStart(2)
      case 'F': return formatTime(fields, '%Y-%m-%d')
      case 'H': return padded(fields.hours)
      case 'I': return padded((fields.hours + 11) % 12 + 1)
      case 'j': return padded(yearDay, 3)
      case 'm': return padded(fields.month)
      case 'M': return padded(fields.minutes)
      case 'n': return '\n'
      case 'p': return fields.hours < 12 ? 'AM' : 'PM'
      case 'R': return formatTime(fields, '%H:%M')
      case 'S': return padded(fields.seconds)
      case 't': return '\t'
      case 'T': case 'X': return formatTime(fields, '%H:%M:%S')
      case 'u': return String((weekday + 6) % 7 + 1)
      case 'w': return String(weekday)
      case 'y': return padded(fields.year % 100)
      case 'Y': return String(fields.year)
      case '%': return '%'
      default: return undefined
    }
  }
  return format.replace(/%(.)/gs, (whole, letter: string) => one(letter) ?? whole)
}

function padded (value: number, digits = 2): string {
  return String(value).padStart(digits, '0')
}
