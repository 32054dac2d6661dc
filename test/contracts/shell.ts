/** Shell commands in a guest, for tests. */
import type { LiveMachine } from '../../node/lines/line.ts'

/** Runs a script by the agent; its output when it ends well. */
export async function sh (machine: LiveMachine | undefined, script: string, signal?: AbortSignal): Promise<string> {
  if (machine === undefined) throw new Error('there is no machine')
  const { status, outputTail } = await machine.channel('agent').run({ script, parameters: {}, files: {}, timeoutMs: 60_000 }, signal)
  if (status !== 0) throw new Error(`${script}: ${status} ${outputTail}`)
  return outputTail
}
