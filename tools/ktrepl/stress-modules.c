// SPDX-License-Identifier: GPL-2.0
/*
 * ktrepl-stress: modules loaded and unloaded, with probes in some of them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kmod.h"
#include "stress.h"

/* A list this long is a distribution's: some of it had better not be loaded. */
#define MAX_UNCHOSEN	64

static struct kmods mods;
static bool can_probe;

/* The first that is still loaded, or NULL. */
static struct kmod *unload_all(struct activity *a, unsigned int patience_ms)
{
	u64 deadline = now_ns() + patience_ms * 1000000ULL;
	struct kmod *left;
	bool progress;
	size_t i;

	for (;;) {
		left = NULL;
		progress = false;
		for (i = 0; i < mods.nr; i++) {
			if (!mods.m[i].loaded)
				continue;
			if (!kmod_unload(&mods.m[i])) {
				progress = true;
				if (a)
					stress_count(a, 1);
			} else if (!left) {
				left = &mods.m[i];
			}
		}
		if (!left || (!progress && now_ns() > deadline))
			return left;
		if (!progress)
			sleep_ms(10);
	}
}

/*
 * The first time, a module leaves memory behind: this is before free memory is
 * looked at. What cannot be unloaded stays, and is nothing of ours any more.
 */
static int try_module(struct kmod *m)
{
	struct kmod *left;
	int err = kmod_load(&mods, m);

	while ((left = unload_all(NULL, 200))) {
		left->loaded = false;
		left->foreign = true;
	}
	m->usable = !err && !m->foreign;
	return err;
}

static const char *choose(char *list)
{
	char *rest = list, *name;
	struct kmod *m;

	while ((name = strsep(&rest, ","))) {
		m = kmods_find(&mods, name);
		if (!m)
			return xasprintf("%s/modules.dep has no %s", mods.dir,
					 name);
		m->usable = true;
	}
	return NULL;
}

/* A live patch stays until it is disabled. */
static bool is_livepatch(const struct kmod *m)
{
	return !strncmp(m->name, "livepatch", strlen("livepatch"));
}

static const char *choose_modules(void)
{
	const char *why = NULL;
	char *list;
	size_t i;

	if (stress.modules) {
		list = xstrdup(stress.modules);
		why = choose(list);
		free(list);
	} else if (mods.nr > MAX_UNCHOSEN) {
		why = xasprintf("%s has %zu modules: choose with --modules",
				mods.dir, mods.nr);
	} else {
		for (i = 0; i < mods.nr; i++)
			mods.m[i].usable = !is_livepatch(&mods.m[i]);
	}
	return why;
}

static const char *modules_obstacle(void)
{
	int err = kmods_read(&mods), last = -ENOENT;
	size_t i, usable = 0;
	const char *why;

	if (err)
		return xasprintf("%s/modules.dep: %s", mods.dir,
				 strerror(-err));
	why = choose_modules();
	if (why)
		return why;
	for (i = 0; i < mods.nr; i++) {
		if (!mods.m[i].usable)
			continue;
		err = try_module(&mods.m[i]);
		if (err)
			last = err;
		usable += mods.m[i].usable;
	}
	if (!usable)
		return xasprintf("no module of %s can be loaded and unloaded: %s",
				 mods.dir, strerror(-last));
	can_probe = !trace_obstacle("kprobe_events", "no probes");
	return NULL;
}

/* === Probes ============================================================== */

/* "address type symbol [module]": is it one of that module's functions? */
static bool is_function(const struct words *words, const char *module)
{
	size_t len = strlen(module);

	return words->nr == 4 &&
	       (!strcmp(words->w[1], "t") || !strcmp(words->w[1], "T")) &&
	       words->w[3][0] == '[' &&
	       !strncmp(words->w[3] + 1, module, len) &&
	       !strcmp(words->w[3] + 1 + len, "]");
}

/* Any of its functions, or NULL. */
static char *random_function(struct activity *a, const char *module)
{
	char *text = read_text("/proc/kallsyms", NULL);
	char *rest = text, *line, *found = NULL;
	unsigned int seen = 0;
	struct words words;

	while (text && (line = strsep(&rest, "\n"))) {
		/* Few lines are a module's. */
		if (!strchr(line, '['))
			continue;
		words_split(line, &words);
		if (is_function(&words, module) &&
		    !rng_below(&a->rng, ++seen)) {
			free(found);
			found = xasprintf("%s:%s", module, words.w[2]);
		}
		words_free(&words);
	}
	free(text);
	return found;
}

/* Some functions cannot be probed. A probe that is set must work and go. */
static void probe_module(struct activity *a, const char *module)
{
	char *function = random_function(a, module);
	int err, remove_err;

	if (!function)
		return;
	if (probe_add('p', "m", function, 0)) {
		stress_count(a, 3);
		free(function);
		return;
	}
	err = probe_enable("m", true);
	sleep_us(rng_below(&a->rng, 5000));
	if (!err)
		err = probe_enable("m", false);
	remove_err = probe_remove("m");
	if (err || remove_err)
		fail("modules: probe of %s: %s", function,
		     strerror(err ? -err : -remove_err));
	stress_count(a, 2);
	free(function);
}

/* === modules ============================================================= */

static struct kmod *random_module(struct activity *a)
{
	unsigned int seen = 0;
	struct kmod *m = NULL;
	size_t i;

	for (i = 0; i < mods.nr; i++) {
		if (mods.m[i].usable && !rng_below(&a->rng, ++seen))
			m = &mods.m[i];
	}
	return m;
}

/* Being refused is normal: in use, needed, or loaded by others meanwhile. */
static void modules_run(struct activity *a)
{
	struct kmod *m;
	bool load;

	while (stress_going(a)) {
		stress_on_cpu(a, stress_any_cpu(a));
		m = random_module(a);
		load = !m->loaded;
		if (load ? kmod_load(&mods, m) : kmod_unload(m)) {
			stress_count(a, 3);
		} else {
			stress_count(a, load ? 0 : 1);
			if (load && can_probe && !rng_below(&a->rng, 4))
				probe_module(a, m->name);
		}
		/* Replicas are made some 20 ms later: before and after that. */
		sleep_us(rng_below(&a->rng, 40000));
	}
	m = unload_all(a, 5000);
	if (m)
		fail("modules: %s cannot be unloaded", m->name);
	kmods_free(&mods);
}

static struct activity modules = {
	.name = "modules",
	.help = "load and unload modules, set probes in them",
	.counter = {
		"modules loaded", "modules unloaded", "probes in modules",
		"refusals",
	},
	.obstacle = modules_obstacle,
	.run = modules_run,
	.by_default = true,
};

/* === livepatch =========================================================== */

#define LIVEPATCH	"/sys/kernel/livepatch"
#define PATCH		LIVEPATCH "/livepatch_sample"
#define PATCHED		"this has been live patched\n"
#define PATCH_WAIT_NS	(100 * 1000000000ULL)

static struct kmods patches;
static struct kmod *patch;

static const char *livepatch_obstacle(void)
{
	if (access(LIVEPATCH, F_OK))
		return "no " LIVEPATCH " (CONFIG_LIVEPATCH)";
	if (!kmods_read(&patches))
		patch = kmods_find(&patches, "livepatch_sample");
	return patch ? NULL : "no livepatch-sample (CONFIG_SAMPLE_LIVEPATCH)";
}

/* All tasks run what the patch says, or it is gone. */
static bool patch_settled(void)
{
	char *text = read_text(PATCH "/transition", NULL);
	bool settled = !text || *text == '0';

	free(text);
	return settled;
}

static bool patch_gone(void)
{
	return access(PATCH, F_OK);
}

static bool patch_wait(bool (*done)(void), const char *what)
{
	u64 deadline = now_ns() + PATCH_WAIT_NS;

	while (!done()) {
		if (now_ns() > deadline) {
			fail("livepatch: %s", what);
			return false;
		}
		sleep_ms(10);
	}
	return true;
}

/* Every CPU runs the patched function, or every CPU the old one. */
static void show_all_cpus(struct activity *a, bool patched)
{
	size_t i = 0;
	char *text;
	int cpu;

	while ((cpu = stress_next_cpu(a, &i)) >= 0) {
		text = read_text("/proc/cmdline", NULL);
		if (!text || !strcmp(text, PATCHED) != patched)
			fail("livepatch: cpu %d runs the %s function", cpu,
			     patched ? "old" : "patched");
		stress_count(a, 1);
		free(text);
	}
}

static bool patch_load(void)
{
	int err = kmod_load(&patches, patch);

	if (err)
		fail("livepatch: cannot be loaded: %s", strerror(-err));
	return !err && patch_wait(patch_settled, "not all tasks are patched");
}

static bool patch_unload(void)
{
	u64 deadline = now_ns() + PATCH_WAIT_NS;
	int err = write_text(PATCH "/enabled", "0");

	if (err) {
		fail("livepatch: cannot be disabled: %s", strerror(-err));
		return false;
	}
	if (!patch_wait(patch_gone, "it does not go"))
		return false;
	/* Its last reference goes a little later. */
	while ((err = kmod_unload(patch)) && now_ns() < deadline)
		sleep_ms(10);
	if (err)
		fail("livepatch: cannot be unloaded: %s", strerror(-err));
	return !err;
}

static void livepatch_run(struct activity *a)
{
	while (stress_going(a)) {
		if (!patch_load())
			break;
		show_all_cpus(a, true);
		if (!patch_unload())
			break;
		show_all_cpus(a, false);
		stress_count(a, 0);
		sleep_ms(rng_below(&a->rng, 500));
	}
	kmods_free(&patches);
}

static struct activity livepatch = {
	.name = "livepatch",
	.help = "patch a function live, see it on every CPU, take it back",
	.counter = { "live patches", "looks at the function" },
	.obstacle = livepatch_obstacle,
	.run = livepatch_run,
	.by_default = true,
};

struct activity *const module_activities[] = {
	&modules, &livepatch, NULL
};
