/**
 * A minimal ISO 9660 image (ECMA-119, level 1): one directory of small files with 8.3 names, which is all that the ISO channel needs.
 * Written here because a few descriptors cost less than a program (genisoimage is in no minimal installation) run once for each action.
 */

const SECTOR_BYTES = 2048
/** ECMA-119 6.2.1: the first 16 sectors are the system's. Then descriptor, terminator, path tables, root directory, files. */
const LAYOUT = { descriptor: 16, terminator: 17, pathTableLittle: 18, pathTableBig: 19, root: 20, files: 21 }
const PATH_TABLE_BYTES = 10

export interface IsoFile {
  /** Eight and three of A-Z, 0-9 and _; Linux shows it in lower case. */
  name: string
  data: Uint8Array
}

/** The image's bytes. The files' names must differ; at most 40, so that the directory is one sector. */
export function isoImage (volume: string, files: IsoFile[]): Buffer {
  const sorted = files.toSorted((a, b) => a.name < b.name ? -1 : 1)
  let sector = LAYOUT.files
  const placed = sorted.map(({ name, data }) => {
    const at = sector
    sector += Math.ceil(data.length / SECTOR_BYTES)
    return { name, data, at }
  })
  const image = Buffer.alloc(sector * SECTOR_BYTES)
  const root = directoryRecord('\0', LAYOUT.root, SECTOR_BYTES, true)
  writeDescriptor(image.subarray(LAYOUT.descriptor * SECTOR_BYTES), volume, sector, root)
  image.write('\xffCD001\x01', LAYOUT.terminator * SECTOR_BYTES, 'latin1')
  // Path table: one entry, the root, whose parent is itself (9.4).
  image.set([1, 0, ...numberLittle(LAYOUT.root), 1, 0, 0, 0], LAYOUT.pathTableLittle * SECTOR_BYTES)
  image.set([1, 0, ...numberLittle(LAYOUT.root).reverse(), 0, 1, 0, 0], LAYOUT.pathTableBig * SECTOR_BYTES)
  const records = [root, directoryRecord('\x01', LAYOUT.root, SECTOR_BYTES, true),
    ...placed.map(({ name, data, at }) => directoryRecord(`${name};1`, at, data.length, false))]
  image.set(Buffer.concat(records), LAYOUT.root * SECTOR_BYTES)
  for (const { data, at } of placed) image.set(data, at * SECTOR_BYTES)
  return image
}

/** 8.4. Dates are left out (all zeros means none), text is padded with spaces. */
function writeDescriptor (at: Buffer, volume: string, sectors: number, root: Buffer): void {
  at.write('\x01CD001\x01', 0, 'latin1')
  at.fill(' ', 8, 72)
  at.write(volume.padEnd(32).slice(0, 32), 40, 'latin1')
  at.set(numberBoth(sectors), 80)
  at.set(shortBoth(1), 120)
  at.set(shortBoth(1), 124)
  at.set(shortBoth(SECTOR_BYTES), 128)
  at.set(numberBoth(PATH_TABLE_BYTES), 132)
  at.set(numberLittle(LAYOUT.pathTableLittle), 140)
  at.set(numberLittle(LAYOUT.pathTableBig).reverse(), 148)
  at.set(root, 156)
  at.fill(' ', 190, 813)
  for (const date of [813, 830, 847, 864]) at.fill('0', date, date + 16)
  at[881] = 1
}

/** 9.1. */
function directoryRecord (name: string, sector: number, bytes: number, isDirectory: boolean): Buffer {
  const length = 33 + name.length + (name.length % 2 === 0 ? 1 : 0)
  const record = Buffer.alloc(length)
  record[0] = length
  record.set(numberBoth(sector), 2)
  record.set(numberBoth(bytes), 10)
  // 1970-01-01, for a record has no way to leave its date out: years since 1900, month, day.
  record.set([70, 1, 1], 18)
  record[25] = isDirectory ? 2 : 0
  record.set(shortBoth(1), 28)
  record[32] = name.length
  record.write(name, 33, 'latin1')
  return record
}

function numberLittle (value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24]
}

/** 7.3.3: little-endian, then big-endian. */
function numberBoth (value: number): number[] {
  return [...numberLittle(value), ...numberLittle(value).reverse()]
}

/** 7.2.3. */
function shortBoth (value: number): number[] {
  return [value & 0xff, value >>> 8, value >>> 8, value & 0xff]
}
