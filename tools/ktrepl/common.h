/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What all the ktrepl programs share and that knows nothing of ktrepl:
 * messages and exit codes, numbers and lists, whole files, words, JSON.
 */
#ifndef KTREPL_TOOLS_COMMON_H
#define KTREPL_TOOLS_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define KTREPL_TOOLS_VERSION	"0.1"

#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define __printf(a, b)		__attribute__((format(printf, a, b)))
#define __noreturn		__attribute__((noreturn))

typedef unsigned long long u64;

/* The exit codes of every program here. */
enum {
	EXIT_OK		 = 0,
	EXIT_FAILED	 = 1,	/* a check failed */
	EXIT_USAGE	 = 2,	/* the command line makes no sense */
	EXIT_UNAVAILABLE = 3,	/* this machine cannot do it */
};

#define EXIT_CODES_HELP \
	"Exit status: 0 all checks passed, 1 a check failed, 2 usage error,\n" \
	"3 not available (debugfs not mounted, kernel without ktrepl, not root).\n"

/* Messages. The name is set once, first thing in main(). */
void progname_set(const char *argv0);
void say_error(const char *fmt, ...) __printf(1, 2);
void die(int code, const char *fmt, ...) __printf(2, 3) __noreturn;
void die_usage(const char *fmt, ...) __printf(1, 2) __noreturn;
void print_version_and_exit(void) __noreturn;

/*
 * Programs that execute themselves as "something short" do so with this one
 * argument, and call exec_noop_check() first thing in main().
 */
#define EXEC_NOOP	"--noop"
void exec_noop_check(int argc, char **argv);

/*
 * A failed check: said at once on stderr and kept, so that the exit code and
 * the JSON report can tell. Safe to call from several threads.
 */
void fail(const char *fmt, ...) __printf(1, 2);
unsigned int fail_count(void);
const char *fail_text(unsigned int i);

/* Memory: running out of it ends the program. */
void *xcalloc(size_t n, size_t size);
void *xgrow(void *array, size_t used, size_t size);
char *xstrdup(const char *s);
char *xasprintf(const char *fmt, ...) __printf(1, 2);

/* Numbers: all of the string and nothing but a number, or false. */
bool parse_u64(const char *s, int base, u64 *out);
bool parse_int(const char *s, int *out);

/* Option arguments: a bad one is a usage error. */
u64 opt_number(const char *name, const char *arg, u64 min, u64 max);

/* Lists of nodes or CPUs as the kernel prints them: "0-3,8". */
struct idlist {
	struct idrange {
		int first, last;
	} *r;
	size_t nr;
};

bool idlist_parse(const char *s, struct idlist *list);
bool idlist_has(const struct idlist *list, int id);
size_t idlist_count(const struct idlist *list);
int idlist_nth(const struct idlist *list, size_t n);
void idlist_free(struct idlist *list);

/* Files. read_text() returns NULL and errno; the length is in *len if asked. */
char *read_text(const char *path, size_t *len);
int write_text(const char *path, const char *text);

/*
 * A file that takes the place of another at once: print to .out, then commit. A
 * reader finds the old one or the new one, whole, and an error leaves the old
 * one. What is no regular file, such as a pipe, is written itself. 0 or -errno.
 */
struct aside {
	const char *path;
	char *tmp;			/* NULL: .out is the file itself */
	FILE *out;
};

int aside_open(struct aside *aside, const char *path);
int aside_commit(struct aside *aside);

/* Words of one line, cut in place. */
struct words {
	char **w;
	size_t nr;
};

void words_split(char *line, struct words *words);
void words_free(struct words *words);

/*
 * JSON, written as it comes, to stdout unless json_to() says where; NULL names
 * are for members of arrays.
 */
void json_to(FILE *out);
void json_open(const char *name, char bracket);
void json_close(char bracket);
void json_u64(const char *name, u64 v);
void json_int(const char *name, long long v);
void json_bool(const char *name, bool v);
void json_str(const char *name, const char *s);
void json_hex(const char *name, u64 v);
void json_failures(void);

#endif /* KTREPL_TOOLS_COMMON_H */
