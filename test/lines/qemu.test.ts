/** The contract of production lines, run against QEMU. */
import { mkdtemp, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { GOLDEN_FILES } from '../../node/lines/qemu/parts.ts'
import { processesIn } from '../../node/lines/qemu/processes.ts'
import { describeLine } from '../contracts/line.ts'
import type { LineUnderTest } from '../contracts/line.ts'
import { describeLineLife } from '../contracts/line-life.ts'
import { testLine, tinyGolden } from '../support/tiny.ts'

const open = async (): Promise<LineUnderTest> => {
  const { line, golden, goldenDir, dataDir, clean } = await tinyGolden()
  return {
    line, golden, goldenDir, dataDir, clean, published: Object.values(GOLDEN_FILES).filter((name) => name !== GOLDEN_FILES.seed).sort(),
    reopen: async () => await testLine(dataDir),
    processes: async () => (await processesIn(dataDir, '')).map(({ pid }) => pid),
    remains: async () => (await Promise.all(['machines', 'helpers'].map(async (room) => (await readdir(join(dataDir, room)).catch((): string[] => [])).map((name) => join(room, name))))).flat()
  }
}

describeLine('qemu', open)
describeLineLife('qemu', async () => {
  const subject = await open()
  return {
    ...subject,
    kill: ({ pid }) => { process.kill(pid, 'SIGKILL') },
    after: (ms, fn) => {
      const timer = setTimeout(fn, ms)
      return () => { clearTimeout(timer) }
    },
    scratch: async () => await mkdtemp(join(subject.dataDir, 'golden-'))
  }
})
