import { describe, expect, test } from 'vitest'
import { asPlantError, type PeerId } from '../../protocols/kit/index.ts'
import { checkProof, type MembershipProof, type NetworkName } from '../../protocols/tunnel/index.ts'
import { START_MS, credentialOf, crypto, joinOf, lanOf, machineOf, noGrants, party, proofOf } from './people.ts'

const owner = party()
const shop = party()
const plant = party()
const lan = lanOf(owner)
const machine = machineOf({ owner, shop })

async function verdict (proof: MembershipProof, peer: PeerId = plant.id, network: NetworkName = lan, nowMs = START_MS, grants = noGrants): Promise<unknown> {
  try {
    return await checkProof({ crypto, grants }, proof, peer, network, nowMs)
  } catch (error) {
    const { code, details } = asPlantError(error)
    return details['part'] ?? code
  }
}

describe('the proof of a machine', () => {
  test('lets in the plant that the shop gave it to, and says which machine and since when', async () => {
    expect(await verdict(proofOf(machine, plant.id))).toEqual({ vmId: machine.vmId, sinceMs: START_MS, untilMs: Infinity, granted: false, router: false })
  })

  test('says whether the machine may be a router', async () => {
    expect(await verdict(proofOf(machineOf({ owner, shop, router: true }), plant.id))).toMatchObject({ router: true })
  })

  test('lets in no other peer, whatever order it has seen', async () => {
    const loser = party()
    expect(await verdict(proofOf(machine, plant.id), loser.id)).toBe('the machine was handed to another peer')
    expect(await verdict(proofOf({ ...machine, shop: loser }, loser.id), loser.id)).toBe('a hand-over is by a peer that did not have the machine')
    expect(await verdict({ kind: 'machine', signedOrder: machine.signedOrder, handOvers: [] }, loser.id)).toBe('nobody has handed the machine over')
  })

  test('lets onto its own network only', async () => {
    expect(await verdict(proofOf(machine, plant.id), plant.id, lanOf(owner, 'other'))).toBe('the order is for another network')
    expect(await verdict(proofOf(machine, plant.id), plant.id, lanOf(owner, 'lan', 'other'))).toBe('the order is of another domain')
    expect(await verdict(proofOf(machine, plant.id), plant.id, lanOf(party()))).toBe('the order is of another domain')
  })

  test('is refused when a stranger orders in the domain\'s name', async () => {
    const stranger = party()
    const forged = machineOf({ owner: stranger, shop, network: lan })
    expect(await verdict(proofOf(forged, plant.id))).toBe('the order is of another domain')
  })

  test('lets in by the domain\'s credential for as long as that holds', async () => {
    const member = party()
    const inDomain = (expiresAtMs?: number): MembershipProof => proofOf(machineOf({ owner: member, shop, network: lan, credential: credentialOf(owner, member, 'lab', expiresAtMs) }), plant.id)
    expect(await verdict(inDomain())).toMatchObject({ untilMs: Infinity })
    expect(await verdict(inDomain(START_MS + 5))).toMatchObject({ untilMs: START_MS + 5 })
    expect(await verdict(inDomain(START_MS + 5), plant.id, lan, START_MS + 5)).toBe('the credential has expired')
  })

  test('is refused when it is something else', async () => {
    const join = joinOf(owner, plant.id, lan)
    const bytes = join.kind === 'proxy' ? join.signedCall : new Uint8Array()
    expect(await verdict({ kind: 'machine', signedOrder: bytes, handOvers: [] })).toBe('MESSAGE_INVALID')
    expect(await verdict({ kind: 'machine', signedOrder: Uint8Array.of(1, 2), handOvers: [] })).toBe('MESSAGE_INVALID')
    expect(await verdict({ kind: 'proxy', signedCall: machine.signedOrder })).toBe('MESSAGE_INVALID')
    const broken = machine.signedOrder.slice()
    broken[100] = (broken[100] ?? 0) ^ 1
    expect(await verdict({ kind: 'machine', signedOrder: broken, handOvers: [] })).toMatch(/INVALID/)
  })
})

describe('the proof of a proxy', () => {
  test('lets in the plant that the call was signed for, without a machine', async () => {
    expect(await verdict(joinOf(owner, plant.id, lan))).toEqual({ sinceMs: START_MS, untilMs: START_MS + 3_600_000, granted: false, router: false })
    expect(await verdict(joinOf(owner, plant.id, lan), shop.id)).toBe('CALL_MISDIRECTED')
  })

  test('lets onto its own network only', async () => {
    expect(await verdict(joinOf(owner, plant.id, lan), plant.id, lanOf(owner, 'other'))).toBe('the call is for another network')
    const stranger = party()
    expect(await verdict(joinOf(stranger, plant.id, lan))).toContain('neither the domain\'s')
  })

  test('rests on the grant when the key is granted', async () => {
    const friend = party()
    const grants = { take () {}, holds: async (_domain: string, _key: string, grantee: string) => grantee === friend.key }
    expect(await verdict(joinOf(friend, plant.id, lan), plant.id, lan, START_MS, grants)).toMatchObject({ granted: true })
  })
})
