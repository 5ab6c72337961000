# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154
# Sourced by run: the cases of ktrinfo.

# Whole reports, letter by letter.
run on ktrinfo
expect "on" 0 - ""
golden "on: report" on.txt
run on ktrinfo -w -v
expect "on -w -v" 0 - ""
golden "on -w -v: report" on-wv.txt
run off ktrinfo
expect "off" 0 - ""
golden "off: report" off.txt
run off ktrinfo -w
expect "off -w" 1 "^2 of 4 CPUs execute node-local text (replication is off)" \
	"replication is off: CPUs execute the primary"
golden "off -w: report" off-w.txt
run off ktrinfo -v
expect "off -v" 1 - "replication is off: there is no replica to compare"
run refused ktrinfo
expect "refused" 0 "^ktrepl is refused: this machine has only one node$" ""
run refused ktrinfo -w
expect "refused -w" 1 - "replication is refused"
run broken ktrinfo
expect "broken" 1 "^ktrepl is broken: copy of node 1" "replication is broken"
run odd ktrinfo
expect "odd nodes" 0 - ""
golden "odd nodes: report" odd.txt
run odd ktrinfo -w
expect "odd nodes -w" 0 "^1 of 2 CPUs execute node-local text, 2 of 2 the text expected" ""
run odd ktrinfo -v
expect "odd nodes -v" 0 "^3000 pages compared, 0 different" ""
for s in on off odd refused; do
	run $s ktrinfo -m
	expect "$s -m" 0 - ""
	golden "$s -m: report" $s-m.txt
done
run broken ktrinfo -m
expect "broken -m" 1 "^total  *77824  *0  *0$" "replication is broken"

# Prometheus.
run on ktrinfo -p
expect "on -p" 0 - ""
golden "on -p: report" on.prom
run on ktrinfo -n 1 --prometheus
expect "-n 1 -p" 0 "^ktrepl_memory_bytes{node=\"1\",kind=\"image\"} 7311360" ""
hold "-n 1 -p: no other" lacks "$tmp/out" "node=\"0\""
run broken ktrinfo -p
expect "broken -p" 1 "^ktrepl_state{state=\"broken\"} 1" "replication is broken"
echo old > "$tmp/prom"
run on ktrinfo --prometheus="$tmp/prom"
expect "-p FILE" 0 "" ""
hold "-p FILE: written" cmp -s "$tmp/prom" "$here/expected/on.prom"
hold "-p FILE: nothing else" test "$(echo "$tmp"/prom*)" = "$tmp/prom"
aside "-p FILE" "$tmp/prom" --prometheus on ktrinfo
run on ktrinfo --prometheus="$tmp/no/prom"
expect "-p no directory" 1 - "prom: No such file"
run on ktrinfo -p -t
expect "-p -t" 2 - "--prometheus shows statistics only"
run on ktrinfo -p -j
expect "-p -j" 2 - "--json or --prometheus, not both"

# Watching: until interrupted, or until a check fails.
KTREPL_DEBUGFS=$samples/on timeout --preserve-status -s INT 3 \
	"$bin/ktrinfo" --watch=1 -s >"$tmp/out" 2>"$tmp/err"
status=$?
expect "-W" 0 "^Node 1 statistics" ""
hold "-W: more than once" test "$(grep -c "^Node 1 statistics" "$tmp/out")" -gt 1
run broken ktrinfo -W
expect "broken -W" 1 "^ktrepl is broken" "replication is broken"
run on ktrinfo -W0
expect "-W 0" 2 - "--watch"
run on ktrinfo -W -j
expect "-W -j" 2 - "--json cannot be watched"

# Choosing.
run on ktrinfo -n 1
expect "-n 1" 0 "^Node 1 statistics" ""
golden "-n 1: report" on-n1.txt
run odd ktrinfo -n 5 -s --node=9
expect "-n 5 -n 9" 0 "^Node 5 statistics" ""
hold "-n 5 -n 9: node 9" has "$tmp/out" "^Node 9 statistics"
hold "-n 5 -n 9: no other" lacks "$tmp/out" "^Node 2"
run on ktrinfo -m -n 1
expect "-m -n 1" 0 "^nf_tables  *20480  *4096$" ""
run on ktrinfo -sm
hold "-s -m: statistics" has "$tmp/out" "^Node 0 statistics"
hold "-s -m: modules" has "$tmp/out" "^Module  *Text_RO_sz  *Node0  *Node1$"
run on ktrinfo -wn1
expect "-w -n 1" 0 "^2 of 2 CPUs execute node-local text" ""
run on ktrinfo -s
hold "-s: statistics" has "$tmp/out" "^Node 0 statistics"
hold "-s: no translations" lacks "$tmp/out" Translations
run on ktrinfo -t
hold "-t: no statistics" lacks "$tmp/out" statistics
hold "-t: translations" has "$tmp/out" Translations

# JSON: valid, and the same as the text.
json()
{
	name=$1
	from=$2
	shift 2
	run "$from" ktrinfo --json "$@"
	hold "$name" python3 "$here/check-json.py" "$samples/$from" "$@" \
		<"$tmp/out"
}
json "JSON on" on
json "JSON on, all" on -t -s -w -v
json "JSON off, all" off -t -s -w -v
json "JSON refused, all" refused -t -s -w -v
json "JSON broken, all" broken -t -s -w -v
json "JSON odd nodes, all" odd -t -s -w -v
json "JSON odd nodes, one" odd -t -s -w -n 9
json "JSON on, modules" on -m
json "JSON on, all and modules" on -t -s -w -v -m
json "JSON off, modules" off -m
json "JSON refused, modules" refused -m
json "JSON odd nodes, modules of one" odd -m -n 9
# The checker of JSON can fail, too.
spoil on stats 's/7140/7136/; s/9260/9256/'
run "$tmp/spoilt" ktrinfo --json
hold "JSON checker notices" fails python3 "$here/check-json.py" \
	"$samples/on" <"$tmp/out"
spoil on modules '/^area dummy/s/dummy/tummy/'
run "$tmp/spoilt" ktrinfo --json -m
hold "JSON checker notices modules" fails python3 "$here/check-json.py" \
	"$samples/on" -m <"$tmp/out"
spoil on state 's/^reason.*/reason a "quoted\\" \tname/'
run "$tmp/spoilt" ktrinfo --json
hold "JSON quotes" python3 -c 'import json, sys
sys.exit(json.load(sys.stdin)["state"]["reason"] != "a \"quoted\\\" \tname")' \
	<"$tmp/out"

# Command line.
for o in --bogus -x -n "-n 7" "-n x" "-n 0-9" "-n 1-0" "-n -1" "--node=" \
	"extra" "-w extra" "-n 0x1" "--json=1" "-n 0,,1" "-n 99999999999" \
	"-m e1000e" "-m -n 7"; do
	# shellcheck disable=SC2086
	run on ktrinfo $o
	expect "usage error: $o" 2 "" "Try 'ktrinfo --help'"
done
run on ktrinfo --help
expect "--help" 0 "^Exit status: 0" ""
run on ktrinfo --version
expect "--version" 0 "^ktrinfo (ktrepl tools) [0-9]" ""
KTREPL_DEBUGFS=$samples/on "$bin/ktrinfo" >/dev/full 2>"$tmp/err"
status=$?
expect "full disk" 1 - "cannot write"

# Not available.
run nowhere ktrinfo
expect "no directory" 3 "" "nowhere/state: No such file"
cp -R "$samples/on" "$tmp/old"
rm "$tmp/old/modules"
run "$tmp/old" ktrinfo
expect "no modules file" 0 - ""
run "$tmp/old" ktrinfo -m
expect "no modules file: -m" 3 "" \
	"modules: No such file or directory: this kernel does not replicate modules"
if [ ! -e /sys/kernel/debug/ktrepl ]; then
	(unset KTREPL_DEBUGFS; "$bin/ktrinfo" >"$tmp/out" 2>"$tmp/err")
	status=$?
	expect "no ktrepl here" 3 "" \
		"debugfs is not mounted: mount\|no ktrepl\|run as root"
fi
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	cp -R "$samples/on" "$tmp/closed"
	cp "$bin/ktrinfo" "$tmp/ktrinfo"
	chmod 755 "$tmp"
	chmod 700 "$tmp/closed"
	KTREPL_DEBUGFS=$tmp/closed setpriv --reuid=65534 --clear-groups \
		"$tmp/ktrinfo" >"$tmp/out" 2>"$tmp/err"
	status=$?
	expect "not root" 3 "" "permission denied: run as root"
	chmod 755 "$tmp/closed"
	chmod 600 "$tmp/closed/stats"
	KTREPL_DEBUGFS=$tmp/closed setpriv --reuid=65534 --clear-groups \
		"$tmp/ktrinfo" >"$tmp/out" 2>"$tmp/err"
	status=$?
	expect "one file closed" 3 - "stats: permission denied: run as root"
fi

# Each check can fail.
bad "copy differs" on verify \
	's/ 0$/ 1/; a different image_text 1 ffffffff81234000' -v \
	"1 of 1785 pages differ from the primary"
run "$tmp/spoilt" ktrinfo -v
expect "copy differs: listed" 1 \
	"^differs: image_text node 1 ffffffff81234000$" -
bad "nothing compared" on verify 's/1785/0/' -v "no page was compared"
spoil on state 's/^nodes .*/nodes 0/'
echo "verify 0 0" >"$tmp/spoilt/verify"
run "$tmp/spoilt" ktrinfo -v
expect "no replica is due" 0 "^0 pages compared, 0 different (only nodes that hold" ""
bad "differing page not listed" on verify 's/ 0$/ 1/' -v "1 pages differ but 0"
bad "more differ than compared" on verify 's/ 0$/ 9999/' -v "more pages differ"
bad "text not local" on locality '/^cpu 3/s/text 1/text 0/' -w \
	"cpu 3 executes text of node 0, expected node 1"
run "$tmp/spoilt" ktrinfo -w
expect "text not local: summary" 1 "^3 of 4 CPUs execute node-local text" -
bad "text unknown" on locality '/^cpu 3/s/text 1/text -1/' -w "cpu 3 executes text"
bad "nothing known" on locality '/^cpu 3/s/1/-1/g' -w "cpu 3 executes text"
bad "read-only data not local" on locality '/^cpu 2/s/rodata 1/rodata 0/' -w \
	"cpu 2 reads read-only data of node 0, expected node 1"
bad "walk bad" on locality '/^cpu 1/s/ok/bad/' -w "cpu 1: the page tables"
bad "not healed" on locality 's/healed yes/healed no/' -w "did not make all replicas"
bad "healed missing" on locality '/healed/d' -w "no 'healed' record"
bad "a CPU missing" on locality '/^cpu 2/d' -w "cpu 2 is online but gave no proof"
bad "all CPUs missing" on locality '/^cpu/d' -w "no CPU gave a proof"
bad "a CPU twice" on locality '/^cpu 2/p' -w "said twice"
bad "total wrong" on stats 's/9260/9261/' -s \
	"node 1: total_repli_pages is 9261 kB, the sum of its parts 9260 kB"
bad "part wrong" on stats '/node 1 repli_spare/s/0$/4/' "" "sum of its parts"
bad "text size differs between nodes" on translations \
	'/^node 1 text ffffffff81400000/d' -t \
	"node 1 maps 4096 kB of text, node 0 4584 kB"
bad "rodata size differs between nodes" odd translations \
	'/^node 9 rodata ffffffff81800000/d' -t "node 9 maps 2048 kB of rodata"
bad "size not that of the range" on translations '2s/ 2048 / 2047 /' -t \
	"translations line 2: size is not that of the range"
bad "physical range too short" on translations '2s/13fffff/13ffffe/' -t \
	"virtual and physical range differ"
bad "range backwards" on translations \
	'2s/ffffffff813fffff/ffffffff811fffff/' -t "ends before it starts"
bad "replicas not in the statistics" on modules '/^area bpf/s/1:24576$/1:20480/' -m \
	"node 1: repli_module_pages is 56 kB, the listed replicas 52 kB"
run "$tmp/spoilt" ktrinfo -m -n 0
expect "replicas not in the statistics: node 0" 0 - ""
bad "areas missing" on modules '/^area/d' -m "the listed replicas 0 kB"
bad "replicas not in the areas" on stats 's/repli_module_pages 20/repli_module_pages 24/' \
	-m "node 0: repli_module_pages is 24 kB, the listed replicas 20 kB"
bad "more replicas than bytes" on modules '/^area bpf/s/1:24576$/1:28672/' -m \
	"more replicas than originals elsewhere"
bad "replicas beside originals" on modules '/^area bpf/s/1:24576$/0:4096,1:20480/' \
	-m "more replicas than originals elsewhere"
bad "originals do not add up" on modules '/^area bpf/s/0:24576/0:20480/' -m \
	"originals do not add up to the bytes"
bad "originals unknown" on modules '/^area bpf/s/0:24576/-/' -m \
	"originals do not add up to the bytes"
bad "more bytes than the range has" on modules '2s/104fff/103fff/' -m \
	"modules line 2: more bytes than the range has"
bad "area backwards" on modules '2s/c0104fff/c00fffff/' -m "ends before it starts"
bad "originals on an unknown node" on modules '/^area nls/s/1:4096 0/7:4096 0/' -m \
	"modules: nls_utf8: node 7 has no statistics"
bad "replicas on an unknown node" on modules '/^area nls/s/0:4096$/8:4096/' -m \
	"modules: nls_utf8: node 8 has no statistics"

# Truncated and garbled records.
bad "state garbled" on state 's/^state on/state onn/' -s "unknown state"
bad "state empty" on state d -s "state: no 'state' record"
bad "state without nodes" on state '/^nodes/d' -s "no 'nodes' record"
bad "state without primary" on state '/^primary/d' -s "no 'primary' record"
bad "nodes garbled" on state 's/0-1/0-/' -s "not a list of nodes"
bad "toggles garbled" on state 's/toggles 1/toggles 1x/' -s "not a number"
bad "roots garbled" on state 's/roots_live 6/roots_live/' -s "truncated record"
bad "stats empty" on stats d -s "stats: no 'node' record"
bad "counter missing" on stats '/node 1 repli_spare/d' -s \
	"node 1: no repli_spare_pages"
bad "counter without value" on stats '3s/ [0-9]*$//' -s "truncated record"
bad "counter negative" on stats '3s/[0-9]*$/-4/' -s "not a number"
bad "counter too big" on stats '3s/[0-9]*$/99999999999999999999/' -s \
	"not a number"
bad "counter twice" on stats '3p' -s "said twice"
bad "node garbled" on stats '3s/node 0/node zero/' -s "not a node or CPU number"
bad "translation cut" on translations '3s/ 488.*//' -t "line 3: truncated"
bad "translation not hex" on translations '3s/ffffffff814/fffffgff814/' -t \
	"not an address"
bad "translations empty" on translations d -t "no 'node' record"
bad "cpu record cut" on locality '3s/ root.*//' -w "line 3: truncated record"
bad "cpu record shuffled" on locality '3s/text/rodata/' -w "garbled record"
bad "walk garbled" on locality '3s/ok/fine/' -w "garbled record"
bad "verify record cut" on verify 's/ 0$//' -v "truncated record"
bad "verify empty" on verify d -v "verify: no 'verify' record"
bad "modules empty" on modules d -m "modules: no 'modules' record"
bad "modules without policy" on modules 1d -m "no 'modules' record"
bad "policy garbled" on modules '1s/on/onn/' -m "garbled record"
bad "policy cut" on modules '1s/ on//' -m "line 1: truncated record"
bad "policy twice" on modules 1p -m "said twice"
bad "area cut" on modules '3s/ 1:16384$//' -m "line 3: truncated record"
bad "area without name" on modules '3s/e1000e //' -m "not a number"
bad "area not hex" on modules '3s/ffffffffc/fffffffgc/' -m "not an address"
bad "bytes garbled" on modules '3s/ 16384 / 16384x /' -m "not a number"
for list in "0:" ":4096" "0" "0:4096," "0:4096,0:0" "0:4k" "-1:4096" "0;4096"; do
	bad "list of bytes $list" on modules "/^area nls/s/0:4096$/$list/" -m \
		"not a list of nodes with bytes"
done

cut_last_line()
{
	rm -rf "$tmp/spoilt"
	cp -R "$samples/on" "$tmp/spoilt"
	head -c -1 "$samples/on/$1" >"$tmp/spoilt/$1"
	run "$tmp/spoilt" ktrinfo -tswvm
	expect "last line cut: $1" 1 - "$1: truncated: the last line"
}
for f in state stats translations locality verify modules; do
	cut_last_line $f
	rm -rf "$tmp/spoilt"
	cp -R "$samples/on" "$tmp/spoilt"
	printf 'zero\0byte\n' >>"$tmp/spoilt/$f"
	run "$tmp/spoilt" ktrinfo -tswvm
	expect "not text: $f" 1 - "$f: not text"
	rm "$tmp/spoilt/$f"
	run "$tmp/spoilt" ktrinfo -tswvm
	if [ $f = state ] || [ $f = modules ]; then
		expect "no file: $f" 3 "" "$f: No such file"
	else
		expect "no file: $f" 1 - "$f: cannot be read: No such file"
	fi
done

# A newer kernel says more: unknown records and words do not matter.
rm -rf "$tmp/spoilt"
cp -R "$samples/on" "$tmp/spoilt"
for f in state stats translations locality verify modules; do
	{
		echo "future record 1 2 3"
		echo ""
		echo "node 0 frobnication 12 34"
		cat "$samples/on/$f"
	} >"$tmp/spoilt/$f"
done
sed 's/$/ more/' "$samples/on/translations" >"$tmp/spoilt/translations"
sed -i 's/^area.*/& more/' "$tmp/spoilt/modules"
# "node" is a word of stats and translations only
run "$tmp/spoilt" ktrinfo
expect "unknown records" 0 - ""
golden "unknown records: report" on.txt
run "$tmp/spoilt" ktrinfo -w -v
golden "unknown records: -w -v" on-wv.txt
run "$tmp/spoilt" ktrinfo -m
golden "unknown records: -m" on-m.txt

# Nothing has a fixed size: 4096 nodes, 100000 CPUs, a line of 1 MB.
rm -rf "$tmp/spoilt"
cp -R "$samples/on" "$tmp/spoilt"
awk 'BEGIN {
	split("total_repli_pages repli_resident_pages repli_module_pages " \
	      "repli_object_pages repli_pgtbls repli_spare_pages " \
	      "repli_retired_pages " \
	      "page_alloc_failures pagetbl_alloc_failures " \
	      "pokes copied_pages dropped_pages fallback_pages " \
	      "roots_made roots_missed " \
	      "missing_pages stale_pages", s)
	for (n = 0; n < 4096; n++)
		for (i = 1; i <= 17; i++)
			print "node", n, s[i], i < 3 ? "18446744073709551" : 0
}' >"$tmp/spoilt/stats"
awk 'BEGIN {
	for (c = 0; c < 20000; c++)
		print "cpu", c, "node 0 expect 0 text 0 rodata 0 root 0 walk ok"
	print "healed yes"
}' >"$tmp/spoilt/locality"
head -c 1000000 /dev/zero | tr '\0' x >>"$tmp/spoilt/state"
echo >>"$tmp/spoilt/state"
run "$tmp/spoilt" ktrinfo -s -w
expect "huge" 0 "^20000 of 20000 CPUs" ""
awk 'BEGIN {
	print "modules on"
	for (m = 0; m < 500; m++) {
		print "area m" m, "text 0 fff 4096 0:4096 4095:4096"
		print "area m" m, "rodata 1000 1fff 4096 4095:4096 -"
	}
}' >"$tmp/spoilt/modules"
sed -i '/^node 4095 repli_module_pages/s/0$/2000/' "$tmp/spoilt/stats"
run "$tmp/spoilt" ktrinfo -m -n 0,4095
expect "huge: modules" 0 "^total  *4096000  *0  *2048000$" ""

# Garbage of all kinds: an answer, never a crash.
crashes=0
for i in 0 1 2 3 4 5 6 7 8 9; do
	for f in state stats translations locality modules; do
		rm -rf "$tmp/spoilt"
		cp -R "$samples/on" "$tmp/spoilt"
		python3 "$here/garble.py" $i <"$samples/on/$f" >"$tmp/spoilt/$f"
		run "$tmp/spoilt" ktrinfo -tswvm --json
		case $status in
		0 | 1) ;;
		*) crashes=$((crashes + 1)) ;;
		esac
	done
done
hold "50 garbled directories, $crashes crashes" [ $crashes = 0 ]
