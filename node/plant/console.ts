/** A machine's serial console, joined to who types at it. */
import type { LiveMachine } from '../lines/line.ts'

/** Carries bytes both ways until the machine, who types, or the signal ends it. `onOutput` is first called with nothing: the console is open. */
export async function joinConsole (port: Awaited<ReturnType<LiveMachine['console']>>, input: AsyncIterable<Uint8Array>, onOutput: (source: 'stdout' | 'stderr', bytes: Uint8Array) => Promise<void>, signal: AbortSignal): Promise<void> {
  signal.addEventListener('abort', () => { port.destroy() }, { once: true })
  const typing = (async () => {
    for await (const bytes of input) {
      if (port.destroyed) return
      // A guest that does not read its console stops who types, not the plant's memory.
      if (!port.write(bytes)) await new Promise((resolve) => { port.once('drain', resolve).once('close', resolve) })
    }
    port.destroy() // Who types has left.
  })()
  try {
    await onOutput('stdout', new Uint8Array(0)) // Says that the console is open, before the guest says anything.
    for await (const bytes of port) await onOutput('stdout', bytes as Uint8Array)
  } catch (error) {
    if (!port.destroyed) throw error
  } finally {
    port.destroy()
    typing.catch(() => undefined) // The stream that fed it has ended as well.
  }
}
