/** The bounds of the language of orders. A document within them is small enough to be checked, signed, sent and planned at once. */

/** A whole file of orders, in bytes of UTF-8: scripts are text for people to read; bulk belongs into images. */
export const FILE_BYTES_MAX = 1024 * 1024
/** Documents in one file: `create --count` makes many of one. */
export const DOCUMENTS_MAX = 256
/** Aliases that a YAML document may resolve, counted through nesting, so that a few lines cannot grow without end. */
export const YAML_ALIASES_MAX = 100
/** Depth of nested values: the deepest field of a document with ERROR_DEPTH_MAX sub-graphs lies at 5 + 3 x 4. */
export const VALUE_DEPTH_MAX = 24
/** Fields, items and scalars of one document, counted after aliases are resolved. */
export const VALUES_MAX = 50_000
/** Problems listed for a file; the rest is counted in `details.more`. */
export const PROBLEMS_MAX = 100
/** Text of what was found, as shown in a problem. */
export const FOUND_CHARS_MAX = 80

/** Actions of an order, those of its error sub-graphs included. */
export const ACTIONS_MAX = 500
/** Error sub-graphs within error sub-graphs. */
export const ERROR_DEPTH_MAX = 4
/** Characters of a script, a file, a parameter, and of all other texts. */
export const SCRIPT_CHARS_MAX = 512 * 1024
/** What Linux takes as one environment string (MAX_ARG_STRLEN, 32 pages), less the name. */
export const PARAMETER_CHARS_MAX = 120 * 1024
export const PATH_CHARS_MAX = 1024
export const LABEL_CHARS_MAX = 256
export const EXPRESSION_CHARS_MAX = 8192
export const ENTRIES_MAX = 256

/** Networks of a machine: its first card, and as many as a production line adds. */
export const NETWORKS_MAX = 8
/** Routes of one network: as many as one DHCP option holds at 9 bytes each (RFC 3442), less the one to the gateway. */
export const ROUTES_MAX = 24

/** Networks and machines of one topology document. */
export const TOPOLOGY_NETWORKS_MAX = 64
export const TOPOLOGY_MACHINES_MAX = 256

/** Above this no host that a plant could run on has more: 1,024 processors, 4 TiB of memory, 64 TiB of disk. */
export const CPUS_MAX = 1024
export const MEMORY_MIB_MIN = 8
export const MEMORY_MIB_MAX = 4 * 1024 * 1024
export const DISK_MIB_MAX = 64 * 1024 * 1024
/** A day: an installation from slow media ends within it. */
export const ACTION_TIMEOUT_MS_MAX = 86_400_000

/** Defaults (CONTRACT.md, Orders). */
export const DOMAIN_DEFAULT = 'default'
export const CPUS_DEFAULT = 1
export const MEMORY_MIB_DEFAULT = 256
export const DISK_MIB_DEFAULT = 512
export const ACTION_TIMEOUT_MS_DEFAULT = 60_000

/** Outputs that one action leaves, and characters of one: more is the guest's mistake, not an attribute. */
export const OUTPUTS_MAX = 256
export const OUTPUT_CHARS_MAX = 4096

/** Assignments that matching follows at once where actions of equal digest leave a choice; beyond, the golden machine is passed over. */
export const MATCH_STATES_MAX = 64
