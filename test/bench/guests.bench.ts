/**
 * Guest to guest: TCP and round trips between two machines across two plants, as a ratio to two machines on one plant's switch, in turns. Real plants as processes on one host
 * (so both plants, both guests and the encryption share its processors). `node guests.bench.ts [--json]`.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { TestHost, until, type TestPlant } from '../support/plants.ts'

const ROUNDS = 3
const SECONDS = 8
const PORT = 5_001

/** Prints Mbit/s of what one connection brings. */
const RECEIVE = `perl -e 'sub now { open(my $u, "<", "/proc/uptime"); return (split " ", <$u>)[0] } socket(my $l, 2, 1, 6) or die; setsockopt($l, 1, 2, pack("l", 1)); bind($l, pack("S n a4 x8", 2, ${PORT}, pack("N", 0))) or die; listen($l, 1); accept(my $c, $l); my ($n, $t) = (0, now()); while (my $r = sysread($c, my $b, 262144)) { $n += $r } printf "%.1f\\n", $n * 8 / (now() - $t) / 1e6'`
const send = (to: string): string => `perl -e '$SIG{PIPE} = "IGNORE"; socket(my $s, 2, 1, 6) or die; connect($s, pack("S n C4 x8", 2, ${PORT}, ${to.replaceAll('.', ', ')})) or die "$!"; my ($b, $end) = ("x" x 262144, time + ${SECONDS}); while (time < $end) { syswrite($s, $b) or die "$!" }'`

interface Made { vmid: string, attributes: Record<string, string> }

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN

const host = new TestHost()
try {
  const [a, b] = await host.mesh(2) as [TestPlant, TestPlant]
  const make = async (name: string, on: TestPlant): Promise<Made> => {
    const path = join(host.dir, `${name}.json`)
    writeFileSync(path, JSON.stringify({ apiVersion: 'plantmesh/v1', kind: 'Machine', metadata: { name }, network: { name: 'lan' }, software: { os: 'tiny', actions: [] }, requirements: `PeerId == "${on.peerId}"` }))
    const made = await a.cli(['create', '-f', path, '--json'])
    if (made.status !== 0) throw new Error(made.stdout + made.stderr)
    return made.json as Made
  }
  const exec = async (machine: Made, script: string): Promise<string> => {
    const done = await a.cli(['exec', machine.vmid, '--timeout', '120000', '--', 'sh', '-c', script])
    if (done.status !== 0) throw new Error(`${done.stdout}${done.stderr}`)
    return done.stdout
  }
  const from = await make('from', a)
  const beside = await make('beside', a)
  const across = await make('across', b)
  const addressOf = ({ attributes }: Made): string => attributes['Address'] ?? ''
  for (const to of [beside, across]) await until(async () => exec(from, `ping -c 1 -W 2 ${addressOf(to)}`).then(() => true, () => false), 30_000, 'they reach each other')

  const rates = { beside: [] as number[], across: [] as number[] }
  const trips = { beside: [] as number[], across: [] as number[] }
  for (let round = 0; round < ROUNDS; round++) {
    for (const [where, to] of [['beside', beside], ['across', across]] as const) {
      trips[where].push(Number(/= [\d.]+\/([\d.]+)\//.exec(await exec(from, `ping -c 30 -i 0.1 -q ${addressOf(to)}`))?.[1]))
      const received = exec(to, RECEIVE)
      received.catch(() => {}) // Told when it is waited for; until then the clean-up must not be skipped.
      await until(async () => (await exec(to, `netstat -ltn 2>/dev/null | grep -c :${PORT} || true`)).trim() !== '0', 30_000, 'it listens')
      await exec(from, send(addressOf(to)))
      rates[where].push(Number(await received))
    }
  }
  const result = { besideMbit: median(rates.beside), acrossMbit: median(rates.across), besideMs: median(trips.beside), acrossMs: median(trips.across) }
  if (process.argv.includes('--json')) console.log(JSON.stringify(result))
  else {
    console.log(`one switch          ${result.besideMbit.toFixed(0)} Mbit/s, round trip ${result.besideMs.toFixed(2)} ms   (median of ${ROUNDS}, ${SECONDS} s each)`)
    console.log(`across two plants   ${result.acrossMbit.toFixed(0)} Mbit/s, round trip ${result.acrossMs.toFixed(2)} ms   ratio ${(result.acrossMbit / result.besideMbit).toFixed(2)} (aim: at least 0.85), ${(result.acrossMs - result.besideMs).toFixed(2)} ms more`)
  }
} finally {
  await host.cleanUp()
}
