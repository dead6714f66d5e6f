#!/usr/bin/perl
# The rooms of lib/ include only what they may know: the table of the design,
# read from the #includes themselves.
use strict;
use warnings;
use File::Basename;
use File::Find;

my $top = dirname($0) . "/..";
my %may = (
	base   => [],
	stream => [qw(base)],
	media  => [qw(base stream)],
	text   => [qw(base stream)],
	task   => [qw(base stream text)],
	engine => [qw(base)],
	model  => [qw(base engine)],
	train  => [qw(base stream task model engine)],
);
# What other rooms may include besides ROOM/ROOM.h.
my %public = map { $_ => 1 } qw(base/safetensors.h task/settings.h
    model/param.h);
# Libraries that belong to one room.
my @owned = ([qr/^lib(av|sw)|^turbojpeg|^jpeglib|^lmdb|^png/, "media"],
    [qr/^utf8proc/, "text"], [qr/dnnl/, "engine"], [qr/^msgpack/, "stream"],
    [qr/^(cuda|cublas|cudnn|nccl)/, "none"]);
my (@files, @wrong, %seen);

find({ no_chdir => 1, wanted => sub { push @files, $_ if /\.[ch]$/ } },
    "$top/lib");

sub look {
	my ($file, $inc, $system) = @_;
	my ($path) = $file =~ m{/lib/(.*)};
	my ($room) = $path =~ m{^(\w+)/};

	$seen{$room} = 1;
	return "$path: $room is no room" unless $may{$room};
	if ($system) {
		for (@owned) {
			return "$path: <$inc> belongs to $_->[1]"
			    if $inc =~ $_->[0] && $room ne $_->[1];
		}
		return;
	}
	return if -e dirname($file) . "/$inc" && $inc !~ /\.\./;
	return "$path: \"$inc\" is nowhere" unless -e "$top/lib/$inc";
	my ($other) = $inc =~ m{^(\w+)/};
	return if $other eq $room;
	return "$path: \"$inc\": $room may not know $other"
	    unless grep { $_ eq $other } @{ $may{$room} };
	return "$path: \"$inc\" is private to $other"
	    unless $inc eq "$other/$other.h" || $public{$inc};
	return;
}

sub look_all {
	my ($file, $text) = @_;
	my @bad;
	while ($text =~ /^\s*#\s*include\s*([<"])([^>"]+)/mg) {
		my $why = look($file, $2, $1 eq "<");
		push @bad, $why if $why;
	}
	return @bad;
}

for my $file (sort @files) {
	open my $f, "<", $file or die "$file: $!";
	local $/;
	push @wrong, look_all($file, <$f>);
}

# The test itself must be able to fail.
my @proofs = (
	["train/x.c", "#include \"media/media.h\"\n", "may not know media"],
	["engine/x.c", "#include \"model/model.h\"\n", "may not know model"],
	["task/x.c", "# include \"media/media.h\"\n", "may not know media"],
	["media/x.c", "#include \"stream/wire.h\"\n", "private to stream"],
	["model/x.c", "#include <dnnl.h>\n", "belongs to engine"],
	["kitchen/x.c", "#include \"base/base.h\"\n", "is no room"],
);
print "1..", 2 + @proofs, "\n";
print @wrong ? "not " : "", "ok 1 - every room keeps to itself\n";
print STDERR "# $_\n" for @wrong;
print @files > 20 && $seen{base} && $seen{stream} ? "" : "not ",
    "ok 2 - ", scalar(@files), " files read\n";
my $n = 2;
for (@proofs) {
	my ($file, $text, $why) = @$_;
	my @bad = look_all("$top/lib/$file", $text);
	print @bad == 1 && $bad[0] =~ /$why/ ? "" : "not ", "ok ", ++$n,
	    " - refused: $why\n";
}
