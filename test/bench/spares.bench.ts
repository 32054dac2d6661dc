/**
 * What handing out a spare costs, from the moment the plant begins to make the machine until it has the identity of its order and answers, against a clone taken
 * through the same, turn by turn in one run. Ratios count, times drift.
 */
import { randomBytes } from 'node:crypto'
import type { LiveMachine } from '../../node/lines/line.ts'
import type { VmId } from '../../protocols/kit/index.ts'
import { TINY, newMac, newVmId, tinyGolden } from '../support/tiny.ts'

const ROUNDS = 40
const MIB = 2 ** 20
const TRUE = { script: 'true', parameters: {}, files: {}, timeoutMs: 60_000 }

const quantile = (values: number[], share: number): number => values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? NaN

/** Times of the parts of one creation. */
async function timed (begin: (vmId: VmId) => Promise<LiveMachine>): Promise<{ beginMs: number, identityMs: number, commandMs: number, machine: LiveMachine }> {
  const vmId = newVmId()
  const sinceMs = performance.now()
  const machine = await begin(vmId)
  const begunMs = performance.now()
  await machine.identify({ mac: machine.mac, hostName: `host-${vmId.slice(0, 8)}`, machineId: vmId, seed: randomBytes(32) })
  const identifiedMs = performance.now()
  await machine.channel('agent').run(TRUE)
  return { beginMs: begunMs - sinceMs, identityMs: identifiedMs - begunMs, commandMs: performance.now() - identifiedMs, machine }
}

async function main (): Promise<void> {
  const { line, golden, goldenDir, clean } = await tinyGolden()
  const found: Record<'spare' | 'clone', Array<Record<'beginMs' | 'identityMs' | 'commandMs', number>>> = { spare: [], clone: [] }
  const makeMs: number[] = []
  const memoryMiB: number[] = []
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const sinceMs = performance.now()
      const spare = await line.prepare({ vmId: newVmId(), golden, goldenDir, mac: newMac() })
      makeMs.push(performance.now() - sinceMs)
      memoryMiB.push(await spare.memoryBytes() / MIB)
      const { machine, ...handed } = await timed(async (vmId) => await spare.handOut({ vmId, diskMiB: TINY.diskMiB }))
      found.spare.push(handed)
      await machine.destroy()
      const { machine: other, ...cloned } = await timed(async (vmId) => await line.clone({ vmId, golden, goldenDir, mac: newMac(), diskMiB: TINY.diskMiB }))
      found.clone.push(cloned)
      await other.destroy()
    }
  } finally {
    await clean()
  }
  const text = (values: number[]): string => `p50 ${quantile(values, 0.5).toFixed(0).padStart(4)}  p99 ${quantile(values, 0.99).toFixed(0).padStart(4)} ms`
  const whole = { spare: [] as number[], clone: [] as number[] }
  for (const how of ['spare', 'clone'] as const) {
    whole[how] = found[how].map(({ beginMs, identityMs }) => beginMs + identityMs)
    console.log(`${how}: it is its order's and answers   ${text(whole[how])}   (begun ${text(found[how].map(({ beginMs }) => beginMs))}; identity ${text(found[how].map(({ identityMs }) => identityMs))}; then its first command ${text(found[how].map(({ commandMs }) => commandMs))})`)
  }
  console.log(`clone / spare = ${(quantile(whole.clone, 0.5) / quantile(whole.spare, 0.5)).toFixed(1)}   (aim: a spare within 30 ms; ${line.fingerprint}, ${TINY.memoryMiB} MiB, ${ROUNDS} rounds)`)
  console.log(`making a spare                     ${text(makeMs)}   memory of its own ${quantile(memoryMiB, 0.5).toFixed(0)} MiB`)
}

await main()
process.exit(0) // Watchers of machines that are gone must not hold the process.
