/**
 * Whether a guest's clock goes as fast as the host's. A kernel that boots while the host is busy may measure its processor wrongly (Linux calibrates the TSC in some
 * milliseconds against a timer, and drops what it measures later when that differs by more than 1 %): seen were clocks 3.5 and 11 times too fast, for good, in all clones.
 */
import { setTimeout as pause } from 'node:timers/promises'
import type { AgentClient } from './channel/agent-client.ts'

/** Long beside what a question takes on a busy host. */
const WINDOW_MS = 2_000
/** Sound clocks differ by millionths. */
const OFF_MAX = 0.05
const ASK_TIMEOUT_MS = 30_000

/** A guest's time since its boot, and between which moments of the host's it was read. */
export interface Reading { guestMs: number, askedMs: number, answeredMs: number }

/** How many times too fast, at least; undefined when it may be right. */
export async function guestClockOff (agent: Pick<AgentClient, 'run'>, signal?: AbortSignal): Promise<number | undefined> {
  const first = await reading(agent, signal)
  await pause(WINDOW_MS, undefined, { signal })
  return clockOff(first, await reading(agent, signal))
}

/** The same of two readings. A reading was taken between the question and its answer: only what no such moments explain is off. */
export function clockOff (first: Reading, second: Reading): number | undefined {
  const guestMs = second.guestMs - first.guestMs
  const least = guestMs / (second.answeredMs - first.askedMs)
  const most = guestMs / Math.max(1, second.askedMs - first.answeredMs)
  if (least > 1 + OFF_MAX) return least
  return most < 1 - OFF_MAX ? most : undefined
}

async function reading (agent: Pick<AgentClient, 'run'>, signal?: AbortSignal): Promise<Reading> {
  const askedMs = performance.now()
  const { outputTail } = await agent.run({ script: 'cat /proc/uptime', parameters: {}, files: {}, timeoutMs: ASK_TIMEOUT_MS }, signal)
  return { guestMs: Number.parseFloat(outputTail) * 1_000, askedMs, answeredMs: performance.now() }
}
