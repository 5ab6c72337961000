// SPDX-License-Identifier: GPL-2.0
/// Making replicated parts of the image writable drops their replicas for good.
virtual report

@r@
identifier f = {set_memory_rw, set_memory_rwx};
identifier sym = {_text, _stext, _etext, __start_rodata, __end_rodata};
position p;
expression n;
@@
(
f@p((unsigned long)sym, n)
|
f@p((unsigned long)&sym, n)
)

@script:python depends on report@
p << r.p;
@@
coccilib.report.print_report(p[0], "set_memory_rw() on a replicated range")
