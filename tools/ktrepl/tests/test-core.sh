# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154 # sourced by tests/run
#
# ktrcore, on an image made by make-core.py.

text=ffffffff81000000
module=ffffffffc0000000

# core SPOIL [ARGUMENT...]
core()
{
	"$here/make-core.py" "$tmp/core" "$1"
	shift
	run on ktrcore "$tmp/core" "$@"
}

core ""
expect "core: all is equal" 0 - ""
golden "core: summary" core-summary.txt
core "" $text
expect "core: an address" 0 - ""
golden "core: a line" core-line.txt
core "" 0x$text 20
hold "core: 20 bytes are two lines" test "$(grep -c '^ffffffff8100001. node 1' "$tmp/out")" = 1
core "" $module
golden "core: a module, by page tables" core-module.txt
core "" ffffffff81004000 8
expect "core: outside all regions" 0 '^ffffffff81004000 all  *0000000000014000  02 00' ""
hold "core: outside all regions: one line" lacks "$tmp/out" node

core different
expect "core: one differs" 1 'node 1: 2 replicas, 1 different' 'node 1 differs in the page of 0xffffffff81001000'
core different ffffffff81001000
expect "core: the byte" 1 '^ffffffff81001000 node 1 .* differs$' -
hold "core: only there" test "$(grep -c differs "$tmp/out")" = 1
core live ffffffff81001000
expect "core: live: the primary is read by the linear map" 1 'node 1 .*  differs$' -
hold "core: live: this CPU's is read by the image" grep -q '^ffffffff81001000 CPU [0-9].* differs$' \
	"$tmp/out"
core live $module 1
expect "core: live: a module" 0 '^ffffffffc0000000 CPU [0-9]*  *02$' ""
core module $module
expect "core: a module differs" 1 '^ffffffffc0000000 node 0 .* differs$' -
core stale $text
expect "core: stale: node 1 executes the primary" 0 'node 1   0000000000010000 ' ""
core dying $module
expect "core: dying: its region is gone" 0 '^ffffffffc0000000: in no region$' ""
core "" ffff888000052ff8 16
expect "core: left out" 0 '^ffff888000053000 all  *0000000000053000  00 00 00 00 00 00 00 00$' ""
core dead $text
expect "core: not live: node 1 executes the primary" 0 'node 1   0000000000010000 ' ""
core dead
expect "core: not live" 0 '^ktrepl is on: nodes 0 live$' ""
core off
expect "core: off" 0 '^ktrepl is not on$' ""
core large $module
expect "core: in a large page" 0 'primary  0000000000000000 ' ""
core unmapped $module
expect "core: nothing there" 3 - 'nothing is mapped at 0xffffffffc0000000'
core plain
expect "core: a kernel without ktrepl" 3 "" 'VMCOREINFO has no SYMBOL(ktrepl_nr_nodes)'
core uninformed
expect "core: no VMCOREINFO" 3 "" 'has no VMCOREINFO'

"$here/make-core.py" "$tmp/core"
truncate -s 100000 "$tmp/core"
run on ktrcore "$tmp/core"
expect "core: cut off" 3 - 'ends early'
printf 'KDUMP   %100s' "" >"$tmp/core"
run on ktrcore "$tmp/core"
expect "core: compressed" 3 "" 'have makedumpfile -E write the dump'
printf '%200s' "" >"$tmp/core"
run on ktrcore "$tmp/core"
expect "core: no ELF" 3 "" 'not a 64-bit ELF image'
run on ktrcore "$tmp/none"
expect "core: no file" 3 "" 'none: No such file'
run on ktrcore
expect "core: no arguments" 2 "" 'expected FILE'
run on ktrcore "$tmp/core" xyz
expect "core: no address" 2 "" "'xyz' is not a hexadecimal address"
run on ktrcore "$tmp/core" 0 4097
expect "core: too much" 2 "" 'not between 1 and 4096'
