/** The house keeps its plan: every check of test/tidy on every file. Each check's own test is in test/tidy. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ERRORS } from '../protocols/kit/errors.ts'
import { circleProblems, layerProblems } from './tidy/layers.ts'
import { readListing } from './tidy/listing.ts'
import { errorTableProblems, protocolProblems, roomProblems, tooFewProblems, topProblems } from './tidy/repository.ts'
import { docProblems, languageProblems, lengthProblems, wholeProblems } from './tidy/shape.ts'
import { problemText, readHouse, type Problem } from './tidy/source.ts'
import { worldProblems } from './tidy/world.ts'

const ROOT = join(import.meta.dirname, '..')
/** Well below what there is, well above what a reader that misses a folder would find. */
const LEAST = { protocols: 50, storage: 8, node: 60, test: 60 }

const files = await readHouse(ROOT)
const listing = await readListing(ROOT)
const none = (problems: Problem[]): void => { expect(problems.map(problemText).join('\n')).toBe('') }

test('the checks read the whole house', () => {
  none(tooFewProblems(files.map(({ path }) => path), LEAST))
  // Read twice by different means: a file that one of them misses would go unchecked.
  expect(files.map(({ path }) => path).sort()).toEqual(listing.files.filter((path) => /^(?:node|protocols|storage|sim|test)\/.*\.(?:ts|mts|cts|js|mjs|cjs)$/.test(path)).sort())
})
test('imports follow the layers', () => { none(layerProblems(files)) })
test('imports make no circles', () => { none(circleProblems(files)) })
test('only the edges touch the world', () => { none(worldProblems(files)) })
test('no any, enum, namespace, default export or barrel', () => { none(languageProblems(files)) })
test('files and functions stay short', () => { none(lengthProblems(files)) })
test('every export has a doc comment', () => { none(docProblems(files)) })
test('no test is passed over', () => { none(wholeProblems(files)) })
test('nothing strange lies at the top of the repository', () => { none(topProblems(listing)) })
test('every room has a README', () => { none(roomProblems(listing)) })
test('every protocol has its six files', () => { none(protocolProblems(listing)) })
test('the README lists every error code as it is', async () => { none(errorTableProblems(ERRORS, await readFile(join(ROOT, 'README.md'), 'utf8'))) })
