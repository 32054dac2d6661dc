/** Names, bounds and times of tenant networks (README.md). */
import type { StreamLimits } from '../kit/index.ts'

// The switch and its guard.

/** Ports of a network's switch here: machines, members and uplinks together. */
export const SWITCH_PORTS_MAX = 4096
/** Stations that one port may have: a member plant's machines of one network. */
export const STATIONS_PER_PORT_MAX = 4096
/** Stations of a network, announced by all ports together. */
export const STATIONS_MAX = 65_536
/** IPv4 addresses of one station. */
export const STATION_ADDRESSES_MAX = 8
/** Stations that wait for one MAC or address; those beyond wait only when announced again. */
export const CLAIMANTS_MAX = 64
/** Addresses behind one uplink: a large LAN's broadcast domain. The longest silent makes room for a new one. */
export const LEARNT_PER_PORT_MAX = 4096
/** Addresses behind all uplinks together; above it a port makes room from its own, or from the port that has most. */
export const LEARNT_MAX = 32_768
/** A host behind an uplink is forgotten when silent for so long (IEEE 802.1Q, 8.8.3: the default ageing time). */
export const LEARNT_LIFE_MS = 300_000
/** A host is believed behind another uplink only when it was silent where it was for so long: what is heard behind both within this time went two ways. */
export const LEARNT_MOVE_MS = 1_000
/** Two ports that lead into one LAN are kept apart for so long after that was heard last: hosts broadcast more often than that. */
export const RING_LIFE_MS = 60_000
/** Pairs of such ports. */
export const RINGS_MAX = 1_024

/** Broadcast, multicast and unknown destinations that a machine may send at once, and then a second: a hundred times what hosts do when they start. */
export const MACHINE_STORM_BURST = 2_000
export const MACHINE_STORM_PER_S = 1_000
/** The same for an uplink, behind which a whole LAN may be. */
export const UPLINK_STORM_BURST = 4_000
export const UPLINK_STORM_PER_S = 2_000
/** The same for a member plant: its ports were limited there, and all of a plant's machines may speak at once. */
export const PEER_STORM_BURST = 8_000
export const PEER_STORM_PER_S = 4_000
/** A flooded frame counts once for each so many bytes begun, so that 64 KiB with offload are not the price of one small frame. */
export const STORM_UNIT_BYTES = 2_048

/** The longest packet, whatever of it is left to offload: the length in an IPv4 header has 16 bits, and kernels hand over none longer of IPv6 either. */
export const PACKET_BYTES_MAX = 65_535
/** IPv6 headers before the one that says what a packet is about; hosts send two at most. */
export const IPV6_HEADERS_MAX = 8
/** A link-local address is taken when its probe stayed unanswered: one second (RFC 4862, 5.1), as much again for the way, and 0.5 s of slack. */
export const PROBE_MS = 2_500
/** A lease that a LAN's server gave counts no longer than this without being renewed, whatever it says: 2^32 - 1 means for ever. */
export const LEASE_LIFE_MAX_MS = 30 * 24 * 3_600_000

// Frames

/** Payload of a frame in a network: Ethernet's own, as tunnels are streams and cost no room in it. */
export const MTU_BYTES = 1_500
/** The longest frame: a packet of 65,535 bytes (IPv4's and a TAP's greatest with segmentation offload) behind an Ethernet header with one tag. */
export const FRAME_BYTES_MAX = 65_535 + 18
/** Both addresses and the type. No member sends less: its switch drops it. */
export const FRAME_BYTES_MIN = 14
/** `virtio_net_hdr` (virtio 1.2, 5.1.6), in front of frames with offload. */
export const OFFLOAD_BYTES = 10

// Tunnels: streams and messages

/** Protocol id of tunnels. */
export const TUNNEL_PROTOCOL = '/plantmesh/tunnel/1.0.0'
/** Frames that go out as one message: gathered up to this, which the longest frame alone fits (66 KiB). */
export const BATCH_BYTES_MAX = 66 * 1024
/** A proof may bring a whole signed order (CALL_BYTES_MAX) and its hand-overs; all else is far shorter. */
export const MESSAGE_BYTES_MAX = 1_200_000
/** Stations and proofs are told in messages of about this, one at least in each. */
export const STATIONS_MESSAGE_BYTES = 64 * 1024
/** Bytes that may be unsent in the stream when the next batch is taken: what lies there can be overtaken by nothing (0.5 ms at 1 Gbit/s). */
export const SEND_MARK_BYTES = 64 * 1024
/** Each end says something at least so often: 150 bytes with all headers and its acknowledgement, 60 bit/s each way. */
export const ALIVE_EVERY_MS = 20_000
/** Three of them lost. Long before, the connection's own pings find a dead peer. */
export const SILENT_MS = 65_000
/** For each step of the greeting; a proof may have to ask the directory after a grant. */
export const GREETING_MS = 10_000
/** Greetings under way at once, from all and from one peer: each may hold one message of MESSAGE_BYTES_MAX unread, 38 MB in all. */
export const GREETINGS_MAX = 32
export const GREETINGS_PER_PEER_MAX = 4
export const TUNNEL_LIMITS: StreamLimits = {
  messageBytesMax: MESSAGE_BYTES_MAX,
  idleTimeoutMs: SILENT_MS,
  // One a network and member, and as many again while they are replaced.
  inboundMax: 1_024,
  inboundPerPeerMax: 128,
  ownConnection: true,
  sendMarkBytes: SEND_MARK_BYTES
}
/** A replaced stream is still read for so long: what was sent before the other end changed over. */
export const DRAIN_MS = 5_000

/** Messages that are not frames: waiting for a member that does not read, and taken from one. A snapshot of 256 stations is at most 256 of them. */
export const CONTROLS_WAITING_MAX = 1_024
export const CONTROLS_BURST = 1_024
export const CONTROLS_PER_S = 64

/** Frames of one member that are taken without letting anyone else run: two milliseconds of the shortest. Long frames never come to it. */
export const FRAMES_IN_A_ROW_MAX = 2_048
/** How long leaving waits for the members to be told. */
export const LEAVE_MS = 500

// Queues: FQ-CoDel (RFC 8290)

/** As RFC 8290 has it: at 100 flows, one in ten shares its number with another. */
export const FLOWS_MAX = 1_024
/** Two frames of Ethernet: a flow of long frames saves up for them, and a small flow waits for at most so much of each other. */
export const FLOW_QUANTUM_BYTES = 2 * 1_514
/**
 * RFC 8289 wants the target above the time that the longest unit takes to be sent and 5 to 10 % of the interval. Our unit is a batch, not a frame: 64 KiB take
 * 5 ms at 100 Mbit/s; slower links are covered by the rule that a queue of one longest frame is never too long.
 */
export const CODEL_TARGET_MS = 5
/** The round trip in which a sender can react; 100 ms is right from 10 ms to 1 s (RFC 8289, 4.3). */
export const CODEL_INTERVAL_MS = 100
/** For one peer: 17 ms at 1 Gbit/s. Far more than CoDel lets stand; it is what a peer that stops reading costs. */
export const QUEUE_BYTES_MAX = 2 * 1024 * 1024
/** What a frame costs beside its bytes: the objects that hold it. 64-byte frames are bounded to 8,738. */
export const FRAME_COST_BYTES = 176

// Members

/** Networks that a plant is on at once, those of proxies too. */
export const NETWORKS_MAX = 64
/** Stations of one network on one plant, here or told by a peer. */
export const STATIONS_PER_MEMBER_MAX = 256
/** Members of one network that a plant has tunnels with: a full mesh, so that a network is at most one plant more. */
export const LINKS_MAX = 128
/** Members that are known by name, tunnels or none, and those that one message tells of. */
export const MEMBERS_MAX = 512
export const MEMBERS_TOLD_MAX = 64
/** Members that orders of machines here name (proxies): dialled for as long as the network is joined. */
export const NAMED_MAX = 32
/** Names that one member may have told and that have not yet proved themselves: a liar costs so many dials, each once. */
export const UNPROVEN_PER_TELLER_MAX = 64
export const DIALS_AT_ONCE_MAX = 4
/** Back-off between dials: doubles from the first, half as much again by chance. */
export const DIAL_FIRST_MS = 500
export const DIAL_MS_MAX = 60_000
/** A member that is not reached by so many dials (some four minutes) is forgotten until the directory or another member names it again. */
export const DIALS_MAX = 10
/** A refused proof: the other end's clock, or a grant that it has not heard of, may be better later. */
export const REFUSED_FIRST_MS = 5_000
export const REFUSED_MS_MAX = 10 * 60_000
/** The end with the higher peer id dials a lost member so much later: the other does it first. */
export const HIGHER_WAITS_MS = 1_000
/** The directory is asked who else is on the network: soon after joining, then ever more rarely, and again when a member was lost. */
export const LOOK_FIRST_MS = 1_000
export const LOOK_MS_MAX = 5 * 60_000
export const LOOK_FACTOR = 3
/** New neighbours make it be asked at most so often: in a large mesh they come and go all the time. */
export const LOOK_AGAIN_MS = 30_000
/** A tunnel through a relay is tried without one: as often as looks, first after this. */
export const DIRECT_FIRST_MS = 10_000
export const DIRECT_MS_MAX = 10 * 60_000
/** Proofs that rest on a grant are checked again so often: a revoked key is off its networks within this and GRANT_RECHECK_MS. */
export const PROOF_RECHECK_MS = 30_000

/** How long the LAN's lease was for is not in a plant's records. Servers give a day or less; a machine with a longer one may have to ask again once. */
export const RESTORED_LEASE_MS = 24 * 3_600_000
/** Captures of one network at once: each is called for every frame. */
export const CAPTURES_MAX = 16
