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

DECLARE_EVENT_CLASS(ktrepl_page,

	TP_PROTO(int nid, unsigned long addr),

	TP_ARGS(nid, addr),

	TP_STRUCT__entry(
		__field(int, nid)
		__field(unsigned long, addr)
	),

	TP_fast_assign(
		__entry->nid = nid;
		__entry->addr = addr;
	),

	TP_printk("nid=%d addr=%lx", __entry->nid, __entry->addr)
);

/* A replica of the page at @addr has been filled on node @nid. */
DEFINE_EVENT(ktrepl_page, ktrepl_copy,
	TP_PROTO(int nid, unsigned long addr),
	TP_ARGS(nid, addr)
);

/* Node @nid has lost its replica of the page at @addr. */
DEFINE_EVENT(ktrepl_page, ktrepl_drop,
	TP_PROTO(int nid, unsigned long addr),
	TP_ARGS(nid, addr)
);

/*
 * Node @nid, which has a replica of the page at @addr, maps the original: it has
 * been made writable, or all nodes are to start again.
 */
DEFINE_EVENT(ktrepl_page, ktrepl_fallback,
	TP_PROTO(int nid, unsigned long addr),
	TP_ARGS(nid, addr)
);

/* The original and its replicas have been written. */
TRACE_EVENT(ktrepl_poke,

	TP_PROTO(unsigned long addr, unsigned int len, unsigned int replicas),

	TP_ARGS(addr, len, replicas),

	TP_STRUCT__entry(
		__field(unsigned long, addr)
		__field(unsigned int, len)
		__field(unsigned int, replicas)
	),

	TP_fast_assign(
		__entry->addr = addr;
		__entry->len = len;
		__entry->replicas = replicas;
	),

	TP_printk("addr=%lx (%pS) len=%u replicas=%u", __entry->addr,
		  (void *)__entry->addr, __entry->len, __entry->replicas)
);

#define KTREPL_HEALS						\
	EM(KTREPL_HEAL_POKE,	"written again")		\
	EM(KTREPL_HEAL_PAGE,	"page written")			\
	EM(KTREPL_HEAL_RETIRE,	"memory taken out of use")	\
	EMe(KTREPL_HEAL_GIVE_UP, "node given up")

#ifndef _TRACE_KTREPL_ENUM
#define _TRACE_KTREPL_ENUM

/* What has been done about a replica that differed from its original. */
#undef EM
#undef EMe
#define EM(a, b)	a,
#define EMe(a, b)	a
enum ktrepl_heal_step { KTREPL_HEALS };

#endif

#undef EM
#undef EMe
#define EM(a, b)	TRACE_DEFINE_ENUM(a);
#define EMe(a, b)	TRACE_DEFINE_ENUM(a);
KTREPL_HEALS

#undef EM
#undef EMe
#define EM(a, b)	{ a, b },
#define EMe(a, b)	{ a, b }

/* The replica on node @nid differed from the original at @addr. */
TRACE_EVENT(ktrepl_heal,

	TP_PROTO(int nid, unsigned long addr, enum ktrepl_heal_step done),

	TP_ARGS(nid, addr, done),

	TP_STRUCT__entry(
		__field(int, nid)
		__field(unsigned long, addr)
		__field(int, done)
	),

	TP_fast_assign(
		__entry->nid = nid;
		__entry->addr = addr;
		__entry->done = done;
	),

	TP_printk("nid=%d addr=%lx %s", __entry->nid, __entry->addr,
		  __print_symbolic(__entry->done, KTREPL_HEALS))
);

/* All replicas have been compared with their originals. */
TRACE_EVENT(ktrepl_verify,

	TP_PROTO(unsigned long compared, unsigned long different,
		 unsigned long doubtful),

	TP_ARGS(compared, different, doubtful),

	TP_STRUCT__entry(
		__field(unsigned long, compared)
		__field(unsigned long, different)
		__field(unsigned long, doubtful)
	),

	TP_fast_assign(
		__entry->compared = compared;
		__entry->different = different;
		__entry->doubtful = doubtful;
	),

	TP_printk("compared=%lu different=%lu doubtful=%lu",
		  __entry->compared, __entry->different, __entry->doubtful)
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
