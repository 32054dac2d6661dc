/** The simulations by mode, as commands and workers use them. */
import { simulateAtScale } from '../scale/index.ts'
import type { Simulate } from '../scenario/index.ts'
import { simulation } from '../world/simulate.ts'
import { microtaskQuiet } from './quiet.ts'

const simulateCores = simulation(microtaskQuiet())

/** Runs a scenario in the mode that it asks for: the daemon's plants, or typed arrays. */
export const simulateScenario: Simulate = async (scenario, seed, options) => {
  return scenario.mode === 'arrays' ? simulateAtScale(scenario, seed, options) : simulateCores(scenario, seed, options)
}
