import { expect, test } from 'vitest'
import { lockData } from '../../storage/drivers/data-lock.ts'
import { child, tempDir } from './support.ts'

test('a data directory is one plant\'s until it is released', async () => {
  const dir = await tempDir()
  const release = lockData(dir)
  expect(() => lockData(dir)).toThrow('DATA_IN_USE')
  release()
  release()
  lockData(dir)()
})

test('a data directory is free again when its plant is killed', async () => {
  const dir = await tempDir()
  const holder = child('lock-holder.ts', [dir])
  expect((await holder.lines.next()).value).toBe('held')
  expect(() => lockData(dir)).toThrow(expect.objectContaining({ code: 'DATA_IN_USE', details: { dir, pid: holder.process.pid } }))
  holder.process.kill('SIGKILL')
  await holder.exited
  lockData(dir)()
})
