# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
# Sourced by run: ktrepl-ab on recordings, and what it refuses.

for p in --help --version; do
	plain ktrepl-ab $p
	expect "ktrepl-ab $p" 0 "ktrepl-ab" ""
done
for o in --bogus extra "-l nothing" "-r 2" "-s 0" "-t 0" "-t x" "-p 100" "-e maybe" "-n 1 -c 1" \
	"-l open -- true" "--test-slow=10" "--test-slow=on:x" "--test-noise=-1" "-c x"; do
	# shellcheck disable=SC2086
	plain ktrepl-ab $o
	expect "ktrepl-ab $o" 2 "" "Try 'ktrepl-ab --help'"
done
run on ktrepl-ab
expect "ktrepl-ab on a sample" 3 "" "only the running kernel"

# switch_is NAME PATTERN: what replication was left at; a byte may be behind it.
switch_is()
{
	hold "$1: replication" grep -q "$2" "$tmp/switch"
}

# two_nodes SAMPLE: of a machine where a CPU that we may run on is on node 1.
two_nodes()
{
	cpu=$(sed -n 's/^Cpus_allowed_list:[^0-9]*\([0-9]*\).*/\1/p' /proc/self/status)
	spoil "$1" locality "s/^cpu 2 /cpu $cpu /"
	sed "/node 0/d" "$tmp/spoilt/locality" >"$tmp/locality"
	mv "$tmp/locality" "$tmp/spoilt/locality"
	mkdir -p "$tmp/spoilt/system/node/node0" "$tmp/spoilt/system/node/node1"
	echo 0-1 >"$tmp/spoilt/system/node/online"
	echo 9999 >"$tmp/spoilt/system/node/node0/cpulist"
	echo "$cpu" >"$tmp/spoilt/system/node/node1/cpulist"
}

# Where replication cannot be switched, or would change nothing, it stays as it is.
if [ "$fakes" = yes ]; then
	fake "$samples/broken" ktrepl-ab
	expect "ab: broken" 3 "" "replication is broken: copy of node 1 differs"
	switch_is "ab: broken" '^Y$'
	fake "$samples/refused" ktrepl-ab
	expect "ab: refused" 3 "" "replication is refused: this machine has only one node"
	switch_is "ab: refused" '^Y$'
	fake "$samples/on" ktrepl-ab
	expect "ab: one node" 3 "" "no node but that of the original (0) has CPUs"
	switch_is "ab: one node" '^Y$'
	spoil on state '/^state/d'
	fake "$tmp/spoilt" ktrepl-ab
	expect "ab: no state" 1 "" "the state of replication cannot be read"
	switch_is "ab: no state" '^Y$'
	two_nodes on
	fake "$tmp/spoilt" ktrepl-ab --node=0
	expect "ab: node of the original" 2 "" "node 0 holds the original"
	fake "$tmp/spoilt" ktrepl-ab --node=2
	expect "ab: no such node" 2 "" "--node=2: there is no such node with CPUs"
	fake "$tmp/spoilt" ktrepl-ab --cpu=9998
	expect "ab: no such CPU" 2 "" "--cpu=9998: there is no such CPU online"
	switch_is "ab: bad places" '^Y$'
	fake "$tmp/spoilt" ktrepl-ab --cpu=9999
	expect "ab: CPU of the original" 2 "" "node 0 holds the original"

	# Something fails after replication was switched: it is as it was.
	fake "$tmp/spoilt" ktrepl-ab -r 3 -s 1 -l open
	expect "ab: switched back on" 0 "^load open on CPU $cpu of node 1, 3 rounds" ""
	switch_is "ab: switched back on" '^1'
	fake "$tmp/spoilt" ktrepl-ab -r 3 -s 1 -- \
		sh -c 'echo 1 >/sys/module/ktrepl/parameters/enable'
	expect "ab: somebody else" 1 "" "replication was switched by somebody else"
	switch=/dev/full
	fake "$tmp/spoilt" ktrepl-ab
	expect "ab: not to be switched" 1 "" "replication cannot be switched on: No space left"
	hold "ab: not to be switched back" \
		grep -q "replication was on and could not be switched back: No space" "$tmp/err"
	# shellcheck disable=SC2034 # for fake
	switch=
	two_nodes off
	fake "$tmp/spoilt" ktrepl-ab -r 3 -s 1 -l open
	expect "ab: no local text" 3 "" "CPU $cpu of node 1 executes text of node 0 while"
	switch_is "ab: no local text" '^0'
fi

plain ktrepl-ab --replay="$here/ab/intel.stream" --expect=helps
expect "ab intel" 0 "off  58800 of 60000 remote (98.0 %)" ""
hold "ab intel: on" grep -q "on   600 of 60000 remote (1.0 %)" "$tmp/out"
hold "ab intel: evidence" grep -q "L3_MISS: supports the verdict" "$tmp/out"
plain ktrepl-ab --replay="$here/ab/amd.stream" --expect=helps
expect "ab amd" 0 "off  228 of 240 remote (95.0 %), 4000.00 lines/ms, median latency 700 cycles" ""
hold "ab amd: on" grep -q "on   12 of 240 remote (5.0 %).*latency 300 cycles" "$tmp/out"
hold "ab amd: evidence" grep -q "IBS fetch samples: supports the verdict" "$tmp/out"
plain ktrepl-ab --replay="$here/ab/arm64.stream" --expect=no-effect
expect "ab arm64" 0 "off  216 of 240 remote (90.0 %)" ""
hold "ab arm64: evidence" grep -q "ll_cache_miss_rd: supports the verdict" "$tmp/out"
plain ktrepl-ab --replay="$here/ab/intel.stream" --expect=hurts
expect "ab: another verdict" 1 - "the verdict is helps, not hurts"
plain ktrepl-ab --replay="$here/ab/intel.stream" --json
hold "ab JSON" valid_json '(r["verdict"] == "helps" and
	r["ok"] and (r["rounds"], r["counters_off"]["remote"]) == (6, 58800))'
plain ktrepl-ab --replay="$here/ab/amd.stream" --record="$tmp/again"
plain ktrepl-ab --replay="$tmp/again"
hold "ab: a recording of a recording" grep -q "off  228 of 240 remote" "$tmp/out"
aside "ab --record" "$tmp/again" --record on ktrepl-ab --replay="$here/ab/amd.stream"
touch "$tmp/json"
aside "ab --json" "$tmp/json" --json on ktrepl-ab --replay="$here/ab/amd.stream"
plain ktrepl-ab --replay="$here/ab/intel.stream" --json="$tmp/json"
expect "ab JSON to a file: text" 0 "^verdict: helps" ""
hold "ab JSON to a file" grep -q '"verdict": "helps"' "$tmp/json"
plain ktrepl-ab --replay="$here/ab/amd.stream" --json="$tmp/nowhere/file"
expect "ab: no such directory" 1 - "nowhere/file"

# bad_stream NAME SED ERR-PATTERN
bad_stream()
{
	sed "$2" "$here/ab/intel.stream" >"$tmp/stream"
	plain ktrepl-ab --replay="$tmp/stream"
	expect "ab stream: $1" 1 "" "$3"
}
bad_stream "vendor unknown" 's/^vendor intel/vendor via/' "line 2: expected 'vendor"
bad_stream "no vendor" '/^vendor/d' "not a whole recording"
bad_stream "a slot missing" '7,9d' "line [0-9]*: expected 'slot off|on"
bad_stream "slots empty" '/^slot/d;/^count/d' "not a whole recording"
bad_stream "slot without median" 's/ 150000.000//' "expected 'slot off|on"
bad_stream "median not a number" 's/150000.000/nan/' "expected 'slot off|on"
bad_stream "count garbled" 's/count all 5000/count all 5k/' "expected 'count"
bad_stream "count first" '3i count all 1' "expected a slot before it"
bad_stream "unknown line" '3i frobnicate' "line 3: expected vendor, load"
plain ktrepl-ab --replay="$tmp/none"
expect "ab: no recording" 1 "" "none: No such file"
