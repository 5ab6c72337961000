// SPDX-License-Identifier: GPL-2.0
/*
 * Notifier chain: what happens to replication, for other subsystems.
 *
 * Callbacks run under ktrepl_mutex, so that what they are told is true as long
 * as they run, and the events of a node come in order.
 */

#include <linux/export.h>
#include <linux/notifier.h>

#include "internal.h"

static BLOCKING_NOTIFIER_HEAD(ktrepl_chain);

int ktrepl_register_notifier(struct notifier_block *nb)
{
	return blocking_notifier_chain_register(&ktrepl_chain, nb);
}
EXPORT_SYMBOL_GPL(ktrepl_register_notifier);

int ktrepl_unregister_notifier(struct notifier_block *nb)
{
	return blocking_notifier_chain_unregister(&ktrepl_chain, nb);
}
EXPORT_SYMBOL_GPL(ktrepl_unregister_notifier);

/**
 * ktrepl_notify - tell of an event
 * @event: what has happened
 * @nid:   on which node, or NUMA_NO_NODE
 * @addr:  the address that it is about, or 0
 *
 * Context: Process context, ktrepl_mutex held.
 */
void ktrepl_notify(enum ktrepl_event event, int nid, unsigned long addr)
{
	struct ktrepl_event_data data = { .nid = nid, .addr = addr };

	lockdep_assert_held(&ktrepl_mutex);

	blocking_notifier_call_chain(&ktrepl_chain, event, &data);
}

/* Tells of one node, if it is not what it was when it was told of last. */
static void ktrepl_announce_node(struct ktrepl_node *node)
{
	if (node->live == node->announced)
		return;
	node->announced = node->live;
	ktrepl_notify(node->live ? KTREPL_NODE_GAINED : KTREPL_NODE_LOST,
		      node->nid, 0);
}

/**
 * ktrepl_announce - tell of the state and of nodes, where they have changed
 *
 * Comes last wherever they may have: a node that CPUs leave for a moment, and
 * come back to, is not told of.
 *
 * Context: Process context, ktrepl_mutex held.
 */
void ktrepl_announce(void)
{
	static bool announced;
	bool on = ktrepl_is_on();
	int nid;

	if (on && !announced)
		ktrepl_notify(KTREPL_SWITCHED_ON, NUMA_NO_NODE, 0);
	for (nid = 0; nid < ktrepl_nr_nodes; nid++)
		if (ktrepl_nodes[nid])
			ktrepl_announce_node(ktrepl_nodes[nid]);
	if (!on && announced)
		ktrepl_notify(KTREPL_SWITCHED_OFF, NUMA_NO_NODE, 0);
	announced = on;
}
