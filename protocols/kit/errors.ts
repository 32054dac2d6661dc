/**
 * Every failure has a code here, with what it means and what to do next (STYLE.md, 6). The README lists them; a test compares the two.
 * Details are data (they may hold text from a peer or a guest); messages never do.
 */
export const ERRORS = {
  // Wrong use or an invalid file: exit status 2.
  USAGE: { exit: 2, message: 'The command was not used as it is meant.', hint: 'See --help.' },
  ORDER_INVALID: { exit: 2, message: 'The order is not valid.', hint: 'Mend the field named in details.problems; plantmesh validate -f FILE checks without ordering.' },
  ORDER_CONFLICT: { exit: 2, message: 'An order with this id was placed before with other content.', hint: 'Give the new order an id of its own (--id).' },
  CONFIG_INVALID: { exit: 2, message: 'The configuration is not valid.', hint: 'Mend the field named in details.' },
  EXPRESSION_INVALID: { exit: 2, message: 'A ClassAd expression does not parse.', hint: 'Mend it at the line and column in details.' },
  SCENARIO_INVALID: { exit: 2, message: 'The scenario is not valid.', hint: 'Mend the fields named in details.problems; plantmesh sim check FILE checks without running.' },
  TRACE_INVALID: { exit: 2, message: 'The trace cannot be read.', hint: 'details has the line, what was found and what is allowed.' },

  // Refused by every plant: exit status 3.
  ORDER_REFUSED: { exit: 3, message: 'No plant takes this order.', hint: 'details.refusals says for each plant which clause failed and the smallest change that would fit.' },
  // Not found: exit status 4.
  VM_UNKNOWN: { exit: 4, message: 'No plant that can be reached has this machine, or the key may not see it.', hint: 'plantmesh list shows the machines that this key may see.' },
  GOLDEN_UNKNOWN: { exit: 4, message: 'There is no such golden machine here.', hint: 'plantmesh golden list shows what there is.' },
  NETWORK_UNKNOWN: { exit: 4, message: 'No plant that can be reached is on this network, or the key may not see it.', hint: 'plantmesh network list shows the networks that this key may see.' },
  ORDER_UNKNOWN: { exit: 4, message: 'This plant knows of no such order.', hint: 'Ask the plant that took the order.' },

  // Who may do what.
  NOT_AUTHORISED: { exit: 1, message: 'This key may not do that.', hint: 'The owner may, and keys granted by the domain (plantmesh domain grant).' },
  SIGNATURE_INVALID: { exit: 1, message: 'The signature does not match.', hint: 'Sign the call with the key it names.' },
  CALL_STALE: { exit: 1, message: 'The call was signed too long ago or in the future.', hint: 'Set the clocks of client and plant; details has the difference.' },
  CALL_MISDIRECTED: { exit: 1, message: 'The call was signed for another shop.', hint: 'Sign it for the plant that it is handed to: GET /v1/self of its API has the peer id.' },
  CALL_REPLAYED: { exit: 1, message: 'This call was made before.', hint: 'Sign a new one.' },

  // The wire.
  MESSAGE_INVALID: { exit: 1, message: 'A message is not of the expected form.', hint: 'details.path names the field; check that both sides run the same version.' },
  STREAM_TOO_LONG: { exit: 1, message: 'A message is longer than its protocol allows.', hint: 'The stream was reset.' },
  STREAM_TRUNCATED: { exit: 1, message: 'A stream ended in the middle of a message.', hint: 'Try again; the peer or the network broke off.' },
  STREAM_TIMEOUT: { exit: 1, message: 'A peer did not answer in time.', hint: 'Try again; if it stays, look at the plant with plantmesh plants.' },
  STREAM_RESET: { exit: 1, message: 'A peer broke off the stream.', hint: 'Try again; the peer may have stopped or refused.' },
  PEER_UNREACHABLE: { exit: 1, message: 'The peer cannot be reached.', hint: 'Check that it runs and that its address is reachable from here.' },
  API_UNREACHABLE: { exit: 1, message: 'No plant answers at the API socket.', hint: 'Start one with plantmesh up, or name another with --api.' },

  // Networks.
  TAP_UNAVAILABLE: { exit: 1, message: 'A TAP device cannot be had here.', hint: 'details.mend is the line to type; plantmesh doctor looks at the rest of the host.' },

  // Bids and leases.
  BID_EXPIRED: { exit: 1, message: 'The bid has expired or is not known.', hint: 'Ask for bids again.' },
  CAPACITY_SHORT: { exit: 1, message: 'The plant no longer has the capacity it bid with.', hint: 'The next bid is tried.' },
  CLAIM_LOST: { exit: 1, message: 'Another shop makes this order.', hint: 'Its answer is awaited.' },
  MESH_CUT: { exit: 1, message: 'The plants that keep track of this order cannot be reached.', hint: 'Mend the network, or order without --strict and take a provisional machine.' },

  // Networks.
  ADDRESS_TAKEN: { exit: 1, message: 'Another machine of the network has this address.', hint: 'details names it; order another address, or none and take what the network gives.' },

  // Images.
  FETCH_STALLED: { exit: 1, message: 'Pieces of a golden machine could not be had from anyone.', hint: 'details has what is missing and who was asked; it goes on where it stopped when a plant that has them is back.' },

  // Networks, from a client's own end.
  VM_UNREACHABLE: { exit: 1, message: 'The machine cannot be reached on its network.', hint: 'details.problem says why; plantmesh query shows its network and address.' },
  NAME_UNKNOWN: { exit: 4, message: 'No machine of the network has this name.', hint: 'plantmesh list shows the machines; a VMID or an address does as well.' },
  SSH_UNAVAILABLE: { exit: 1, message: 'There is no way into this machine by ssh.', hint: 'details.problem says what is missing, details.mend what to do.' },

  // Machines.
  VM_STATE: { exit: 1, message: 'The machine is not in a state that allows this.', hint: 'plantmesh query shows its state.' },
  VM_START_FAILED: { exit: 1, message: 'The machine could not be started.', hint: 'details has the end of the VMM\'s log; plantmesh doctor checks the host.' },
  VM_DIED: { exit: 1, message: 'The machine died.', hint: 'details.reason says how; order it again under another id.' },
  VMM_MISSING: { exit: 1, message: 'No virtual machine monitor was found.', hint: 'plantmesh doctor prints the line that installs one.' },
  AGENT_SILENT: { exit: 1, message: 'The agent in the guest does not answer.', hint: 'The guest may be busy or broken; plantmesh console shows it.' },
  IDENTITY_FAILED: { exit: 1, message: 'The clone did not take on an identity of its own, so it was collected.', hint: 'details names the part.' },
  ACTION_FAILED: { exit: 1, message: 'A configuration action failed.', hint: 'details has the action, its exit status and the end of its output.' },
  ACTION_TIMEOUT: { exit: 1, message: 'What was run in the guest did not end in time.', hint: 'Raise the timeoutMs of the action (exec: --timeout), or see the end of its output in details.' },
  HOST_ACTION_UNKNOWN: { exit: 2, message: 'The plant has no such built-in host action.', hint: 'details.known lists those it has.' },
  DISK_FULL: { exit: 1, message: 'The disk is full.', hint: 'Free room in the data directory named in details.' },
  GOLDEN_CORRUPT: { exit: 1, message: 'A golden machine\'s file is not what it was, so it is not used.', hint: 'Remove it (plantmesh golden remove) and build or publish it again.' },
  MANIFEST_INVALID: { exit: 1, message: 'The manifest of a golden machine is not sound, so nothing of it is used.', hint: 'details.problem says what is wrong; fetch it from another plant.' },
  IMAGE_INCOMPLETE: { exit: 1, message: 'Parts of the golden machine are not here.', hint: 'They are fetched from plants that have them; see details for how much is missing.' },
  GOLDEN_EXISTS: { exit: 1, message: 'There is a golden machine of that name.', hint: 'Choose another name, or remove it first.' },
  TEMPLATE_IN_USE: { exit: 1, message: 'Machines or other templates are made from this template.', hint: 'Collect the machines and remove the children named in details first.' },
  GOLDEN_BUILD_FAILED: { exit: 1, message: 'The golden machine could not be built.', hint: 'details has the end of its log.' },
  IMAGE_INVALID: { exit: 2, message: 'The image cannot be taken in.', hint: 'details.problem says why; images are qcow2, raw disks, ext4 file systems, and tar archives of a root file system.' },
  IMAGE_UNFIT: { exit: 1, message: 'The image was taken in, but no agent answered when it was booted.', hint: 'It needs cloud-init (to start the agent from the seed) or the agent itself; a tar of its root file system gets the agent put in. --disk-only keeps the disk without booting it.' },
  RECORDS_BROKEN: { exit: 1, message: 'The records cannot be read or written.', hint: 'Check room and permissions of the data directory named in details.' },
  SETUP_FAILED: { exit: 1, message: 'Set-up did not succeed.', hint: 'details has the command that failed and what it printed.' },
  DATA_IN_USE: { exit: 1, message: 'Another plant runs on this data directory.', hint: 'Stop it, or give this one --data of its own.' },
  LIMIT: { exit: 1, message: 'A bound of this plant is reached.', hint: 'Try again later; details names the bound.' },
  INTERRUPTED: { exit: 130, message: 'Interrupted.', hint: '' },
  INTERNAL: { exit: 1, message: 'Something went wrong that should not.', hint: 'This is a bug: please report it with the plant\'s log.' }
} as const satisfies Record<string, { exit: number, message: string, hint: string }>

export type ErrorCode = keyof typeof ERRORS

/** Whether this is one of our codes; anything else off the wire becomes INTERNAL. */
export function isErrorCode (code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERRORS, code)
}

/** An error as it crosses the wire or is printed with `--json` (CONTRACT.md, Conventions). */
export interface ErrorReport { code: ErrorCode, message: string, details: Record<string, unknown>, hint: string }

/** A failure: something that should have worked did not. Refusals are values, bugs are assertions (STYLE.md, 6). */
export class PlantError extends Error {
  readonly code: ErrorCode
  readonly details: Record<string, unknown>

  constructor (code: ErrorCode, details: Record<string, unknown> = {}, options?: { cause?: unknown }) {
    super(`${code}: ${ERRORS[code].message}`, options)
    this.name = 'PlantError'
    this.code = code
    this.details = details
  }

  get exit (): number { return ERRORS[this.code].exit }

  report (): ErrorReport {
    return { code: this.code, message: ERRORS[this.code].message, details: this.details, hint: ERRORS[this.code].hint }
  }
}

/** Any thrown value as a PlantError: itself, or `INTERNAL` with the cause kept. */
export function asPlantError (thrown: unknown): PlantError {
  if (thrown instanceof PlantError) return thrown
  const problem = thrown instanceof Error ? thrown.message : String(thrown)
  return new PlantError('INTERNAL', { problem }, { cause: thrown })
}

/** Rebuilds an error that came over the wire: unknown codes become `INTERNAL`. */
export function errorFromReport (report: { code: string, details?: Record<string, unknown> }): PlantError {
  return isErrorCode(report.code) ? new PlantError(report.code, report.details ?? {}) : new PlantError('INTERNAL', { ...report.details, code: report.code })
}
