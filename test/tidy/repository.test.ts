import { describe, expect, test } from 'vitest'
import { errorTableProblems, protocolProblems, roomProblems, tooFewProblems, topProblems, type Listing } from './repository.ts'
import { problemText } from './source.ts'

const listing = (files: string[], top: string[] = []): Listing => ({ files, top })
const SIX = ['README.md', 'constants.ts', 'messages.ts', 'core.ts', 'service.ts', 'index.ts']

describe('what lies where', () => {
  test('an entry at the top that is not on the list is told, dotfiles are not', () => {
    expect(topProblems(listing([], ['node', 'README.md', '.ci', '.npmrc'])).map(problemText)).toEqual([])
    expect(topProblems(listing([], ['node', 'src', 'notes.md'])).map(({ path }) => path)).toEqual(['src', 'notes.md'])
  })

  test('a room without a README is told', () => {
    const whole = ['node/plant/README.md', 'node/plant/a.ts', 'node/main.ts', 'test/README.md', 'test/bench/README.md', 'test/order/a.test.ts']
    expect(roomProblems(listing(whole))).toEqual([])
    expect(roomProblems(listing([...whole, 'node/shop/shop.ts', 'storage/swarm/deep/a.ts'])).map(({ path }) => path)).toEqual(['node/shop/README.md', 'storage/swarm/README.md'])
  })

  test.each(SIX)('a protocol without %s is told', (name) => {
    const files = SIX.map((one) => `protocols/bid/${one}`)
    expect(protocolProblems(listing([...files, 'protocols/kit/ids.ts', 'protocols/order/order.ts']))).toEqual([])
    expect(protocolProblems(listing(files.filter((path) => !path.endsWith(`/${name}`)))).map(({ path }) => path)).toEqual([`protocols/bid/${name}`])
  })

  test('too few files are told by layer', () => {
    expect(tooFewProblems(['node/a.ts', 'node/b.ts', 'protocols/a.ts'], { node: 2, protocols: 1 })).toEqual([])
    expect(tooFewProblems(['node/a.ts'], { node: 2, protocols: 1 }).map(({ path }) => path)).toEqual(['node', 'protocols'])
    expect(tooFewProblems([], { node: 1 })).toHaveLength(1)
  })
})

describe('the table of errors', () => {
  const errors = { LIMIT: { exit: 1, message: 'A bound.' }, USAGE: { exit: 2, message: 'Wrong use.' } }
  const table = '| code | exit | |\n|---|---|---|\n| `LIMIT` | 1 | A bound. | Wait. |\n| `USAGE` | 2 | Wrong use. | See --help. |\n'

  test('has every code as it is', () => { expect(errorTableProblems(errors, table)).toEqual([]) })

  test.each([
    ['a code is not listed', table.replace(/\| `USAGE`.*\n/, ''), 'does not list the error USAGE'],
    ['a listed code is gone', `${table}| \`OLD\` | 1 | Gone. | |\n`, 'lists the error OLD'],
    ['the exit status differs', table.replace('| 2 |', '| 1 |'), 'USAGE exits with 1; it exits with 2'],
    ['the message differs', table.replace('Wrong use.', 'Other.'), 'says of USAGE: Other.']
  ])('is told when %s', (_, readme, text) => {
    expect(errorTableProblems(errors, readme).map(problemText).join('\n')).toContain(text)
  })
})
