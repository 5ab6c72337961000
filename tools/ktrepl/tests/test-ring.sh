# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154,SC2034,SC2016
# Sourced by run: the cases of ktmon, ktmon-plot and ktwork, on made-up rings.

ring()
{
	python3 "$here/make-ring.py" "$tmp/ring" "$@"
}

for o in "-d x" "-d -1" "-d nan" "-n 0" "-n x" "-i 0" "-c -j" "--plot=x.txt" \
	"-j --plot=x.svg" "-c --plot=x.svg"; do
	# shellcheck disable=SC2086
	plain ktmon $o
	expect "ktmon $o" 2 "" "Try 'ktmon --help'"
done
for o in "-m 0" "-a sideways" "-i x" "-t -1" "-T 0" "-p x" "-c x" "-s x"; do
	# shellcheck disable=SC2086
	plain ktwork $o
	expect "ktwork $o" 2 "" "Try 'ktwork --help'"
done

# The ring: all of it, and one that has been around several times.
ring 16 10
plain ktmon -D "$tmp/ring" -a -d 0 -c
expect "ktmon CSV" 0 "^9,1200000000,50000000,1,3,200,1,20000000,5000000,0.5000$" ""
hold "ktmon CSV: all records" test "$(wc -l <"$tmp/out")" = 11
plain ktmon -D "$tmp/ring" -d 0 -c
expect "ktmon CSV: only new ones" 0 "^number,time_ns" ""
hold "ktmon CSV: there are none" test "$(wc -l <"$tmp/out")" = 1
ring 16 1000
plain ktmon -D "$tmp/ring" -a -d 0 -c
expect "ktmon CSV, overwritten" 0 "^985,.*" ""
# The slot of record 1000 is that of 984: it may be half written.
hold "ktmon CSV: not the oldest" lacks "$tmp/out" "^984,"
hold "ktmon CSV: all others" test "$(wc -l <"$tmp/out")" = 16
plain ktmon -D "$tmp/ring" -a -n 3 -c
expect "ktmon -n" 0 "^989,.*" ""
hold "ktmon -n: whole samples" test "$(wc -l <"$tmp/out")" = 6
plain ktmon -D "$tmp/ring" -a -d 0 -j
expect "ktmon JSON" 0 - ""
hold "ktmon JSON is valid" valid_json '(r["samples"] == 8 and r["lost"] == 0 and
	[x["number"] for x in r["records"]] == list(range(985, 1000)) and
	all(x["utilisation"] == 0.5 for x in r["records"]))'
plain ktmon -D "$tmp/ring" -a -d 0
expect "ktmon table" 0 "^1  *3  *4000  *20  *40.0  *10.0  *50.0  *1600  *8$" ""
hold "ktmon table: sum" grep -q "^all  *6  *" "$tmp/out"
plain ktmon -D "$tmp/ring" -a -d 0 -o "$tmp/csv"
expect "ktmon -o" 0 "^all " ""
hold "ktmon -o: CSV" grep -q "^999," "$tmp/csv"
plain ktmon -D "$tmp/ring" -a -d 0 -o "$tmp/no/csv"
expect "ktmon -o nowhere" 1 - "no/csv: No such file"

# What is no ring.
for o in magic=1 version=2 header_size=8 record_size=56 nr_records=15 nr_records=0; do
	ring 16 10 $o
	plain ktmon -D "$tmp/ring" -a -d 0
	expect "ktmon, $o" 1 "" "not a ring of version 1"
done
ring 16 10 nr_records=32
plain ktmon -D "$tmp/ring" -a -d 0
expect "ktmon, short file" 1 "" "5120 bytes, and 6144 are expected"
echo short >"$tmp/ring"
plain ktmon -D "$tmp/ring"
expect "ktmon, shorter file" 1 "" "too short for a ring"
plain ktmon -D "$tmp/nowhere"
expect "ktmon, no file" 3 "" "nowhere: No such file"
if [ ! -e /dev/ktrepl-profile ]; then
	plain ktmon
	expect "ktmon without the module" 3 "" "modprobe ktrepl_profile"
	plain ktwork
	expect "ktwork without the module" 3 "" "modprobe ktrepl_profile"
fi

# Plots. Without matplotlib there is an error first, and nothing is recorded.
ring 16 1000
/usr/bin/python3 -c 'import matplotlib' 2>/dev/null && plots=yes || plots=no
mkdir "$tmp/bin"
cp "$bin/ktmon" "$here/../ktmon-plot" "$tmp/bin/"
"$tmp/bin/ktmon" -D "$tmp/ring" -a -d 0 -o "$tmp/csv2" --plot="$tmp/plot.svg" \
	>"$tmp/out" 2>"$tmp/err"
status=$?
if [ "$plots" = yes ]; then
	expect "ktmon --plot" 0 "^all " ""
	hold "ktmon --plot: a plot" grep -q "<svg" "$tmp/plot.svg"
	hold "ktmon --plot: CSV as well" grep -q "^999," "$tmp/csv2"
	"$tmp/bin/ktmon" -D "$tmp/ring" -a -d 0 -q --plot="$tmp/plot2.svg" \
		>"$tmp/out" 2>"$tmp/err"
	status=$?
	expect "ktmon --plot without -o" 0 "" ""
	hold "ktmon --plot: nothing left" test "$(echo "$tmp"/plot2*)" = "$tmp/plot2.svg"
	for csv in "" "a,b" "time_ns,node,minor,major,utilisation" \
		"time_ns,node,minor,major,utilisation
1,2,x,4,5"; do
		echo "$csv" >"$tmp/bad.csv"
		"$tmp/bin/ktmon-plot" "$tmp/bad.csv" "$tmp/bad.svg" \
			>"$tmp/out" 2>"$tmp/err"
		status=$?
		expect "ktmon-plot '$(echo "$csv" | tail -n 1)'" 1 "" "bad.csv: "
	done
else
	expect "ktmon --plot without matplotlib" 3 "" "python3-matplotlib"
	hold "ktmon --plot: nothing recorded" test ! -e "$tmp/csv2"
fi
rm "$tmp/bin/ktmon-plot"
PATH=/usr/bin:/bin "$tmp/bin/ktmon" -D "$tmp/ring" -a -d 0 --plot="$tmp/plot3.svg" \
	>"$tmp/out" 2>"$tmp/err"
status=$?
expect "ktmon --plot without ktmon-plot" 3 "" "ktmon-plot: No such file"

# Work, as far as it goes without the module: each page faults once a round.
plain ktwork -n -m 8 -i 3 -t 0 -f
expect "ktwork" 0 "^pid [0-9]* minor [0-9]* major 0 user_ms" ""
hold "ktwork: faults" awk -v page="$(getconf PAGESIZE)" '
	{ pages = 3 * 8 * 1048576 / page; exit $4 < pages || $4 > pages + 16 }' "$tmp/out"
plain ktwork -n -m 8 -i 1 -t 1000 -a local
cp "$tmp/out" "$tmp/local"
plain ktwork -n -m 8 -i 1 -t 1000
hold "ktwork: locality has fewer faults" awk 'NR == 1 { local = $4 } END { exit 2 * local > $4 }' \
	"$tmp/local" "$tmp/out"
: >"$tmp/status"
plain ktwork -S "$tmp/status" -m 1 -i 1
expect "ktwork registers" 0 "^pid " ""
hold "ktwork: and unregisters" grep -q "^U $(sed 's/^pid \([0-9]*\) .*/\1/' "$tmp/out")$" \
	"$tmp/status"
