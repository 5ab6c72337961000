// SPDX-License-Identifier: GPL-2.0
/*
 * ktrepl-ab: recordings. A recording is text, a fact a line; "#" begins a comment:
 *
 *	vendor intel|amd|arm64|none MODEL
 *	load NAME
 *	place CPU NODE
 *	event all|local|remote NAME
 *	memory NODE FIRST LAST			physical addresses, hexadecimal
 *	slot off|on SAMPLES NS MEDIAN		four of them a round: off, on, on, off
 *	count all|local|remote VALUE		of the slot above, as are the next
 *	ibs CTL LINEAR PHYSICAL			registers of a fetch sample, hexadecimal
 */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ab.h"

static const char * const vendors[] = {
	[AB_NONE] = "none",
	[AB_INTEL] = "intel",
	[AB_AMD] = "amd",
	[AB_ARM64] = "arm64",
};

static const char * const counts[] = {
	[AB_ALL] = "all",
	[AB_LOCAL] = "local",
	[AB_REMOTE] = "remote",
};

const char *ab_vendor_name(enum ab_vendor vendor)
{
	return vendors[vendor];
}

const char *ab_count_name(enum ab_count count)
{
	return counts[count];
}

void ab_run_free(struct ab_run *run)
{
	size_t i;

	for (i = 0; i < run->nr; i++)
		free(run->slot[i].ibs);
	for (i = 0; i < AB_NR_COUNTS; i++)
		free(run->event[i]);
	free(run->slot);
	free(run->memory);
	free(run->cpu_model);
	free(run->load);
}

/* === Writing ============================================================= */

static void write_slot(FILE *out, const struct ab_slot *slot)
{
	size_t i;

	fprintf(out, "slot %s %llu %llu %.3f\n", slot->on ? "on" : "off", slot->samples,
		slot->ns, slot->median);
	for (i = 0; i < AB_NR_COUNTS; i++) {
		if (slot->counted[i])
			fprintf(out, "count %s %llu\n", counts[i], slot->count[i]);
	}
	for (i = 0; i < slot->nr_ibs; i++)
		fprintf(out, "ibs %llx %llx %llx\n", slot->ibs[i].ctl, slot->ibs[i].linear,
			slot->ibs[i].physical);
}

static void write_run(FILE *out, const struct ab_run *run)
{
	size_t i;

	fprintf(out, "vendor %s %s\nload %s\nplace %d %d\n", vendors[run->vendor],
		run->cpu_model, run->load, run->cpu, run->nid);
	for (i = 0; i < AB_NR_COUNTS; i++) {
		if (run->event[i])
			fprintf(out, "event %s %s\n", counts[i], run->event[i]);
	}
	for (i = 0; i < run->nr_memory; i++)
		fprintf(out, "memory %d %llx %llx\n", run->memory[i].nid, run->memory[i].first,
			run->memory[i].last);
	for (i = 0; i < run->nr; i++)
		write_slot(out, &run->slot[i]);
}

void ab_stream_write(const char *path, const struct ab_run *run)
{
	struct aside aside;
	int err = aside_open(&aside, path);

	if (!err) {
		write_run(aside.out, run);
		err = aside_commit(&aside);
	}
	if (err)
		die(EXIT_FAILED, "%s: %s", path, strerror(-err));
}

/* === Reading ============================================================= */

struct line {
	const char *path;
	unsigned int nr;
	struct words words;
};

static void __noreturn bad_line(const struct line *line, const char *expected)
{
	die(EXIT_FAILED, "%s line %u: expected %s", line->path, line->nr, expected);
}

static size_t word_of(const struct line *line, size_t i, const char * const *names, size_t nr,
		      const char *expected)
{
	size_t k;

	for (k = 0; i < line->words.nr && k < nr; k++) {
		if (!strcmp(line->words.w[i], names[k]))
			return k;
	}
	bad_line(line, expected);
}

static u64 number_of(const struct line *line, size_t i, int base, const char *expected)
{
	u64 v;

	if (i >= line->words.nr || !parse_u64(line->words.w[i], base, &v))
		bad_line(line, expected);
	return v;
}

static int id_of(const struct line *line, size_t i, const char *expected)
{
	int id;

	if (i >= line->words.nr || !parse_int(line->words.w[i], &id))
		bad_line(line, expected);
	return id;
}

static struct ab_slot *last_slot(const struct line *line, struct ab_run *run)
{
	if (!run->nr)
		bad_line(line, "a slot before it");
	return &run->slot[run->nr - 1];
}

static void read_slot(const struct line *line, struct ab_run *run)
{
	static const char * const modes[] = { "off", "on" };
	static const char expected[] =
		"'slot off|on SAMPLES NS MEDIAN', four a round: off, on, on, off";
	struct ab_slot slot = {
		.on = word_of(line, 1, modes, 2, expected),
		.samples = number_of(line, 2, 10, expected),
		.ns = number_of(line, 3, 10, expected),
	};
	char *end = NULL;

	if (line->words.nr > 4)
		slot.median = strtod(line->words.w[4], &end);
	if (!end || *end || !isfinite(slot.median) || slot.median <= 0 || !slot.ns ||
	    slot.on != ab_slot_is_on(run->nr))
		bad_line(line, expected);
	run->slot = xgrow(run->slot, run->nr, sizeof(slot));
	run->slot[run->nr++] = slot;
}

static void read_ibs(const struct line *line, struct ab_run *run)
{
	static const char expected[] = "'ibs CTL LINEAR PHYSICAL', hexadecimal";
	struct ab_slot *slot = last_slot(line, run);

	slot->ibs = xgrow(slot->ibs, slot->nr_ibs, sizeof(*slot->ibs));
	slot->ibs[slot->nr_ibs++] = (struct ab_ibs) {
		.ctl = number_of(line, 1, 16, expected),
		.linear = number_of(line, 2, 16, expected),
		.physical = number_of(line, 3, 16, expected),
	};
}

static void read_count(const struct line *line, struct ab_run *run)
{
	static const char expected[] = "'count all|local|remote VALUE'";
	struct ab_slot *slot = last_slot(line, run);
	size_t i = word_of(line, 1, counts, AB_NR_COUNTS, expected);

	slot->count[i] = number_of(line, 2, 10, expected);
	slot->counted[i] = true;
}

static void read_memory(const struct line *line, struct ab_run *run)
{
	static const char expected[] = "'memory NODE FIRST LAST', hexadecimal";

	run->memory = xgrow(run->memory, run->nr_memory, sizeof(*run->memory));
	run->memory[run->nr_memory++] = (struct ab_memory) {
		.nid = id_of(line, 1, expected),
		.first = number_of(line, 2, 16, expected),
		.last = number_of(line, 3, 16, expected),
	};
}

/* The rest of the line. */
static char *rest_of(const struct line *line, size_t i)
{
	char *text = xstrdup(""), *more;

	for (; i < line->words.nr; i++) {
		more = xasprintf("%s%s%s", text, *text ? " " : "", line->words.w[i]);
		free(text);
		text = more;
	}
	return text;
}

static void replace(char **text, char *with)
{
	free(*text);
	*text = with;
}

static void read_head(const struct line *line, struct ab_run *run)
{
	const char *kind = line->words.w[0];

	if (!strcmp(kind, "vendor")) {
		run->vendor = word_of(line, 1, vendors, AB_NR_VENDORS,
				      "'vendor intel|amd|arm64|none MODEL'");
		replace(&run->cpu_model, rest_of(line, 2));
	} else if (!strcmp(kind, "load")) {
		replace(&run->load, rest_of(line, 1));
	} else if (!strcmp(kind, "place")) {
		run->cpu = id_of(line, 1, "'place CPU NODE'");
		run->nid = id_of(line, 2, "'place CPU NODE'");
	} else if (!strcmp(kind, "event")) {
		replace(&run->event[word_of(line, 1, counts, AB_NR_COUNTS,
					    "'event all|local|remote NAME'")],
			rest_of(line, 2));
	} else {
		bad_line(line, "vendor, load, place, event, memory, slot, count or ibs");
	}
}

static void read_line(const struct line *line, struct ab_run *run)
{
	const char *kind = line->words.w[0];

	if (!strcmp(kind, "slot"))
		read_slot(line, run);
	else if (!strcmp(kind, "count"))
		read_count(line, run);
	else if (!strcmp(kind, "ibs"))
		read_ibs(line, run);
	else if (!strcmp(kind, "memory"))
		read_memory(line, run);
	else
		read_head(line, run);
}

void ab_stream_read(const char *path, struct ab_run *run)
{
	char *text = read_text(path, NULL), *rest = text, *s;
	struct line line = { .path = path };

	if (!text)
		die(EXIT_FAILED, "%s: %s", path, strerror(errno));
	while ((s = strsep(&rest, "\n"))) {
		line.nr++;
		s[strcspn(s, "#")] = '\0';
		words_split(s, &line.words);
		if (line.words.nr)
			read_line(&line, run);
		words_free(&line.words);
	}
	free(text);
	if (!run->cpu_model || !run->load || !run->nr || run->nr % AB_SLOTS)
		die(EXIT_FAILED,
		    "%s: not a whole recording: expected vendor, load and four slots a round",
		    path);
}
