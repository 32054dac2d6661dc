/** A pack as a BitTorrent v1 torrent (BEP 3): its info dictionary in its one form, and the hash that names it. */
import { sha1 } from '@noble/hashes/legacy.js'
import { PlantError, toHex, type GoldenId } from '../kit/index.ts'
import { INFO_BYTES_MAX, PIECE_BYTES, PIECES_MAX } from './constants.ts'
import type { PackRef } from './manifest.ts'

/** SHA-1. */
export const SHA1_BYTES = 20

/** The pack's file name in a torrent. */
export function packName (goldenId: GoldenId): string { return `${goldenId}.pack` }

/** The bencoded info dictionary of a golden machine's own pack; `sha1s` has 20 bytes for each of its pieces. */
export function encodeInfo (goldenId: GoldenId, sha1s: Uint8Array): Uint8Array {
  const [head, tail] = [headOf(goldenId, sha1s.length / SHA1_BYTES), new TextEncoder().encode('e')]
  const info = new Uint8Array(head.length + sha1s.length + tail.length)
  info.set(head)
  info.set(sha1s, head.length)
  info.set(tail, head.length + sha1s.length)
  return info
}

/** 40 hex digits. */
export function infoHashOf (info: Uint8Array): string { return toHex(sha1(info)) }

/** The SHA-1 digests of an info dictionary that is this pack's and no other's; throws MANIFEST_INVALID. */
export function openInfo (pack: PackRef, info: Uint8Array): Uint8Array {
  const head = headOf(pack.goldenId, pack.pieces)
  const sound = pack.pieces <= PIECES_MAX && info.length <= INFO_BYTES_MAX && info.length === head.length + pack.pieces * SHA1_BYTES + 1 &&
    head.every((byte, i) => info[i] === byte) && info.at(-1) === 0x65 && infoHashOf(info) === pack.infoHash
  if (!sound) throw new PlantError('MANIFEST_INVALID', { problem: 'the info dictionary is not that of the pack', infoHash: pack.infoHash })
  return info.subarray(head.length, -1)
}

function headOf (goldenId: GoldenId, pieces: number): Uint8Array {
  const name = packName(goldenId)
  return new TextEncoder().encode(`d6:lengthi${pieces * PIECE_BYTES}e4:name${name.length}:${name}12:piece lengthi${PIECE_BYTES}e6:pieces${pieces * SHA1_BYTES}:`)
}
