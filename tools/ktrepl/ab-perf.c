// SPDX-License-Identifier: GPL-2.0
/*
 * ktrepl-ab: the hardware's own evidence, from counters of the kernel's fetches.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ab.h"

#define DEVICES		"/sys/bus/event_source/devices"
#define NODES		"/sys/devices/system/node"
#define MEMORY		"/sys/devices/system/memory"

/* === Which events ======================================================== */

struct event {
	const char *name;
	u64 config, config1;
};

/* From family, models, steppings on; the first that fits counts. */
struct model {
	enum ab_vendor vendor;
	unsigned int family, first, last, stepping;
	struct event event[AB_NR_COUNTS];
};

/*
 * The values are those of tools/perf/pmu-events/arch/x86/DIRECTORY in Linux 6.12,
 * and the models those of mapfile.csv there. Code reads that Intel's local memory
 * does not serve are remote: there is no event for them on all models.
 */
#define OCR_SPR { \
	/* sapphirerapids, emeraldrapids, graniterapids: memory.json, other.json */ \
	[AB_ALL] = { "OCR.DEMAND_CODE_RD.L3_MISS", 0x12a, 0x3fbfc00004 }, \
	[AB_LOCAL] = { "OCR.DEMAND_CODE_RD.LOCAL_DRAM", 0x12a, 0x104000004 }, \
}

#define IC_FILL { \
	/* amdzen1 to amdzen4: cache.json; amdzen5: inst-cache.json */ \
	[AB_ALL] = { "ic_cache_fill_sys", 0x83, 0 }, \
}

static const struct model models[] = {
	{ AB_INTEL, 6, 0x8f, 0x8f, 0, OCR_SPR },
	{ AB_INTEL, 6, 0xcf, 0xcf, 0, OCR_SPR },
	{ AB_INTEL, 6, 0xad, 0xae, 0, OCR_SPR },
	/* icelakex: memory.json */
	{ AB_INTEL, 6, 0x6a, 0x6a, 0, {
		[AB_ALL] = { "OCR.DEMAND_CODE_RD.L3_MISS", 0x1b7, 0x3fbfc00004 },
		[AB_LOCAL] = { "OCR.DEMAND_CODE_RD.L3_MISS_LOCAL", 0x1b7, 0x3f84400004 } } },
	{ AB_INTEL, 6, 0x6c, 0x6c, 0, {
		[AB_ALL] = { "OCR.DEMAND_CODE_RD.L3_MISS", 0x1b7, 0x3fbfc00004 },
		[AB_LOCAL] = { "OCR.DEMAND_CODE_RD.L3_MISS_LOCAL", 0x1b7, 0x3f84400004 } } },
	/* cascadelakex: memory.json; before stepping 5 it is a Skylake */
	{ AB_INTEL, 6, 0x55, 0x55, 5, {
		[AB_ALL] = { "OCR.DEMAND_CODE_RD.L3_MISS.ANY_SNOOP", 0x1b7, 0x3fbc000004 },
		[AB_LOCAL] = { "OCR.DEMAND_CODE_RD.L3_MISS_LOCAL_DRAM.ANY_SNOOP", 0x1b7,
			       0x3f84000004 } } },
	{ AB_AMD, 0x17, 0, 0xff, 0, IC_FILL },
	{ AB_AMD, 0x19, 0, 0xff, 0, IC_FILL },
	{ AB_AMD, 0x1a, 0, 0xff, 0, IC_FILL },
};

/* What arm64's driver calls its events: drivers/perf/arm_pmuv3.c. */
static const char * const arm64_events[AB_NR_COUNTS] = {
	[AB_ALL] = "ll_cache_miss_rd",
	[AB_REMOTE] = "remote_access",
};

static u64 cpuinfo_number(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	at = at ? strchr(at, ':') : NULL;
	return at ? strtoull(at + 1, NULL, 10) : 0;
}

/* The model as VENDOR-FAMILY-MODEL-STEPPING, numbers in hexadecimal. */
enum ab_vendor ab_cpu_identify(char **cpu_model)
{
	char *text = read_text("/proc/cpuinfo", NULL);
	enum ab_vendor vendor = AB_NONE;
	const char *name = "unknown";

	if (text && strstr(text, "GenuineIntel")) {
		vendor = AB_INTEL;
		name = "GenuineIntel";
	} else if (text && strstr(text, "AuthenticAMD")) {
		vendor = AB_AMD;
		name = "AuthenticAMD";
	} else if (text && strstr(text, "CPU implementer")) {
		vendor = AB_ARM64;
	}
	if (vendor == AB_ARM64)
		*cpu_model = xstrdup("arm64");
	else if (vendor == AB_NONE)
		*cpu_model = xstrdup(name);
	else
		*cpu_model = xasprintf("%s-%llx-%llx-%llx", name,
				       cpuinfo_number(text, "cpu family"),
				       cpuinfo_number(text, "model\t"),
				       cpuinfo_number(text, "stepping"));
	free(text);
	return vendor;
}

static const struct model *model_find(enum ab_vendor vendor, const char *cpu_model)
{
	unsigned int family, model, stepping;
	size_t i;

	if (sscanf(cpu_model, "%*[A-Za-z]-%x-%x-%x", &family, &model, &stepping) != 3)
		return NULL;
	for (i = 0; i < ARRAY_SIZE(models); i++) {
		const struct model *m = &models[i];

		if (m->vendor == vendor && m->family == family && model >= m->first &&
		    model <= m->last && stepping >= m->stepping)
			return m;
	}
	return NULL;
}

bool ab_events_known(enum ab_vendor vendor, const char *cpu_model)
{
	return model_find(vendor, cpu_model);
}

/* === Counting ============================================================ */

struct counter {
	enum ab_count what;
	int fd;
};

static struct counter *counters;
static size_t nr_counters;

static int event_open(struct perf_event_attr *attr, int cpu)
{
	attr->size = sizeof(*attr);
	attr->disabled = 1;
	return syscall(SYS_perf_event_open, attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

static int counter_open(struct ab_run *run, enum ab_count what, unsigned int type,
			const struct event *event, const struct idlist *cpus)
{
	struct perf_event_attr attr = {
		.type = type,
		.config = event->config,
		.config1 = event->config1,
		.exclude_user = 1,
		.exclude_hv = 1,
		.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING,
	};
	int cpu, fd;
	size_t i;

	for (i = 0; (cpu = idlist_nth(cpus, i)) >= 0; i++) {
		fd = event_open(&attr, cpu);
		if (fd < 0)
			return -errno;
		counters = xgrow(counters, nr_counters, sizeof(*counters));
		counters[nr_counters++] = (struct counter) { what, fd };
	}
	run->event[what] = xstrdup(event->name);
	return 0;
}

static bool read_number(const char *path, int base, u64 *v)
{
	char *text = read_text(path, NULL);
	bool ok;

	if (!text)
		return false;
	text[strcspn(text, "\n")] = '\0';
	ok = parse_u64(text, base, v);
	free(text);
	return ok;
}

/* "event=0x0031" */
static bool read_event(const char *device, const char *name, u64 *config)
{
	char *path = xasprintf(DEVICES "/%s/events/%s", device, name);
	char *text = read_text(path, NULL);
	bool ok = text && sscanf(text, "event=0x%llx", config) == 1;

	free(text);
	free(path);
	return ok;
}

static int arm64_device_open(struct ab_run *run, const char *device, const struct idlist *cpus)
{
	char *path = xasprintf(DEVICES "/%s/type", device);
	int err = -ENOENT;
	size_t i;
	u64 type;

	if (!read_number(path, 10, &type))
		type = 0;
	for (i = 0; type && i < AB_NR_COUNTS; i++) {
		struct event event = { .name = arm64_events[i] };

		if (!event.name || !read_event(device, event.name, &event.config))
			continue;
		err = counter_open(run, i, type, &event, cpus);
		if (err)
			break;
	}
	free(path);
	return err;
}

static int arm64_open(struct ab_run *run, const struct idlist *cpus)
{
	DIR *dir = opendir(DEVICES);
	struct dirent *entry;
	int err = -ENOENT;

	while (err == -ENOENT && dir && (entry = readdir(dir))) {
		if (!strncmp(entry->d_name, "armv8", 5))
			err = arm64_device_open(run, entry->d_name, cpus);
	}
	if (dir)
		closedir(dir);
	return err;
}

static int x86_open(struct ab_run *run, const struct model *model, const struct idlist *cpus)
{
	size_t i;
	int err = 0;

	for (i = 0; !err && i < AB_NR_COUNTS; i++) {
		if (model->event[i].name)
			err = counter_open(run, i, PERF_TYPE_RAW, &model->event[i], cpus);
	}
	return err;
}

static u64 counter_read(int fd)
{
	struct {
		u64 value, enabled, running;
	} r;

	if (read(fd, &r, sizeof(r)) != sizeof(r) || !r.running)
		return 0;
	/* It shares the hardware with others, if it has to. */
	return (double)r.value * r.enabled / r.running;
}

/* === AMD's samples of fetches ============================================ */

/* Bits of IbsFetchCtl: arch/x86/include/asm/amd-ibs.h. */
#define IBS_BIT(n)		((u64)1 << (n))
#define IBS_LATENCY_SHIFT	32
#define IBS_VALID		IBS_BIT(49)
#define IBS_COMPLETE		IBS_BIT(50)
#define IBS_MISS		IBS_BIT(51)
#define IBS_PHYSICAL_VALID	IBS_BIT(52)
#define IBS_RANDOM		IBS_BIT(57)
#define IBS_L2_MISS		IBS_BIT(58)
#define IBS_FILL		(IBS_VALID | IBS_COMPLETE | IBS_MISS | IBS_PHYSICAL_VALID | \
				 IBS_L2_MISS)
#define IBS_PERIOD		16000
#define IBS_PAGES		64

static struct perf_event_mmap_page *ibs_ring;
static int ibs_fd = -1;

/* A line that came from beyond this core, for the kernel. */
bool ab_ibs_is_fill(const struct ab_ibs *ibs)
{
	return (ibs->ctl & IBS_FILL) == IBS_FILL && ibs->linear >> 63;
}

unsigned int ab_ibs_latency(const struct ab_ibs *ibs)
{
	return ibs->ctl >> IBS_LATENCY_SHIFT & 0xffff;
}

/* The raw part has a size, what the CPU can do, and registers: perf_ibs_handle_irq(). */
bool ab_ibs_parse(const void *record, size_t size, struct ab_ibs *ibs)
{
	struct {
		struct perf_event_header header;
		unsigned int raw_size, caps;
		struct ab_ibs ibs;
	} sample;

	if (size < sizeof(sample))
		return false;
	memcpy(&sample, record, sizeof(sample));
	if (sample.header.type != PERF_RECORD_SAMPLE || sample.header.size > size ||
	    sample.raw_size < sizeof(sample.caps) + sizeof(sample.ibs))
		return false;
	*ibs = sample.ibs;
	return true;
}

static void ibs_add(struct ab_slot *slot, const char *record, size_t size)
{
	struct ab_ibs ibs;

	if (!ab_ibs_parse(record, size, &ibs))
		return;
	slot->ibs = xgrow(slot->ibs, slot->nr_ibs, sizeof(ibs));
	slot->ibs[slot->nr_ibs++] = ibs;
}

/* Records may wrap around at the end of the ring. */
static void ibs_drain(struct ab_slot *slot)
{
	u64 head = __atomic_load_n(&ibs_ring->data_head, __ATOMIC_ACQUIRE);
	u64 tail = ibs_ring->data_tail, ring = ibs_ring->data_size;
	const char *data = (const char *)ibs_ring + ibs_ring->data_offset;
	struct perf_event_header header;
	char record[512];
	size_t i;

	while (slot && tail < head) {
		/* The ring holds whole multiples of a header. */
		memcpy(&header, data + tail % ring, sizeof(header));
		for (i = 0; i < header.size && i < sizeof(record); i++)
			record[i] = data[(tail + i) % ring];
		ibs_add(slot, record, i);
		tail += header.size;
	}
	__atomic_store_n(&ibs_ring->data_tail, head, __ATOMIC_RELEASE);
}

/* The driver cannot leave user space out: ab_ibs_is_fill() does. */
static void ibs_open(int cpu)
{
	struct perf_event_attr attr = {
		.config = IBS_RANDOM,
		.sample_period = IBS_PERIOD,
		.sample_type = PERF_SAMPLE_RAW,
	};
	size_t size = (1 + IBS_PAGES) * sysconf(_SC_PAGESIZE);
	u64 type;

	if (!read_number(DEVICES "/ibs_fetch/type", 10, &type))
		return;
	attr.type = type;
	ibs_fd = event_open(&attr, cpu);
	if (ibs_fd < 0)
		return;
	ibs_ring = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ibs_fd, 0);
	if (ibs_ring == MAP_FAILED) {
		close(ibs_fd);
		ibs_fd = -1;
	}
}

static bool is_memory(const struct dirent *entry, unsigned int *block)
{
	char end;

	return sscanf(entry->d_name, "memory%u%c", block, &end) == 1;
}

static void memory_read_node(struct ab_run *run, int nid, u64 size)
{
	char *path = xasprintf(NODES "/node%d", nid);
	DIR *dir = opendir(path);
	struct dirent *entry;
	unsigned int block;

	while (dir && (entry = readdir(dir))) {
		if (!is_memory(entry, &block))
			continue;
		run->memory = xgrow(run->memory, run->nr_memory, sizeof(*run->memory));
		run->memory[run->nr_memory++] = (struct ab_memory) {
			nid, block * size, (block + 1) * size - 1
		};
	}
	if (dir)
		closedir(dir);
	free(path);
}

static void memory_read(struct ab_run *run)
{
	char *text = read_text(NODES "/online", NULL);
	struct idlist nodes = { 0 };
	size_t i;
	u64 size;
	int nid;

	if (text)
		text[strcspn(text, "\n")] = '\0';
	if (text && idlist_parse(text, &nodes) &&
	    read_number(MEMORY "/block_size_bytes", 16, &size)) {
		for (i = 0; (nid = idlist_nth(&nodes, i)) >= 0; i++)
			memory_read_node(run, nid, size);
	}
	idlist_free(&nodes);
	free(text);
}

int ab_node_of(const struct ab_run *run, u64 physical)
{
	size_t i;

	for (i = 0; i < run->nr_memory; i++) {
		if (physical >= run->memory[i].first && physical <= run->memory[i].last)
			return run->memory[i].nid;
	}
	return -1;
}

/* === Live ================================================================ */

static void counters_close(struct ab_run *run)
{
	size_t i;

	for (i = 0; i < nr_counters; i++)
		close(counters[i].fd);
	nr_counters = 0;
	for (i = 0; i < AB_NR_COUNTS; i++) {
		free(run->event[i]);
		run->event[i] = NULL;
	}
}

char *ab_perf_open(struct ab_run *run, const struct idlist *cpus)
{
	const struct model *model;
	int err;

	run->vendor = ab_cpu_identify(&run->cpu_model);
	model = model_find(run->vendor, run->cpu_model);
	if (run->vendor != AB_ARM64 && !model)
		return xasprintf("no events are known for %s", run->cpu_model);
	err = model ? x86_open(run, model, cpus) : arm64_open(run, cpus);
	if (err) {
		counters_close(run);
		return xasprintf("%s: no events of remote fetches: %s", run->cpu_model,
				 strerror(-err));
	}
	if (run->vendor == AB_AMD) {
		ibs_open(run->cpu);
		memory_read(run);
	}
	return NULL;
}

static void counters_control(unsigned long request)
{
	size_t i;

	for (i = 0; i < nr_counters; i++)
		ioctl(counters[i].fd, request, 0);
	if (ibs_fd >= 0)
		ioctl(ibs_fd, request, 0);
}

void ab_perf_start(void)
{
	counters_control(PERF_EVENT_IOC_RESET);
	if (ibs_fd >= 0)
		ibs_drain(NULL);
	counters_control(PERF_EVENT_IOC_ENABLE);
}

/* Enabled and running times go on from slot to slot, the value starts from 0. */
void ab_perf_stop(struct ab_slot *slot)
{
	size_t i;

	counters_control(PERF_EVENT_IOC_DISABLE);
	for (i = 0; i < nr_counters; i++) {
		slot->count[counters[i].what] += counter_read(counters[i].fd);
		slot->counted[counters[i].what] = true;
	}
	if (ibs_fd >= 0)
		ibs_drain(slot);
}

/* === What it says ======================================================== */

#define LEAST_LINES	100
/* An assumption: what a remote line costs more than a local one. */
#define REMOTE_NS	80

static void share_ibs(const struct ab_run *run, const struct ab_slot *slot,
		      struct ab_share *share)
{
	size_t i;
	int nid;

	for (i = 0; i < slot->nr_ibs; i++) {
		if (!ab_ibs_is_fill(&slot->ibs[i]))
			continue;
		nid = ab_node_of(run, slot->ibs[i].physical);
		share->all += nid >= 0;
		share->remote += nid >= 0 && nid != run->nid;
	}
}

static u64 slot_remote(const struct ab_slot *slot)
{
	if (slot->counted[AB_REMOTE])
		return slot->count[AB_REMOTE];
	if (!slot->counted[AB_LOCAL] || slot->count[AB_ALL] < slot->count[AB_LOCAL])
		return 0;
	return slot->count[AB_ALL] - slot->count[AB_LOCAL];
}

static double mode_latency(const struct ab_run *run, bool on)
{
	double *v = NULL, median;
	size_t i, k, n = 0;

	for (i = 0; i < run->nr; i++) {
		for (k = 0; run->slot[i].on == on && k < run->slot[i].nr_ibs; k++) {
			if (!ab_ibs_is_fill(&run->slot[i].ibs[k]))
				continue;
			v = xgrow(v, n, sizeof(*v));
			v[n++] = ab_ibs_latency(&run->slot[i].ibs[k]);
		}
	}
	median = n ? ab_median(v, n) : 0;
	free(v);
	return median;
}

static struct ab_share mode_share(const struct ab_run *run, bool on, bool from_ibs)
{
	struct ab_share share = { 0 };
	u64 lines = 0, ns = 0;
	size_t i;

	for (i = 0; i < run->nr; i++) {
		const struct ab_slot *slot = &run->slot[i];

		if (slot->on != on)
			continue;
		lines += slot->count[AB_ALL];
		ns += slot->ns;
		if (from_ibs) {
			share_ibs(run, slot, &share);
		} else {
			share.all += slot->count[AB_ALL];
			share.remote += slot_remote(slot);
		}
	}
	share.lines_per_ms = ns ? lines * 1e6 / ns : 0;
	share.latency = from_ibs ? mode_latency(run, on) : 0;
	return share;
}

static double remote_part(const struct ab_share *share)
{
	double part = share->all ? (double)share->remote / share->all : 0;

	return part < 1 ? part : 1;
}

/* If all of them became local, less than 1 % of the time would be saved. */
static bool hardly_any(const struct ab_share *off)
{
	return off->lines_per_ms * remote_part(off) * REMOTE_NS < 1e6 / 100;
}

struct ab_evidence ab_evidence(const struct ab_run *run, enum ab_verdict verdict)
{
	struct ab_evidence e = { .from_ibs = run->vendor == AB_AMD };
	bool fell, rose;

	if (!run->event[AB_ALL])
		return e;
	e.off = mode_share(run, false, e.from_ibs);
	e.on = mode_share(run, true, e.from_ibs);
	fell = 2 * remote_part(&e.on) <= remote_part(&e.off);
	rose = remote_part(&e.on) >= 2 * remote_part(&e.off);
	if (verdict == AB_NOISY)
		e.support = AB_UNDECIDED;
	else if (verdict == AB_NO_EFFECT && hardly_any(&e.off) && e.off.lines_per_ms > 0)
		e.support = AB_SUPPORTS;
	else if (e.off.all < LEAST_LINES || e.on.all < LEAST_LINES)
		e.support = AB_TOO_FEW;
	else if ((verdict == AB_HELPS && fell) || (verdict == AB_HURTS && rose))
		e.support = AB_SUPPORTS;
	else
		e.support = AB_DOES_NOT_EXPLAIN;
	return e;
}

const char *ab_support_text(const struct ab_evidence *evidence)
{
	static const char * const texts[] = {
		[AB_NOTHING] = "none",
		[AB_TOO_FEW] = "too few lines to say",
		[AB_UNDECIDED] = "there is no verdict to support",
		[AB_SUPPORTS] = "supports the verdict",
		[AB_DOES_NOT_EXPLAIN] = "does not explain the verdict",
	};

	return texts[evidence->support];
}
