// Progress of set-up, on a terminal as one line that changes, elsewhere as a plain line now and then.
import process from 'node:process'

/** Without a terminal a step says how far it is this often, so that a log shows that it lives without drowning in lines. */
const PLAIN_EVERY_MS = 5_000

/**
 * Starts a step. `set` may be called as often as one likes with a share in [0, 1] or a text; `done` and `failed` end it.
 * @param {string} title
 * @returns {{ set: (now: number | string) => void, done: (text?: string) => void, failed: () => void }}
 */
export function step (title) {
  const out = process.stderr
  const startedMs = performance.now()
  let shownMs = startedMs
  let shown = ''
  const seconds = () => `${((performance.now() - startedMs) / 1000).toFixed(1)} s`
  const line = (text) => {
    if (out.isTTY) out.write(`\r\u001b[K${text}`.slice(0, Math.max(20, (out.columns ?? 80) + 3)))
    else out.write(`${text}\n`)
  }
  line(`… ${title}`)
  const finish = (mark, text) => {
    line(`${mark} ${title}${text === undefined ? '' : ': ' + text} (${seconds()})`)
    if (out.isTTY) out.write('\n')
  }
  return {
    set (now) {
      const text = typeof now === 'number' ? `${Math.floor(now * 100)} %` : now
      if (text === shown || (!out.isTTY && performance.now() - shownMs < PLAIN_EVERY_MS)) return
      shown = text
      shownMs = performance.now()
      line(`… ${title}: ${text} (${seconds()})`)
    },
    done (text) { finish('✓', text) },
    failed () { finish('✗', 'failed') }
  }
}
