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
