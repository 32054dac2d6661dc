/** Bounds, times and fixed values of addresses in tenant networks; each is named in README.md. */
import type { Subnet } from './subnet.ts'

/** 10.192.0.0/10, where machines get their addresses unless their orders say otherwise: the top quarter of 10/8, which few LANs use. */
export const DEFAULT_SUBNET: Subnet = { base: 0x0a_c0_00_00, prefixBits: 10 }
/** The gateway's card on every plant and every network: locally administered, unicast, and no machine's (theirs come of digests; this one is skipped). */
export const GATEWAY_MAC = '02:70:6d:67:77:01'
/** The same as a number. */
export const GATEWAY_MAC_NUMBER = 0x02_70_6d_67_77_01

/** A machine asks again after half of it, which nobody is woken by for long; a plant that is down for less costs nobody his address. */
export const LEASE_S = 3_600

/** Candidates by digest before the rest of the subnet is gone through; two tries in a row fail once in as many networks as there are addresses. */
export const HASHED_TRIES = 16
/** Candidates in all: a subnet of which so many in a row are taken is full for this machine. */
export const CANDIDATES_MAX = 4_096
/** Candidates that may be asked of the mesh for one machine: the others are skipped because their stations are known. */
export const ASKED_MAX = 64

/** What a station may have answered: a burst of a boot with its names, and then what a busy resolver asks. */
export const ANSWERS_A_SECOND = 200
export const ANSWERS_BURST = 400
/** Stations whose rates are kept; the one that was quiet for longest goes. */
export const RATED_STATIONS_MAX = 4_096

/** How long an answer about a name may be kept: machines come and go. */
export const NAME_TTL_S = 30
/** How long names are answered from one look at so many stations, longer with more: each takes some 10 us to look at on a busy host, so less than half of the time. */
export const NAMES_KEPT_MS = 100
export const NAMES_KEPT_STATIONS = 4_096
/** Of a reply that goes in one packet (DNS flag day 2020). */
export const DNS_UDP_BYTES = 1_232
