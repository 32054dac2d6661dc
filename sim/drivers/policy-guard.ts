/** A policy file's functions, watched: what no daemon could act on ends the run and is blamed on the file, rather than counted as refused orders. */
import { PlantError } from '../../protocols/kit/index.ts'
import { foundText } from '../../protocols/order/problems.ts'
import type { PolicyModule } from '../scenario/index.ts'

/** The functions, and what went wrong in them. */
export interface GuardedPolicy {
  policies: PolicyModule
  /** The first thing that was wrong: SCENARIO_INVALID with the file, the function and what it gave. */
  problem: () => PlantError | undefined
}

/** Wraps what a policy file exports. `onProblem` is called once; the run is to be stopped then. */
export function guardPolicy ({ costModel, choose }: PolicyModule, path: string, onProblem: () => void): GuardedPolicy {
  let first: PlantError | undefined
  // Does not throw: what stops the run is `onProblem`, and an error in the middle of the daemon would be taken for one of its own.
  const blame = (what: string, found: string, allowed: string, cause?: unknown): void => {
    if (first !== undefined) return
    first = new PlantError('SCENARIO_INVALID', { problems: [{ path: 'policy.file', found: `${path}: ${found}`, allowed, message: `${what} cannot be used` }] }, cause === undefined ? undefined : { cause })
    onProblem()
  }
  /** What the call gives if it is of use, and the harmless answer until the run has stopped if not. */
  const called = <T>(what: string, allowed: string, call: () => unknown, isValid: (value: unknown) => value is T, harmless: T): T => {
    try {
      const value = call()
      if (isValid(value)) return value
      blame(what, `gave ${Array.isArray(value) ? JSON.stringify(value).slice(0, SHOWN_CHARS) : foundText(value)}`, allowed)
    } catch (cause) {
      blame(what, `threw ${cause instanceof Error ? `${cause.name}: ${cause.message}` : foundText(cause)}`, allowed, cause)
    }
    return harmless
  }
  return {
    problem: () => first,
    policies: {
      ...(costModel !== undefined && {
        costModel: {
          name: costModel.name,
          everyMachineOnNetwork: costModel.everyMachineOnNetwork,
          price: (inputs) => called('costModel.price', ITEMS, () => costModel.price(inputs), isItems, [{ item: 'none', cost: 0, why: 'the policy file failed' }])
        }
      }),
      ...(choose !== undefined && {
        choose: (offers, random) => called('choose', `undefined, or the index of an offer: 0 to ${offers.length - 1}`, () => choose(offers, random),
          (value): value is number | undefined => value === undefined || (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < offers.length), undefined)
      })
    }
  }
}

/** Of a list that is no price, so much is shown. */
const SHOWN_CHARS = 200
const ITEMS = 'a list of at least one { item: text, cost: finite number, 0 or more, why: text }'

function isItems (value: unknown): value is Array<{ item: string, cost: number, why: string }> {
  return Array.isArray(value) && value.length > 0 && value.every((one: unknown) => typeof one === 'object' && one !== null
    && 'item' in one && typeof one.item === 'string' && 'why' in one && typeof one.why === 'string'
    && 'cost' in one && typeof one.cost === 'number' && Number.isFinite(one.cost) && one.cost >= 0)
}
