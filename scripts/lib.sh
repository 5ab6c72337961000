# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# What the scripts share. The facts about an architecture are in
# scripts/arch/$ARCH; what is in this file holds for all of them.

set -euo pipefail

# We may have been started by make: its flags are not for the kernel's make.
unset MAKEFLAGS MFLAGS MAKELEVEL

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SCRIPTS=$ROOT/scripts
BUILD=$ROOT/build
KERNEL_VERSION=6.12
PRISTINE=$BUILD/src/linux-source-$KERNEL_VERSION
ARCH=${ARCH:-x86_64}
JOBS=${JOBS:-$(nproc)}
BREAK=${BREAK:-}
STEP=${STEP:-}
OPTIONAL=${OPTIONAL:-}
MUTATE=${MUTATE:-}

# All kernels, that of kunit.py too, take from the cache what is alike, in clones at
# other paths as well. What is not in it yet is compiled without being preprocessed
# a second time, because ccache goes by the compiler's list of headers.
export CCACHE_BASEDIR=$BUILD CCACHE_NOHASHDIR=1 CCACHE_DEPEND=1
export KBUILD_BUILD_TIMESTAMP=2026-01-01

# To QEMU: an instruction is a nanosecond, and two runs are the same.
COUNTING='-icount shift=0,sleep=off -seed 1 -rtc base=2024-01-01T00:00:00,clock=vm'

# The kernels with mutants, those with the optional patches, and those of
# scripts/bisect-check and scripts/mutate, get a tree and objects of their own, laid out
# alike, so that ccache takes most objects from the good one.
WORK=$BUILD${STEP:+/bisect}${OPTIONAL:+/optional}${MUTATE:+/mutate}${BREAK:+/mutants}
TREE=$WORK/linux

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

phase() {
	echo "== $*"
}

# load_arch: the facts about $ARCH, or a clear refusal.
load_arch() {
	local known
	known=$(ls "$SCRIPTS/arch")
	[[ $ARCH =~ ^[a-z0-9_]+$ && -f $SCRIPTS/arch/$ARCH ]] ||
		die "ARCH=$ARCH: not supported yet (there is: ${known//$'\n'/, })"
	# shellcheck source-path=SCRIPTDIR source=arch/x86_64
	. "$SCRIPTS/arch/$ARCH"
}

# logged LOG COMMAND...: run it with its output in LOG, say every ten seconds
# how far it is, and show the end of LOG if it fails.
logged() {
	local log=$1 start=$SECONDS pid status=0
	shift
	mkdir -p "$(dirname "$log")"
	"$@" > "$log" 2>&1 &
	pid=$!
	while kill -0 "$pid" 2> /dev/null; do
		sleep 1
		if (((SECONDS - start) % 10 == 9)); then
			printf '   %4d s  %s\n' $((SECONDS - start)) \
			       "$(tail -n 1 "$log" | cut -c 1-60)"
		fi
	done
	wait "$pid" || status=$?
	if ((status)); then
		tail -n 40 "$log"
		echo "${0##*/}: failed with $status: $1; the whole log: $log" >&2
	fi
	return $status
}

# apt_aside DIR ARCHITECTURE ARGUMENTS...: apt-get from the host's sources, but
# with lists, cache and status of its own in DIR, as of a machine where nothing
# is installed: the host's apt and dpkg stay as they are.
apt_aside() {
	local dir=$1 architecture=$2
	shift 2
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
	touch "$dir/status"
	apt-get -o "APT::Architecture=$architecture" -o "APT::Architectures::=$architecture" \
		-o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir/cache" \
		-o "Dir::State::status=$dir/status" -o APT::Sandbox::User=root "$@"
}

# debian_root DIR SUITE PACKAGE...: unpack packages for ARCH, and what they need, below
# DIR/root, and do not configure them: nothing of ARCH has to run here. They are of a
# SUITE of Debian, or, if that is empty, of the host's.
debian_root() {
	local dir=$1 suite=$2 package from=()
	shift 2
	rm -rf "$dir"
	mkdir -p "$dir"
	if [[ $suite ]]; then
		"$SCRIPTS/sources" "$suite" > "$dir/sources.list"
		from=(-o "Dir::Etc::SourceList=$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null)
	fi
	logged "$dir-update.log" apt_aside "$dir" "$DEBIAN_ARCH" "${from[@]}" update
	logged "$dir-download.log" apt_aside "$dir" "$DEBIAN_ARCH" "${from[@]}" install -y \
		--download-only --no-install-recommends "$@"
	mkdir -p "$dir"/root/usr/{bin,sbin,lib,lib64}
	ln -s usr/{bin,sbin,lib,lib64} "$dir/root"
	for package in "$dir"/cache/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$package" | tar -C "$dir/root" -x --keep-directory-symlink
	done
	rm -rf "$dir/cache"
}

# kernel_make OBJ ARGUMENTS...: the kernel's make on our tree. The glue is one object
# beside others of the kernel's, which CONFIG=gcov is not to profile.
kernel_make() {
	local obj=$1
	shift
	make -C "$TREE" -j"$JOBS" O="$obj" ARCH="$KERNEL_ARCH" \
		CROSS_COMPILE="$CROSS_COMPILE" CC="ccache ${CROSS_COMPILE}gcc" LOCALVERSION= \
		GCOV_PROFILE_ktrepl.o=y "$@"
}

# build_plugin SOURCE TARGET: for the QEMU that is installed.
build_plugin() {
	local version api
	version=$("$QEMU" --version | sed -n '1s/.*version \([0-9]*\)\..*/\1/p')
	case $version in
	7)	api=1 ;;
	1[0-9])	api=4 ;;
	*)	die "QEMU $version: its plugin interface is not known here" ;;
	esac
	gcc -O2 -Wall -Wextra -Werror -shared -fPIC -fvisibility=hidden \
		-DQEMU_PLUGIN_API=$api -o "$2" "$1"
}

# build_bench_modules CONFIG: what they do is no part of a kernel with ktrepl.
build_bench_modules() {
	local obj installed
	obj=$(object_dir "$1")
	rm -rf "$obj/bench-module"
	cp -r "$SCRIPTS/bench-module" "$obj/"
	kernel_make "$obj" M="$obj/bench-module" modules
	installed=("$obj"/installed/lib/modules/*/)
	cp "$obj/bench-module"/*.ko "${installed[0]}"
}

# object_dir CONFIG
object_dir() {
	echo "$WORK/obj/$ARCH-$1"
}

# fragments CONFIG: the files that make up a configuration. CONFIG is "run" or
# names of fragments joined by "-", such as debug-fault; one may have a second file for
# one architecture.
fragments() {
	local part
	printf '%s\n' "$SCRIPTS"/configs/{base,"base-$ARCH",ktrepl,kunit}.config
	for part in ${1//-/ }; do
		[[ $part == run ]] && continue
		[[ -f $SCRIPTS/configs/$part.config ]] ||
			die "CONFIG=$1: there is no scripts/configs/$part.config"
		echo "$SCRIPTS/configs/$part.config"
		[[ ! -f $SCRIPTS/configs/$part-$ARCH.config ]] ||
			echo "$SCRIPTS/configs/$part-$ARCH.config"
	done
}

# verify_config WANTED CONFIG: every symbol ended up as asked; a later line of
# WANTED wins over an earlier one.
verify_config() {
	awk -F= '
		NR == FNR { if (/^CONFIG_/) want[$1] = $2; next }
		/^CONFIG_/ { have[$1] = $2 }
		END {
			for (s in want) {
				got = (s in have) ? have[s] : "n"
				if (got != want[s]) {
					print "  " s ": asked for " want[s] ", got " got
					bad = 1
				}
			}
			exit bad
		}' "$1" "$2" || die "the configuration is not what was asked for"
}

# topology_args NAME MEGABYTES: QEMU's words for a machine. NnCc is any number
# of nodes with the CPUs spread over them; the others are the odd machines.
# With RAM_DIR the memory of node N is the file RAM_DIR/mN.
topology_args() {
	local name=$1 mb=$2 nodes cpus cpuless=-1 memless=-1 dist=0
	case $name in
	memless[01])	nodes=2 cpus=4 memless=${name#memless} ;;
	cpuless[02])	nodes=3 cpus=4 cpuless=${name#cpuless} ;;
	dist)		nodes=4 cpus=8 dist=1 ;;
	*)
		[[ $name =~ ^([0-9]+)n([0-9]+)c$ ]] ||
			die "TOPOLOGY=$name: expected NnCc (2n4c), memless0, memless1, cpuless0, cpuless2 or dist"
		nodes=$((10#${BASH_REMATCH[1]})) cpus=$((10#${BASH_REMATCH[2]}))
		((nodes >= 1 && nodes <= 16)) || die "NODES=$nodes: expected 1 to 16"
		((cpus >= nodes)) || die "CPUS=$cpus: every one of $nodes nodes needs a CPU"
		((cpus <= 64)) || die "CPUS=$cpus: expected 64 at most"
		;;
	esac

	local with_cpus=$((nodes - (cpuless >= 0))) with_memory=$((nodes - (memless >= 0)))
	local backend=memory-backend-${RAM_DIR:+file}
	[[ ${RAM_DIR:-} ]] || backend+=ram
	local n first=0 count args="-smp $cpus,sockets=$cpus" left=$with_cpus
	# Whole memory sections; the first node with memory takes the rest.
	local share=$((mb / with_memory / SECTION_MB * SECTION_MB))
	local size=$((mb - share * (with_memory - 1)))
	((share)) || die "$mb MB are too little for $with_memory nodes"
	for ((n = 0; n < nodes; n++)); do
		local node="-numa node,nodeid=$n"
		if ((n != cpuless)); then
			count=$(((cpus - first) / left))
			node+=",cpus=$first-$((first + count - 1))"
			first=$((first + count)) left=$((left - 1))
		fi
		if ((n != memless)); then
			args+=" -object $backend,id=m$n,size=${size}M"
			args+="${RAM_DIR:+,share=on,mem-path=$RAM_DIR/m$n}"
			node+=",memdev=m$n"
			size=$share
		fi
		args+=" $node"
	done
	if ((dist)); then
		# A ring: the neighbours are nearer than the node across.
		args+=" -numa dist,src=0,dst=1,val=15 -numa dist,src=1,dst=2,val=15"
		args+=" -numa dist,src=2,dst=3,val=15 -numa dist,src=3,dst=0,val=15"
		args+=" -numa dist,src=0,dst=2,val=30 -numa dist,src=1,dst=3,val=30"
	fi
	echo "$args"
}

# topology_of NODES CPUS: the name of that machine, or a clear refusal.
topology_of() {
	[[ $1 =~ ^[0-9]+$ ]] || die "NODES=$1: expected a number"
	[[ $2 =~ ^[0-9]+$ ]] || die "CPUS=$2: expected a number"
	echo "${1}n${2}c"
}
