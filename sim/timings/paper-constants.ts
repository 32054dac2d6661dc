/**
 * Numbers of the `paper` set: the machines of VMPlants (4.2: dual 2.4 GHz Pentium 4, 1.5 GB, VMware GSX 2.5.1; warehouse on NFS behind 100 Mbit/s) and of
 * SO-MVDS (6.1: Xen 3.1, basic templates on NFS). `from: 'stated'` is in the paper or follows from it by arithmetic; `fitted` was chosen
 * so that the mechanism meets the stated means and range; `era` is usual for that hardware.
 */
export interface Constant { value: number, unit: string, from: 'stated' | 'fitted' | 'era', source: string }

const constants = <K extends string>(all: Record<K, Constant>): Record<K, Constant> => all

/** Numbers of the `paper` set by name. */
export const PAPER = constants({
  storeBytesPerMs: { value: 11_750, unit: 'bytes/ms', from: 'stated', source: '100 Mbit/s to the NFS server (VMPlants 4.2), 94 % of it payload (1,460 of 1,538 bytes, and the calls); the states of golden machines stay in the server\'s 1 GB of memory' },
  storeDiskBytesPerMs: { value: 10_226, unit: 'bytes/ms', from: 'stated', source: '2 GB copied in 210 s (VMPlants 4.3): 2^31 bytes / 210,000 ms' },
  storeCacheMiB: { value: 768, unit: 'MiB', from: 'era', source: 'three quarters of the server\'s 1 GB: what is larger comes from its disks each time' },
  linkFiles: { value: 20, unit: 'files', from: 'stated', source: '16 parts of the disk are linked (VMPlants 4.3); configuration, redo log, state and description make 20' },
  linkMsPerFile: { value: 50, unit: 'ms', from: 'era', source: 'a handful of synchronous NFS round trips with a disk behind them for each file' },
  resumeMs: { value: 9_700, unit: 'ms', from: 'fitted', source: 'VMware\'s start and resume apart from reading memory: what the mean of 25 s at 32 MB leaves' },
  identityMs: { value: 2_300, unit: 'ms', from: 'fitted', source: 'network interface, by a script on a virtual CD that a daemon polls for: see resumeMs' },
  actionMs: { value: 2_300, unit: 'ms', from: 'fitted', source: 'user id, the same way' },
  loadPerMachine: { value: 0.055, unit: 'share', from: 'fitted', source: 'each machine that idles there slows resume and scripts: 16 small machines against 5 large ones (VMPlants, Fig. 6)' },
  hostBaseMiB: { value: 192, unit: 'MiB', from: 'era', source: 'RedHat 7.3, the GSX server and a Java plant' },
  vmmOverheadMiB: { value: 54, unit: 'MiB', from: 'fitted', source: 'a VMM\'s own memory for each machine: puts the slow-down at more than 1 GB of guests, where VMPlants 4.3 has it' },
  cacheBytesPerMs: { value: 100_000, unit: 'bytes/ms', from: 'era', source: 'reading a state just copied, while it is in the page cache' },
  diskBytesPerMs: { value: 30_000, unit: 'bytes/ms', from: 'era', source: 'one SCSI disk of 2003, reading in order' },
  swapBytesPerMs: { value: 12_500, unit: 'bytes/ms', from: 'fitted', source: 'pages of other machines written out, with seeks, to make room: the 85 s of the slowest' },
  copyCv: { value: 0.06, unit: 'share', from: 'fitted', source: 'spread of the range 17 to 85 s' },
  resumeCv: { value: 0.12, unit: 'share', from: 'fitted', source: 'spread of the range 17 to 85 s' },
  umlBootMs: { value: 75_000, unit: 'ms', from: 'stated', source: '76 s for a clone that boots (VMPlants 4.3), less its links' },
  xenStoreBytesPerMs: { value: 24_875, unit: 'bytes/ms', from: 'stated', source: '199 Mbit/s through NFS (SO-MVDS, Fig. 10)' },
  xenCopyBytesPerMs: { value: 60_000, unit: 'bytes/ms', from: 'fitted', source: '480 Mbit/s, a file copied on one machine\'s own disk (SO-MVDS, Fig. 10): a template is taken to be copied where it lies, on the NFS server, for one clone after the other; the paper does not say how' },
  xenBootBytes: { value: 54_725_000, unit: 'bytes', from: 'stated', source: '88 s - 11 s for 35 more machines (SO-MVDS, Fig. 9) is 2.2 s each, at 199 Mbit/s: what a machine reads of its template as it starts' },
  xenCreateMs: { value: 400, unit: 'ms', from: 'fitted', source: 'the incremental image and `xm create`: the rest of 11 s for five' },
  destroyMs: { value: 2_000, unit: 'ms', from: 'era', source: 'power off and remove; no figure depends on it' }
})
export type PaperConstant = keyof typeof PAPER
