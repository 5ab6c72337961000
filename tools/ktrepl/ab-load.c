// SPDX-License-Identifier: GPL-2.0
/*
 * ktrepl-ab: what is measured, and what goes on elsewhere meanwhile.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ab.h"
#include "calls.h"
#include "machine.h"
#include "phase.h"

/* Unlike that of now_ns(), no daemon adjusts its rate. */
u64 ab_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

void ab_burn(u64 ns)
{
	u64 end = ab_now() + ns;

	while (ab_now() < end)
		;
}

/* === Cold caches ========================================================= */

#define CODE_SIZE	(256 << 10)
#define CODE_LINE	64
#define CACHE_LEAST	(4 << 20)

static char *cold_data, *cold_code;
static size_t cold_size;

/* A function that returns, in each line: they take the place of the kernel's code. */
static void code_fill(void)
{
#if defined(__x86_64__)
	static const unsigned char ret[] = { 0xc3 };
#elif defined(__aarch64__)
	static const unsigned char ret[] = { 0xc0, 0x03, 0x5f, 0xd6 };
#else
	static const unsigned char ret[] = { 0 };
#endif
	size_t i;

	for (i = 0; i < CODE_SIZE; i += CODE_LINE)
		memcpy(cold_code + i, ret, sizeof(ret));
	__builtin___clear_cache(cold_code, cold_code + CODE_SIZE);
	must(!mprotect(cold_code, CODE_SIZE, PROT_READ | PROT_EXEC), "mprotect");
}

/* Not for children: copying its page tables would be part of a fork. */
static char *cold_map(size_t size)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	must(p != MAP_FAILED && !madvise(p, size, MADV_DONTFORK), "mmap");
	return p;
}

static void cold_start(void)
{
	long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);

	if (cache < CACHE_LEAST)
		cache = CACHE_LEAST;
	cold_size = 2 * cache;
	cold_data = cold_map(cold_size);
	cold_code = cold_map(CODE_SIZE);
	code_fill();
}

/* Twice the last level, from this CPU. */
static void cold_flush(void)
{
	size_t i;

	if (!cold_data)
		cold_start();
	for (i = 0; i < cold_size; i += CODE_LINE)
		__atomic_fetch_add(cold_data + i, 1, __ATOMIC_RELAXED);
#if defined(__x86_64__) || defined(__aarch64__)
	for (i = 0; i < CODE_SIZE; i += CODE_LINE)
		((void (*)(void))(cold_code + i))();
#endif
	phase_begin(PHASE_FLUSH);
}

/* === Loads =============================================================== */

static char **command_argv;
static pid_t command_pid;

void ab_command_kill(void)
{
	pid_t pid = __atomic_load_n(&command_pid, __ATOMIC_RELAXED);

	if (pid > 0)
		kill(pid, SIGTERM);
}

static void __noreturn command_exec(void)
{
	int null = open("/dev/null", O_RDWR);

	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	execvp(command_argv[0], command_argv);
	say_error("%s: %s", command_argv[0], strerror(errno));
	_exit(127);
}

static void command_call(void)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		command_exec();
	must(pid > 0, "fork");
	__atomic_store_n(&command_pid, pid, __ATOMIC_RELAXED);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	__atomic_store_n(&command_pid, 0, __ATOMIC_RELAXED);
	/* A signal may have come to us, too: it is the caller's who looks. */
	if (WIFSIGNALED(status) && WTERMSIG(status) != SIGINT && WTERMSIG(status) != SIGTERM)
		die(EXIT_FAILED, "%s: killed by signal %d", command_argv[0], WTERMSIG(status));
	if (WIFEXITED(status) && WEXITSTATUS(status))
		die(EXIT_FAILED, "%s: exit status %d", command_argv[0], WEXITSTATUS(status));
}

static const struct ab_load loads[] = {
	{ "fork", "fork(), exit and wait", 10, NULL, fork_call },
	{ "kill", "signal to self, with its handler", 200, kill_start, kill_call },
	{ "zero", "mmap() of 1,024 pages of /dev/zero, touch and munmap()", 1, NULL, zero_call },
	{ "open", "open() and close() of /dev/null", 200, NULL, open_call },
};

const struct ab_load *ab_load_find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(loads); i++) {
		if (!strcmp(loads[i].name, name))
			return &loads[i];
	}
	return NULL;
}

void ab_load_list(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(loads); i++)
		printf("  %-6s %s\n", loads[i].name, loads[i].help);
}

const struct ab_load *ab_load_command(char **argv)
{
	static struct ab_load load = { .calls = 1, .call = command_call };

	command_argv = argv;
	load.name = argv[0];
	return &load;
}

double ab_load_sample(const struct ab_load *load, bool cold)
{
	unsigned int i, calls = cold ? 1 : load->calls;
	u64 start;

	if (cold)
		cold_flush();
	start = ab_now();
	for (i = 0; i < calls; i++)
		load->call();
	return (double)(ab_now() - start) / calls;
}

/* === Traffic elsewhere =================================================== */

#define TRAFFIC_BYTES	(32 << 20)

static pid_t *background;
static size_t nr_background;

/* From its own memory, which is of its node. */
static void __noreturn traffic(int cpu)
{
	char *p;
	size_t i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	if (run_on_cpu(cpu))
		_exit(EXIT_FAILED);
	p = mmap(NULL, TRAFFIC_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		_exit(EXIT_FAILED);
	for (;;) {
		for (i = 0; i < TRAFFIC_BYTES; i += CODE_LINE)
			__atomic_fetch_add(p + i, 1, __ATOMIC_RELAXED);
	}
}

/* Processes, not threads: a fork would copy the page tables of their memory. */
void ab_background_start(const struct idlist *cpus)
{
	size_t i;
	int cpu;

	for (i = 0; (cpu = idlist_nth(cpus, i)) >= 0; i++) {
		background = xgrow(background, nr_background, sizeof(*background));
		background[nr_background] = fork();
		if (!background[nr_background])
			traffic(cpu);
		must(background[nr_background] > 0, "fork");
		nr_background++;
	}
}

void ab_background_stop(void)
{
	size_t i;

	for (i = 0; i < nr_background; i++) {
		if (waitpid(background[i], NULL, WNOHANG))
			say_error("a process for memory traffic ended early");
		kill(background[i], SIGKILL);
		waitpid(background[i], NULL, 0);
	}
	nr_background = 0;
}
