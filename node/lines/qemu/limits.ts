/** The numbers of the QEMU line, and why they are what they are. */

/** A monitor's line is a JSON document of some hundred bytes; the longest answers are lists of devices. */
export const QMP_LINE_BYTES_MAX = 1024 * 1024
/** QEMU's main loop answers within milliseconds; a host on which sixteen machines start at once has been seen to need seconds. */
export const QMP_ANSWER_MS = 30_000
/** Between two attempts to reach a socket that QEMU is about to make; it does so some 30 ms after its start. */
export const SOCKET_POLL_MS = 3
/** How long QEMU may take from its start to its monitor: loading libraries and firmware from a cold disk. */
export const MONITOR_WITHIN_MS = 30_000
/** How long a clone's agent may take: 0.2 s alone, 2 s when sixteen start at once on two cores; the rest is for loaded hosts. */
export const CLONE_ANSWERS_WITHIN_MS = 60_000
/** A switch waits for the guest's reads under way, and these for a client that looks for its server again each 16 s (QEMU's nbd/client-connection.c). */
export const SWITCH_WITHIN_MS = 60_000
/** The daemon that waits for discs runs already; a guest under load takes its time. */
export const DISC_DAEMON_WITHIN_MS = 20_000
/** How long a cold boot may take to its agent: 2 s alone under emulation. */
export const BOOT_ANSWERS_WITHIN_MS = 180_000
/** A foreign system boots by its own loader and runs cloud-init before the agent is there: two minutes under emulation, more on a busy host. */
export const FOREIGN_ANSWERS_WITHIN_MS = 900_000
/** From the agent's answer until systemd has started all else: 20 s under emulation, more on a busy host. */
export const SYSTEM_UP_WITHIN_MS = 600_000
/** An adopted machine has been running; its agent answers as soon as its guest lets it, and is reached later when it does not. */
export const ADOPT_ANSWERS_WITHIN_MS = 5_000
/** A machine that was told to end by SIGTERM flushes its disk, within this; then SIGKILL, after which only the kernel can delay. */
export const TERM_WITHIN_MS = 1_000
export const KILL_WITHIN_MS = 10_000
/** A machine whose process vanishes is noticed by its monitor's socket at once; this is the second look, below the 2 s promised. */
export const WATCH_EVERY_MS = 1_000
/** QEMU's own output: a guest can provoke warnings without end, so the file is cut when it is longer. */
export const LOG_BYTES_MAX = 256 * 1024
/** How much of the end of a log an error carries. */
export const LOG_TAIL_BYTES = 4 * 1024
/** A probe does in 60 ms what it does, or hangs. */
export const KVM_PROBE_MS = 2_000
/** Under emulation it needs 250 ms, more on a busy host. */
export const TCG_PROBE_MS = 20_000
/** Writing 16 GiB of memory to a slow disk. */
export const MIGRATION_WITHIN_MS = 600_000
/** Between two looks at a migration. */
export const MIGRATION_POLL_MS = 10
/** A clone's state is taken in within some 20 ms, and its owner waits. */
export const TAKE_IN_POLL_MS = 2
/** A guest is settled when its QEMU uses less than this share of a core for a while; it is suspended anyway after the last of these. */
export const SETTLED_SHARE = 0.05
export const SETTLE_WINDOW_MS = 250
export const SETTLE_WITHIN_MS = 10_000
/** How long the guest may take to let go of a drive that is being taken out. */
export const DETACH_WITHIN_MS = 15_000
