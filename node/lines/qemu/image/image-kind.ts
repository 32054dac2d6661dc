/**
 * What kind of image a file is, from its first bytes, and whether a qcow2 image may be opened at all. It is read here before any tool opens
 * it: an image can name files of the host (a backing file, an external data file), and a tool that opens it opens those too.
 * Formats: QEMU, docs/interop/qcow2.txt; ext4, Documentation/filesystems/ext4/super.rst.
 */
import { PlantError } from '../../../../protocols/kit/index.ts'
import { isTar } from './tar-read.ts'

export type ImageKind = 'qcow2' | 'disk' | 'filesystem' | 'tar' | 'tar.gz' | 'tar.zst'

/** So much of a file is looked at. */
export const HEAD_BYTES = 128 * 1024
/** 2 TiB: beyond, partition tables of images that boot by BIOS end; a disk takes room only for what is in it. */
export const VIRTUAL_BYTES_MAX = 2 ** 41
/** Less holds no operating system. */
export const VIRTUAL_BYTES_MIN = 1024 * 1024

const EXTENSIONS = { end: 0, backingFormat: 0xe2792aca, externalData: 0x44415441 } as const
/** Bits of incompatible features that are understood: dirty, corrupt (both refused), external data (refused), compression type, extended L2. */
const FEATURES = { dirty: 1n, corrupt: 2n, externalData: 4n, known: 0x1fn } as const
/** Others that people have, by their first bytes: told by name, so that it is clear what to do. */
const REFUSED: Array<[string, string]> = [['KDMV', 'VMDK'], ['# Disk DescriptorFile', 'VMDK'], ['vhdxfile', 'VHDX'], ['conectix', 'VHD'], ['<<< ', 'VDI'], ['\xfd7zXZ', 'xz'], ['BZh', 'bzip2'], ['PK\x03\x04', 'zip'], ['QED\0', 'QED']]

/** Throws IMAGE_INVALID when it is none of those that are taken in. */
export function imageKind (head: Buffer, fileBytes: number): ImageKind {
  if (head.toString('latin1', 0, 4) === 'QFI\xfb') return 'qcow2'
  if (isTar(head)) return 'tar'
  if (head[0] === 0x1f && head[1] === 0x8b) return 'tar.gz'
  if (head.length > 4 && head.readUInt32LE(0) === 0xfd2fb528) return 'tar.zst'
  const refused = REFUSED.find(([magic]) => head.toString('latin1', 0, magic.length) === magic)
  if (refused !== undefined) throw new PlantError('IMAGE_INVALID', { problem: `it is of kind ${refused[1]}: unpack it, or convert it (qemu-img convert -O qcow2)` })
  // A file system over the whole of it has no loader; ext4's magic is at 1080.
  if (head.length > 1082 && head.readUInt16LE(1080) === 0xef53 && head.readUInt16LE(510) !== 0xaa55) return sized('filesystem', fileBytes)
  if (head.length >= 512 && head.readUInt16LE(510) === 0xaa55) return sized('disk', fileBytes)
  throw new PlantError('IMAGE_INVALID', { problem: 'it is neither a qcow2 image, nor a disk that boots, nor an ext4 file system, nor a tar archive' })
}

function sized (kind: ImageKind, bytes: number): ImageKind {
  if (bytes < VIRTUAL_BYTES_MIN || bytes > VIRTUAL_BYTES_MAX) throw new PlantError('IMAGE_INVALID', { problem: 'its size is absurd', bytes, bytesMin: VIRTUAL_BYTES_MIN, bytesMax: VIRTUAL_BYTES_MAX })
  return kind
}

/** The virtual size of a qcow2 image that names no other file. Throws IMAGE_INVALID for any that does, and for what makes no sense. */
export function checkQcow2 (head: Buffer, fileBytes: number): number {
  const refuse = (problem: string, details: Record<string, unknown> = {}): never => { throw new PlantError('IMAGE_INVALID', { problem, ...details }) }
  if (head.length < 104) refuse('the qcow2 image is cut off')
  const version = head.readUInt32BE(4)
  if (version !== 2 && version !== 3) refuse('the qcow2 image is of an unknown version', { version })
  const backingAt = head.readBigUInt64BE(8)
  if (backingAt !== 0n || head.readUInt32BE(16) !== 0) refuse('the qcow2 image has a backing file: flatten it (qemu-img convert -O qcow2)')
  const clusterBits = head.readUInt32BE(20)
  if (clusterBits < 9 || clusterBits > 21) refuse('the qcow2 image has clusters of an absurd size', { clusterBits })
  if (head.readUInt32BE(32) !== 0) refuse('the qcow2 image is encrypted')
  const bytes = head.readBigUInt64BE(24)
  if (bytes < BigInt(VIRTUAL_BYTES_MIN) || bytes > BigInt(VIRTUAL_BYTES_MAX)) refuse('its virtual size is absurd', { bytes: bytes.toString(), bytesMin: VIRTUAL_BYTES_MIN, bytesMax: VIRTUAL_BYTES_MAX })
  const l1End = head.readBigUInt64BE(40) + BigInt(head.readUInt32BE(36)) * 8n
  if (l1End > BigInt(fileBytes)) refuse('the qcow2 image is cut off')
  const features = version === 3 ? head.readBigUInt64BE(72) : 0n
  if ((features & FEATURES.externalData) !== 0n) refuse('the qcow2 image keeps its data in another file: flatten it (qemu-img convert -O qcow2)')
  if ((features & (FEATURES.dirty | FEATURES.corrupt)) !== 0n) refuse('the qcow2 image was not closed properly: mend it (qemu-img check -r all)')
  if ((features & ~FEATURES.known) !== 0n) refuse('the qcow2 image has features that are not known', { features: features.toString(16) })
  checkExtensions(head, version === 3 ? head.readUInt32BE(100) : 72, refuse)
  return Number(bytes)
}

function checkExtensions (head: Buffer, from: number, refuse: (problem: string) => never): void {
  for (let at = from; at + 8 <= head.length;) {
    const type = head.readUInt32BE(at)
    const length = head.readUInt32BE(at + 4)
    if (type === EXTENSIONS.end) return
    if (type === EXTENSIONS.externalData || type === EXTENSIONS.backingFormat) refuse('the qcow2 image names another file: flatten it (qemu-img convert -O qcow2)')
    at += 8 + Math.ceil(length / 8) * 8
  }
  refuse('the qcow2 image\'s header does not end')
}
