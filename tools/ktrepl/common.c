// SPDX-License-Identifier: GPL-2.0
/*
 * Messages, numbers, lists, files, words and JSON for the ktrepl programs.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common.h"

/* === Messages ============================================================ */

static const char *progname = "ktrepl";

void progname_set(const char *argv0)
{
	const char *slash = argv0 ? strrchr(argv0, '/') : NULL;

	if (argv0)
		progname = slash ? slash + 1 : argv0;
}

static void vsay(const char *fmt, va_list ap)
{
	fflush(stdout);
	fprintf(stderr, "%s: ", progname);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

void say_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsay(fmt, ap);
	va_end(ap);
}

void die(int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsay(fmt, ap);
	va_end(ap);
	exit(code);
}

void die_usage(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsay(fmt, ap);
	va_end(ap);
	fprintf(stderr, "Try '%s --help'.\n", progname);
	exit(EXIT_USAGE);
}

void print_version_and_exit(void)
{
	printf("%s (ktrepl tools) %s\n", progname, KTREPL_TOOLS_VERSION);
	exit(EXIT_OK);
}

void exec_noop_check(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], EXEC_NOOP))
		_exit(EXIT_OK);
}

/* === Failed checks ======================================================= */

static pthread_mutex_t fail_lock = PTHREAD_MUTEX_INITIALIZER;
static char **fails;		/* fail_lock */
static unsigned int nr_fails;	/* fail_lock */

void fail(const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		die(EXIT_FAILED, "out of memory");
	va_end(ap);

	pthread_mutex_lock(&fail_lock);
	fails = xgrow(fails, nr_fails, sizeof(*fails));
	fails[nr_fails++] = text;
	say_error("%s", text);
	pthread_mutex_unlock(&fail_lock);
}

unsigned int fail_count(void)
{
	unsigned int n;

	pthread_mutex_lock(&fail_lock);
	n = nr_fails;
	pthread_mutex_unlock(&fail_lock);
	return n;
}

const char *fail_text(unsigned int i)
{
	const char *text;

	pthread_mutex_lock(&fail_lock);
	text = i < nr_fails ? fails[i] : "";
	pthread_mutex_unlock(&fail_lock);
	return text;
}

/* === Memory ============================================================== */

void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		die(EXIT_FAILED, "out of memory");
	return p;
}

/*
 * Make room for one more member after @used; sizes are powers of two, so that
 * only a full array moves.
 */
void *xgrow(void *array, size_t used, size_t size)
{
	void *p;

	if (used & (used - 1))
		return array;
	p = reallocarray(array, used ? used * 2 : 1, size);
	if (!p)
		die(EXIT_FAILED, "out of memory");
	return p;
}

char *xstrdup(const char *s)
{
	char *p = strdup(s);

	if (!p)
		die(EXIT_FAILED, "out of memory");
	return p;
}

char *xasprintf(const char *fmt, ...)
{
	char *p = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&p, fmt, ap) < 0)
		die(EXIT_FAILED, "out of memory");
	va_end(ap);
	return p;
}

/* === Numbers and lists =================================================== */

bool parse_u64(const char *s, int base, u64 *out)
{
	char *end;

	/* strtoull() would also take blanks, signs and "0x". */
	if (!isxdigit((unsigned char)*s) || (base == 16 && s[1] == 'x'))
		return false;
	errno = 0;
	*out = strtoull(s, &end, base);
	return !errno && end != s && !*end;
}

bool parse_int(const char *s, int *out)
{
	u64 v;

	if (!parse_u64(s, 10, &v) || v > INT_MAX)
		return false;
	*out = v;
	return true;
}

u64 opt_number(const char *name, const char *arg, u64 min, u64 max)
{
	u64 v;

	if (!parse_u64(arg, 10, &v))
		die_usage("%s: '%s' is not a number", name, arg);
	if (v < min || v > max)
		die_usage("%s: %s is not between %llu and %llu", name, arg, min,
			  max);
	return v;
}

static bool idrange_parse(char *s, struct idrange *r)
{
	char *dash = strchr(s, '-');

	if (dash)
		*dash++ = '\0';
	if (!parse_int(s, &r->first))
		return false;
	r->last = r->first;
	return !dash || (parse_int(dash, &r->last) && r->last >= r->first);
}

/* The empty list is "" or "-" (which the kernel side prints for "none"). */
bool idlist_parse(const char *s, struct idlist *list)
{
	char *copy = xstrdup(s);
	char *rest = copy, *item;
	bool ok = true;

	list->r = NULL;
	list->nr = 0;
	if (!*s || !strcmp(s, "-"))
		rest = NULL;
	while (ok && (item = strsep(&rest, ","))) {
		list->r = xgrow(list->r, list->nr, sizeof(*list->r));
		ok = idrange_parse(item, &list->r[list->nr++]);
	}
	free(copy);
	if (!ok)
		idlist_free(list);
	return ok;
}

bool idlist_has(const struct idlist *list, int id)
{
	size_t i;

	for (i = 0; i < list->nr; i++) {
		if (id >= list->r[i].first && id <= list->r[i].last)
			return true;
	}
	return false;
}

size_t idlist_count(const struct idlist *list)
{
	size_t i, n = 0;

	for (i = 0; i < list->nr; i++)
		n += (size_t)list->r[i].last - list->r[i].first + 1;
	return n;
}

/* The @n-th id, counting from 0; -1 past the end. */
int idlist_nth(const struct idlist *list, size_t n)
{
	size_t i, here;

	for (i = 0; i < list->nr; i++) {
		here = (size_t)list->r[i].last - list->r[i].first + 1;
		if (n < here)
			return list->r[i].first + n;
		n -= here;
	}
	return -1;
}

void idlist_free(struct idlist *list)
{
	free(list->r);
	list->r = NULL;
	list->nr = 0;
}

/* === Files and words ===================================================== */

char *read_text(const char *path, size_t *len)
{
	size_t used = 0, room = 4096;
	char *buf, *bigger;
	ssize_t n;
	int fd, err = 0;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	buf = xcalloc(1, room);
	for (;;) {
		if (room - used < 2) {
			bigger = reallocarray(buf, 2, room);
			if (!bigger) {
				err = ENOMEM;
				break;
			}
			buf = bigger;
			room *= 2;
		}
		n = read(fd, buf + used, room - used - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			err = errno;
		if (n <= 0)
			break;
		used += n;
	}
	close(fd);
	if (err) {
		free(buf);
		errno = err;
		return NULL;
	}
	buf[used] = '\0';
	if (len)
		*len = used;
	return buf;
}

/* One write() of the whole text, as the kernel's files want it. */
int write_text(const char *path, const char *text)
{
	size_t len = strlen(text);
	ssize_t n;
	int fd, ret = 0;

	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	do {
		n = write(fd, text, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		ret = -errno;
	else if ((size_t)n != len)
		ret = -EIO;
	if (close(fd) && !ret)
		ret = -errno;
	return ret;
}

int aside_open(struct aside *aside, const char *path)
{
	struct stat st;
	int fd;

	*aside = (struct aside) { .path = path };
	if (lstat(path, &st) || S_ISREG(st.st_mode))
		aside->tmp = xasprintf("%s.XXXXXX", path);
	fd = aside->tmp ? mkstemp(aside->tmp) : open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd >= 0)
		aside->out = fdopen(fd, "w");
	if (aside->out)
		return 0;
	fd = -errno;
	free(aside->tmp);
	return fd;
}

/* Closes and frees whatever happens. mkstemp() lets nobody else read. */
int aside_commit(struct aside *aside)
{
	FILE *out = aside->out;
	int err = 0;

	if (ferror(out) || fflush(out) || (aside->tmp && fchmod(fileno(out), 0644)))
		err = errno ? -errno : -EIO;
	if (fclose(out) && !err)
		err = -errno;
	if (!err && aside->tmp && rename(aside->tmp, aside->path))
		err = -errno;
	if (err && aside->tmp)
		unlink(aside->tmp);
	free(aside->tmp);
	return err;
}

void words_split(char *line, struct words *words)
{
	char *save = NULL, *w;

	words->w = NULL;
	words->nr = 0;
	for (w = strtok_r(line, " \t", &save); w;
	     w = strtok_r(NULL, " \t", &save)) {
		words->w = xgrow(words->w, words->nr, sizeof(*words->w));
		words->w[words->nr++] = w;
	}
}

void words_free(struct words *words)
{
	free(words->w);
	words->w = NULL;
	words->nr = 0;
}

/* === JSON ================================================================ */

static FILE *json_file;		/* NULL: stdout */
static int json_depth;
static bool json_first = true;

void json_to(FILE *out)
{
	json_file = out;
}

static FILE *json_out(void)
{
	return json_file ? json_file : stdout;
}

static void json_string(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;

	putc('"', json_out());
	for (; *p; p++) {
		if (*p == '"' || *p == '\\')
			fprintf(json_out(), "\\%c", *p);
		else if (*p < 0x20 || *p >= 0x7f)
			fprintf(json_out(), "\\u%04x", *p);
		else
			putc(*p, json_out());
	}
	putc('"', json_out());
}

static void json_start(const char *name)
{
	if (json_depth)
		fprintf(json_out(), "%s\n%*s", json_first ? "" : ",", json_depth * 2, "");
	json_first = false;
	if (name) {
		json_string(name);
		fprintf(json_out(), ": ");
	}
}

void json_open(const char *name, char bracket)
{
	json_start(name);
	putc(bracket, json_out());
	json_depth++;
	json_first = true;
}

void json_close(char bracket)
{
	json_depth--;
	if (!json_first)
		fprintf(json_out(), "\n%*s", json_depth * 2, "");
	putc(bracket, json_out());
	json_first = false;
	if (!json_depth) {
		putc('\n', json_out());
		json_first = true;
	}
}

void json_u64(const char *name, u64 v)
{
	json_start(name);
	fprintf(json_out(), "%llu", v);
}

void json_int(const char *name, long long v)
{
	json_start(name);
	fprintf(json_out(), "%lld", v);
}

void json_bool(const char *name, bool v)
{
	json_start(name);
	fprintf(json_out(), "%s", v ? "true" : "false");
}

void json_str(const char *name, const char *s)
{
	json_start(name);
	json_string(s);
}

/* Addresses are strings: a double has no room for them. */
void json_hex(const char *name, u64 v)
{
	json_start(name);
	fprintf(json_out(), "\"0x%llx\"", v);
}

/* The end of every report: what failed, and whether anything did. */
void json_failures(void)
{
	unsigned int i, n = fail_count();

	json_open("failures", '[');
	for (i = 0; i < n; i++)
		json_str(NULL, fail_text(i));
	json_close(']');
	json_bool("ok", !n);
}
