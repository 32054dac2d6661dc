/** The contract of production lines, for machines whose disk has not arrived: those that resume, and those that boot. Six minutes under emulation. */
import { describeLine } from '../contracts/line.ts'
import { lazyLine } from '../support/lazy.ts'

describeLine('qemu, suspended, with a disk that has not arrived', async () => await lazyLine('suspended'))
describeLine('qemu, booted, with a disk that has not arrived', async () => await lazyLine('booted'))
