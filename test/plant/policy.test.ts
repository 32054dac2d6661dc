import { expect, test } from 'vitest'
import type { KeyId } from '../../protocols/kit/index.ts'
import { policyReasons } from '../../node/plant/policy.ts'

const of = (domain: string, key: string): { domain: string, domainKey: KeyId } => ({ domain, domainKey: key as KeyId })

test('a plant serves every domain unless it is told which, and then those by key or name', () => {
  expect(policyReasons({}, of('a', 'key a'))).toEqual([])
  const policy = { serves: ['key a', 'b'] }
  for (const served of [of('a', 'key a'), of('any', 'key a'), of('b', 'key x')]) expect(policyReasons(policy, served)).toEqual([])
  expect(policyReasons(policy, of('a', 'key x'))).toEqual([{ code: 'POLICY_DOMAIN', clause: 'domain', have: 'other domains', need: 'a (key x)', waitHelps: false }])
  expect(policyReasons({ serves: [] }, of('a', 'key a'))).toHaveLength(1)
})
