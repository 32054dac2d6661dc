/** Starts a user-mode gateway, says so, and waits to be killed. */
import { userNetworks } from '../../node/lines/qemu/user-network.ts'
import { userGateway } from '../../node/net/user-gateway.ts'
import { DEFAULT_SUBNET } from '../../protocols/tunnel/address/index.ts'

await userGateway({ mac: '02:00:00:00:00:05', address: DEFAULT_SUBNET.base + 5, subnet: DEFAULT_SUBNET, start: userNetworks(process.argv[2] ?? '') }, new AbortController().signal)
process.stdout.write('started\n')
setInterval(() => {}, 60_000)
