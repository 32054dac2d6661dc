/** A tar archive (POSIX ustar) of a few files that are in memory, all root's. */

const BLOCK_BYTES = 512

/** Names of at most 100 bytes; directories are made by whoever unpacks it. */
export function tarArchive (files: Array<{ name: string, data: Uint8Array, mode: number }>): Buffer {
  const parts: Buffer[] = []
  for (const { name, data, mode } of files) {
    parts.push(header(name, data.length, mode), Buffer.from(data), Buffer.alloc((BLOCK_BYTES - data.length % BLOCK_BYTES) % BLOCK_BYTES))
  }
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK_BYTES)])
}

function header (name: string, bytes: number, mode: number): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES)
  const octal = (value: number, at: number, digits: number): void => { block.write(`${value.toString(8).padStart(digits, '0')}\0`, at) }
  block.write(name, 0, 100)
  octal(mode, 100, 7)
  octal(0, 108, 7)
  octal(0, 116, 7)
  octal(bytes, 124, 11)
  octal(0, 136, 11)
  block.write('        0', 148)
  block.write('ustar\x0000', 257, 'latin1')
  octal(block.reduce((sum, byte) => sum + byte, 0), 148, 6)
  return block
}
