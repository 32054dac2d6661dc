/**
 * What tiny needs to be a router that filters or translates addresses (P17): iptables, and the kernel's part of it. Nothing of it is in memory before a rule is
 * made: the kernel then asks `modprobe`, which finds the modules on the disk.
 */
import { copyFile, mkdir, readdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PlantError } from '../../../../protocols/kit/index.ts'
import { runTool } from '../../../setup/run-tool.ts'
import { modulesOf } from './kernel-modules.ts'
import { LIBRARY_DIR, libraryPath } from './root-files.ts'

/** Of everything that it depends on, only what its older half needs: it speaks to the kernel without libnftables and its eight libraries. */
export const FILTER_PACKAGES = ['iptables']
/** See FILTER_PACKAGES. */
export const FILTER_WANTED = /^(iptables|libxtables12|libip4tc2|libip6tc2)$/

const PROGRAM = 'xtables-legacy-multi'
const COMMANDS = ['iptables', 'iptables-save', 'iptables-restore']
const LIBRARIES = ['libxtables.so.12', 'libip4tc.so.2', 'libip6tc.so.2']
/** Where iptables looks for what knows the options of a match or target. */
const EXTENSIONS_DIR = 'usr/lib/x86_64-linux-gnu/xtables'
const EXTENSIONS = ['libxt_standard.so', 'libxt_tcp.so', 'libxt_udp.so', 'libipt_icmp.so', 'libxt_conntrack.so', 'libxt_multiport.so', 'libxt_limit.so', 'libipt_REJECT.so', 'libxt_NAT.so']
/** One library under the names of what it knows, as Debian has it. */
const EXTENSION_LINKS: Record<string, string> = { 'libxt_MASQUERADE.so': 'libxt_NAT.so', 'libxt_SNAT.so': 'libxt_NAT.so', 'libxt_DNAT.so': 'libxt_NAT.so', 'libxt_REDIRECT.so': 'libxt_NAT.so', 'libxt_state.so': 'libxt_conntrack.so' }
const MODULES = ['iptable_filter', 'iptable_nat', 'xt_MASQUERADE', 'xt_nat', 'xt_REDIRECT', 'xt_conntrack', 'xt_state', 'xt_tcpudp', 'xt_multiport', 'xt_limit', 'ipt_REJECT']

/** Adds to tiny's root file system, from unpacked packages. Throws GOLDEN_BUILD_FAILED. */
export async function layOutFilter (unpacked: string, root: string, signal?: AbortSignal): Promise<void> {
  await copyFile(join(unpacked, 'usr/sbin', PROGRAM), join(root, 'usr/sbin', PROGRAM))
  for (const name of COMMANDS) await symlink(PROGRAM, join(root, 'usr/sbin', name))
  for (const name of LIBRARIES) await copyFile(await libraryPath(unpacked, name), join(root, LIBRARY_DIR, name))
  await mkdir(join(root, EXTENSIONS_DIR), { recursive: true })
  for (const name of EXTENSIONS) await copyFile(join(unpacked, EXTENSIONS_DIR, name), join(root, EXTENSIONS_DIR, name))
  for (const [name, target] of Object.entries(EXTENSION_LINKS)) await symlink(target, join(root, EXTENSIONS_DIR, name))
  const [release, ...others] = await readdir(join(unpacked, 'lib/modules'))
  if (release === undefined || others.length > 0) throw new PlantError('GOLDEN_BUILD_FAILED', { problem: 'the kernel package has the modules of no kernel, or of several' })
  const modulesDir = join(root, 'lib/modules', release)
  await mkdir(modulesDir, { recursive: true })
  for (const [name, data] of await modulesOf(join(unpacked, 'lib/modules'), MODULES)) await writeFile(join(modulesDir, `${name}.ko`), data)
  await runTool(join(unpacked, 'bin/busybox'), ['depmod', '-b', root, release], { signal, failure: 'GOLDEN_BUILD_FAILED' })
}
