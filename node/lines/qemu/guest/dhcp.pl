# Asks the machine's network for its address (RFC 2131) and sets it: address, mask, route, MTU, names. In a process of its own, which sleeps between renewals:
# every guest has this perl, not every one a client, and nothing has to be loaded in a clone that was resumed a moment ago.
use strict;

sub ASKERS () { '/run' } sub RESOLV () { '/etc/resolv.conf' } sub OURS () { "# Written by the plant's agent.\n" }
sub SIOCADDRT () { 0x890b } sub SIOCGIFADDR () { 0x8915 } sub SIOCSIFADDR () { 0x8916 } sub SIOCSIFBRDADDR () { 0x891a } sub SIOCSIFNETMASK () { 0x891c } sub SIOCSIFMTU () { 0x8922 }
sub DISCOVER () { 1 } sub OFFER () { 2 } sub REQUEST () { 3 } sub ACK () { 5 } sub NAK () { 6 }
# The first question may come before the plant has the card on its network; asked again so soon, doubling up to the last.
sub FIRST_WAIT_S () { 0.04 } sub LAST_WAIT_S () { 32 }
# Questions about an address before it is given up for a new one.
sub TRIES () { 6 }
sub LEASE_S_MIN () { 20 } sub LEASE_S_MAX () { 30 * 86400 } sub PACKET_BYTES_MAX () { 2048 }

# Who asks, by card.
my %askers;

# By each card; nobody has asked if one could not be made to.
sub ask_everywhere { my $asking = 1; $asking = ask_address($_) && $asking for card(), further_cards(); return $asking }

# Asks from now on, as what the machine is now; whoever asked before does no more. An address that it has is kept until somebody says that it is another's.
sub ask_address {
  my $card = shift;
  stop_asking($card);
  my $pid = fork;
  return 0 if !defined $pid;
  if ($pid == 0) {
    $SIG{TERM} = 'DEFAULT';
    # Ends whatever pause it is in: it asks now whether its address is still its own.
    $SIG{USR1} = sub {};
    # Whatever the agent has open is its own: close_range(2), or one by one for kernels before it.
    if (syscall(436, 3, 0xffffffff, 0) < 0) { syscall(3, $_) for 3 .. 255 }
    write_file('/proc/self/oom_score_adj', '0');
    $0 = 'plant-dhcp';
    ask_for_ever($card);
    syscall(231, 1);
  }
  $askers{$card} = $pid;
  return write_file(asker_file($card), $pid);
}

# Nobody asks any more, and what was given is forgotten.
sub forget_network {
  for (card(), further_cards()) { stop_asking($_); clear_address($_) }
}

sub asker_file { return ASKERS . "/plant-dhcp-$_[0].pid" }

sub stop_asking {
  my $card = shift;
  my $file = asker_file($card);
  # One that an agent before this one has started is no child of ours, and its number may be another's since.
  my $before = read_file($file, 16);
  if (my $asker = delete $askers{$card}) { kill 9, $asker; waitpid($asker, 0) }
  elsif ($before =~ /^\d+$/ && read_file("/proc/$before/cmdline", 64) =~ /^plant-dhcp/) { kill 9, $before }
  unlink $file if length $before;
}

sub ask_for_ever {
  my $card = shift;
  my $who = { card => $card, index => 0 + read_file("/sys/class/net/$card/ifindex", 16), mac => pack('H12', read_file("/sys/class/net/$card/address", 64) =~ s/[:\s]//gr) };
  my $had = net_ioctl(SIOCGIFADDR, pack('a16 S x22', $card, 2));
  my $lease = defined $had ? request($who, TRIES, [50, substr($had, 20, 4)]) : undef;
  while (1) {
    while (!$lease || $lease->{type} != ACK) {
      clear_address($card);
      my $offer = ask($who, undef, [DISCOVER], OFFER);
      my $server = $offer->{54} or next;
      $lease = request($who, TRIES, [50, $offer->{ip}], [54, $server]);
      # Offered and then refused: not in a hurry again.
      pause_s(1) if $lease && $lease->{type} == NAK;
    }
    set_lease($card, $lease);
    $lease = keep_lease($who, $lease);
  }
}

# Sleeps until it is to be renewed and renews it until it ends. The answer, or nothing when there was none.
sub keep_lease {
  my ($who, $lease) = @_;
  my $leaseS = defined $lease->{51} && length $lease->{51} == 4 ? unpack('N', $lease->{51}) : LEASE_S_MIN;
  $leaseS = LEASE_S_MIN if $leaseS < LEASE_S_MIN;
  $leaseS = LEASE_S_MAX if $leaseS > LEASE_S_MAX;
  my $end = now_s() + $leaseS;
  pause_s($leaseS / 2);
  while (1) {
    # Without the address, too: one that is another's by now is not let through to be refused.
    my $answer = ask($who, TRIES, [REQUEST, $lease->{ip}], ACK, NAK) || request($who, TRIES, [50, $lease->{ip}]);
    return $answer if $answer;
    my $left = $end - now_s();
    return if $left <= 0;
    pause_s($left / 2 < LAST_WAIT_S ? LAST_WAIT_S : $left / 2);
  }
}

sub request { my ($who, $tries, @options) = @_; return ask($who, $tries, [REQUEST, undef, @options], ACK, NAK) }

# Says something until one of these kinds of answers comes, or so many times (for ever: undef). The answer's options by number, its address as `ip`.
sub ask {
  my ($who, $tries, $say, @kinds) = @_;
  # Below IP: without an address of one's own the kernel takes no answers.
  my $s;
  socket($s, 17, 2, 0x0008) && bind($s, link_address($who, '')) or do { pause_s(1); return };
  my $xid = read_file('/dev/urandom', 4);
  my $packet = message($who, $xid, @$say);
  my $waitS = FIRST_WAIT_S;
  for (my $tried = 0; !defined $tries || $tried < $tries; $tried++) {
    send($s, $packet, 0, link_address($who, "\xff" x 6));
    my $until = now_s() + $waitS;
    while ((my $leftS = $until - now_s()) > 0) {
      my $ready = '';
      vec($ready, fileno $s, 1) = 1;
      next if select($ready, undef, undef, $leftS) <= 0 || !sysread($s, my $answer, PACKET_BYTES_MAX);
      my $read = read_answer($who, $xid, $answer) or next;
      return $read if grep { $read->{type} == $_ } @kinds;
    }
    $waitS *= 2 if $waitS < LAST_WAIT_S;
  }
  return;
}

sub link_address { my ($who, $to) = @_; return pack('S n l S C C a8', 17, 0x0800, $who->{index}, 0, 0, length $to, $to) }

sub message {
  my ($who, $xid, $type, $ip, @options) = @_;
  my $none = "\0" x 4;
  my $text = pack('C4 a4 n n a4 x12 a16 x192 N', 1, 1, 6, 0, $xid, 0, 0, defined $ip ? $ip : $none, $who->{mac}, 0x63825363);
  $text .= pack('C2 a*', $_->[0], length $_->[1], $_->[1]) for [53, chr $type], [61, "\1$who->{mac}"], [57, pack('n', 1500)], [55, pack('C*', 1, 121, 3, 6, 15, 26, 28, 51, 54)], @options;
  $text .= "\xff";
  my $udp = pack('n4', 68, 67, 8 + length $text, 0) . $text;
  my $head = pack('C2 n3 C2 n a4 a4', 0x45, 0, 20 + length $udp, 0, 0, 64, 17, 0, defined $ip ? $ip : $none, "\xff" x 4);
  my $sum = unpack('%32n*', $head);
  $sum = ($sum & 0xffff) + ($sum >> 16) while $sum > 0xffff;
  substr($head, 10, 2) = pack('n', 0xffff ^ $sum);
  return $head . $udp;
}

# What a packet says to this question; nothing for any other packet.
sub read_answer {
  my ($who, $xid, $packet) = @_;
  return if length $packet < 20;
  my ($version, $fragment, $protocol) = unpack('C x5 n x C', $packet);
  my $at = 4 * ($version & 15);
  return if $version >> 4 != 4 || $fragment & 0x3fff || $protocol != 17 || length $packet < $at + 8 + 240 || unpack('n', substr($packet, $at + 2, 2)) != 68;
  my $text = substr($packet, $at + 8);
  my ($op, $gotXid, $ip, $mac, $cookie) = unpack('C x3 a4 x8 a4 x8 a6 x10 x192 N', $text);
  return if $op != 2 || $gotXid ne $xid || $mac ne $who->{mac} || $cookie != 0x63825363;
  my %answer = (ip => $ip);
  for (my $o = 240; $o + 1 < length $text;) {
    my $code = ord substr($text, $o, 1);
    last if $code == 255;
    if ($code == 0) { $o++; next }
    my $bytes = ord substr($text, $o + 1, 1);
    return if $o + 2 + $bytes > length $text;
    $answer{$code} .= substr($text, $o + 2, $bytes);
    $o += 2 + $bytes;
  }
  return if !defined $answer{53} || length $answer{53} != 1;
  $answer{type} = ord $answer{53};
  return \%answer;
}

sub set_lease {
  my ($card, $lease) = @_;
  my $has = net_ioctl(SIOCGIFADDR, pack('a16 S x22', $card, 2));
  # Renewed as it is: what people have changed since stays.
  return if defined $has && substr($has, 20, 4) eq $lease->{ip};
  my $mtu = defined $lease->{26} && length $lease->{26} == 2 ? unpack('n', $lease->{26}) : 0;
  net_ioctl(SIOCSIFMTU, pack('a16 i x20', $card, $mtu)) if $mtu >= 576 && $mtu != read_file("/sys/class/net/$card/mtu", 16);
  # Names first: whoever waits for the address may look one up.
  set_names($card, $lease) if $card eq card();
  set_in($card, SIOCSIFADDR, $lease->{ip});
  for ([1, SIOCSIFNETMASK], [28, SIOCSIFBRDADDR]) { set_in($card, $_->[1], $lease->{$_->[0]}) if defined $lease->{$_->[0]} && length $lease->{$_->[0]} == 4 }
  add_route($card, @$_) for routes($lease);
}

sub set_in { my ($card, $request, $ip) = @_; return net_ioctl($request, pack('a16 S n a4 x16', $card, 2, 0, $ip)) }

# Where the network says that others are: each a subnet, its mask and a gateway. Classless routes are all there are where there are any (RFC 3442).
sub routes {
  my $lease = shift;
  my $any = "\0" x 4;
  return defined $lease->{3} && length $lease->{3} >= 4 ? [$any, $any, substr($lease->{3}, 0, 4)] : () if !defined $lease->{121};
  my @routes;
  for (my $o = 0; $o < length $lease->{121};) {
    my $bits = ord substr($lease->{121}, $o++, 1);
    my $bytes = int(($bits + 7) / 8);
    last if $bits > 32 || $o + $bytes + 4 > length $lease->{121};
    my $mask = pack('N', $bits ? 0xffffffff << (32 - $bits) & 0xffffffff : 0);
    push @routes, [pack('a4', substr($lease->{121}, $o, $bytes)) & $mask, $mask, substr($lease->{121}, $o + $bytes, 4)];
    $o += $bytes + 4;
  }
  return @routes;
}

# struct rtentry of x86-64: a subnet, by a gateway (on the card itself where that is none). Of several cards' routes to the same the first card's is taken.
sub add_route {
  my ($card, $to, $mask, $gateway) = @_;
  my $none = "\0" x 4;
  my ($name, $further) = ("$card\0", $card ne card());
  my $in = sub { pack('S n a4 x8', 2, 0, $_[0]) };
  # The kernel takes a metric more by one.
  my $metric = $further ? 101 + read_file("/sys/class/net/$card/ifindex", 16) : 0;
  return net_ioctl(SIOCADDRT, pack('Q a16 a16 a16 S s x4 Q Q s x6 p Q Q S x6', 0, $in->($to), $in->($gateway), $in->($mask), $gateway eq $none ? 1 : 3, 0, 0, 0, $metric, $name, 0, 0, 0));
}

# Names are asked of whom the network says; where the system has a resolver of its own, that is told.
sub set_names {
  my ($card, $lease) = @_;
  my @servers = map { join '.', unpack('C4', $_) } unpack('(a4)3', defined $lease->{6} ? $lease->{6} : '');
  @servers = grep { /^\d+\.\d+\.\d+\.\d+$/ } @servers;
  my ($domain) = defined $lease->{15} ? $lease->{15} =~ /^([A-Za-z0-9][A-Za-z0-9.-]{0,252})\0*$/ : ();
  if (-l RESOLV) {
    my ($tool) = grep { -x } '/usr/bin/resolvectl';
    return if !$tool || !@servers;
    system("$tool dns $card @servers >/dev/null 2>&1");
    system("$tool domain $card $domain >/dev/null 2>&1") if defined $domain;
    return;
  }
  write_file(RESOLV, OURS . (defined $domain ? "search $domain\n" : '') . join('', map { "nameserver $_\n" } @servers));
}

# With its last address a card's routes go.
sub clear_address {
  my $card = shift;
  set_in($card, SIOCSIFADDR, "\0" x 4) if defined net_ioctl(SIOCGIFADDR, pack('a16 S x22', $card, 2));
  write_file(RESOLV, '') if $card eq card() && index(read_file(RESOLV, 64), OURS) == 0;
}

sub pause_s { select(undef, undef, undef, $_[0]) }

# CLOCK_BOOTTIME: what the machine slept through counts.
sub now_s { my $t = "\0" x 16; syscall(228, 7, $t); my ($s, $ns) = unpack('qq', $t); return $s + $ns / 1e9 }

1;
