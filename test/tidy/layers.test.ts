import { describe, expect, test } from 'vitest'
import { circleProblems, layerProblems } from './layers.ts'
import { house, problemText } from './source.ts'

const told = (files: Record<string, string>): string[] => layerProblems(house(files)).map(problemText)
const circles = (files: Record<string, string>): string[] => circleProblems(house(files)).map(problemText)

describe('layers', () => {
  test('a clean house has no problem', () => {
    expect(told({
      'protocols/kit/ids.ts': 'export type Id = string',
      'protocols/bid/core.ts': "import { z } from 'zod'\nimport type { Id } from '../kit/ids.ts'\nimport { base58btc } from 'multiformats/bases/base58'\nexport const a = z",
      'storage/records/records.ts': "import type { Id } from '../../protocols/kit/ids.ts'",
      'node/plant/plant.ts': "import type { Line } from '../lines/line.ts'\nimport type { Api } from '../portal/api.ts'",
      'node/lines/line.ts': 'export interface Line { x: number }',
      'node/portal/api.ts': "import fastify from 'fastify'\nimport { join } from 'node:path'\nexport type Api = string",
      'node/main.ts': "import { run } from '../sim/run.ts'",
      'sim/run.ts': "import type { Line } from '../node/lines/line.ts'\nexport const run = 1"
    })).toEqual([])
  })

  test.each([
    ['protocols imports storage', 'protocols/bid/core.ts', '../../storage/a.ts'],
    ['storage imports node', 'storage/records/a.ts', '../../node/plant/a.ts'],
    ['node imports sim', 'node/cli/a.ts', '../../sim/a.ts'],
    ['sim imports a driver', 'sim/run.ts', '../node/drivers/a.ts'],
    ['sim imports the command line', 'sim/run.ts', '../node/cli/b.ts'],
    ['code of the inside imports an edge', 'node/plant/a.ts', '../drivers/a.ts'],
    ['the entry is imported', 'test/a.test.ts', '../node/main.ts'],
    ['anything imports a test', 'node/cli/a.ts', '../../test/a.ts'],
    ['an import leads nowhere', 'node/plant/a.ts', './gone.ts'],
    ['an import has no ending', 'node/plant/b.ts', './a']
  ])('is told when %s', (_, path, specifier) => {
    const others = { 'storage/a.ts': '', 'node/plant/a.ts': '', 'node/drivers/a.ts': '', 'node/cli/b.ts': '', 'sim/a.ts': '', 'test/a.ts': '', 'node/main.ts': '' }
    for (const how of [`import { a } from '${specifier}'`, `export { a } from '${specifier}'`, `const a = await import('${specifier}')`, `export * from '${specifier}'`]) {
      expect(told({ ...others, [path]: how })).toHaveLength(1)
    }
  })

  test('is told when the inside imports node: modules or a package with a world, even for a type', () => {
    expect(told({ 'protocols/bid/core.ts': "import { readFile } from 'node:fs/promises'" })[0]).toContain('node:fs/promises')
    expect(told({ 'storage/records/a.ts': "import type { Duplex } from 'node:stream'" })).toHaveLength(1)
    expect(told({ 'node/plant/a.ts': "type X = import('node:stream').Duplex" })).toHaveLength(1)
    expect(told({ 'node/plant/a.ts': "import fastify from 'fastify'" })[0]).toBe('node/plant/a.ts:1: imports the package fastify, which is none of those that code without a world may use')
    expect(told({ 'protocols/bid/a.ts': "import { tcp } from '@libp2p/tcp'" })[0]).toContain('@libp2p/tcp')
  })
})

describe('circles', () => {
  test('a circle of files is told at the import that closes it, also through three', () => {
    expect(circles({
      'node/plant/a.ts': "import './b.ts'", 'node/plant/b.ts': "import { c } from './c.ts'", 'node/plant/c.ts': "\nexport { a } from './a.ts'"
    })).toEqual(['node/plant/c.ts:2: closes a circle of files: node/plant/a.ts -> node/plant/b.ts -> node/plant/c.ts -> node/plant/a.ts'])
  })

  test('types may lead back inside a room, not between rooms', () => {
    expect(circles({ 'protocols/bid/index.ts': "import { S } from './service.ts'", 'protocols/bid/service.ts': "import type { Init } from './index.ts'" })).toEqual([])
    expect(circles({ 'protocols/bid/a.ts': "import type { B } from '../image/b.ts'", 'protocols/image/b.ts': "import type { A } from '../bid/a.ts'" })).toHaveLength(1)
  })

  test('a file that imports itself is a circle', () => {
    expect(circles({ 'node/plant/a.ts': "import { x } from './a.ts'" })).toHaveLength(1)
  })
})
