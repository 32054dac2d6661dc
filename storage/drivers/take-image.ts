/** Takes an image over from another warehouse directory of the host: packs and rendered files as links, so that both share the room. */
import { copyFile, link, mkdir, open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { PlantError, type Crypto } from '../../protocols/kit/index.ts'
import { MANIFEST_BYTES_MAX, openManifest, type Manifest } from '../../protocols/image/index.ts'
import { FILES_DIR, MANIFEST_FILE } from './build-image.ts'
import { HAVE_FILE, INFO_FILE, PACK_FILE } from './fs-pack.ts'
import { syncPath, takeOver, writeDescription, writeDurably } from './golden-files.ts'
import { sparseCopy } from './sparse-copy.ts'

/** The signed manifest in a golden machine's directory; undefined when it has none. Throws MANIFEST_INVALID for one that is too long. */
export async function readSigned (dir: string): Promise<Uint8Array | undefined> {
  const file = await open(join(dir, MANIFEST_FILE), 'r').catch(orMissing)
  if (file === undefined) return undefined
  try {
    const { size } = await file.stat()
    if (size > MANIFEST_BYTES_MAX) throw new PlantError('MANIFEST_INVALID', { problem: 'too long', bytes: size, max: MANIFEST_BYTES_MAX })
    return new Uint8Array(await file.readFile())
  } finally {
    await file.close()
  }
}

/** Puts manifest, description and what is rendered into `root`, and packs that `wanted` names into directories beside it. */
export async function takeImage (from: { golden: string, packs: string }, root: string, wanted: (infoHash: string, dir: string) => boolean, crypto: Crypto): Promise<{ manifest: Manifest, packDirs: Map<number, string> }> {
  const signed = await readSigned(from.golden)
  if (signed === undefined) throw new PlantError('MANIFEST_INVALID', { problem: 'there is none' })
  const manifest = openManifest(crypto, signed)
  const packDirs = new Map<number, string>()
  for (const [number, { infoHash, pieces }] of manifest.packs.entries()) {
    const to = `${root}.${number}`
    if (pieces === 0 || !wanted(infoHash, to)) continue
    packDirs.set(number, to)
    await mkdir(to, { mode: 0o700 })
    await takePack(join(from.packs, infoHash), to)
  }
  await writeDurably(join(root, MANIFEST_FILE), signed)
  for (const { name } of manifest.files) {
    // Elsewhere than on this file system, or not rendered: made again when it is needed.
    await link(join(from.golden, FILES_DIR, name), join(root, FILES_DIR, name)).catch(() => undefined)
  }
  await writeDescription(root, manifest.golden)
  return { manifest, packDirs }
}

async function takePack (from: string, to: string): Promise<void> {
  const partly = await stat(join(from, HAVE_FILE)).catch(orMissing)
  if (partly === undefined) {
    await takeOver(join(from, PACK_FILE), join(to, PACK_FILE), PACK_FILE)
  } else {
    // Still written to over there. The bits first: what comes after them is there.
    await copyFile(join(from, HAVE_FILE), join(to, HAVE_FILE))
    await sparseCopy(join(from, PACK_FILE), join(to, PACK_FILE))
    await syncPath(join(to, PACK_FILE))
  }
  await takeOver(join(from, INFO_FILE), join(to, INFO_FILE), INFO_FILE).catch(orMissing)
  await syncPath(to)
}

function orMissing (error: unknown): undefined {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return
  throw error
}
