/** Names, bounds and times of the template protocol (README.md). */
import type { StreamLimits } from '../kit/index.ts'

/** Gossip of new marks, and the stream by which neighbours compare theirs. */
export const TEMPLATE_TOPIC = 'template'
export const TEMPLATE_PROTOCOL = '/plantmesh/template/1.0.0'
/** What is signed begins with this, so that the signature means nothing elsewhere. */
export const MARK_CONTEXT = 'plantmesh/mark/1'

/** A label: what an order may say in `software.os`, without `@`, which stands before a version. */
export const LABEL = /^[A-Za-z0-9][A-Za-z0-9._:/+-]{0,62}$/
export const LABEL_ALLOWED = 'at most 63 letters, digits and ".", "_", ":", "/", "+", "-", a letter or digit first'

/** Two keys and ids, a label or a name of 253 characters, a time, a signature and their wrapping are under 700 bytes. */
export const MARK_BYTES_MAX = 1024
/** Marks of one key: a person's labels. Beyond, the newest stay; removals go last. */
export const MARKS_PER_KEY_MAX = 1_024
/** Marks of all: at most 32 MiB, some 12 MiB in fact. */
export const MARKS_MAX = 32_768
/** A mark may be so far ahead of this plant's clock, as calls may (`protocols/member`). */
export const MARK_AHEAD_MS = 5 * 60_000

/** Messages of one author of gossip: a person labels by hand, a script in bursts. Above, they wait for the exchange between neighbours. */
export const AUTHOR_BURST = 128
export const AUTHOR_PER_S = 4
/** Authors whose rate is remembered; the longest silent is forgotten first. */
export const AUTHORS_MAX = 16_384

/** Buckets of the summary that two plants compare: 256 of 8 bytes are 2 KiB. */
export const BUCKETS = 256
export const BUCKET_HASH_BYTES = 8
/** A part of marks is closed above this; one more mark and its wrapping still fit the message. */
export const PART_BYTES = 64 * 1024
export const TEMPLATE_LIMITS: StreamLimits = { messageBytesMax: 72 * 1024, idleTimeoutMs: 5_000, inboundMax: 64, inboundPerPeerMax: 4 }
/** A peer is handed marks at most so often. */
export const SERVED_EVERY_MS = 1_000
/**
 * Bytes of marks that a peer is handed at once, and then a second: who asks again and again with a summary that differs everywhere gets 131 kbit/s. A mesh has
 * far fewer marks than the first; where it has more, a new plant has all after some asks of its neighbours, as each answer begins elsewhere.
 */
export const SERVED_BURST_BYTES = 4 * 2 ** 20
export const SERVED_BYTES_PER_S = 16 * 1024
/** Peers of whom that is remembered, also when they come again; the longest silent is forgotten first. */
export const SERVED_PEERS_MAX = 4_096
/** One neighbour's marks are read for so long: one that sends a byte now and then must not keep this plant from asking others. */
export const ASK_TIMEOUT_MS = 60_000
/** A new neighbour is asked at once, and again when what it gossiped meanwhile may have been lost: its subscription can arrive after the connection. */
export const NEIGHBOUR_ASKED_MS: readonly number[] = [0, 5_000]
export const ASKS_AT_ONCE_MAX = 4
export const ASKS_WAITING_MAX = 128
/** A neighbour drawn at random is asked so often, so that what gossip lost arrives: 2 KiB a minute are 0.3 kbit/s. */
export const EXCHANGE_EVERY_MS = 60_000
export const EXCHANGE_JITTER_SHARE = 0.25

/** Golden machines that one question of use may name, and machines and templates that its answer names. */
export const USES_ASKED_MAX = 64
export const USES_TOLD_MAX = 256
/** How long plants may take to say what they use, and how many are asked. */
export const USES_TIMEOUT_MS = 3_000
export const USES_PEERS_MAX = 256
