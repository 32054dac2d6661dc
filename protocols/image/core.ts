/**
 * Takes in what a plant answers, part by part.
 *
 *   asked ──head──> open ──parts──> whole
 *     └──not here──> absent
 */
import { PlantError } from '../kit/index.ts'
import { PART_BYTES_MAX } from './constants.ts'
import type { ImageTell } from './messages.ts'

/** A manifest as it was signed, and the info dictionary of its own pack; neither has been checked. */
export interface SignedImage { manifest: Uint8Array, info: Uint8Array }

type State = { is: 'asked' | 'absent' } | { is: 'open' | 'whole', manifestBytes: number, bytes: Uint8Array, filled: number }

/** One answer being taken in; made anew for each ask. */
export class Assembly {
  #state: State = { is: 'asked' }

  /** True once nothing more is expected. Throws MESSAGE_INVALID for what may not come now, or is more than was announced. */
  take (tell: ImageTell): boolean {
    const state = this.#state
    if (state.is === 'asked' && tell.t === 2) {
      this.#state = { is: 'absent' }
      return true
    }
    if (state.is === 'asked' && tell.t === 0) {
      this.#state = { is: 'open', manifestBytes: tell.manifestBytes, bytes: new Uint8Array(tell.manifestBytes + tell.infoBytes), filled: 0 }
      return false
    }
    if (state.is !== 'open' || tell.t !== 1) throw new PlantError('MESSAGE_INVALID', { path: 't', problem: `not expected now (${state.is})`, found: tell.t })
    const left = state.bytes.length - state.filled
    if (tell.bytes.length > left) throw new PlantError('MESSAGE_INVALID', { path: 'bytes', problem: 'more than was announced' })
    // A part may take as long as the stream may be silent: with a byte in each, a plant would keep whoever asks for years.
    if (tell.bytes.length < Math.min(PART_BYTES_MAX, left)) throw new PlantError('MESSAGE_INVALID', { path: 'bytes', problem: 'a part before the last is not full' })
    state.bytes.set(tell.bytes, state.filled)
    state.filled += tell.bytes.length
    if (state.filled < state.bytes.length) return false
    this.#state = { ...state, is: 'whole' }
    return true
  }

  /** What came; undefined when the plant does not have it. For when `take` has said that it is all. */
  get image (): SignedImage | undefined {
    const state = this.#state
    return state.is === 'whole' ? { manifest: state.bytes.subarray(0, state.manifestBytes), info: state.bytes.subarray(state.manifestBytes) } : undefined
  }
}
