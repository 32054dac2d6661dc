/** The simulations by mode, as commands and workers use them. */
import { simulateAtScale, simulateSwarm } from '../scale/index.ts'
import type { Simulate } from '../scenario/index.ts'
import { simulation } from '../world/simulate.ts'
import { microtaskQuiet } from './quiet.ts'

const simulateCores = simulation(microtaskQuiet())

/** Runs a scenario in the mode that it asks for: the daemon's plants, typed arrays, or a swarm. */
export const simulateScenario: Simulate = async (scenario, seed, options) => {
  switch (scenario.mode) {
    case 'cores': return simulateCores(scenario, seed, options)
    case 'arrays': return simulateAtScale(scenario, seed, options)
    case 'swarm': return simulateSwarm(scenario, seed, options)
  }
}
