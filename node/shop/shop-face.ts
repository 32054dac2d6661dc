/** What the API and the command line ask of a shop. */
import type { ErrorCode, PeerId } from '../../protocols/kit/index.ts'
import type { CallAnswer, CallEvent, MachineView } from '../../protocols/machine/index.ts'

export interface CallTraffic {
  /** Awaited, so that a slow reader slows the sender. */
  onEvent?: (event: CallEvent) => void | Promise<void>
  /** What is typed at a console, or fed to a command. */
  input?: AsyncIterable<Uint8Array>
}

/** What the API tells of a plant in the view. */
export interface PlantView { plant: PeerId, self: boolean, ageMs: number, ad: Record<string, unknown> }

/** How a call through a shop ended; a list names the plants in view that did not answer: machines may be missing from it. */
export type ShopAnswer = CallAnswer | { kind: 'listed', silent: Array<{ plant: PeerId, code: ErrorCode }> }

export interface Shop {
  /**
   * Makes the machine that a signed order asks for, once, however often and through whichever shops it is asked. Throws ORDER_INVALID,
   * ORDER_CONFLICT, ORDER_REFUSED (details.refusals), MESH_CUT (strict only), or what made the plant fail.
   */
  create (signedOrder: Uint8Array, options: { strict: boolean }, traffic: CallTraffic, signal: AbortSignal): Promise<MachineView>
  /** Hands a signed call to the plant that has the machine; `list` and `networks` ask every plant in the view, `capture` the one that it names; `why` is answered here. */
  call (signedCall: Uint8Array, traffic: CallTraffic, signal: AbortSignal): Promise<ShopAnswer>
  /** How an order was decided; only its owner may ask. */
  why (signedCall: Uint8Array): Record<string, unknown>
  plants (): PlantView[]
}
