import { expect, test } from 'vitest'
import type { KeyId } from '../../protocols/kit/index.ts'
import { egressReasons, policyReasons } from '../../node/plant/policy.ts'

const of = (domain: string, key: string): { domain: string, domainKey: KeyId } => ({ domain, domainKey: key as KeyId })

test('a plant serves every domain unless it is told which, and then those by key or name', () => {
  expect(policyReasons({}, of('a', 'key a'))).toEqual([])
  const policy = { serves: ['key a', 'b'] }
  for (const served of [of('a', 'key a'), of('any', 'key a'), of('b', 'key x')]) expect(policyReasons(policy, served)).toEqual([])
  expect(policyReasons(policy, of('a', 'key x'))).toEqual([{ code: 'POLICY_DOMAIN', clause: 'domain', have: 'other domains', need: 'a (key x)', waitHelps: false }])
  expect(policyReasons({ serves: [] }, of('a', 'key a'))).toHaveLength(1)
})

test('a machine with a way out is made only where the plant has one', () => {
  const lan = { name: 'lan', addressing: 'mesh' as const }
  expect(egressReasons({}, { network: lan })).toEqual([])
  expect(egressReasons({ egress: true }, { network: { ...lan, egress: true } })).toEqual([])
  for (const order of [{ network: { ...lan, egress: true } }, { networks: [lan, { ...lan, name: 'open', egress: true }] }]) expect(egressReasons({ egress: false }, order)).toMatchObject([{ code: 'POLICY_EGRESS', clause: 'network.egress' }])
})
