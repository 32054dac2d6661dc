/**
 * Runs what is left of a configuration DAG in a clone (VMPlants 3.1 and 3.2): in topological order, independent actions at once, outputs
 * collected, error sub-graphs run, failures told with all that a user needs to mend them.
 */
import { PlantError, asPlantError } from '../../protocols/kit/index.ts'
import type { Action } from '../../protocols/order/order.ts'
import type { ScriptResult } from '../lines/line.ts'

/** Runs one action; the guest's channel or the plant's own built-ins behind it. */
export type ActionRunner = (action: Action, signal: AbortSignal) => Promise<Pick<ScriptResult, 'status' | 'outputs' | 'outputTail'>>

export interface ConfigureInit {
  actions: Action[]
  /** Ids that the golden machine already has done. */
  done: ReadonlySet<string>
  /** How many actions may run at once: the guest's cpus, at least 1. */
  concurrencyMax: number
}

export interface Configured {
  /** Ids of the actions that ran and succeeded, in the order in which they ended. */
  actionsRun: string[]
  /** Ids of actions that failed and whose error sub-graph said `continue`. */
  actionsMended: string[]
  outputs: Record<string, string>
}

export interface ConfigureHooks {
  onStart?: (action: Action) => void
  onEnd?: (action: Action, outcome: 'done' | 'failed') => void
}

/**
 * Throws ACTION_FAILED or ACTION_TIMEOUT (details: action, status, output) for the first action that fails without a sub-graph that
 * continues, after all others have ended or been cancelled.
 */
export async function configure (init: ConfigureInit, run: ActionRunner, signal: AbortSignal, hooks: ConfigureHooks = {}): Promise<Configured> {
  const result: Configured = { actionsRun: [], actionsMended: [], outputs: {} }
  const stop = new AbortController()
  const both = AbortSignal.any([signal, stop.signal])
  const finished = new Set(init.done)
  const waiting = new Map(init.actions.filter((action) => !finished.has(action.id)).map((action) => [action.id, action]))
  const running = new Map<string, Promise<void>>()
  let failure: PlantError | undefined

  const perform = async (action: Action): Promise<void> => {
    hooks.onStart?.(action)
    try {
      const outcome = await runOne(action, run, both)
      Object.assign(result.outputs, outcome.outputs)
      if (outcome.mended) result.actionsMended.push(action.id)
      else result.actionsRun.push(action.id)
      finished.add(action.id)
      hooks.onEnd?.(action, 'done')
    } catch (cause) {
      failure ??= asPlantError(cause)
      stop.abort(failure) // The machine goes: the others need not go on.
      hooks.onEnd?.(action, 'failed')
    } finally {
      running.delete(action.id)
    }
  }

  while (failure === undefined && (waiting.size > 0 || running.size > 0)) {
    signal.throwIfAborted()
    for (const action of waiting.values()) {
      if (running.size >= init.concurrencyMax) break
      if (!action.after.every((id) => finished.has(id))) continue
      waiting.delete(action.id)
      running.set(action.id, perform(action))
    }
    // Validation refused cycles and unknown ids, so something always runs while something waits.
    if (running.size === 0) throw new PlantError('INTERNAL', { problem: 'no action is ready', waiting: [...waiting.keys()] })
    await Promise.race(running.values())
  }
  await Promise.all(running.values())
  if (failure !== undefined) throw failure
  return result
}

/** Runs an action, and its error sub-graph when it fails. */
async function runOne (action: Action, run: ActionRunner, signal: AbortSignal): Promise<{ outputs: Record<string, string>, mended: boolean }> {
  let failure: PlantError
  let outputs: Record<string, string> = {}
  try {
    const result = await run(action, signal)
    if (result.status === 0) return { outputs: result.outputs, mended: false }
    outputs = result.outputs
    failure = new PlantError('ACTION_FAILED', { action: action.id, status: result.status, output: result.outputTail })
  } catch (cause) {
    // Only what the action itself did wrong has an error sub-graph; a dead machine or a cancelled order does not.
    const error = asPlantError(cause)
    if (signal.aborted || (error.code !== 'ACTION_TIMEOUT' && error.code !== 'HOST_ACTION_UNKNOWN')) {
      throw error.details['action'] === undefined ? new PlantError(error.code, { ...error.details, action: action.id }, { cause: error }) : error
    }
    const { outputTail, ...details } = error.details
    failure = new PlantError(error.code, { ...details, action: action.id, ...(outputTail !== undefined && { output: outputTail }) }, { cause: error })
  }
  if (action.onError === undefined) throw failure
  try {
    const sub = await configure({ actions: action.onError.actions, done: new Set(), concurrencyMax: 1 }, run, signal)
    outputs = { ...outputs, ...sub.outputs }
  } catch (cause) {
    throw new PlantError('ACTION_FAILED', { ...failure.details, errorGraph: asPlantError(cause).report() }, { cause })
  }
  if (action.onError.then === 'fail') throw failure
  return { outputs, mended: true }
}
