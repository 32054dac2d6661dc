/** The parts of making a machine, for reports: what the user waits for. */

/**
 * `bid`: from the order until an award is granted. `wait`: for a free place among the plant's creations. `fetch`: the golden machine comes from elsewhere.
 * `copy`: disk (or its link), redo log, configuration and memory state are made. `boot`: a full boot or a resize. `resume`: from suspended state
 * until the agent answers. `identity`: the clone becomes its own. `actions`: the remaining configuration. `reply`: the rest until the client has its classad.
 * The paper's "cloning time" is copy + boot + resume (VMPlants, Fig. 5).
 */
export const PHASES = ['bid', 'wait', 'fetch', 'copy', 'boot', 'resume', 'identity', 'actions', 'reply'] as const
export type Phase = typeof PHASES[number]
