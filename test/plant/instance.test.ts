import { expect, test } from 'vitest'
import { mayMove, move } from '../../node/plant/instance.ts'
import type { MachineRecord } from '../../storage/records/records.ts'

const record = { vmId: '0'.repeat(32), state: 'creating', changedAtMs: 1 } as unknown as MachineRecord

test('a machine runs once it is made, and the record says when', () => {
  expect(move(record, 'made', 7)).toMatchObject({ state: 'running', changedAtMs: 7 })
})

test('an illegal move is a bug and throws', () => {
  expect(() => move({ ...record, state: 'collected' }, 'made', 7)).toThrow(/INTERNAL/)
  expect(mayMove('failed', 'fail')).toBe(false)
})

test('a machine can be collected from every state but collected', () => {
  for (const state of ['creating', 'running', 'suspended', 'migrating', 'failed'] as const) expect(mayMove(state, 'collect')).toBe(true)
  expect(mayMove('collected', 'collect')).toBe(false)
})
