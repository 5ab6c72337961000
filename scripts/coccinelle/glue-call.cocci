// SPDX-License-Identifier: GPL-2.0
/// Only lib/ktrepl calls the glue.  For files outside of it.
virtual report

@r@
identifier f =~ "^arch_ktrepl_";
position p;
@@
f@p(...)

@script:python depends on report@
p << r.p;
@@
coccilib.report.print_report(p[0], "the glue is called from outside lib/ktrepl")
