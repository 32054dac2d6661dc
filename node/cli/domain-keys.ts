/** The client's domains: each a key in a file beside the client's own (CONTRACT.md, Conventions). */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { PlantError, keyIdOf, type KeyId, type Signer } from '../../protocols/kit/index.ts'
import { DOMAIN_CHARS_MAX, signCredential } from '../../protocols/member/index.ts'
import { loadKey, loadOrMakeKey } from '../drivers/key-file.ts'
import type { Context } from './context.ts'

/** A name that is safe as a file's; domains are named as in DNS. */
const DOMAIN_NAME = /^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/

function keyFile (c: Pick<Context, 'configDir'>, domain: string): string {
  if (domain.length > DOMAIN_CHARS_MAX || !DOMAIN_NAME.test(domain)) {
    throw new PlantError('USAGE', { domain, allowed: `letters, digits, dots, dashes and underscores; at most ${DOMAIN_CHARS_MAX}` })
  }
  return join(c.configDir, 'domains', `${domain}.key`)
}

/** Makes the domain's key, or finds it. */
export function createDomain (c: Pick<Context, 'configDir'>, domain: string): Signer {
  return loadOrMakeKey(keyFile(c, domain))
}

/** The domain's key, or undefined when this client has none for it. */
export function domainSigner (c: Pick<Context, 'configDir'>, domain: string): Signer | undefined {
  return DOMAIN_NAME.test(domain) ? loadKey(keyFile(c, domain)) : undefined
}

/** The domains that this client has keys of, with each key's text form; empty when there are none. */
export async function listDomains (c: Pick<Context, 'configDir'>): Promise<Array<{ domain: string, key: KeyId }>> {
  const names = await readdir(join(c.configDir, 'domains')).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  return names.filter((name) => name.endsWith('.key')).flatMap((name) => {
    const domain = name.slice(0, -4)
    const signer = domainSigner(c, domain)
    return signer === undefined ? [] : [{ domain, key: keyIdOf(signer.publicKey) }]
  })
}

/** What an order of this domain carries to prove that the domain's key lets this client order in it; nothing where the domain has no key. */
export async function orderCredentials (c: Pick<Context, 'configDir' | 'signer'>, domain: string): Promise<{ credential?: Uint8Array }> {
  const signer = domainSigner(c, domain)
  if (signer === undefined) return {}
  return { credential: signCredential(signer, { domain, owner: keyIdOf((await c.signer()).publicKey), issuedAtMs: Date.now() }) }
}
