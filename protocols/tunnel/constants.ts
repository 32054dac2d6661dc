/** Bounds and times of tenant networks (README.md). */

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
/**
 * A host is believed behind another uplink only when it was silent where it was for so long. Two uplinks on one LAN make a ring outside of the mesh;
 * a frame that went round it comes back within this time, and is dropped.
 */
export const LEARNT_MOVE_MS = 1_000

/** Broadcast, multicast and unknown destinations that a machine may send at once, and then a second: a hundred times what hosts do when they start. */
export const MACHINE_STORM_BURST = 2_000
export const MACHINE_STORM_PER_S = 1_000
/** The same for an uplink, behind which a whole LAN may be. */
export const UPLINK_STORM_BURST = 4_000
export const UPLINK_STORM_PER_S = 2_000
/** The same for a member plant: its ports were limited there, and all of a plant's machines may speak at once. */
export const PEER_STORM_BURST = 16_000
export const PEER_STORM_PER_S = 8_000
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
