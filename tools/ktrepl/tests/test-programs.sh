# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
# Sourced by run: what can be tested of the other programs without ktrepl, and
# without changing the kernel of this machine.

# plain PROGRAM [ARGUMENT...]: leaves out, err and status
plain()
{
	prog=$1
	shift
	(unset KTREPL_DEBUGFS KTREPL_SYSFS
	 exec "$bin/$prog" "$@") >"$tmp/out" 2>"$tmp/err"
	# shellcheck disable=SC2034 # for expect
	status=$?
}

valid_json()
{
	python3 -c 'import json, sys
r = json.load(sys.stdin)
sys.exit(not eval(sys.argv[1]))' "$1" <"$tmp/out"
}

# The shared code: each line counts.
KTREPL_SYSFS=$samples/sysfs KTREPL_MODULES=$samples/modules \
	"$bin/unit" >"$tmp/unit" 2>"$tmp/err"
# shellcheck disable=SC2034 # for expect
status=$?
expect "unit tests ran to their end" 0 - ""
hold "unit tests ran" grep -q '^ok' "$tmp/unit"
while read -r line; do
	case $line in
	"ok - "*) ok "${line#ok - }" ;;
	*) not_ok "${line#not ok - }" ;;
	esac
done <"$tmp/unit"

for p in ktmon ktwork ktrepl-stress ktrepl-roots ktrepl-faults ktrepl-bench; do
	plain $p --help
	expect "$p --help" 0 "^Exit status: 0" ""
	plain $p --version
	expect "$p --version" 0 "^$p (ktrepl tools)" ""
	plain $p --bogus
	expect "$p --bogus" 2 "" "Try '$p --help'"
	plain $p extra
	expect "$p extra" 2 "" "'extra'"
done
for o in "-r nothing" "-r keys:0" "-r keys:x" "-d 0" "-d x" "-i 0" "-x nothing" \
	"-n -r toggle" "-n -r modules" "-r forks -x forks" "-s -1" -M; do
	# shellcheck disable=SC2086
	plain ktrepl-stress $o
	expect "ktrepl-stress $o" 2 "" "Try 'ktrepl-stress --help'"
done
for o in "-p 0" "-p 10x" "-2 0" "-t -1"; do
	# shellcheck disable=SC2086
	plain ktrepl-roots $o
	expect "ktrepl-roots $o" 2 "" "Try 'ktrepl-roots --help'"
done
for o in "-o nothing" "-f 0" "-e 0" "/bin/true" "-o fork -- /bin/true"; do
	# shellcheck disable=SC2086
	plain ktrepl-faults $o
	expect "ktrepl-faults $o" 2 "" "Try 'ktrepl-faults --help'"
done
for o in "-r nothing" "-c x" "-c 16000" "-i 0" -m; do
	# shellcheck disable=SC2086
	plain ktrepl-bench $o
	expect "ktrepl-bench $o" 2 "" "Try 'ktrepl-bench --help'"
done

# Without ktrepl nothing that changes the kernel starts, sample directory or not.
for p in ktrepl-stress ktrepl-roots ktrepl-faults; do
	run on $p
	expect "$p on a sample" 3 "" "only the running kernel"
	[ -e /sys/kernel/debug/ktrepl ] && continue
	plain $p
	expect "$p without ktrepl" 3 "" \
		"debugfs is not mounted: mount\|no ktrepl\|run as root"
done

# fake SAMPLE PROGRAM [ARGUMENT...]: where /sys looks like that of a kernel with
# ktrepl. The switch is what $switch names, or a file of its own; what is in it then
# comes to $tmp/switch. As root, in a mount namespace.
fake()
{
	sample=$1
	prog=$2
	shift 2
	# shellcheck disable=SC2016 # for the inner shell
	unshare -m sh -c 'mount -t tmpfs none /sys &&
		mkdir -p /sys/kernel/debug /sys/module/ktrepl/parameters \
			/sys/devices &&
		cp -R "$1" /sys/kernel/debug/ktrepl &&
		cp -R "$1/system" /sys/devices/ || exit 99
		cd /sys/module/ktrepl/parameters
		[ -z "$3" ] && echo Y >enable || ln -s "$3" enable
		switched=$2
		shift 3
		"$@"
		status=$?
		[ -L enable ] || cp enable "$switched"
		exit $status' sh "$sample" "$tmp/switch" "${switch:-}" "$bin/$prog" "$@" \
		>"$tmp/out" 2>"$tmp/err"
	# shellcheck disable=SC2034 # for expect
	status=$?
}

# obstacle MODULES-DIRECTORY ARGUMENT...: ktrepl-stress -r modules there; the lists of
# modules are without modules.
obstacle()
{
	export KTREPL_MODULES="$1"
	shift
	fake "$samples/on" ktrepl-stress -r modules "$@"
	unset KTREPL_MODULES
}

[ "$(id -u)" = 0 ] && unshare -m mount -t tmpfs none /sys 2>/dev/null && fakes=yes || fakes=no
if [ "$fakes" = yes ]; then
	obstacle "$tmp/nowhere"
	expect "stress without modules.dep" 3 "" \
		"modules cannot run: $tmp/nowhere/modules.dep: No such file"
	obstacle "$samples/modules"
	expect "stress without modules" 3 "" \
		"no module of $samples/modules can be loaded and unloaded: "
	obstacle "$samples/modules" -M test-one,nonsense
	expect "stress with another module" 3 "" "modules.dep has no nonsense"
	mkdir "$tmp/many"
	for i in 0 1 2 3 4 5 6; do
		for k in 0 1 2 3 4 5 6 7 8 9; do
			echo "m$i$k.ko:"
		done
	done >"$tmp/many/modules.dep"
	obstacle "$tmp/many"
	expect "stress with many modules" 3 "" "70 modules: choose with --modules"
	obstacle "$tmp/many" -M m00,m69
	expect "stress with two of many modules" 3 "" "no module of $tmp/many can"
fi

# What leaves the kernel alone runs for real.
plain ktrepl-stress -n -s 3 -r forks:40,slots:40
expect "stress forks, slots" 0 "^passed: 0 failures" "seed 3$"
hold "stress counts forks" grep -q "^forks  *40 forks" "$tmp/out"
hold "stress counts slots" grep -q "^slots  *[1-9][0-9]* slots of 512 GiB" "$tmp/out"
plain ktrepl-stress -n -d 1 -j
expect "stress for a second" 0 - -
hold "stress JSON" valid_json 'r["ok"] and r["activities"]["forks"]["forks"] > 0'
plain ktrepl-stress -n -a -x ldt -d 1
expect "stress with all" 0 "^slots  *[1-9]" -
hold "stress with all but those that are not asked for" lacks "$tmp/out" "^hang\|^ldt\|^memory"
plain ktrepl-stress -n -r hang,forks -w 1 -d 20
expect "watchdog" 1 - "hang hangs: no progress for 1 s"
plain ktrepl-bench -i 20
expect "bench" 0 "^getppid  *[0-9]" ""
hold "bench leaves the kernel alone" lacks "$tmp/out" "^poke\|^module\|^switch-o"
plain ktrepl-bench -i 20 -C -r zero,getppid
expect "bench with cold caches" 0 "^zero  *[0-9]" ""
for c in switch-off switch-on; do
	plain ktrepl-bench -r $c
	expect "bench $c without ktrepl" 1 - "$c cannot run here"
done
export KTREPL_MODULES="$samples/modules"
for c in module-load module-load+copy module-unload; do
	for m in test-one two nonsense; do
		plain ktrepl-bench -i 20 -r $c -m $m
		expect "bench $c without $m" 1 - "$c cannot run here"
	done
done
unset KTREPL_MODULES
plain ktrepl-bench -i 20 -r getppid,fork -j
expect "bench JSON" 0 - ""
hold "bench JSON is valid" valid_json \
	'all(r["calls"][c]["min"] <= r["calls"][c]["median"] and
	     r["calls"][c]["min"] > 0 for c in ("getppid", "fork"))'
