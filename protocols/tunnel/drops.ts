/** Why a switch drops a frame, as codes for counters and as sentences for people. */

const TEXTS = {
  NO_PORT: 'came from a port that is gone',
  TOO_SHORT: 'is shorter than an Ethernet header',
  TOO_LONG: 'is longer than the network\'s MTU allows',
  OFFLOAD_INVALID: 'has an offload header that does not fit its contents',
  MALFORMED: 'has lengths or fields that contradict each other',
  ETHERTYPE: 'is of a kind that networks do not carry (802.3 lengths, nested tags)',
  LINK_CONTROL: 'is for the next bridge only (spanning tree, pause, LLDP)',
  SOURCE_INVALID: 'has a source that no card has (group address, zero)',
  SOURCE_FOREIGN: 'has a MAC that is not the machine\'s own, or that the member plant did not announce',
  SOURCE_OF_STATION: 'came from an uplink with the MAC of a machine of the network',
  SOURCE_ELSEWHERE: 'has a MAC that was heard behind another uplink a moment ago: it came two ways, or the host just moved',
  SOURCE_GATEWAY: 'pretends to come from the network\'s gateway',
  ADDRESS_GATEWAY: 'uses the address of the network\'s gateway',
  ARP_SENDER: 'is an ARP message in another\'s name',
  IPV4_SOURCE: 'has an IPv4 source that was not given to the machine',
  IPV6_SOURCE: 'has an IPv6 source that is not the machine\'s link-local address',
  ND_SENDER: 'is a neighbour message in another\'s name',
  DHCP_SERVER: 'answers as a DHCP server and may not',
  DHCP_IDENTITY: 'asks for an address in another\'s name',
  ROUTER_ADVERT: 'pretends to be a router (advertisement or redirect) and may not',
  STORM: 'is one broadcast, multicast or unknown destination too many',
  RING: 'would go round: the port that it came from and the one that it is for lead into one LAN',
  SAME_PORT: 'is for a host at the port that it came from',
  BETWEEN_TUNNELS: 'came from one member plant and is for another, which has a tunnel of its own',
  GATEWAY_REMOTE: 'is for the gateway, which each plant answers for itself',
  NOWHERE: 'is for a host that nobody announced, and there is no uplink behind which it could be'
} as const

/** Why a frame was dropped. */
export type DropReason = keyof typeof TEXTS

/** All reasons with a text that follows "the frame". */
export const DROP_TEXTS: Readonly<Record<DropReason, string>> = TEXTS
