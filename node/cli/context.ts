/** What every client command starts from: the options, the key, the API, and how it ends. */
import { randomBytes } from 'node:crypto'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import type { PeerId, Signer, VmId } from '../../protocols/kit/index.ts'
import { PlantError, isVmId } from '../../protocols/kit/index.ts'
import { signCall, type Call } from '../../protocols/member/index.ts'
import { loadOrMakeKey } from '../drivers/key-file.ts'
import { apiClient, type ApiClient } from './api-client.ts'
import { output, printError, type Output } from './output.ts'

export interface Context {
  out: Output
  api: ApiClient
  /** The client's key, made on first use. */
  signer (): Promise<Signer>
  /** Where the client keeps its domains' keys. */
  configDir: string
  dataDir: string
  /** Aborted by SIGINT and SIGTERM. */
  signal: AbortSignal
  /** Signs a call with the client's key, for the plant behind `api` (by default the one of this context) to hand on; in base64. */
  sign (call: Omit<Call, 'via' | 'issuedAtMs' | 'nonce'>, api?: ApiClient): Promise<string>
}

/** What every client command takes. */
export interface GlobalOptions { json?: boolean, api?: string, data?: string, key?: string }

/** Where a plant keeps all it has: `--data`, else PLANTMESH_DATA, else the user's share directory (CONTRACT.md, Conventions). */
export function dataDirOf (options: { data?: string }): string {
  return options.data ?? process.env['PLANTMESH_DATA'] ?? join(homedir(), '.local', 'share', 'plantmesh')
}

/** Adds the options that every client command takes. */
export function clientOptions (command: Command): Command {
  return command
    .option('--json', 'one JSON document on stdout, nothing else there')
    .option('--api <path|url>', 'the plant\'s API (default: PLANTMESH_API, else the socket in --data)')
    .option('--data <dir>', 'a plant\'s data directory (default: PLANTMESH_DATA, else ~/.local/share/plantmesh)')
    .option('--key <file>', 'your key (default: PLANTMESH_KEY, else ~/.config/plantmesh/key)')
}

/**
 * Runs a command's work: makes its context, turns errors into messages and exit statuses, and SIGINT into 130 after the work has
 * cleaned up. The work may return an exit status of its own.
 */
export async function runCommand (options: GlobalOptions, work: (context: Context) => Promise<number | void>): Promise<void> {
  const interrupted = new AbortController()
  const onSignal = (): void => { interrupted.abort(new PlantError('INTERRUPTED')) }
  process.once('SIGINT', onSignal)
  process.once('SIGTERM', onSignal)
  const out = output(options.json ?? false)
  try {
    process.exitCode = (await work(contextOf(options, out, interrupted.signal))) ?? 0
  } catch (error) {
    out.settle()
    process.exitCode = printError(error, out.json)
  } finally {
    out.settle()
    process.removeListener('SIGINT', onSignal)
    process.removeListener('SIGTERM', onSignal)
  }
}

function contextOf (options: GlobalOptions, out: Output, signal: AbortSignal): Context {
  const dataDir = dataDirOf(options)
  const keyFile = options.key ?? process.env['PLANTMESH_KEY'] ?? join(homedir(), '.config', 'plantmesh', 'key')
  let key: Promise<Signer> | undefined
  const signer = async (): Promise<Signer> => (key ??= Promise.resolve(loadOrMakeKey(keyFile)))
  const ownApi = apiClient(options.api ?? process.env['PLANTMESH_API'] ?? join(dataDir, 'api.sock'))
  const peers = new Map<ApiClient, Promise<PeerId>>()
  const peerOf = async (api: ApiClient): Promise<PeerId> => {
    const known = peers.get(api) ?? api.get('/v1/self', signal).then(({ peerId }) => peerId as PeerId)
    peers.set(api, known)
    return known
  }
  return {
    out,
    signal,
    dataDir,
    configDir: join(keyFile, '..'),
    api: ownApi,
    signer,
    async sign (call, api = ownApi) {
      const bytes = signCall(await signer(), { ...call, via: await peerOf(api), issuedAtMs: Date.now(), nonce: randomBytes(16) })
      return Buffer.from(bytes).toString('base64')
    }
  }
}

/** A VMID that the user typed. */
export function vmIdArgument (text: string): VmId {
  const id = text.toLowerCase()
  if (!isVmId(id)) throw new PlantError('USAGE', { vmid: text, allowed: '32 hexadecimal digits, as plantmesh list shows them' })
  return id
}
