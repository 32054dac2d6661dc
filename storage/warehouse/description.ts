/** A golden machine's description as it is kept on disk: checked when it is read. */
import { PlantError } from '../../protocols/kit/index.ts'
import type { Golden } from '../../protocols/order/golden.ts'
import { goldenIdOf, goldenSchema } from '../../protocols/order/golden-schema.ts'

/** The file in a golden machine's directory that is no part of the machine. */
export const DESCRIPTION_FILE = 'description.json'
/** 500 actions with 256 outputs of a few hundred characters; more is not read. */
export const DESCRIPTION_BYTES_MAX = 16 * 1024 * 1024

/** Reads a description. Throws GOLDEN_CORRUPT with the problem when it is not one, or not the one that its id names. */
export function parseDescription (text: string): Golden {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new PlantError('GOLDEN_CORRUPT', { file: DESCRIPTION_FILE, problem: 'not JSON' }, { cause })
  }
  const parsed = goldenSchema.safeParse(value)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw new PlantError('GOLDEN_CORRUPT', { file: DESCRIPTION_FILE, path: issue?.path.join('.') ?? '', problem: issue?.message ?? 'invalid' })
  }
  const { goldenId: expected, ...rest } = parsed.data
  const found = goldenIdOf(rest)
  if (found !== expected) throw new PlantError('GOLDEN_CORRUPT', { file: DESCRIPTION_FILE, expected, found })
  return parsed.data
}
