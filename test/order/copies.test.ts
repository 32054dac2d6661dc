/** Which machines a topology asks for that was made before. */
import { expect, test } from 'vitest'
import { copiesToAskFor } from '../../node/cli/copies.ts'
import type { VmId } from '../../protocols/kit/index.ts'

const idOf = (documentIndex: number, copyIndex: number): VmId => `${documentIndex}/${copyIndex}` as VmId
const listed = (...machines: Array<[string, 'creating' | 'running' | 'failed' | 'collected']>) => machines.map(([vmid, state]) => ({ vmid: vmid as VmId, state }))

test('what is there is asked for again, what ended is made anew, and what is missing is made', () => {
  expect(copiesToAskFor(idOf, 3, [])).toEqual([0, 0, 0])
  expect(copiesToAskFor(idOf, 4, listed(['0/0', 'running'], ['1/0', 'collected'], ['2/0', 'failed'], ['2/1', 'creating']))).toEqual([0, 1, 1, 0])
  expect(copiesToAskFor(idOf, 1, listed(['0/0', 'failed'], ['0/1', 'failed'], ['0/2', 'collected']))).toEqual([3])
})

test('one that lives counts, whatever ended before or after it, also when what was before it has been forgotten', () => {
  expect(copiesToAskFor(idOf, 2, listed(['0/7', 'running'], ['1/3', 'running'], ['1/4', 'failed']))).toEqual([7, 3])
})

test('machines that it cannot have made do not keep it looking', () => {
  expect(copiesToAskFor(idOf, 1, listed(['else', 'running']))).toEqual([0])
})
