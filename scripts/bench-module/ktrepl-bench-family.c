// SPDX-License-Identifier: GPL-2.0
/*
 * An address family that comes and goes, for scripts/table: on each CPU in turn,
 * socket() finds it while it is registered, and does not before and after.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cpu.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>
#include <net/sock.h>

/* One that the kernel has no use for. */
#define FAMILY	PF_KCM

static int family_create(struct net *net, struct socket *sock, int protocol, int kern)
{
	return -EPROTONOSUPPORT;
}

static const struct net_proto_family family = {
	.family	= FAMILY,
	.create	= family_create,
	.owner	= THIS_MODULE,
};

static long family_try(void *unused)
{
	struct socket *sock;

	return sock_create_kern(&init_net, FAMILY, SOCK_STREAM, 0, &sock);
}

/* The guest fails where the kernel warns. */
static void family_expect(int wanted)
{
	int cpu, err;

	cpus_read_lock();
	for_each_online_cpu(cpu) {
		err = work_on_cpu(cpu, family_try, NULL);
		WARN(err != wanted, "CPU %d: %d, expected %d\n", cpu, err, wanted);
	}
	cpus_read_unlock();
	pr_info("%d on all CPUs\n", wanted);
}

static int __init family_init(void)
{
	int err;

	family_expect(-EAFNOSUPPORT);
	err = sock_register(&family);
	if (err)
		return err;
	WARN_ON(sock_register(&family) != -EEXIST);
	family_expect(-EPROTONOSUPPORT);
	return 0;
}

static void __exit family_exit(void)
{
	sock_unregister(FAMILY);
	family_expect(-EAFNOSUPPORT);
}

module_init(family_init);
module_exit(family_exit);
MODULE_DESCRIPTION("An address family that comes and goes");
MODULE_LICENSE("GPL");
