/** What every channel into a guest promises (`GuestChannel` in node/lines/line.ts), whatever the way in. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { GuestChannel, ScriptResult, ScriptRun } from '../../node/lines/line.ts'

export interface ChannelUnderTest {
  channel: GuestChannel
  /** Waits until the guest answers again after it has rebooted. */
  answersAgain (): Promise<void>
  close (): Promise<void>
}

/** Declares the contract's tests; the machine that `open` connects to is used by all of them, in order. */
export function describeGuestChannel (name: string, open: () => Promise<ChannelUnderTest>): void {
  overChannel(name, open, (run, answersAgain) => {
    whatIsGiven(run)
    whatIsTold(run)
    whatRunsTogether(run)
    whatIsBad(run, answersAgain)
  })
}

/** The part of the contract that takes half a minute: much output. */
export function describeMuchOutput (name: string, open: () => Promise<ChannelUnderTest>): void {
  overChannel(name, open, whatIsMuch)
}

function overChannel (name: string, open: () => Promise<ChannelUnderTest>, declare: (run: Run, answersAgain: () => Promise<void>) => void): void {
  describe(`guest channel ${name}`, () => {
    let subject: ChannelUnderTest
    beforeAll(async () => { subject = await open() })
    afterAll(async () => { await subject?.close() })
    declare(async (script, more = {}, signal) => await subject.channel.run({ script, parameters: {}, files: {}, timeoutMs: 60_000, ...more }, signal), async () => subject.answersAgain())
  })
}

type Run = (script: string, more?: Partial<ScriptRun>, signal?: AbortSignal) => Promise<ScriptResult>

/** What a script is given. */
function whatIsGiven (run: Run): void {
  test('runs as root in / with a sane environment', async () => {
    const { outputTail } = await run('id -u; pwd; echo $HOME; sh -c "echo $PATH"; ulimit -v')
    expect(outputTail).toBe('0\n/\n/root\n/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nunlimited\n')
  })

  test('passes parameters as environment variables, whatever is in them', async () => {
    const value = 'a "b" $HOME `id` \\ \n é ' + 'x'.repeat(20_000)
    expect((await run('printf %s "$GREETING"', { parameters: { GREETING: value } })).outputTail).toBe(value)
  })

  test('places files before the script runs, makes their directories and replaces what was there', async () => {
    const files = { '/srv/a/b/one': 'one\n', '/srv/two': 'é'.repeat(50_000) }
    expect((await run('cat /srv/a/b/one; wc -c < /srv/two; stat -c %u:%a /srv/two', { files })).outputTail).toBe('one\n100000\n0:644\n')
    expect((await run('cat /srv/two', { files: { '/srv/two': 'short' } })).outputTail).toBe('short')
  })

  test('ends with the reason in the output when a file cannot be placed', async () => {
    const result = await run('echo ran', { files: { '/proc/no/such': 'x' } })
    expect(result.status).toBe(126)
    expect(result.outputTail).toContain('/proc/no/such')
    expect(result.outputTail).not.toContain('ran')
  })

  test('feeds standard input and then closes it, and gives none by default', async () => {
    const stdin = Buffer.alloc(300_000, 'abc')
    expect((await run('wc -c', { stdin })).outputTail.trim()).toBe('300000')
    expect((await run('cat; echo end')).outputTail).toBe('end\n')
  })
}

/** What comes back of it. */
function whatIsTold (run: Run): void {
  test('returns the exit status, and 128 + signal when the command was killed', async () => {
    expect((await run('exit 0')).status).toBe(0)
    expect((await run('exit 7')).status).toBe(7)
    expect((await run('kill -9 $$')).status).toBe(137)
    expect((await run('no-such-command')).status).toBe(127)
  })

  test('reads outputs back, the last of a name, also when the script fails', async () => {
    const result = await run('echo A=1 >> "$PLANT_OUTPUT"; echo "B=x = y " >> "$PLANT_OUTPUT"; echo A=2 >> "$PLANT_OUTPUT"; exit 3')
    expect(result).toMatchObject({ status: 3, outputs: { A: '2', B: 'x = y ' } })
  })

  test('leaves out names that are no attribute names, and what is beyond the bounds', async () => {
    const bad = await run('printf "1x=1\\n=2\\na b=3\\n-n=4\\nnothing\\n__proto__=5\\ngood=6" >> "$PLANT_OUTPUT"')
    expect(Object.entries(bad.outputs).sort()).toEqual([['__proto__', '5'], ['good', '6']])
    expect(bad.outputsDropped?.count).toBe(5)
    const many = await run('seq 1 1000 | sed "s/.*/n&=&/" >> "$PLANT_OUTPUT"')
    expect(Object.keys(many.outputs)).toHaveLength(256)
    expect(many.outputsDropped?.count).toBe(744)
    const long = await run('printf first=1\\\\nlong= >> "$PLANT_OUTPUT"; head -c 9000000 /dev/zero | tr "\\0" x >> "$PLANT_OUTPUT"')
    expect(long.outputs).toEqual({ first: '1' })
    expect(long.outputsDropped).toEqual({ count: 1, some: [expect.stringMatching(/^long: cut off/)] })
    const replaced = await run('rm "$PLANT_OUTPUT"; ln -s /etc/shadow "$PLANT_OUTPUT"')
    expect(replaced.outputs).toEqual({})
    const pipe = await run('rm "$PLANT_OUTPUT"; mkfifo "$PLANT_OUTPUT"')
    expect(pipe.outputs).toEqual({})
  })

  test('streams output as it comes, from both sources', async () => {
    const seen: string[] = []
    const onOutput: ScriptRun['onOutput'] = (piece, source) => { seen.push(`${source}:${Buffer.from(piece).toString()}`) }
    const result = await run('echo out; sleep 0.2; echo err >&2; sleep 0.2; echo end', { onOutput })
    expect(seen).toEqual(['stdout:out\n', 'stderr:err\n', 'stdout:end\n'])
    expect(result).toMatchObject({ outputTail: 'out\nerr\nend\n', outputBytes: 12 })
  })

  test('keeps binary output byte for byte', async () => {
    const pieces: Uint8Array[] = []
    const stdin = Buffer.from(Array.from({ length: 70_000 }, (_, i) => i * 7 % 256))
    await run('cat', { stdin, onOutput: (piece) => { pieces.push(piece) } })
    expect(Buffer.concat(pieces).equals(stdin)).toBe(true)
  })

  test('keeps the end of long output and counts all of it', async () => {
    const result = await run('seq 1 100000')
    expect(result.outputBytes).toBe(588_895)
    expect(result.outputTail.length).toBe(65_536)
    expect(result.outputTail.endsWith('99999\n100000\n')).toBe(true)
  })
}

/** A tenth of what is printed: a command that waits for its turn gets one long before the other has ended (seen: 1.5 MB). */
const WAIT_BYTES_MAX = 10 * 1024 * 1024
/** Some pieces that wait to be sent, and perl's copies of them (seen: 0.4 MB). */
const AGENT_GROWS_KIB_MAX = 4 * 1024

/** A command that prints far more than anybody keeps. */
function whatIsMuch (run: Run): void {
  test('lets others be heard and keeps the guest\'s memory while a command prints 100 MiB', async () => {
    const stop = new AbortController()
    // The agent's own memory, at its peak: what it held for a host that does not keep up would be there.
    const peak = 'awk \'/^VmHWM/ { print $2 }\' /proc/$PPID/status'
    const before = Number((await run(`echo 5 > /proc/$PPID/clear_refs; ${peak}`)).outputTail)
    let printed = 0
    const big = run('head -c 104857600 /dev/zero', { onOutput: (piece) => { printed += piece.length } }).finally(() => { stop.abort() })
    const waits: number[] = []
    while (!stop.signal.aborted) {
      const printedBefore = printed
      await run('true')
      waits.push(printed - printedBefore)
    }
    expect((await big).outputBytes).toBe(104_857_600)
    // Counted in output that went before them, not in time: the host may have other things to do.
    expect(waits.length).toBeGreaterThan(4)
    expect(Math.max(...waits)).toBeLessThan(WAIT_BYTES_MAX)
    expect(Number((await run(peak)).outputTail) - before).toBeLessThan(AGENT_GROWS_KIB_MAX)
  })
}

/** Many at once, and how they end. */
function whatRunsTogether (run: Run): void {
  test('runs several at once', async () => {
    // Each waits for all the others, so that none ends unless all run.
    const meet = 'touch /tmp/meet-$N; while [ $(ls /tmp/meet-* | wc -l) -lt 8 ]; do usleep 20000; done; echo $N'
    const results = await Promise.all(Array.from({ length: 8 }, (_, i) => run(meet, { parameters: { N: String(i) } })))
    expect(results.map(({ outputTail }) => outputTail)).toEqual(Array.from({ length: 8 }, (_, i) => `${i}\n`))
  })

  test('kills the whole group when the time is over, and says what was printed', async () => {
    const late = run('echo started; setsid sh -c "while :; do sleep 987; done" & sleep 988', { timeoutMs: 1000 })
    await expect(late).rejects.toMatchObject({ code: 'ACTION_TIMEOUT', details: { timeoutMs: 1000, outputTail: 'started\n' } })
    expect((await run('ps | grep -c "sleep 98[78]"')).outputTail).toBe('0\n')
  })

  test('kills the command when the signal is given, and rejects with its reason', async () => {
    const stop = new AbortController()
    const reason = new Error('enough')
    const stopped = run('echo started; sleep 989', { onOutput: () => { stop.abort(reason) } }, stop.signal)
    await expect(stopped).rejects.toBe(reason)
    expect((await run('ps | grep -c "sleep 98[9]"')).outputTail).toBe('0\n')
    await expect(run('true', {}, stop.signal)).rejects.toBe(reason)
  })

  test('kills what a failed command left behind', async () => {
    expect((await run('setsid sleep 986 & exit 1')).status).toBe(1)
    expect((await run('while ps | grep -q "sleep 98[6]"; do usleep 20000; done', { timeoutMs: 10_000 })).status).toBe(0)
  })

  test('does not wait for a daemon that keeps its output open, and lets it live', async () => {
    const daemon = await run('(for i in 1 2 3 4 5 6; do echo tick; sleep 0.1; done; echo alive > /tmp/daemon) & echo left')
    expect(daemon.outputTail.startsWith('left') || daemon.outputTail.includes('left')).toBe(true)
    expect((await run('while [ ! -e /tmp/daemon ]; do usleep 20000; done; cat /tmp/daemon', { timeoutMs: 10_000 })).outputTail).toBe('alive\n')
  })
}

/** What a bad guest or a bad request may do. */
function whatIsBad (run: Run, answersAgain: () => Promise<void>): void {
  test('survives a fork bomb', async () => {
    await expect(run('bomb() { bomb | bomb & }; bomb; sleep 1000', { timeoutMs: 3000 })).rejects.toMatchObject({ code: 'ACTION_TIMEOUT' })
    expect((await run('echo fine')).outputTail).toBe('fine\n')
  })

  test('survives a command that takes all memory', async () => {
    const result = await run('perl -e \'my @a; push @a, "x" x 1000000 while 1\'')
    expect(result.status).toBe(137)
    expect((await run('echo fine')).outputTail).toBe('fine\n')
  })

  test('goes on when the guest\'s disk is full', async () => {
    const result = await run('dd if=/dev/zero of=/fill bs=1M 2> /dev/null; echo full; exit 4')
    expect(result).toMatchObject({ status: 4, outputTail: 'full\n' })
    expect((await run('rm /fill; echo A=1 >> "$PLANT_OUTPUT"')).outputs).toEqual({ A: '1' })
  })

  test('refuses a request that is too long, and a parameter that is none', async () => {
    await expect(run('true', { files: { '/tmp/huge': 'x'.repeat(5_000_000) } })).rejects.toMatchObject({ code: 'LIMIT' })
    await expect(run('true', { parameters: { 'a=b': '1' } })).rejects.toMatchObject({ code: 'ORDER_INVALID' })
    await expect(run('true', { files: { 'relative': '1' } })).rejects.toMatchObject({ code: 'ORDER_INVALID' })
  })

  test('fails with VM_DIED when the command reboots the guest, and answers again afterwards', async () => {
    await expect(run('reboot; sleep 1000')).rejects.toMatchObject({ code: 'VM_DIED', details: { reason: 'the guest rebooted' } })
    await answersAgain()
    expect((await run('echo back')).outputTail).toBe('back\n')
    await expect(run('echo cut; reboot -f; sleep 1000')).rejects.toMatchObject({ code: 'VM_DIED' })
    await answersAgain()
    expect((await run('echo back')).outputTail).toBe('back\n')
  })
}
