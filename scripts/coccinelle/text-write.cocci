// SPDX-License-Identifier: GPL-2.0
/// A replica is written through the glue's temporary alias, never through its
/// linear alias, which is read-only.
virtual report

@r@
expression region, nid, i, off;
position p;
@@
(
memcpy@p(page_address(ktrepl_region_replica(region, nid, i)) + off, ...)
|
memcpy@p(page_address(ktrepl_region_replica(region, nid, i)), ...)
|
memset@p(page_address(ktrepl_region_replica(region, nid, i)), ...)
|
copy_page@p(page_address(ktrepl_region_replica(region, nid, i)), ...)
)

@v@
expression region, nid, i, off;
identifier page;
position p;
@@
page = ktrepl_region_replica(region, nid, i);
... when != page = ...
(
memcpy@p(page_address(page) + off, ...)
|
memcpy@p(page_address(page), ...)
|
memset@p(page_address(page), ...)
|
copy_page@p(page_address(page), ...)
)

@script:python depends on report@
p << r.p;
@@
coccilib.report.print_report(p[0], "write to a replica past arch_ktrepl_write()")

@script:python depends on report@
p << v.p;
@@
coccilib.report.print_report(p[0], "write to a replica past arch_ktrepl_write()")
