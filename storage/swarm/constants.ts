/** Bounds and times of the swarm, with where they come from. */

/** The mesh protocol that carries BitTorrent wires, as they are, without framing of its own. */
export const SWARM_PROTOCOL = '/plantmesh/swarm/1.0.0'

/** All content is cut so; also the "piece length" of a pack's torrent. */
export const PIECE_BYTES = 65_536
/** What BitTorrent clients ask for at once (BEP 3). */
export const BLOCK_BYTES = 16_384
export const BLOCKS_PER_PIECE = PIECE_BYTES / BLOCK_BYTES
/** A pack of 256 GiB, whose bitfield is 512 KiB. */
export const PIECES_MAX = 2 ** 22

/** The longest message is the bitfield of the largest pack; whoever announces more is left before anything is allocated. */
export const MESSAGE_BYTES_MAX = PIECES_MAX / 8 + 16
/** After the stream is open: a peer that has not shaken hands by then is left. */
export const HANDSHAKE_MS = 10_000
/** Wires in all, inbound of all packs, and from one peer (a plant fetches a handful of packs at once). */
export const WIRES_INBOUND_MAX = 256
export const WIRES_PER_PEER_MAX = 32
export const WIRES_PER_PACK_MAX = 64
/** Wires that a fetch opens by itself: above some 30 a swarm gets no faster (BitTorrent's own experience). */
export const WIRES_DIALLED_MAX = 32
/** A wire on which neither side wants anything is closed after so long. */
export const WIRE_IDLE_MS = 30_000

/** Bytes unsent on a wire above which nothing more is read for it from the pack. */
export const WIRE_SEND_BYTES = 256 * 1024
/** Bytes unsent (answers to a flood of requests) above which nothing is read from it. */
export const WIRE_PAUSE_BYTES = 2 * 1024 * 1024
/** Blocks that one peer may have asked for and not got; more are rejected (BEP 6). 16 MiB, twice what a pipeline holds. */
export const REQUESTS_PER_PEER_MAX = 1_024
/** Peers served at once; the others are choked and wait for their turn. */
export const UNCHOKED_MAX = 32
/** How long a peer is served while others wait. */
export const UNCHOKED_TURN_MS = 5_000
/** Pieces read from packs at once, for all peers together. */
export const READS_MAX = 8

/** Pieces asked of one peer at once: 8 MiB covers 1 Gbit/s at 60 ms. */
export const PIPELINE_PIECES_MAX = 128
/** A pipeline begins with so many, and doubles while that makes it faster. */
export const PIPELINE_PIECES_FIRST = 2
/** Queued at a peer beyond its round trip: enough to hide a busy event loop, little enough to change one's mind. */
export const PIPELINE_QUEUE_MS = 120
/** The same while a machine waits for pieces: what is urgent queues behind it. */
export const PIPELINE_QUEUE_URGENT_MS = 40
/** Pieces in flight in all: 64 MiB of buffers at the worst. */
export const IN_FLIGHT_PIECES_MAX = 1_024
/** Pieces received and not yet kept: a slow disk stops the asking. */
export const WRITING_PIECES_MAX = 64
/** Pieces that machines wait for at once, of one fetch. */
export const URGENT_MAX = 4_096
/** What may be asked of a peer beyond its pipeline when it is urgent. */
export const URGENT_EXTRA_PIECES = 8

/** Peers are told of new pieces so much later, of several at once: on a fast line a message for each costs more than the piece. */
export const HAVE_DELAY_MS = 20
/** A peer that has been asked and has sent no block for so long is stalled: others are asked. With the tick below, within a second. */
export const STALL_MS = 800
/** For a peer that is often silent for long: twice its longest silence of late, up to this. */
export const STALL_MS_MAX = 5_000
export const TICK_MS = 100
/** An urgent piece is asked of a second peer when that one should bring it this much sooner. */
export const HEDGE_GAIN_MS = 60
/** The same for one of the last that nobody waits for: what is under way already is wasted by it, and estimates are rough. */
export const LAST_GAIN_MS = 1_000
/** A piece is asked of no more peers at once than these. */
export const COPIES_IN_FLIGHT_MAX = 2
/** After a peer refused a piece it is asked again only after so long, unless the piece is urgent. */
export const REFUSED_MS = 3_000
/** How often a seed tells a peer to ask others for a piece, before it sends it all the same. */
export const REFUSALS_MAX = 4
/** A stalled peer is given up after so long in silence. */
export const SILENT_MS = 15_000

/** A peer that cannot be reached is tried again after this, doubling up to the maximum. */
export const BACK_OFF_FIRST_MS = 1_000
export const BACK_OFF_MAX_MS = 60_000
/** Peers remembered for wrong pieces, and for being out of reach. */
export const WRONG_PEERS_MAX = 1_024
export const UNREACHABLE_PEERS_MAX = 1_024

/** Providers are looked up again this often, and sooner while nobody is at hand. */
export const LOOK_UP_MS = 15_000
export const LOOK_UP_ALONE_MS = 1_000
/** Providers taken from one look-up. */
export const PROVIDERS_MAX = 256
/** Without a new piece for so long a fetch ends in FETCH_STALLED, unless told to wait. */
export const FETCH_STALLED_MS = 30_000

/** A capped rate may run ahead by so much of it. */
export const BURST_MS = 100
