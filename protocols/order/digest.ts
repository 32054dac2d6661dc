/** What an action does, and what an order asks, as one digest: SHA-256 over deterministic CBOR with its purpose in front. */
import { sha256 } from '@noble/hashes/sha2.js'
import { encode, toHex, type ActionDigest } from '../kit/index.ts'
import type { Action, Order } from './order.ts'
import type { Topology } from './topology/index.ts'

/**
 * The identity of an action: where it runs, script, parameters, files, built-in and its arguments. Not its id, place in the graph, time-out
 * or error sub-graph: two orders that ask the same share golden machines (CONTRACT.md, Orders).
 */
export function actionDigest (action: Pick<Action, 'run' | 'script' | 'parameters' | 'files' | 'use' | 'with'>): ActionDigest {
  const { run, script, parameters, files, use } = action
  return toHex(sha256(encode(['plantmesh/action/v1', { run, script, parameters, files, use, with: action.with ?? {} }]))) as ActionDigest
}

/**
 * Another digest of a checked order, told to nobody: who knows it was given the order, which `orderDigest`, that goes from plant to plant, does not
 * show (`protocols/claim`, "When the mesh is cut").
 */
export function orderSecret (order: Order): string {
  return toHex(sha256(encode(['plantmesh/order-secret/v1', order])))
}

/** The digest of a checked order as 64 lower-case hex digits: the same order id with another digest is an ORDER_CONFLICT. */
export function orderDigest (order: Order): string {
  return toHex(sha256(encode(['plantmesh/order/v1', order])))
}

/** The digest of a checked topology as 64 lower-case hex digits: an order id that follows from what is asked for, so that asked twice it is made once. */
export function topologyDigest (topology: Topology): string {
  return toHex(sha256(encode(['plantmesh/topology/v1', topology])))
}
