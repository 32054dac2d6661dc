/**
 * Runs what is left of a configuration DAG in a clone (VMPlants 3.1 and 3.2): in topological order, independent actions at once, outputs
 * collected, error sub-graphs run, failures told with all that a user needs to mend them.
 */
import { PlantError, asPlantError } from '../../protocols/kit/index.ts'
import { Outputs, type DroppedOutputs } from '../../protocols/order/index.ts'
import type { Action } from '../../protocols/order/order.ts'
import type { ScriptResult } from '../lines/line.ts'

/** Runs one action; the guest's channel or the plant's own built-ins behind it. */
export type ActionRunner = (action: Action, signal: AbortSignal) => Promise<Pick<ScriptResult, 'status' | 'outputs' | 'outputsDropped' | 'outputTail'>>

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
  /** What actions left that is no output. */
  outputsDropped: DroppedOutputs
}

export interface ConfigureHooks {
  onStart?: (action: Action) => void
  onEnd?: (action: Action, outcome: 'done' | 'failed') => void
}

/**
 * Throws ACTION_FAILED or ACTION_TIMEOUT (details: action, status, output), or what a host action failed with, for the first action that fails without a sub-graph that
 * continues, after all others have ended or been cancelled.
 */
export async function configure (init: ConfigureInit, run: ActionRunner, signal: AbortSignal, hooks: ConfigureHooks = {}): Promise<Configured> {
  const actionsRun: string[] = []
  const actionsMended: string[] = []
  const outputs = new Outputs()
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
      outputs.add(outcome.outputs.kept, outcome.outputs.dropped)
      if (outcome.mended) actionsMended.push(action.id)
      else actionsRun.push(action.id)
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
  return { actionsRun, actionsMended, outputs: outputs.kept, outputsDropped: outputs.dropped }
}

/** Runs an action, and its error sub-graph when it fails. */
async function runOne (action: Action, run: ActionRunner, signal: AbortSignal): Promise<{ outputs: Outputs, mended: boolean }> {
  const outputs = new Outputs()
  let failure: PlantError
  try {
    const result = await run(action, signal)
    outputs.add(result.outputs, result.outputsDropped)
    if (result.status === 0) return { outputs, mended: false }
    failure = new PlantError('ACTION_FAILED', { action: action.id, status: result.status, output: result.outputTail })
  } catch (cause) {
    const error = asPlantError(cause)
    const { outputTail, ...details } = error.details
    failure = new PlantError(error.code, { action: action.id, ...details, ...(outputTail !== undefined && { output: outputTail }) }, { cause: error })
    if (signal.aborted || !isItsOwn(action, error)) throw failure
  }
  if (action.onError === undefined) throw failure
  try {
    const sub = await configure({ actions: action.onError.actions, done: new Set(), concurrencyMax: 1 }, run, signal)
    outputs.add(sub.outputs, sub.outputsDropped)
  } catch (cause) {
    throw new PlantError('ACTION_FAILED', { ...failure.details, errorGraph: asPlantError(cause).report() }, { cause })
  }
  if (action.onError.then === 'fail') throw failure
  return { outputs, mended: true }
}

/**
 * Whether the action itself has failed, so that its error sub-graph is run: a machine that is dead, or whose agent does not answer, could not
 * run that either. What a host action fails with is its own, whatever part of the plant says so.
 */
function isItsOwn (action: Action, error: PlantError): boolean {
  return action.run === 'host' ? error.code !== 'VM_DIED' : error.code === 'ACTION_TIMEOUT'
}
