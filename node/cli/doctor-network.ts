/** What this host has for tenant networks: TAPs, and the congestion control that a tunnel wants. Without them plants still work. */
import { access, constants, readFile, stat } from 'node:fs/promises'
import { libc } from '../net/libc.ts'
import { ALGORITHM, tryTuning } from '../net/socket-options.ts'
import type { Tuned } from '../net/socket-options.ts'
import type { HostCheck } from './doctor.ts'

/** CAP_NET_ADMIN, of linux/capability.h. */
const NET_ADMIN_BIT = 12n
const DEVICE = '/dev/net/tun'

/** Whether this process may make a TAP; one that root made for this user works without. */
export async function tapCheck (): Promise<HostCheck> {
  const poor = (found: string, mend: string): HostCheck => ({ name: 'tap', state: 'warn', found: `${found}: this host joins networks without an interface of its own`, mend })
  const c = libc()
  if ('problem' in c) return poor(c.problem, 'npm ci --include=optional')
  if (!await stat(DEVICE).then((device) => device.isCharacterDevice(), () => false)) return poor(`there is no ${DEVICE}`, 'sudo modprobe tun   # in a container: start it with --device /dev/net/tun --cap-add NET_ADMIN')
  if (!await access(DEVICE, constants.R_OK | constants.W_OK).then(() => true, () => false)) return poor(`${DEVICE} may not be opened`, `sudo chmod 0666 ${DEVICE}`)
  if (!await mayAdminister()) {
    return poor('this user may make no TAP (no CAP_NET_ADMIN)', 'sudo ip tuntap add dev plantmesh0 mode tap user $USER && sudo ip link set plantmesh0 up   # then: plantmesh proxy NETWORK --tap plantmesh0')
  }
  return { name: 'tap', state: 'ok', found: 'TAP devices can be made' }
}

/** A lossy path costs a tunnel with BBR little, and one with cubic most of its rate. */
export function congestionCheck (tuned: Tuned = tryTuning()): HostCheck {
  const slow = (found: string, mend: string): HostCheck => ({ name: 'congestion', state: 'warn', found: `${found}: tunnels over lossy paths are slow`, mend })
  if ('problem' in tuned) return slow(`${ALGORITHM} cannot be chosen (${tuned.problem})`, 'npm ci --include=optional')
  if (tuned.congestion !== ALGORITHM) return slow(`the kernel offers no ${ALGORITHM}, but ${tuned.congestion}`, 'sudo modprobe tcp_bbr && echo tcp_bbr | sudo tee /etc/modules-load.d/bbr.conf')
  return { name: 'congestion', state: 'ok', found: `tunnels run with ${ALGORITHM}` }
}

async function mayAdminister (): Promise<boolean> {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '')
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1]
  return effective !== undefined && ((BigInt(`0x${effective}`) >> NET_ADMIN_BIT) & 1n) === 1n
}
