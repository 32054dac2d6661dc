# Requests on ISO images (VMPlants 4.1): the host puts a CD into a virtual drive, the kernel says so, the request on it is run.
use strict;

sub MOUNT () { '/run/plant-iso' } sub REQUEST_BYTES_MAX () { 8 * 1024 * 1024 }

my %taken;

# A netlink socket on which the kernel tells of devices that come and change: nothing here polls.
sub uevent_socket {
  socket(my $s, 16, 2 | 04000, 15) or die "no uevents: $!";
  bind($s, pack('SSLL', 16, 0, 0, 1)) or die "no uevents: $!";
  return $s;
}

sub on_uevent {
  my (%discs, %cards);
  while (defined recv($main::uevents, my $event, 8192, 0)) {
    $discs{$1} = 1 if $event =~ /^(?:add|change)@/ && $event =~ /\0DEVNAME=(sr\d+)\0/;
    $cards{$1} = 1 if $event =~ /^add@/ && $event =~ /\0SUBSYSTEM=net\0/ && $event =~ /\0INTERFACE=([^\0\/]+)\0/;
  }
  open_ports();
  grow_now();
  take_card($_) for sort keys %cards;
  take_disc("/dev/$_") for sort keys %discs;
}

# Reads the request and lets go of the disc at once, so that the host may take it out while the request runs.
sub take_disc {
  my $device = shift;
  my $link = $main::links{'org.plantmesh.iso'};
  return if !defined $link->{token};
  mkdir MOUNT, 0700;
  # mount(2): read-only, no devices, no programs.
  my ($type, $path, $none) = ('iso9660', MOUNT, 0);
  return if syscall(165, $device, $path, $type, 1 | 2 | 4 | 8, $none) != 0;
  my $head = read_file(MOUNT . '/nonce.bin', 8);
  my ($token, $id) = unpack('a4 N', $head);
  # A disc of another session is somebody else's, or was left behind.
  # A disc that comes is told of more than once (added, then changed): the same request in the same drive was taken.
  my $mine = length $head == 8 && $token eq $link->{token} && ($taken{$device} // '') ne $head;
  my $request = $mine ? read_file(MOUNT . '/request.bin', REQUEST_BYTES_MAX) : '';
  syscall(166, $path, 0);
  $taken{$device} = $head;
  start_run($link, $id, $request) if $mine;
}

1;
