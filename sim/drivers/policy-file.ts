/** Policies written in TypeScript: a file whose exports decide instead of the daemon (`PolicyModule`). Node runs it as it is, by stripping its types. */
import { pathToFileURL } from 'node:url'
import { PlantError } from '../../protocols/kit/index.ts'
import type { PolicyModule } from '../scenario/index.ts'

/** Loads a policy file. Throws SCENARIO_INVALID when it cannot be run or exports neither `costModel` nor `choose`. */
export async function loadPolicy (path: string): Promise<PolicyModule> {
  let module: Record<string, unknown>
  try {
    module = await import(pathToFileURL(path).href) as Record<string, unknown>
  } catch (cause) {
    throw invalid(path, cause instanceof Error ? cause.message : String(cause), 'a TypeScript file that Node runs (types that can be stripped: no enums, no parameter properties)', cause)
  }
  const { costModel, choose } = module
  if (costModel === undefined && choose === undefined) throw invalid(path, `exports ${Object.keys(module).join(', ') || 'nothing'}`, 'an export costModel, or an export choose, or both')
  if (choose !== undefined && typeof choose !== 'function') throw invalid(path, `choose is a ${typeof choose}`, 'a function (offers, random) => index')
  if (costModel !== undefined && !isCostModel(costModel)) throw invalid(path, 'costModel', 'an object with name, everyMachineOnNetwork and a function price (inputs) => items')
  return { ...(costModel !== undefined && { costModel }), ...(typeof choose === 'function' && { choose: choose as NonNullable<PolicyModule['choose']> }) }
}

function isCostModel (value: unknown): value is NonNullable<PolicyModule['costModel']> {
  return typeof value === 'object' && value !== null && 'price' in value && typeof value.price === 'function' && 'name' in value && typeof value.name === 'string' && 'everyMachineOnNetwork' in value && typeof value.everyMachineOnNetwork === 'boolean'
}

function invalid (path: string, found: string, allowed: string, cause?: unknown): PlantError {
  return new PlantError('SCENARIO_INVALID', { problems: [{ path: 'policy.file', found: `${path}: ${found}`, allowed, message: 'is no policy' }] }, cause === undefined ? undefined : { cause })
}
