# Works against the agent from within a container: `perl hostile-container.pl PID HOST_DIRECTORY WORK ACTION`.
#
# Perl, because every Debian has it and a compiler it has not. It joins the mount namespace of the container's process
# PID, so what it does is what a program of the container would do, and the container's image needs nothing for it.
# WORK is a new directory in the container, ACTION one of the swaps below, made over and over until stdin ends; then the
# number of swaps is printed. Once it works it prints `ready`.
use strict;
use warnings;
use POSIX ();

my ($pid, $host_directory, $work, $action) = @ARGV;
my ($setns, $renameat2, $mount) = (POSIX::uname())[4] eq 'aarch64' ? (268, 276, 40) : (308, 316, 165);
my ($at_fdcwd, $rename_exchange, $clone_newns) = (-100, 2, 0x20000);

my $fuse;
if ($action eq 'fuse') { sysopen($fuse, '/dev/fuse', 2) or die "/dev/fuse: $!" }
open(my $namespace, '<', "/proc/$pid/ns/mnt") or die "namespace: $!";
syscall($setns, fileno($namespace), $clone_newns) == 0 or die "setns: $!";
chdir('/') or die;

sub make_directories {
  my $path = '';
  for (split m{/}, substr($_[0], 1)) { $path .= "/$_"; mkdir $path }
}
sub make_file {
  my ($path, $content) = @_;
  open(my $file, '>', $path) or die "$path: $!";
  print $file $content;
  close $file;
}
sub exchange {
  my ($one, $other) = @_;
  syscall($renameat2, $at_fdcwd, $one, $at_fdcwd, $other, $rename_exchange) == 0;
}

make_directories("$host_directory");
make_file("$host_directory/target", 'inside');
make_directories("$work/directory");
make_directories("$work/tree/a/b/c");
make_file("$work/$_/target", 'inside') for ('directory', 'tree/a/b/c', 'tree/a/b');
make_file("$work/target", 'inside');

# What changes places with the file `target` or the directory `directory`.
my %others = (
  'directory-absolute-link' => sub { symlink $host_directory, "$work/other" },
  'directory-dots-link' => sub { symlink '../' x 16 . $host_directory, "$work/other" },
  'file-link' => sub { symlink "$host_directory/target", "$work/other" },
  'file-fifo' => sub { POSIX::mkfifo("$work/other", 0644) },
);

sub swap {
  my $round = shift;
  if ($action eq 'rename-directories') {
    rename "$work/tree/a/b", "$work/moved";
    rename "$work/moved", "$work/tree/a/b";
    return;
  }
  my $name = $action =~ /^directory/ ? "$work/directory" : "$work/target";
  # A write of the agent's may have replaced what makes the trap.
  if ($name eq "$work/target" && $round % 64 == 0) {
    unlink "$work/target", "$work/other";
    make_file("$work/target", 'inside');
    $others{$action}->();
  }
  exchange($name, "$work/other");
}

# A copy is put together in a directory of its own: that, and what is in it, is swapped for a link to the host's directory.
my @parts = ('item', 'item/sub', 'item/file', 'item/sub/file', '');
sub attack_stage {
  my $round = shift;
  opendir(my $directory, $work) or die;
  my @stages = grep { /^\.crikit-/ } readdir $directory;
  closedir $directory;
  for my $stage (@stages) {
    my $part = $parts[$round % @parts];
    my $path = $part eq '' ? "$work/$stage" : "$work/$stage/$part";
    # What an earlier round has put aside may be a directory.
    rename "$work/other", "$work/aside-$round" unless unlink "$work/other";
    symlink $part =~ /file$/ ? "$host_directory/target" : $host_directory, "$work/other";
    exchange($path, "$work/other");
    exchange($path, "$work/other") if $round % 3 == 0;
  }
}

if ($action eq 'fuse') {
  # Nobody will ever answer on this file system.
  make_directories("$work/fuse");
  my $options = 'fd=' . fileno($fuse) . ',rootmode=40000,user_id=0,group_id=0';
  my @strings = ('crikit', "$work/fuse", 'fuse', $options);
  syscall($mount, $strings[0], $strings[1], $strings[2], 0, $strings[3]) == 0 or die "mount: $!";
} elsif (exists $others{$action}) {
  $others{$action}->();
}

$| = 1;
print "ready\n";
my $ended = 0;
if ($action eq 'fuse') { my $line = <STDIN>; exit 0 }
my $round = 0;
my $watched = '';
vec($watched, fileno(STDIN), 1) = 1;
while (1) {
  if ($action eq 'stage') { attack_stage($round++) } else { swap($round++) }
  last if $round % 256 == 0 && select(my $readable = $watched, undef, undef, 0);
}
print "$round\n";
