/** Numbers of the protocol between host and guest (README.md), and every bound on what a guest can make grow. The guest's copy: `guest/agent.pl`. */

/** Message numbers are only ever appended. Below 64: to the guest; from 64: to the host. */
export const MESSAGE = {
  HELLO: 1, BODY: 2, START: 3, CANCEL: 4, IDENTIFY: 5, GROW: 6, SYNC: 7,
  BOOT: 64, INFO: 65, STARTED: 66, OUTPUT: 67, OUTPUTS: 68, RESULT: 69, REPLY: 70, REFUSED: 71
} as const

/** Type (1), id (4) and length (2) before, the session's token after. */
export const HEAD_BYTES = 7
export const TOKEN_BYTES = 4
/** To the guest: small, because the zeros that clear its reader are as many (README.md, Getting in step). */
export const TO_GUEST_PAYLOAD_BYTES_MAX = 4096
export const TO_HOST_PAYLOAD_BYTES_MAX = 16_384
export const NONCE_BYTES = 16
/** Trailer of the two messages that belong to no session. */
export const NO_SESSION_TOKEN = Buffer.from('PMG1')
export const HELLO_MARK = Buffer.from('PMGHELLO')
export const BOOT_MARK = Buffer.from('PMGBOOT!')

/** Bytes that may come before the answer to a hello: QEMU and the guest's kernel hold at most 128 buffers of 32 KiB, twice over. */
export const STALE_BYTES_MAX = 8 * 1024 * 1024
/** Bytes that may come between a broken frame and the word that the guest has booted: one frame's worth of zeros and what was cut off. */
export const RESYNC_BYTES_MAX = 4 * TO_HOST_PAYLOAD_BYTES_MAX
/** Output that a caller has not taken yet; above, the guest's port is not read until it has. */
export const OUTPUT_PENDING_BYTES_MAX = 4 * 1024 * 1024
/** How much of a command's output is kept (`ScriptResult.outputTail`). */
export const OUTPUT_TAIL_BYTES = 65_536
/** Of `$PLANT_OUTPUT`: the rest is not read, and what fills it counts as cut. */
export const OUTPUTS_BYTES_MAX = 65_536
/** An encoded request: script, parameters, files and standard input together. The guest holds it in memory once. */
export const REQUEST_BYTES_MAX = 4 * 1024 * 1024
/** Requests at a time on one channel; the guest has the same bound. */
export const RUNS_MAX = 64
/** Longest reply or refusal: a public key and some names. */
export const REPLY_BYTES_MAX = TO_HOST_PAYLOAD_BYTES_MAX

/** A guest that is alive takes a request within milliseconds, and within seconds when a fork bomb goes off in it under emulation. */
export const TAKEN_WITHIN_MS = 15_000
/** The disc is found, mounted and read on top of that. */
export const DISC_TAKEN_WITHIN_MS = 30_000
/** How long the end of a command that is being killed is waited for before its caller is told anyway. */
export const KILLED_WITHIN_MS = 5_000
/** A hello that got lost (the agent ended just then) is said again, at intervals that double from here. */
export const HELLO_AGAIN_MS = 3_000
/** The guest's clock may differ by this from the host's when read back: the message's way there and back on a busy host. */
export const CLOCK_SKEW_MS_MAX = 5_000
export const REPLY_WITHIN_MS = 30_000
