/** How tiny's kernel is started. */

/**
 * The kernel's command line. Measured under emulation (VMM.md, Guest): the timer and i8042 probes, address randomisation and the
 * mitigations cost a third of the boot; read-copy-update waits are short for one processor when expedited; the kernel's tests of its own
 * ciphers take 0.2 s. A panic reboots, so that it is seen as what it is: a machine that died.
 */
export const KERNEL_ARGS = [
  'console=ttyS0 quiet loglevel=1 root=/dev/vda rw panic=5',
  'tsc=reliable no_timer_check noreplace-smp mitigations=off nokaslr random.trust_cpu=on rcupdate.rcu_expedited=1 cryptomgr.notests',
  'i8042.noaux i8042.nomux i8042.dumbkbd i8042.nopnp'
].join(' ')
