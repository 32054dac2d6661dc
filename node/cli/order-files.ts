/** Order files: read within bounds, checked, converted. Used by create, validate and convert. */
import { open } from 'node:fs/promises'
import { PlantError } from '../../protocols/kit/index.ts'
import { FILE_BYTES_MAX, formatOrders, formatTopology, orderInvalid, parseFile, tooLarge, type Order, type OrderFormat, type Topology } from '../../protocols/order/index.ts'

/** The orders of a file in the order in which they stand; with the topology, when they are its machines'. */
export interface Orders { orders: Order[], topology?: Topology }

/**
 * The orders of a file (`-`: standard input), checked. Throws ORDER_INVALID with all problems, or USAGE when the file cannot be read. Never reads more than one byte
 * beyond the bound, however large the file is.
 */
export async function readOrders (file: string, stdin: AsyncIterable<Uint8Array> = process.stdin): Promise<Orders> {
  const bytes = file === '-' ? await readStream(stdin) : await readFile(file)
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw orderInvalid([{ path: '', found: 'bytes that are not UTF-8', allowed: 'UTF-8 text', message: 'the file is not text' }], cause)
  }
  const { orders, topology } = parseFile(text, formOfName(file))
  return { orders: orders.map(({ order }) => order), ...(topology !== undefined && { topology }) }
}

/** The orders of `readOrders`: what `plantmesh validate` prints. */
export async function validateOrders (file: string, stdin?: AsyncIterable<Uint8Array>): Promise<Order[]> {
  return (await readOrders(file, stdin)).orders
}

/** The orders of a file as text of another form; throws ORDER_INVALID also for text that XML cannot hold. */
export async function convertOrders (file: string, to: OrderFormat, stdin?: AsyncIterable<Uint8Array>): Promise<string> {
  const { orders, topology } = await readOrders(file, stdin)
  return topology === undefined ? formatOrders(orders, to) : formatTopology(topology, to)
}

/** A form that the file's name promises is held to; other names are recognised by their content. */
function formOfName (file: string): OrderFormat | undefined {
  if (/\.ya?ml$/i.test(file)) return 'yaml'
  if (/\.json$/i.test(file)) return 'json'
  return /\.xml$/i.test(file) ? 'xml' : undefined
}

async function readFile (file: string): Promise<Uint8Array> {
  try {
    await using handle = await open(file, 'r')
    const bytes = new Uint8Array(FILE_BYTES_MAX + 1)
    let length = 0
    while (length < bytes.length) {
      const { bytesRead } = await handle.read(bytes, length, bytes.length - length)
      if (bytesRead === 0) return bytes.subarray(0, length)
      length += bytesRead
    }
  } catch (cause) {
    throw new PlantError('USAGE', { file, problem: 'the order file cannot be read', reason: (cause as NodeJS.ErrnoException).code ?? String(cause) }, { cause })
  }
  throw tooLarge(`more than ${FILE_BYTES_MAX} bytes`)
}

async function readStream (stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of stream) {
    pieces.push(piece)
    length += piece.length
    if (length > FILE_BYTES_MAX) throw tooLarge(`more than ${FILE_BYTES_MAX} bytes`) // Leaving the loop closes the stream.
  }
  return Buffer.concat(pieces)
}
