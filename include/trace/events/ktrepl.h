/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM ktrepl

#if !defined(_TRACE_KTREPL_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_KTREPL_H

#include <linux/tracepoint.h>

TRACE_EVENT(ktrepl_switch,

	TP_PROTO(bool on, unsigned long pages),

	TP_ARGS(on, pages),

	TP_STRUCT__entry(
		__field(bool, on)
		__field(unsigned long, pages)
	),

	TP_fast_assign(
		__entry->on = on;
		__entry->pages = pages;
	),

	TP_printk("%s pages=%lu", __entry->on ? "on" : "off", __entry->pages)
);

TRACE_EVENT(ktrepl_alloc_fail,

	TP_PROTO(int nid, size_t size),

	TP_ARGS(nid, size),

	TP_STRUCT__entry(
		__field(int, nid)
		__field(size_t, size)
	),

	TP_fast_assign(
		__entry->nid = nid;
		__entry->size = size;
	),

	TP_printk("nid=%d size=%zu", __entry->nid, __entry->size)
);

TRACE_EVENT(ktrepl_reclaim,

	TP_PROTO(unsigned long roots),

	TP_ARGS(roots),

	TP_STRUCT__entry(
		__field(unsigned long, roots)
	),

	TP_fast_assign(
		__entry->roots = roots;
	),

	TP_printk("roots=%lu", __entry->roots)
);

#endif /* _TRACE_KTREPL_H */

/* This part must be outside protection */
#include <trace/define_trace.h>
