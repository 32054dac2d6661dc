/** The bounds and times of the mesh's drivers, with where they come from. */

/** Gossip wants 6 neighbours; two more make up for those about to go. A connection costs some 20 ms of processor on each side, so not more. */
export const NEIGHBOURS_WANTED = 8
/** Above this libp2p closes connections: at 1,000 plants some 300 sockets and 150 MB. */
export const CONNECTIONS_MAX = 300
/** Plants behind one address (tests, NAT) join at once; libp2p's 5 a second would keep them out. */
export const INBOUND_CONNECTIONS_PER_S = 100
export const INBOUND_PENDING_MAX = 128
/** Of one peer: one for all, one for tunnels, each dialled from both ends at once, and as many again while they move from a relay to a direct way. */
export const CONNECTIONS_PER_PEER_MAX = 8
/** A connection of its own (`own-connections.ts`) without streams is closed after this: a stream that is replaced has its successor by then. */
export const OWN_CONNECTION_IDLE_MS = 15_000

/** 200 calls at once from one peer, twice over, fit a connection; the muxer resets what comes above. */
export const STREAMS_PER_CONNECTION_MAX = 512
/** A stream that has not named its protocol by then is reset. */
export const NEGOTIATION_TIMEOUT_MS = 5_000
/** Opening a stream: a dial, the handshakes and the negotiation, on a busy machine. */
export const OPEN_TIMEOUT_MS = 10_000
/** Must stay below libp2p's read buffer of 4 MiB: a paused stream may still receive one window. */
export const STREAM_WINDOW_BYTES_MAX = 1024 * 1024

/** A message once begun must come at this rate or better, after a start of MESSAGE_BASE_MS: a slow writer cannot hold a stream. */
export const MESSAGE_BYTES_PER_S_MIN = 64 * 1024
export const MESSAGE_BASE_MS = 5_000
/** Bytes unsent in one stream above which `send` waits. */
export const SEND_MARK_BYTES = 256 * 1024
/** What may be held beyond one whole message before the network is asked to pause. */
export const READ_AHEAD_BYTES = 64 * 1024

/** Every connection is asked for a sign of life so often: 170 bytes from either end, 0.3 kbit/s with all headers. */
export const PULSE_EVERY_MS = 10_000
/** A machine under emulation keeps all cores busy for seconds: a late answer must not cost the connection. */
export const PULSE_TIMEOUT_MS = 10_000

/** The mesh handshake (identify) on a new connection. */
export const GREETING_TIMEOUT_MS = 5_000
/** A peer of another mesh is not talked to for so long; it may be restarted with our mesh's name. */
export const DENIED_MS = 15_000
export const DENIED_MAX = 1_024

/** Back-off between dials to a bootstrap peer or a lost neighbour: doubles, with up to a half of jitter. */
export const REDIAL_FIRST_MS = 500
export const REDIAL_MS_MAX = 15_000
/** A lost neighbour is given up after this many dials (some 70 s), unless no other is left. */
export const REDIALS_MAX = 8
export const REDIAL_PEERS_MAX = 64

/** While neighbours are fewer than wanted the directory is asked for more: soon after a change, then ever more rarely. */
export const LOOK_FIRST_MS = 150
export const LOOK_MS_MAX = 30_000
/** A goodbye must be read before the connection closes: what is unread when a socket closes is lost. */
export const FAREWELL_MS = 100

/** Gossip: a message of more is dropped undecoded. The longest message of ours is an advert, 8 KiB; one RPC may hold several. */
export const GOSSIP_RPC_BYTES_MAX = 256 * 1024
export const GOSSIP_TOPIC_BYTES_PER_PEER_MAX = 64 * 1024

/** How often gossip's streams are looked after: half an advert's period, so that a plant that is deaf for once loses no more than one. */
export const GOSSIP_LOOK_MS = 5_000

/** The directory's store and the peer store, in memory: some 40 MB when full. */
export const STORE_ENTRIES_MAX = 50_000
export const STORE_VALUE_BYTES_MAX = 64 * 1024
export const DIRECTORY_KEY_CHARS_MAX = 256
export const DIRECTORY_VALUE_BYTES_MAX = 16 * 1024
/** Keys this plant holds: its machines and its orders. */
export const DIRECTORY_HELD_MAX = 16_384
export const DIRECTORY_TIMEOUT_MS = 5_000
/** Said again this often while held; what others keep of it ends after REPROVIDE_LIVES times as long. */
export const REPROVIDE_MS = 5 * 60_000
export const REPROVIDE_LIVES = 3
export const PROVIDES_AT_ONCE_MAX = 8

/** Plants of its site that a gateway keeps a place for; a reservation is a timer and an entry. */
export const RELAY_RESERVATIONS_MAX = 256
/** A place is asked for anew five minutes before it ends (the library's rule), so that of a plant that went in silence it is soon free. */
export const RELAY_RESERVATION_MS = 15 * 60_000
/** Relayed connections of one plant, as either end, and of all. */
export const RELAYED_PER_PEER_MAX = 64
export const RELAYED_MAX = 512
/** Held of one direction of a relayed connection before its sender is made to wait; a window (1 MiB at most) may still come. */
export const RELAY_HELD_BYTES = 64 * 1024
/** Asking for a place, or for a connection, through a busy gateway. */
export const RELAY_ASK_TIMEOUT_MS = 10_000
/** Relayed connections that a plant takes in; beside them it has its own. */
export const RELAYED_IN_MAX = 128
/** A start waits so long for the place at the gateway, and goes on without it. */
export const BEHIND_WAIT_MS = 10_000
/** An address that does not answer must leave time for the relay, within OPEN_TIMEOUT_MS. */
export const BEHIND_ADDRESS_TIMEOUT_MS = 3_000
/** A direct path is tried for once a relayed connection stands, when its first streams are through. */
export const DIRECT_AFTER_MS = 1_000
