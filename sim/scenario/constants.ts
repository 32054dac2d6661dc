/** The bounds of scenario files. What lies within them is small enough to be checked at once; what it asks for may still be too much for a machine. */

/** A scenario file, in bytes of UTF-8: bulk (traces) lies in files of its own. */
export const SCENARIO_BYTES_MAX = 1024 * 1024
/** Plants of one scenario: ten times the million that the arrays are made for. */
export const PLANTS_MAX = 10_000_000
/** Plants that the daemon's own cores run with; above, `mode: arrays` (SIMULATION.md, Design facts: "up to some 10^4 plants"). */
export const CORES_PLANTS_MAX = 20_000
/** With `mode: arrays`, times are kept in 32-bit milliseconds (24 days), and a source is a kind of machine in eight bits. */
export const ARRAYS_MS_MAX = 2 ** 31 - 1
export const ARRAYS_SOURCES_MAX = 256
export const SITES_MAX = 10_000
export const GROUPS_MAX = 1_000
export const LINKS_MAX = 10_000
export const GOLDENS_MAX = 10_000
export const SOURCES_MAX = 1_000
export const FAULTS_MAX = 10_000
/** Orders of one source. */
export const ORDERS_MAX = 10_000_000
/** Actions of one order of a scenario: what an order document may have. */
export const ACTIONS_MAX = 500
/** Points that cases and sweep make together. */
export const POINTS_MAX = 1_000
export const RUNS_MAX = 100_000
/** Times are kept as whole nanoseconds in doubles' 53 bits by some models: 90 days is 7.8e15, below 2^53 = 9.0e15. */
export const TIME_MS_MAX = 90 * 86_400_000
/** A seed is a whole number that YAML, JSON and the command line all hold exactly. */
export const SEED_MAX = 2 ** 48 - 1
