# What makes a clone a machine of its own, and what is done with it at each boot.
use strict;

sub STATE () { '/etc/plant' } sub SIOCGIFFLAGS () { 0x8913 } sub SIOCSIFFLAGS () { 0x8914 } sub SIOCSIFHWADDR () { 0x8924 }
sub RNDADDENTROPY () { 0x40085203 } sub RNDRESEEDCRNG () { 0x5207 } sub EXT4_IOC_RESIZE_FS () { 0x40086610 }

sub DRIVES_AT_BOOT () { 8 }

my @growing;

sub boot_chores {
  symlink '/proc/self/fd', '/dev/fd';
  symlink "/proc/self/fd/$_->[0]", "/dev/$_->[1]" for [0, 'stdin'], [1, 'stdout'], [2, 'stderr'];
  mkdir '/sys/fs/cgroup/plant';
  write_file('/sys/fs/cgroup/cgroup.subtree_control', '+pids +cpu');
  write_file('/sys/fs/cgroup/plant/cgroup.subtree_control', '+pids');
  my $name = read_file('/etc/hostname', 256) =~ s/\s+//gr;
  write_file('/proc/sys/kernel/hostname', $name) if length $name;
  interface_up('lo');
  # The driver was told not to look for all drives that there might be (image/initrd.ts). Those that are there now, and those that come.
  write_file('/sys/module/scsi_mod/parameters/scan', 'sync');
  write_file('/sys/class/scsi_host/host0/scan', "0 $_ 0") for 0 .. DRIVES_AT_BOOT - 1;
  # A machine that has an identity keeps it; a golden machine has none, and its card stays down.
  my $mac = read_file(STATE . '/mac', 64) =~ s/\s+//gr;
  return if !length $mac;
  set_mac($mac);
  interface_up(card());
  interface_up($_) for further_cards();
  after_identity();
  my $seed = read_file(STATE . '/seed', 64);
  mix($seed, 0) if length $seed;
  keep_seed();
}

# Takes name=value lines, does what they say and answers in the same form with the values as read back. What is not acknowledged was not done.
sub identify {
  my %want = map { /^(\w+)=(.*)$/ ? ($1, $2) : () } split /\n/, shift;
  my @done;
  push @done, 'seed=mixed' if $want{seed} && mix(pack('H*', $want{seed}), 1);
  mkdir STATE, 0755;
  if (defined $want{machineId} && write_file('/etc/machine-id', "$want{machineId}\n")) {
    push @done, 'machineId=' . (read_file('/etc/machine-id', 64) =~ s/\n//r);
  }
  if (defined $want{hostName} && write_file('/etc/hostname', "$want{hostName}\n") &&
      write_file('/etc/hosts', "127.0.0.1\tlocalhost\n127.0.1.1\t$want{hostName}\n::1\tlocalhost ip6-localhost\n")) {
    write_file('/proc/sys/kernel/hostname', $want{hostName});
    push @done, 'hostName=' . (read_file('/proc/sys/kernel/hostname', 256) =~ s/\n//r);
  }
  # What the machine that this is a copy of was given on its network is that one's.
  if (-e STATE . '/network') { forget_network(); unlink STATE . '/network' }
  if (defined $want{mac} && set_mac($want{mac}) && write_file(STATE . '/mac', "$want{mac}\n") && interface_up(card())) {
    push @done, 'mac=' . (read_file('/sys/class/net/' . card() . '/address', 64) =~ s/\n//r);
  }
  if (defined $want{timeMs}) {
    my $s = int($want{timeMs} / 1000);
    # clock_settime(CLOCK_REALTIME).
    syscall(227, 0, pack('qq', $s, ($want{timeMs} - $s * 1000) * 1_000_000));
    push @done, 'timeMs=' . now_ms();
  }
  # Kept when they were made after the seed of this very machine was mixed in, and nobody has seen them.
  my $key = $want{keepHostKeys} && host_key() || host_keys();
  push @done, "hostKey=$key" if length $key;
  push @done, 'ownerKey=placed' if owner_key($want{ownerKey});
  keep_seed();
  push @done, 'boot=' . (read_file('/proc/sys/kernel/random/boot_id', 64) =~ s/\n//r);
  push @done, 'network=1' if $want{network} && write_file(STATE . '/network', "dhcp\n");
  sync_root();
  return join('', map { "$_\n" } @done);
}

# After the answer: it asks as itself, and nobody waits for it.
sub after_identity { ask_everywhere() if -e STATE . '/network' }

sub now_ms { my $t = "\0" x 16; syscall(228, 0, $t); my ($s, $ns) = unpack('qq', $t); return $s * 1000 + int($ns / 1_000_000) }

# Puts bytes into the kernel's random pool and makes the generator draw from it at once; `credit` counts them as entropy.
sub mix {
  my ($seed, $credit) = @_;
  sysopen(my $fh, '/dev/urandom', 01) or return 0;
  ioctl($fh, RNDADDENTROPY, pack('ii', $credit ? 8 * length $seed : 0, length $seed) . $seed) or return 0;
  ioctl($fh, RNDRESEEDCRNG, 0) or return 0;
  # Perl's own generator was seeded, if ever, before the machine was cloned.
  srand(unpack('L', read_file('/dev/urandom', 4)));
  return 1;
}

# The generator's state survives a boot of this machine, and of this machine only.
sub keep_seed { write_file(STATE . '/seed', read_file('/dev/urandom', 32), 0600) }

sub net_ioctl {
  my ($request, $text) = @_;
  socket(my $s, 2, 2, 0) or return;
  ioctl($s, $request, $text) or return;
  return $text;
}

sub interface_up { return set_flags($_[0], sub { $_[0] | 1 }) }

sub interface_down { return set_flags($_[0], sub { $_[0] & ~1 }) }

sub set_flags {
  my ($name, $change) = @_;
  my $flags = net_ioctl(SIOCGIFFLAGS, pack('a16 s x22', $name, 0)) or return 0;
  return defined net_ioctl(SIOCSIFFLAGS, pack('a16 s x22', $name, $change->(unpack('x16 s', $flags))));
}

# The machine's first network card, whatever the system has named it.
sub card {
  return 'eth0' if -e '/sys/class/net/eth0';
  opendir(my $dir, '/sys/class/net') or return 'eth0';
  my @cards = sort grep { -e "/sys/class/net/$_/device" } readdir $dir;
  return @cards ? $cards[0] : 'eth0';
}

# Those that were added to the running machine: each has its own address from the beginning.
sub further_cards {
  my $first = card();
  opendir(my $dir, '/sys/class/net') or return;
  return sort grep { $_ ne $first && -e "/sys/class/net/$_/device" } readdir $dir;
}

# One has come.
sub take_card {
  my $name = shift;
  return if !grep { $_ eq $name } further_cards();
  interface_up($name);
  ask_address($name) if -e STATE . '/network';
}

# A card that is up may refuse another address, or keep the IPv6 address that it made of the one before.
sub set_mac {
  my $want = lc $_[0];
  return 1 if $want eq read_file('/sys/class/net/' . card() . '/address', 64) =~ s/\s+//gr;
  interface_down(card());
  return defined net_ioctl(SIOCSIFHWADDR, pack('a16 S H12 x16', card(), 1, $want =~ s/://gr));
}

# New host keys where there is an ssh server. RSA keys take seconds under emulation, and nobody needs them.
sub host_keys {
  my ($tool) = grep { -x } '/usr/bin/ssh-keygen', '/usr/local/bin/ssh-keygen';
  return '' if !$tool || !-d '/etc/ssh';
  unlink glob '/etc/ssh/ssh_host_*';
  for my $type ('ed25519', 'ecdsa') { system($tool, '-q', '-t', $type, '-N', '', '-C', '', '-f', "/etc/ssh/ssh_host_${type}_key") == 0 or return '' }
  my ($pid) = read_file('/run/sshd.pid', 32) =~ /^(\d+)$/;
  kill 'HUP', $pid if $pid;
  return host_key();
}

# Who owns the machine may log in as root where there is an ssh server. Lines of its own end with its mark: those of the golden machine's makers go.
sub owner_key {
  my $key = shift;
  return 0 if !-d '/etc/ssh' || (!$key && !-e '/root/.ssh/authorized_keys');
  mkdir '/root', 0700;
  mkdir '/root/.ssh', 0700;
  my @lines = grep { !/ plantmesh(-\S+)?$/ } split /\n/, read_file('/root/.ssh/authorized_keys', 1 << 20);
  push @lines, "$key plantmesh" if $key;
  return write_file('/root/.ssh/authorized_keys', join('', map { "$_\n" } @lines), 0600) && !!$key;
}

sub host_key { return read_file('/etc/ssh/ssh_host_ed25519_key.pub', 1024) =~ s/\s+$//r }

# syncfs(2): the identity is on the disk before it is acknowledged.
sub sync_root { sysopen(my $fh, '/', 0) or return; syscall(306, fileno $fh) }

# Grows the root file system once its disk is at least so large: the kernel learns of a new size by an interrupt and then sends an event.
sub grow_later { push @growing, [@_]; grow_now() }

sub grow_now {
  my @later;
  for (@growing) {
    my ($link, $id, $wantBytes) = @$_;
    my $diskBytes = 512 * read_file('/sys/class/block/vda/size', 32);
    if ($diskBytes < $wantBytes) { push @later, $_ if @later < 16; next }
    my $part = root_partition();
    if ($part) {
      # A foreign disk has partitions: its own tools know them, where it has such.
      my $grown = system("(growpart /dev/vda $part || [ \$? = 1 ]) && resize2fs /dev/vda$part") == 0;
      post($link, main::REPLY(), $id, $grown ? "diskBytes=$diskBytes\n" : "problem=growpart or resize2fs failed or is missing\n");
      next;
    }
    sysopen(my $disk, '/dev/vda', 0);
    sysseek($disk, 1024, 0);
    sysread($disk, my $super, 64);
    my $blockBytes = 1024 << unpack('x24 V', $super);
    sysopen(my $root, '/', 0);
    my $grown = ioctl($root, EXT4_IOC_RESIZE_FS, pack('Q', int($diskBytes / $blockBytes)));
    post($link, main::REPLY(), $id, $grown ? "diskBytes=$diskBytes\n" : "problem=$!\n");
  }
  @growing = @later;
}

# The number of the partition of /dev/vda that is the root file system, 0 when it is the whole disk.
sub root_partition {
  my ($major, $minor) = read_file('/proc/self/mountinfo', 65536) =~ /^\d+ \d+ (\d+):(\d+) \/ \/ /m or return 0;
  return 0 + read_file("/sys/dev/block/$major:$minor/partition", 16);
}

1;
