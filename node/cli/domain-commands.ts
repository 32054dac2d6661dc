/** domain create, grant, revoke, list: who else may use a domain's machines (CONTRACT.md, Conventions). */
import type { Command } from 'commander'
import { PlantError, keyIdOf, publicKeyOf, type KeyId } from '../../protocols/kit/index.ts'
import { signGrant } from '../../protocols/member/index.ts'
import { clientOptions, runCommand, type Context } from './context.ts'
import { createDomain, domainSigner, listDomains } from './domain-keys.ts'
import { table } from './output.ts'

export function domainCommands (program: Command): void {
  const domain = program.command('domain').description('your domains, and who may use their machines')
  clientOptions(domain.command('create').description('make a key for a domain; your orders in it are its machines').argument('<name>'))
    .addHelpText('after', '\nExample:\n  plantmesh domain create ufl.example')
    .action(async (name, options) => runCommand(options, async (c) => {
      const key = keyIdOf(createDomain(c, name).publicKey)
      c.out.answer({ domain: name, key }, `${name}  ${key}`)
    }))
  clientOptions(domain.command('list').description('the domains that you have keys of'))
    .addHelpText('after', '\nExample:\n  plantmesh domain list')
    .action(async (options) => runCommand(options, async (c) => {
      const domains = await listDomains(c)
      c.out.answer(domains, domains.length === 0 ? 'no domains' : table([['DOMAIN', 'KEY'], ...domains.map((d) => [d.domain, d.key])]))
    }))
  clientOptions(domain.command('grant').description('let another key use the domain\'s machines').argument('<name>').argument('<key>', 'as plantmesh key shows it'))
    .addHelpText('after', '\nExample:\n  plantmesh domain grant ufl.example 12D3KooW…')
    .action(async (name, key, options) => runCommand(options, async (c) => grant(c, name, key, false)))
  clientOptions(domain.command('revoke').description('take a grant back').argument('<name>').argument('<key>'))
    .addHelpText('after', '\nExample:\n  plantmesh domain revoke ufl.example 12D3KooW…')
    .action(async (name, key, options) => runCommand(options, async (c) => grant(c, name, key, true)))
}

async function grant (c: Context, domain: string, key: string, revoked: boolean): Promise<void> {
  if (publicKeyOf(key) === undefined) throw new PlantError('USAGE', { key, allowed: 'a key as plantmesh key shows it' })
  // Without a key of its own the owner's key speaks for the domain.
  const signer = domainSigner(c, domain) ?? await c.signer()
  const signed = signGrant(signer, { domain, grantee: key as KeyId, issuedAtMs: Date.now(), revoked })
  await c.api.lines('/v1/grants', { signed: Buffer.from(signed).toString('base64') }, () => {}, c.signal)
  c.out.answer({ domain, grantee: key, revoked }, revoked ? `${key} may no longer use the machines of ${domain}` : `${key} may use the machines of ${domain}`)
}
