/** Where set-up keeps what it has fetched. */
import { homedir } from 'node:os'
import { join } from 'node:path'

/**
 * The cache that all plants and tests of a user share, so that nothing is fetched twice: `PLANTMESH_CACHE`, else `plantmesh` in
 * `XDG_CACHE_HOME` or `~/.cache`. Everything in it may be deleted at any time while no plant runs.
 */
export function cacheDirOf (env: NodeJS.ProcessEnv = process.env): string {
  const given = env['PLANTMESH_CACHE']
  if (given !== undefined && given !== '') return given
  const base = env['XDG_CACHE_HOME']
  return join(base !== undefined && base !== '' ? base : join(homedir(), '.cache'), 'plantmesh')
}
