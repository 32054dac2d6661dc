/** The simulations by mode, as commands and workers use them. */
import type { Simulate } from '../scenario/index.ts'
import { simulation } from '../world/simulate.ts'
import { microtaskQuiet } from './quiet.ts'

/** Runs a scenario in the mode that it asks for. */
export const simulateScenario: Simulate = async (scenario, seed, options) => {
  return simulation(microtaskQuiet())(scenario, seed, options)
}
