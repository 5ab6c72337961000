// SPDX-License-Identifier: GPL-2.0
/*
 * The page-fault profiler: /proc/ktrepl/profile/status, /dev/ktrepl-profile, and
 * whether each fault is counted, once, on the node where it happened.
 *
 * As root, with the module loaded and nobody else using it; overruns need
 * "modprobe ktrepl_profile records=64".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/ktrepl_profile.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../kselftest_harness.h"

#define STATUS	"/proc/ktrepl/profile/status"
#define DEVICE	"/dev/ktrepl-profile"
#define RATE	"/sys/module/ktrepl_profile/parameters/rate"

#define MAX_NODES	64
#define HELPER		"KTREPL_PROFILE_HELPER"

/* === The profiler ======================================================== */

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		err = -errno;
	close(fd);
	return err;
}

static int command(char verb, pid_t pid)
{
	char text[32];

	snprintf(text, sizeof(text), "%c %d\n", verb, pid);
	return write_file(STATUS, text);
}

/* The whole list, in a buffer of the caller's. */
static char *list(char *buf, size_t size)
{
	int fd = open(STATUS, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t n;

	while (fd >= 0 && (n = read(fd, buf + used, size - 1 - used)) > 0)
		used += n;
	buf[used] = '\0';
	close(fd);
	return buf;
}

static char list_text[1 << 18];

static int listed(pid_t pid)
{
	char line[32];
	const char *at;

	snprintf(line, sizeof(line), "task %d threads ", pid);
	at = strstr(list(list_text, sizeof(list_text)), line);
	return at && (at == list_text || at[-1] == '\n');
}

static int nr_listed(void)
{
	const char *at;
	int n = 0;

	for (at = list(list_text, sizeof(list_text)); *at; at++)
		n += *at == '\n';
	return n;
}

static void sleep_ms(int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

/* Until there are @nr on the list; false after ten seconds. */
static int wait_listed(int nr)
{
	int i;

	for (i = 0; i < 1000 && nr_listed() != nr; i++)
		sleep_ms(10);
	return nr_listed() == nr;
}

struct sums {
	__u64 minor[MAX_NODES], major[MAX_NODES], all_minor;
};

static const struct ktrepl_profile_record *slot(const struct ktrepl_profile_header *h,
						__u64 number)
{
	const char *slots = (const char *)h + h->header_size;

	return (const void *)(slots + (number & (h->nr_records - 1)) * h->record_size);
}

static __u64 position(const struct ktrepl_profile_header *h)
{
	return __atomic_load_n(&h->position, __ATOMIC_ACQUIRE);
}

/* Of records from number @from on; 0 if one has been overwritten. */
static int sum_up(const struct ktrepl_profile_header *h, __u64 from,
		  struct sums *sums)
{
	struct ktrepl_profile_record r;
	__u64 end = position(h);

	memset(sums, 0, sizeof(*sums));
	for (; from < end; from++) {
		r = *slot(h, from);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!ktrepl_profile_intact(from, position(h), h->nr_records) ||
		    r.number != from || r.node >= MAX_NODES)
			return 0;
		sums->minor[r.node] += r.minor;
		sums->major[r.node] += r.major;
		sums->all_minor += r.minor;
	}
	return 1;
}

/* === Work ================================================================ */

static long page_size;

static void touch(int pages)
{
	char *p = mmap(NULL, pages * page_size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int i;

	madvise(p, pages * page_size, MADV_NOHUGEPAGE);
	for (i = 0; i < pages; i++)
		__atomic_store_n(&p[i * page_size], 1, __ATOMIC_RELAXED);
	munmap(p, pages * page_size);
}

static __u64 minor_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_minflt;
}

/* Every page that is needed from here to the end has been touched by then. */
static void warm_up(void)
{
	command('R', getpid());
	touch(64);
	command('U', getpid());
	minor_faults();
}

static int run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

/* A CPU of that node, or -1. */
static int cpu_of(int node)
{
	char path[64], text[16] = "";
	int fd, cpu = -1;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpulist", node);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return node ? -1 : 0;
	if (read(fd, text, sizeof(text) - 1) > 0 && text[0] >= '0' && text[0] <= '9')
		cpu = atoi(text);
	close(fd);
	return cpu;
}

/* Two pipes: what the child tells, and when it is to go on. */
enum {
	PIPE_HEAR,
	PIPE_TELL,
	PIPE_GO,
	PIPE_START,
	NR_PIPE
};

/* What a child tells its parent: its pid, and how many faults it has had since. */
struct told {
	pid_t pid;
	__u64 before, after;
};

static void tell(int fd, const struct told *told)
{
	if (write(fd, told, sizeof(*told)) != sizeof(*told))
		_exit(1);
}

static struct told hear(int fd)
{
	struct told told = { 0 };

	if (read(fd, &told, sizeof(told)) != sizeof(told))
		told.pid = -1;
	return told;
}

/* In a child: warm up, wait until the parent is ready, register. */
static void begin(const int *pipe, struct told *told)
{
	char go;

	told->pid = getpid();
	warm_up();
	tell(pipe[PIPE_TELL], told);
	if (read(pipe[PIPE_GO], &go, 1) != 1)
		_exit(1);
	told->before = minor_faults();
	if (command('R', told->pid))
		_exit(1);
}

/* Half way through exec: register before, touch and unregister after. */
static void exec_begin(const int *pipe)
{
	struct told told = { 0 };
	char text[16];

	snprintf(text, sizeof(text), "%d", pipe[PIPE_TELL]);
	setenv(HELPER, text, 1);
	begin(pipe, &told);
	tell(pipe[PIPE_TELL], &told);
	execl("/proc/self/exe", "profile_test", NULL);
	_exit(1);
}

static void *exec_in_thread(void *pipe)
{
	exec_begin(pipe);
	return NULL;
}

/* Before main(): what the test becomes by exec. */
__attribute__((constructor)) static void helper(void)
{
	struct told told = { 0 };
	int fd;

	page_size = sysconf(_SC_PAGESIZE);
	if (!getenv(HELPER))
		return;
	fd = atoi(getenv(HELPER));
	/* For the way back from the command that counts. */
	command('U', 0);
	minor_faults();
	touch(300);
	told.pid = command('U', getpid()) ? -1 : getpid();
	told.after = minor_faults();
	tell(fd, &told);
	_exit(0);
}

/* === Tests =============================================================== */

FIXTURE(profile) {
	int fd;
	const struct ktrepl_profile_header *h;
	size_t size;
	__u64 from;
	int pipe[NR_PIPE];
};

FIXTURE_SETUP(profile)
{
	struct ktrepl_profile_header *head;

	if (geteuid())
		SKIP(return, "requires root");
	self->fd = open(DEVICE, O_RDONLY | O_CLOEXEC);
	if (self->fd < 0)
		SKIP(return, "requires the module ktrepl_profile");
	head = mmap(NULL, page_size, PROT_READ, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, head);
	self->size = head->header_size + head->nr_records * head->record_size;
	munmap(head, page_size);
	self->h = mmap(NULL, self->size, PROT_READ, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->h);
	ASSERT_EQ(0, pipe(&self->pipe[PIPE_HEAR]));
	ASSERT_EQ(0, pipe(&self->pipe[PIPE_GO]));
	/* Its faults are no business of these tests. */
	write_file("/proc/sys/kernel/numa_balancing", "0");
	ASSERT_EQ(0, nr_listed());
	ASSERT_EQ(0, write_file(RATE, "20"));
	self->from = position(self->h);
}

FIXTURE_TEARDOWN(profile)
{
	char *line = list(list_text, sizeof(list_text));
	int pid;

	/* What a failed test may have left. */
	while (sscanf(line, "task %d", &pid) == 1) {
		command('U', pid);
		line = strchr(line, '\n') + 1;
	}
}

TEST_F(profile, header)
{
	EXPECT_EQ(KTREPL_PROFILE_MAGIC, self->h->magic);
	EXPECT_EQ(KTREPL_PROFILE_VERSION, self->h->version);
	EXPECT_EQ(sizeof(struct ktrepl_profile_record), self->h->record_size);
	EXPECT_LE(16, self->h->nr_records);
	EXPECT_EQ(0, self->h->nr_records & (self->h->nr_records - 1));
	EXPECT_EQ(20, self->h->rate);
	EXPECT_EQ(0, self->h->tasks);
}

TEST_F(profile, bad_commands)
{
	static const char * const bad[] = {
		"R", "R ", "U", "r 1", "X 1", "R1", "R x", "R -1", "R +1", "R 1 2",
		" R 1", "R  1", "R 1\n\n", "R 0x1", "R 99999999999",
		"R 1                              ", "\n",
	};
	unsigned int i;

	ASSERT_EQ(0, command('R', getpid()));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, write_file(STATUS, bad[i]))
			TH_LOG("command %u", i);
	}
	EXPECT_EQ(1, nr_listed());
	EXPECT_TRUE(listed(getpid()));
	EXPECT_EQ(0, command('U', getpid()));
}

static void *report_tid(void *fd)
{
	pid_t tid = gettid();

	if (write(((int *)fd)[PIPE_TELL], &tid, sizeof(tid)) != sizeof(tid))
		_exit(1);
	pause();
	return NULL;
}

TEST_F(profile, unknown_pids)
{
	pid_t pid = fork(), tid;
	pthread_t thread;
	siginfo_t info;

	if (!pid)
		_exit(0);
	/* A zombie does nothing any more. */
	ASSERT_EQ(0, waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
	EXPECT_EQ(-ESRCH, command('R', pid));
	EXPECT_EQ(pid, waitpid(pid, NULL, 0));
	EXPECT_EQ(-ESRCH, command('R', pid));
	EXPECT_EQ(-ESRCH, command('R', 0));
	EXPECT_EQ(-ESRCH, command('R', 2147483647));
	EXPECT_EQ(-ESRCH, command('U', getpid()));
	/* A process is registered, not a thread. */
	ASSERT_EQ(0, pthread_create(&thread, NULL, report_tid, self->pipe));
	ASSERT_EQ(sizeof(tid), read(self->pipe[PIPE_HEAR], &tid, sizeof(tid)));
	EXPECT_EQ(-ESRCH, command('R', tid));
	EXPECT_EQ(0, nr_listed());
	EXPECT_EQ(0, self->h->tasks);
}

TEST_F(profile, register_and_remove)
{
	EXPECT_EQ(0, command('R', getpid()));
	EXPECT_TRUE(listed(getpid()));
	EXPECT_EQ(1, self->h->tasks);
	EXPECT_EQ(-EEXIST, command('R', getpid()));
	EXPECT_EQ(1, nr_listed());
	EXPECT_EQ(0, command('R', getppid()));
	EXPECT_EQ(2, nr_listed());
	EXPECT_EQ(0, command('U', getpid()));
	EXPECT_FALSE(listed(getpid()));
	EXPECT_TRUE(listed(getppid()));
	EXPECT_EQ(0, command('U', getppid()));
	EXPECT_EQ(-ESRCH, command('U', getppid()));
	EXPECT_EQ(0, nr_listed());
}

TEST_F(profile, root_only)
{
	ASSERT_EQ(0, setresuid(65534, 65534, 65534));
	EXPECT_EQ(-1, open(STATUS, O_RDONLY));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, open(STATUS, O_WRONLY));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, open(DEVICE, O_RDONLY));
	EXPECT_EQ(EACCES, errno);
}

TEST_F(profile, rate)
{
	static const char * const bad[] = { "0", "-1", "1001", "x", "20x" };
	unsigned int i;
	__u64 from;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, write_file(RATE, bad[i]))
			TH_LOG("rate %u", i);
	}
	EXPECT_EQ(20, self->h->rate);
	/* Nothing is sampled while nothing is registered. */
	from = position(self->h);
	sleep_ms(300);
	EXPECT_EQ(from, position(self->h));
	/* A new rate holds at once, and not only after a sample of the old one. */
	EXPECT_EQ(0, write_file(RATE, "1"));
	EXPECT_EQ(0, command('R', getpid()));
	EXPECT_EQ(0, write_file(RATE, "50"));
	EXPECT_EQ(50, self->h->rate);
	sleep_ms(500);
	EXPECT_LT(from, position(self->h));
	EXPECT_EQ(0, command('U', getpid()));
}

/* Each fault, and none more, and on the right node. */
TEST_F(profile, exact)
{
	struct sums sums;
	int node, cpu, other;

	warm_up();
	for (node = 0; node < MAX_NODES; node++) {
		cpu = cpu_of(node);
		if (cpu < 0)
			continue;
		ASSERT_EQ(0, run_on(cpu));
		self->from = position(self->h);
		EXPECT_EQ(0, command('R', getpid()));
		touch(1000);
		EXPECT_EQ(0, command('U', getpid()));
		ASSERT_TRUE(sum_up(self->h, self->from, &sums));
		EXPECT_EQ(1000, sums.minor[node]) TH_LOG("node %d", node);
		EXPECT_EQ(1000, sums.all_minor);
		for (other = 0; other < MAX_NODES; other++)
			EXPECT_EQ(0, sums.major[other]);
	}
}

struct thread {
	pthread_t thread;
	int node, pages;
	pthread_barrier_t *done;
};

static void *touch_in_thread(void *arg)
{
	struct thread *t = arg;

	if (cpu_of(t->node) >= 0)
		run_on(cpu_of(t->node));
	touch(t->pages);
	if (t->done)
		pthread_barrier_wait(t->done);
	return NULL;
}

/* Threads that no sample sees alive, and threads that all samples see. */
TEST_F(profile, threads)
{
	struct thread thread[8] = { };
	pthread_barrier_t done;
	struct sums sums;
	__u64 faults;
	int i;

	warm_up();
	ASSERT_EQ(0, write_file(RATE, "1"));
	pthread_barrier_init(&done, NULL, 5);
	self->from = position(self->h);
	faults = minor_faults();
	ASSERT_EQ(0, command('R', getpid()));
	for (i = 0; i < 8; i++) {
		thread[i].node = i & 1;
		thread[i].pages = 200;
		thread[i].done = i < 4 ? &done : NULL;
		ASSERT_EQ(0, pthread_create(&thread[i].thread, NULL,
					    touch_in_thread, &thread[i]));
	}
	for (i = 4; i < 8; i++)
		pthread_join(thread[i].thread, NULL);
	/* Two samples: the second one has nothing new. */
	sleep_ms(2200);
	ASSERT_TRUE(sum_up(self->h, self->from, &sums));
	EXPECT_LE(2 * 200, sums.minor[0]);
	if (cpu_of(1) >= 0)
		EXPECT_LE(2 * 200, sums.minor[1]);
	pthread_barrier_wait(&done);
	for (i = 0; i < 4; i++)
		pthread_join(thread[i].thread, NULL);
	ASSERT_EQ(0, command('U', getpid()));
	faults = minor_faults() - faults;
	ASSERT_TRUE(sum_up(self->h, self->from, &sums));
	EXPECT_EQ(faults, sums.all_minor);
}

/* Let a child that is in begin() register; returns whether there is one. */
static int start(const int *pipe, const struct ktrepl_profile_header *h,
		 __u64 *from)
{
	if (hear(pipe[PIPE_HEAR]).pid < 0)
		return 0;
	*from = position(h);
	return write(pipe[PIPE_START], "", 1) == 1;
}

/* A child that registers itself, touches pages, and is no more. */
static pid_t registered_child(const int *pipe)
{
	struct told told = { };
	pid_t pid = fork();

	if (pid)
		return pid;
	begin(pipe, &told);
	tell(pipe[PIPE_TELL], &told);
	touch(500);
	_exit(0);
}

/* Reap a child; returns the faults it has had since it registered, or 0. */
static __u64 reap(const struct told *told)
{
	struct rusage usage;

	if (wait4(told->pid, NULL, 0, &usage) != told->pid)
		return 0;
	return usage.ru_minflt - told->before;
}

/*
 * Its last sample is taken from the zombie.  With one sample a second it is reaped
 * before that, and nothing of it is left but what the profiler holds.
 */
TEST_F(profile, exit)
{
	static const char * const rate[] = { "20", "1" };
	struct told told;
	struct sums sums;
	__u64 faults;
	pid_t pid;
	int reaped;

	for (reaped = 0; reaped < 2; reaped++) {
		ASSERT_EQ(0, write_file(RATE, rate[reaped]));
		pid = registered_child(self->pipe);
		ASSERT_TRUE(start(self->pipe, self->h, &self->from));
		told = hear(self->pipe[PIPE_HEAR]);
		ASSERT_EQ(pid, told.pid);
		if (!reaped)
			EXPECT_TRUE(wait_listed(0));
		faults = reap(&told);
		EXPECT_LE(500, faults);
		EXPECT_TRUE(wait_listed(0));
		EXPECT_EQ(0, self->h->tasks);
		ASSERT_TRUE(sum_up(self->h, self->from, &sums));
		EXPECT_EQ(faults, sums.all_minor) TH_LOG("%s", reaped ? "reaped" : "zombie");
	}
}

/* A process of that number, which touches pages; or -1. */
static pid_t child_of_number(pid_t pid)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)&pid,
		.set_tid_size = 1,
	};
	pid_t new = syscall(SYS_clone3, &args, sizeof(args));

	if (new)
		return new;
	touch(700);
	pause();
	_exit(0);
}

/* The number is not the process: a new one of the old number is not sampled. */
TEST_F(profile, pid_reuse)
{
	pid_t pid = registered_child(self->pipe);
	struct told told;
	struct sums sums;
	__u64 faults;

	ASSERT_EQ(0, write_file(RATE, "1"));
	ASSERT_TRUE(start(self->pipe, self->h, &self->from));
	told = hear(self->pipe[PIPE_HEAR]);
	faults = reap(&told);
	EXPECT_LE(500, faults);
	ASSERT_EQ(pid, child_of_number(pid));
	EXPECT_TRUE(wait_listed(0));
	ASSERT_TRUE(sum_up(self->h, self->from, &sums));
	EXPECT_EQ(faults, sums.all_minor);
	/* It can be registered itself. */
	EXPECT_EQ(0, command('R', pid));
	EXPECT_TRUE(listed(pid));
	EXPECT_EQ(0, command('U', pid));
	kill(pid, SIGKILL);
	EXPECT_EQ(pid, waitpid(pid, NULL, 0));
}

/* exec keeps process and counts, also where another thread than the leader calls it. */
static void exec_child(const int *pipe, int in_thread)
{
	pthread_t thread;

	if (!in_thread)
		exec_begin(pipe);
	pthread_create(&thread, NULL, exec_in_thread, (void *)pipe);
	for (;;)
		pause();
}

static __u64 exec_faults(const int *pipe, const struct ktrepl_profile_header *h,
			 __u64 *from, int in_thread)
{
	struct told before, after;
	pid_t pid = fork();

	if (!pid)
		exec_child(pipe, in_thread);
	if (!start(pipe, h, from))
		return 0;
	before = hear(pipe[PIPE_HEAR]);
	after = hear(pipe[PIPE_HEAR]);
	if (waitpid(pid, NULL, 0) != pid || before.pid != pid || after.pid != pid)
		return 0;
	return after.after - before.before;
}

TEST_F(profile, exec)
{
	struct sums sums;
	__u64 faults;
	int i;

	for (i = 0; i < 2; i++) {
		faults = exec_faults(self->pipe, self->h, &self->from, i);
		EXPECT_LE(300, faults);
		ASSERT_TRUE(sum_up(self->h, self->from, &sums));
		EXPECT_EQ(faults, sums.all_minor) TH_LOG("%s", i ? "thread" : "leader");
		EXPECT_EQ(0, nr_listed());
	}
}

TEST_F(profile, write_refused)
{
	int fd = open(DEVICE, O_RDWR);
	size_t page = page_size;
	void *p;

	ASSERT_LE(0, fd);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page, PROT_WRITE, MAP_SHARED, self->fd, 0));
	EXPECT_EQ(EACCES, errno);
	p = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-1, mprotect(p, page, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	p = mmap(NULL, page, PROT_READ, MAP_PRIVATE, fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(-1, mprotect(p, page, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
}

TEST_F(profile, bad_ranges)
{
	size_t page = page_size, size = (self->size + page - 1) / page * page;

	EXPECT_EQ(MAP_FAILED, mmap(NULL, size + page, PROT_READ, MAP_SHARED, self->fd, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, page, PROT_READ, MAP_SHARED, self->fd, size));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, size, PROT_READ, MAP_SHARED, self->fd, page));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_NE(MAP_FAILED, mmap(NULL, size - page, PROT_READ, MAP_SHARED, self->fd, page));
}

static int delete_module(void)
{
	return syscall(SYS_delete_module, "ktrepl_profile", O_NONBLOCK) ? -errno : 0;
}

/* An open device keeps the module, and so does a mapping by itself. */
TEST_F(profile, module_stays)
{
	EXPECT_EQ(-EWOULDBLOCK, delete_module());
	close(self->fd);
	EXPECT_EQ(-EWOULDBLOCK, delete_module());
	EXPECT_EQ(KTREPL_PROFILE_MAGIC, self->h->magic);
}

TEST_F(profile, overrun)
{
	__u64 from = position(self->h), end, n = self->h->nr_records;
	struct ktrepl_profile_record r;
	struct sums sums;
	int i;

	if (n > 1024)
		SKIP(return, "requires at most 1024 records");
	ASSERT_EQ(0, write_file(RATE, "100"));
	ASSERT_EQ(0, command('R', getpid()));
	for (i = 0; i < 2500 && position(self->h) < from + 3 * n; i++)
		sleep_ms(10);
	ASSERT_EQ(0, command('U', getpid()));
	end = position(self->h);
	ASSERT_LE(from + 3 * n, end);
	EXPECT_EQ(end - n, self->h->overruns);
	EXPECT_FALSE(sum_up(self->h, from, &sums));
	EXPECT_TRUE(sum_up(self->h, end - n + 1, &sums));
	for (i = 1; i <= (int)n; i++) {
		r = *slot(self->h, end - i);
		EXPECT_EQ(end - i, r.number);
	}
}

/* Follow the ring for a second: records are whole and in order. */
static int monitor(const char *device, size_t size)
{
	int fd = open(device, O_RDONLY), i;
	const struct ktrepl_profile_header *h;
	__u64 next, time = 0, seen = 0;
	struct ktrepl_profile_record r;

	h = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (h == MAP_FAILED)
		return 1;
	next = position(h);
	for (i = 0; i < 200; i++) {
		for (; next < position(h); next++, seen++) {
			r = *slot(h, next);
			__atomic_thread_fence(__ATOMIC_ACQUIRE);
			if (!ktrepl_profile_intact(next, position(h), h->nr_records))
				return 2;
			if (r.number != next || r.time_ns < time)
				return 3;
			time = r.time_ns;
		}
		sleep_ms(5);
	}
	return seen ? 0 : 4;
}

TEST_F(profile, monitors)
{
	int i, status;
	pid_t pid[5];

	ASSERT_EQ(0, command('R', getpid()));
	for (i = 0; i < 5; i++) {
		pid[i] = fork();
		if (!pid[i])
			_exit(monitor(DEVICE, self->size));
	}
	for (i = 0; i < 5; i++) {
		ASSERT_EQ(pid[i], waitpid(pid[i], &status, 0));
		EXPECT_EQ(0, status);
	}
	ASSERT_EQ(0, command('U', getpid()));
}

/* They come one after the other, and all end at once. */
TEST_F_TIMEOUT(profile, thousand, 400)
{
	static pid_t pid[1000];
	int i;

	for (i = 0; i < 1000; i++) {
		pid[i] = fork();
		if (!pid[i])
			for (;;)
				pause();
		ASSERT_LT(0, pid[i]);
		ASSERT_EQ(0, command('R', pid[i]));
	}
	EXPECT_EQ(1000, nr_listed());
	EXPECT_EQ(1000, self->h->tasks);
	self->from = position(self->h);
	sleep_ms(500);
	EXPECT_LT(self->from, position(self->h));
	for (i = 0; i < 500; i++)
		EXPECT_EQ(0, command('U', pid[i]));
	EXPECT_EQ(500, nr_listed());
	for (i = 0; i < 1000; i++)
		kill(pid[i], SIGKILL);
	for (i = 0; i < 1000; i++)
		waitpid(pid[i], NULL, 0);
	EXPECT_TRUE(wait_listed(0));
}

TEST_HARNESS_MAIN
