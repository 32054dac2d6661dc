#!/usr/bin/perl
# The agent in the guest: takes requests from the host on virtio-serial ports and runs them (channel/README.md has the protocol).
# One process, one select loop, no timers: an idle guest costs no CPU. perl-base only; numbers are Linux x86-64's.
use strict;
# Constants are plain functions, and globs are avoided: the modules behind them take a tenth of a second to load under emulation.

our $LIB = '/usr/lib/plant';
our $VERSION = 2;
require "$LIB/runner.pl";
require "$LIB/identity.pl";
require "$LIB/dhcp.pl";
require "$LIB/iso.pl";

sub PAYLOAD_IN_MAX () { 4096 } sub PAYLOAD_OUT_MAX () { 16384 } sub READ_BYTES () { 16384 }
# Output is read from commands only while less than this waits for the host.
sub OUT_WAITING_MAX () { 65536 }
# Requests that have begun to arrive, all together on one port.
sub BODIES_MAX () { 8 * 1024 * 1024 }
# From the host.
sub HELLO () { 1 } sub BODY () { 2 } sub START () { 3 } sub CANCEL () { 4 } sub IDENTIFY () { 5 } sub GROW () { 6 } sub SYNC () { 7 } sub TYPE_IN_MAX () { 7 }
# To the host.
sub BOOT () { 64 } sub INFO () { 65 } sub STARTED () { 66 } sub OUTPUT () { 67 } sub OUTPUTS () { 68 } sub RESULT () { 69 } sub REPLY () { 70 } sub REFUSED () { 71 }
sub NO_SESSION () { 'PMG1' } sub EAGAIN () { 11 } sub EINTR () { 4 }

# Ports by name. The ISO port takes no requests in frames: they come on the ISO.
our %links = map { $_ => { name => $_, in => '', out => '', bodies => {}, bodyBytes => 0 } } ('org.plantmesh.agent', 'org.plantmesh.iso');

# The system is going down: end at once, so that nobody is told of commands that were killed on the way.
$SIG{TERM} = sub { syscall(231, 0) };
write_file('/proc/self/oom_score_adj', '-1000');
setpriority(0, 0, -5);
# SCHED_BATCH: a command that prints in small pieces is not interrupted for each of them, so that the pipe gathers them.
my $priority = pack('i', 0);
syscall(144, 0, 3, $priority);
umask 022;
boot_chores();
our $uevents = uevent_socket();
open_ports();
while (1) { turn() }

# Waits for whatever can go on, and lets it.
sub turn {
  my ($r, $w, @who) = ('', '');
  my $want = sub { my ($set, $fh, @do) = @_; my $n = fileno $fh; vec($$set, $n, 1) = 1; push @who, [$set, $n, @do] };
  $want->(\$r, $uevents, \&on_uevent);
  for my $link (values %links) {
    my $fh = $link->{fh} or next;
    # With nobody at the other end a port always reads as ended; it is writable only while somebody is there.
    $want->(\$r, $fh, \&read_link, $link) if $link->{peer};
    $want->(\$w, $fh, \&write_link, $link) if !$link->{peer} || length $link->{out};
  }
  for my $run (values %main::runs) {
    $want->(\$r, $run->{pidfd}, \&finish_run, $run);
    next if length $run->{link}{out} >= OUT_WAITING_MAX;
    $want->(\$r, $run->{pipes}{$_}, \&read_pipe, $run, $_) for keys %{$run->{pipes}};
  }
  $want->(\$r, $_, \&read_orphan, $_) for @main::orphans;
  my $n = select($r, $w, undef, undef);
  return if !defined $n || $n <= 0;
  # What was ready may have been closed by what went before it in this turn: every handler copes with that.
  for (@who) { my ($set, $fd, $do, @args) = @$_; $do->(@args) if vec($$set, $fd, 1) }
}

sub open_ports {
  my $ports = '/sys/class/virtio-ports';
  opendir(my $dir, $ports) or return;
  for (readdir $dir) {
    my $link = $links{read_file("$ports/$_/name", 256) =~ s/\n//r} or next;
    next if $link->{fh};
    sysopen(my $fh, "/dev/$_", 02 | 04000) or next;
    $link->{fh} = $fh;
    # Tells a host that has been listening to the system before this one. Zeros end whatever frame was cut off.
    $link->{out} = ("\0" x (PAYLOAD_OUT_MAX + 16)) . frame(BOOT, 0, 'PMGBOOT!' . info(), NO_SESSION);
  }
}

sub info { "version=$VERSION\nboot=" . read_file('/proc/sys/kernel/random/boot_id', 64) }

sub frame { my ($type, $id, $payload, $token) = @_; pack('CNn', $type, $id, length $payload) . $payload . $token }

sub post { my ($link, $type, $id, $payload) = @_; $link->{out} .= frame($type, $id, $payload, $link->{token}) if defined $link->{token} }

sub read_link {
  my $link = shift;
  my $got = sysread($link->{fh}, $link->{in}, READ_BYTES, length $link->{in});
  if (!defined $got) { return if $! == EAGAIN || $! == EINTR; $got = 0 }
  return parse($link) if $got > 0;
  # The host has let go. What was on the way to it means nothing to the next one.
  $link->{peer} = 0;
  $link->{in} = $link->{out} = '';
}

sub write_link {
  my $link = shift;
  $link->{peer} = 1;
  return if !length $link->{out};
  my $put = syswrite($link->{fh}, $link->{out}, READ_BYTES);
  substr($link->{out}, 0, $put, '') if defined $put;
}

sub parse {
  my $link = shift;
  while (length $link->{in}) {
    if (ord $link->{in} == 0) { $link->{in} =~ s/^\0+//; next }
    return if length $link->{in} < 7;
    my ($type, $id, $bytes) = unpack('CNn', $link->{in});
    if ($type > TYPE_IN_MAX || $bytes > PAYLOAD_IN_MAX) { substr($link->{in}, 0, 1, ''); next }
    return if length $link->{in} < $bytes + 11;
    my $whole = substr($link->{in}, 0, $bytes + 11, '');
    my ($payload, $token) = (substr($whole, 7, $bytes), substr($whole, 7 + $bytes));
    if ($type == HELLO) { hello($link, $payload) if $token eq NO_SESSION && $bytes == 20; next }
    # Of another session, or cut off: never acted upon.
    next if !defined $link->{token} || $token ne $link->{token};
    on_frame($link, $type, $id, $payload);
  }
}

sub hello {
  my ($link, $payload) = @_;
  # Commands of the session before have nobody left to report to.
  for (values %main::runs) { kill_run($_) , forget_run($_) if $_->{link} == $link }
  $link->{bodies} = {};
  $link->{bodyBytes} = 0;
  $link->{token} = substr($payload, 16, 4);
  $link->{out} = 'PMGHELLO' . substr($payload, 0, 16);
  post($link, INFO, 0, info());
}

sub on_frame {
  my ($link, $type, $id, $payload) = @_;
  if ($type == BODY) {
    $link->{bodyBytes} += length $payload;
    return refuse($link, $id, 'the request is too long') if $link->{bodyBytes} > BODIES_MAX;
    $link->{bodies}{$id} .= $payload;
  } elsif ($type == START) {
    my $body = take_body($link, $id);
    start_run($link, $id, $body);
  } elsif ($type == CANCEL) {
    take_body($link, $id);
    my $run = $main::runs{"$link->{name}:$id"};
    $run ? kill_run($run) : post($link, RESULT, $id, pack('N', 9));
  } elsif ($type == IDENTIFY) {
    post($link, REPLY, $id, identify(take_body($link, $id) . $payload));
    write_link($link);
    after_identity();
  } elsif ($type == GROW) {
    grow_later($link, $id, unpack('Q>', $payload));
  } elsif ($type == SYNC) {
    syscall(162);
    post($link, REPLY, $id, "synced=1\n");
  }
}

sub take_body {
  my ($link, $id) = @_;
  my $body = delete $link->{bodies}{$id};
  $body = '' if !defined $body;
  $link->{bodyBytes} -= length $body;
  return $body;
}

sub refuse { my ($link, $id, $why) = @_; take_body($link, $id); post($link, REFUSED, $id, $why) }

sub read_file {
  my ($path, $max) = @_;
  # Neither waits on a pipe nor follows a link that a command has put there.
  sysopen(my $fh, $path, 04000 | 0400000) or return '';
  my $text = '';
  while ($max > length $text) { my $got = sysread($fh, $text, $max - length $text, length $text); last if !$got }
  return $text;
}

# True when all of it was written; $! says why not.
sub write_file {
  my ($path, $text, $mode) = @_;
  sysopen(my $fh, $path, 01 | 0100 | 01000 | 04000, defined $mode ? $mode : 0644) or return 0;
  my $done = 0;
  while ($done < length $text) {
    my $put = syswrite($fh, $text, length($text) - $done, $done);
    return 0 if !defined $put;
    $done += $put;
  }
  return close $fh;
}
