# Runs requests: each in a session and a control group of its own, so that it can be ended whole and cannot take the system with it.
use strict;

sub RUNS_MAX () { 64 } sub OUTPUTS_BYTES_MAX () { 65536 } sub PIPE_BYTES () { 65536 } sub ORPHANS_MAX () { 32 }
# Processes that one request may have at a time: a fork bomb ends here, well before the memory of a 256 MiB machine.
sub PIDS_MAX () { 512 }
sub CGROUPS () { '/sys/fs/cgroup/plant' } sub SPOOL () { '/run/plant' }

our (%runs, @orphans, @groups);
my $serial = 0;

# A request is a list of (kind, name, data): 1 script, 2 parameter, 3 file, 4 standard input.
sub parse_request {
  my $text = shift;
  my ($at, @entries) = (0);
  while ($at < length $text) {
    return if length($text) - $at < 9;
    my ($kind, $nameBytes, $dataBytes) = unpack('CNN', substr($text, $at, 9));
    return if $nameBytes + $dataBytes > length($text) - $at - 9;
    push @entries, [$kind, substr($text, $at + 9, $nameBytes), substr($text, $at + 9 + $nameBytes, $dataBytes)];
    $at += 9 + $nameBytes + $dataBytes;
  }
  return \@entries;
}

sub start_run {
  my ($link, $id, $request) = @_;
  my $key = "$link->{name}:$id";
  return refuse($link, $id, 'it runs already') if $runs{$key};
  return refuse($link, $id, 'too many run at once') if keys %runs >= RUNS_MAX;
  my $entries = parse_request($request) or return refuse($link, $id, 'the request is cut off');
  # What an agent before this one was running when it was killed is still there.
  do { $serial++ } while -e SPOOL . "/$serial";
  my $run = { key => $key, id => $id, link => $link, dir => SPOOL . "/$serial", group => CGROUPS . "/$serial", pipes => {} };
  post($link, main::STARTED(), $id, '');
  my $problem = prepare($run, $entries) || launch($run, $entries);
  if (!$problem) { $runs{$key} = $run; return }
  # Told as the command's own failure (126: found but could not be run), so that the reason reaches whoever asked.
  post($link, main::OUTPUT(), $id, "\2plant: $problem\n");
  post($link, main::RESULT(), $id, pack('N', 126 << 8));
  remove_spool($run);
}

sub prepare {
  my ($run, $entries) = @_;
  mkdir SPOOL, 0700;
  mkdir $run->{dir}, 0700 or return "cannot make $run->{dir}: $!";
  my ($script, $stdin) = ('', undef);
  for (@$entries) {
    my ($kind, $name, $data) = @$_;
    $script = $data if $kind == 1;
    $stdin = $data if $kind == 4;
    next if $kind != 3;
    my $dir = '';
    for ($name =~ m{([^/]+)/}g) { $dir .= "/$_"; mkdir $dir, 0755 }
    unlink $name if -l $name;
    write_file($name, $data) or return "cannot place $name: $!";
  }
  for (['script', $script], ['output', ''], defined $stdin ? ['stdin', $stdin] : ()) {
    write_file("$run->{dir}/$_->[0]", $_->[1], 0600) or return "cannot place the request: $!";
  }
  $run->{stdin} = defined $stdin ? "$run->{dir}/stdin" : '/dev/null';
  # A group left by an agent before this one: what lives there stays, the new request gets a number of its own.
  while (!mkdir $run->{group}) { return "cannot make a control group: $!" if $! != 17; $run->{group} = CGROUPS . '/' . ++$serial }
  write_file("$run->{group}/pids.max", PIDS_MAX);
  return;
}

sub launch {
  my ($run, $entries) = @_;
  pipe(my $outR, my $outW) && pipe(my $errR, my $errW) or return "cannot make a pipe: $!";
  my $pid = fork;
  return "cannot fork: $!" if !defined $pid;
  if ($pid == 0) {
    syscall(112);
    write_file("$run->{group}/cgroup.procs", '0');
    write_file('/proc/self/oom_score_adj', '0');
    setpriority(0, 0, 0);
    my $priority = pack('i', 0);
    syscall(144, 0, 0, $priority);
    open(STDIN, '<', $run->{stdin});
    open(STDOUT, '>&', $outW);
    open(STDERR, '>&', $errW);
    chdir '/';
    %ENV = (PATH => '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME => '/root', USER => 'root', SHELL => '/bin/sh',
      map { $_->[0] == 2 ? ($_->[1], $_->[2]) : () } @$entries);
    $ENV{PLANT_OUTPUT} = "$run->{dir}/output";
    exec '/bin/sh', "$run->{dir}/script";
    syscall(231, 127);
  }
  my $fd = syscall(434, $pid, 0);
  open($run->{pidfd}, '<&=', $fd) or return "cannot watch the command: $!";
  $run->{pid} = $pid;
  $run->{pipes} = { 1 => $outR, 2 => $errR };
  # O_NONBLOCK on the reading ends only (F_SETFL 4): the command's ends stay as commands expect them.
  fcntl($_, 4, 04000) for $outR, $errR;
  return;
}

# Passes on some output; returns how many bytes, 0 at its end or when there is none now.
sub read_pipe {
  my ($run, $source) = @_;
  my $fh = $run->{pipes}{$source} or return 0;
  my $got = sysread($fh, my $piece, main::PAYLOAD_OUT_MAX() - 1);
  return 0 if !defined $got;
  if ($got == 0) { delete $run->{pipes}{$source}; return 0 }
  post($run->{link}, main::OUTPUT(), $run->{id}, chr($source) . $piece);
  return $got;
}

# The command has ended: what it had printed is passed on, and a daemon that it left is not waited for.
sub finish_run {
  my $run = shift;
  return if !$runs{$run->{key}} || $runs{$run->{key}} != $run;
  waitpid($run->{pid}, 0);
  my $status = $?;
  for my $source (1, 2) {
    my $left = PIPE_BYTES;
    while ($left > 0) { my $got = read_pipe($run, $source) or last; $left -= $got }
  }
  kill_run($run) if $status != 0;
  my $outputs = read_file("$run->{dir}/output", OUTPUTS_BYTES_MAX);
  post($run->{link}, main::OUTPUTS(), $run->{id}, substr($outputs, 0, main::PAYLOAD_OUT_MAX(), '')) while length $outputs;
  post($run->{link}, main::RESULT(), $run->{id}, pack('N', $status));
  forget_run($run);
}

sub kill_run { write_file("$_[0]{group}/cgroup.kill", '1') }

# Lets go of a run. Pipes that a daemon still holds are read on and thrown away, so that it is not killed for printing.
sub forget_run {
  my $run = shift;
  delete $runs{$run->{key}};
  push @orphans, values %{$run->{pipes}};
  shift @orphans while @orphans > ORPHANS_MAX;
  remove_spool($run);
}

sub remove_spool {
  my $run = shift;
  unlink map { "$run->{dir}/$_" } qw(script stdin output);
  # A command may have left files of its own beside its output.
  if (!rmdir $run->{dir}) { system('/bin/rm', '-rf', $run->{dir}) }
  @groups = grep { !rmdir($_) && -d $_ } @groups, $run->{group};
}

sub read_orphan {
  my $fh = shift;
  my $got = sysread($fh, my $piece, PIPE_BYTES);
  @orphans = grep { $_ != $fh } @orphans if defined $got ? $got == 0 : $! != main::EAGAIN();
}

1;
