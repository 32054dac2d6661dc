/**
 * A cloud-init NoCloud seed (cloudinit.readthedocs.io, Datasources, NoCloud): a disc labelled `cidata` that has an image with cloud-init
 * start our agent, and keep it, so that later boots need neither the disc nor cloud-init.
 */
import { isoImage } from '../channel/iso-image.ts'
import { agentFiles, agentUnit } from './guest-agent.ts'
import type { AgentKit } from './guest-agent.ts'
import { tarArchive } from './tar-write.ts'

/** What cloud-init itself shows as the label it looks for. */
export const SEED_LABEL = 'cidata'

/** Early in each boot, before the network is waited for; the script comes back at once when it has been run. */
const USER_DATA = `#cloud-config
bootcmd:
  - [sh, -c, "d=/run/plant-seed; mkdir -p $d; mount -o ro $(blkid -L ${SEED_LABEL}) $d && sh $d/install.sh $d; umount $d"]
`
/** Cards are brought up by the agent: cloud-init is to wait for none. */
const NETWORK = 'version: 2\nethernets: {}\n'

/** Whoever runs it has mounted the disc at $1. cloud-init's work is done with it: a clone's name and keys are the plant's to give. */
const INSTALL = `#!/bin/sh
[ -e /usr/lib/plant/start ] && exit 0
mkdir -p /usr/lib/plant /etc/plant && tar -xf "$1/agent.tar" -C /usr/lib/plant || exit 1
touch /etc/cloud/cloud-init.disabled
if [ -d /run/systemd/system ]; then
  mv /usr/lib/plant/plant-agent.service /etc/systemd/system/
  systemctl daemon-reload
  systemctl enable plant-agent.service
  systemctl start --no-block plant-agent.service
elif [ -e /etc/inittab ]; then
  echo '::respawn:/bin/sh /usr/lib/plant/start' >> /etc/inittab
  kill -HUP 1
fi
`

/** The disc's bytes. Names in upper case: Linux shows them in lower case on a disc without extensions. */
export async function noCloudSeed (name: string, kit: AgentKit): Promise<Buffer> {
  const agent = [...await agentFiles()].map(([file, data]) => ({ name: file, data, mode: 0o755 }))
  const files = [...agent, { name: 'plant-agent.service', data: await agentUnit(), mode: 0o644 }, ...[...kit.files].map(([file, { data, mode }]) => ({ name: file, data, mode }))]
  return isoImage(SEED_LABEL, [
    { name: 'USER-DATA', data: Buffer.from(USER_DATA) },
    { name: 'META-DATA', data: Buffer.from(`instance-id: plantmesh-${name}\nlocal-hostname: ${name.replace(/[^A-Za-z0-9-]/g, '-')}\n`) },
    { name: 'NETWORK-CONFIG', data: Buffer.from(NETWORK) },
    { name: 'INSTALL.SH', data: Buffer.from(INSTALL) },
    { name: 'AGENT.TAR', data: tarArchive(files) }
  ])
}
