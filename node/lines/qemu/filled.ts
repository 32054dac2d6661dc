/** A directory that is filled with a golden machine, whole or not at all. */
import { join } from 'node:path'
import { PlantError } from '../../../protocols/kit/index.ts'
import { makeDir, onDisk, removeDir } from './machine-dir.ts'
import { GOLDEN_FILES } from './parts.ts'

/** Runs what fills a directory with a golden machine; whatever it had made is removed when it fails. */
export async function filled<T> (dir: string, fill: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  await makeDir(dir)
  try {
    return await onDisk(dir, fill)
  } catch (error) {
    for (const name of Object.values(GOLDEN_FILES)) await removeDir(join(dir, name))
    signal?.throwIfAborted()
    throw isNoRoom(error) ? new PlantError('DISK_FULL', { path: dir }, { cause: error }) : error
  }
}

/** A tool's own words for a full disk. */
function isNoRoom (error: unknown): boolean {
  return error instanceof PlantError && (error.code === 'GOLDEN_BUILD_FAILED' || error.code === 'SETUP_FAILED') && /No space left on device|Disk quota exceeded|File too large|Could not allocate block/.test(JSON.stringify(error.details))
}
