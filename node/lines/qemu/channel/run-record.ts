/** What the host keeps of a command that runs in the guest: bounded, whatever the guest sends. */
import { PlantError, asPlantError } from '../../../../protocols/kit/index.ts'
import type { ScriptResult, ScriptRun } from '../../line.ts'
import { MESSAGE, OUTPUTS_BYTES_MAX, OUTPUT_PENDING_BYTES_MAX, OUTPUT_TAIL_BYTES } from './constants.ts'
import type { Frame } from './frames.ts'
import { parseOutputs } from './request.ts'

/** Gathers a command's output and outputs, and tells when it was taken and when it ended. */
export class RunRecord {
  readonly taken: Promise<void>
  readonly ended: Promise<ScriptResult>
  #onTaken = Promise.withResolvers<void>()
  #onEnded = Promise.withResolvers<ScriptResult>()
  #onOutput: ScriptRun['onOutput']
  readonly #hold: (held: boolean) => void
  #pendingBytes = 0
  #held = false
  #tail: Buffer[] = []
  #tailBytes = 0
  #outputBytes = 0
  #outputs: Buffer[] = []
  #outputsBytes = 0

  /** `hold` is told when the guest's output must wait for the caller, and when no longer. */
  constructor (onOutput?: ScriptRun['onOutput'], hold: (held: boolean) => void = () => {}) {
    this.#onOutput = onOutput
    this.#hold = hold
    this.taken = this.#onTaken.promise
    this.ended = this.#onEnded.promise
    // Whoever waits sees the rejection; nobody has to wait for both.
    this.taken.catch(() => {})
    this.ended.catch(() => {})
  }

  get outputTail (): string { return Buffer.concat(this.#tail).subarray(-OUTPUT_TAIL_BYTES).toString('utf8') }
  get outputBytes (): number { return this.#outputBytes }

  /** Takes a frame of this command; true when it was its last. */
  onFrame ({ type, payload }: Frame): boolean {
    if (type === MESSAGE.STARTED) this.#onTaken.resolve()
    else if (type === MESSAGE.OUTPUT) this.#onPiece(payload)
    else if (type === MESSAGE.OUTPUTS && this.#outputsBytes < OUTPUTS_BYTES_MAX) {
      const piece = payload.subarray(0, OUTPUTS_BYTES_MAX - this.#outputsBytes)
      this.#outputs.push(piece)
      this.#outputsBytes += piece.length
    } else if (type === MESSAGE.REFUSED) {
      this.fail(new PlantError('LIMIT', { bound: 'the agent refused the request', problem: payload.toString('utf8', 0, 1024) }))
      return true
    } else if (type === MESSAGE.RESULT) {
      this.#onTaken.resolve()
      this.#onEnded.resolve({ status: statusOf(payload), outputTail: this.outputTail, outputBytes: this.#outputBytes, ...parseOutputs(Buffer.concat(this.#outputs)) })
      return true
    }
    return false
  }

  fail (error: Error): void {
    this.#onTaken.reject(error)
    this.#onEnded.reject(error)
  }

  /** The run is over for its caller: nothing is handed on any more, and the port waits for nobody. */
  close (): void {
    this.#onOutput = undefined
    this.#setHeld(false)
  }

  #forward (piece: Buffer, source: 'stdout' | 'stderr'): void {
    const taken = this.#onOutput?.(piece, source)
    if (taken === undefined) return
    this.#pendingBytes += piece.length
    if (this.#pendingBytes > OUTPUT_PENDING_BYTES_MAX) this.#setHeld(true)
    taken.then(() => {
      this.#pendingBytes -= piece.length
      if (this.#pendingBytes <= OUTPUT_PENDING_BYTES_MAX) this.#setHeld(false)
    }, (error: unknown) => {
      this.close()
      this.fail(asPlantError(error)) // The caller has gone: so does the command.
    })
  }

  #setHeld (held: boolean): void {
    if (held === this.#held) return
    this.#held = held
    this.#hold(held)
  }

  #onPiece (payload: Buffer): void {
    const piece = payload.subarray(1)
    this.#outputBytes += piece.length
    this.#tail.push(piece)
    this.#tailBytes += piece.length
    // Whole pieces that are beyond the tail go; what is kept stays under the tail and one piece.
    for (let first = this.#tail[0]; first !== undefined && this.#tailBytes - first.length >= OUTPUT_TAIL_BYTES; first = this.#tail[0]) {
      this.#tailBytes -= first.length
      this.#tail.shift()
    }
    // Single bytes must not cost a buffer each.
    if (this.#tail.length > 64) this.#tail = [Buffer.concat(this.#tail)]
    this.#forward(piece, payload[0] === 2 ? 'stderr' : 'stdout')
  }
}

/** Exit status of a wait status (wait(2)): 128 + signal when killed. */
function statusOf (payload: Buffer): number {
  const wait = payload.length >= 4 ? payload.readUInt32BE(0) : 0xff00
  const signal = wait & 0x7f
  return signal === 0 ? (wait >> 8) & 0xff : 128 + signal
}
