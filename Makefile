# SPDX-License-Identifier: GPL-2.0

export ARCH CPU FIRMWARE NODES CPUS TOPOLOGY APPEND BREAK OPTIONAL CONFIG MEM TIMEOUT JOBS CALLS ITERATIONS COLD LLC FROM MODES
export MINUTES SEED

.PHONY: help setup image run shell kunit suites stress storm power shortage roots debian kselftest static docs models
.PHONY: check check-all again mutants mutation-score coverage releases bisect-check trixie latency
.PHONY: bench bench-gate bench-sites bench-history locality loops table report profile clean

help:
	@echo 'make run      build a ktrepl kernel, boot it on a NUMA machine under QEMU, and'
	@echo '              show that every CPU runs node-local text; fails if one does not'
	@echo 'make check    all tests that CI runs; the last line has the counts'
	@echo
	@echo 'make setup     install what is missing, unpack the kernel'
	@echo 'make image     build the kernel; the last line is the path of the image'
	@echo 'make shell     a prompt in the machine of make run'
	@echo 'make kunit     one cell of the KUnit matrix: ARCH=x86_64|arm64|um'
	@echo 'make suites    the KUnit suites after boot, on protected text'
	@echo 'make stress    everything that patches text, forks, maps and migrates, at once'
	@echo 'make storm     that and more in rounds of a minute on 4 nodes, for MINUTES=10; SEED=N'
	@echo '               chooses the same again: probes, tracers, BPF, live patches, modules,'
	@echo '               CPU and memory hotplug, memory pressure, failing allocations'
	@echo 'make power     CPUs and memory that come and go, hibernation'
	@echo 'make shortage  memory that is short when replication is switched on, and comes later'
	@echo 'make roots     node roots of 2,000 processes on one node, and of 200 on two'
	@echo 'make debian    test_bpf, and bpftrace of Debian: the same with replication as without'
	@echo 'make kselftest the kernel'"'"'s own tests: at boot, KUnit, selftests; the same with replication'
	@echo '               as without; MODES="stock off on": and with a kernel that has no ktrepl'
	@echo 'make static    checkpatch, W=1, sparse, coccinelle, kernel-doc, docs, shellcheck'
	@echo 'make docs      the pages in Documentation as HTML by Sphinx, without a warning'
	@echo 'make models    spin checks the models of the lockless protocols, and refutes each'
	@echo '               of their mutations'
	@echo 'make mutation-score'
	@echo '               break lib/ktrepl by rule, one place at a time, and count what the KUnit'
	@echo '               cases on User-mode Linux notice; SEED=4711 COUNT=60: a sample of the places'
	@echo 'make coverage  lines of lib/ktrepl and the glue that no test after boot runs, and why;'
	@echo '               fails if one has no reason in scripts/coverage-missed, or under 95 %'
	@echo 'make check CELLS="x86_64-run-* 3*arm64-stress"'
	@echo '               some cells, one of them three times, and the builds they need;'
	@echo '               scripts/check --list --all names them'
	@echo 'make again CELL=x86_64-run-2n4c'
	@echo '               the same without building'
	@echo 'make mutants   every kernel with a fault of kunit/mutants: the case that each of them'
	@echo '               names has to fail; make check has a handful of them'
	@echo 'make check-all all topologies and modes; hours'
	@echo 'make releases  whether the overlay fits every release of the kernel in Debian 12 and 13'
	@echo 'make bisect-check  whether each patch of "scripts/overlay export" builds and boots'
	@echo 'make trixie    make TARGET=run in a root of Debian 13'
	@echo 'make bench     cost as instruction counts: not built, off, on'
	@echo 'make bench-gate  fail where a call costs 0.5 % more than scripts/bench-counts has it'
	@echo 'make bench-sites  a batch of 1,000 pokes on 8 nodes, against as many pokes'
	@echo 'make bench-history  plot these counts over the commits that changed them'
	@echo 'make locality  which node serves the fetches of each CPU, replication off and on'
	@echo 'make loops     RedHawk'"'"'s four loops, hot and cold: instructions, and lines that miss all'
	@echo '               caches; bounds of the gain by a model; TWICE=1: again, and compared'
	@echo 'make table     net_families on every node, by an optional patch: look-ups of socket(),'
	@echo '               from which node and at what cost, before and after'
	@echo 'make report    build/report.html: locality, cost, bounds of the gain, memory, page'
	@echo '               faults, as plots and numbers, of what is in build/; makes locality if'
	@echo '               it is not there, and with ALL=1 all that is not: most of an hour'
	@echo 'make profile   faults and utilisation of processes by node, replication off and on;'
	@echo '               what sampling them costs, in instructions'
	@echo 'make latency   longest sections with interrupts off, or text_mutex held, in instructions'
	@echo 'make clean     remove build/'
	@echo
	@echo 'ARCH=x86_64         architecture: x86_64, arm64, um (make kunit only)'
	@echo 'FIRMWARE=efi        ARCH=arm64: boot by EDK2 and ACPI, not by device tree'
	@echo 'CPU=max             the model of CPU that QEMU pretends, e.g. cortex-a72'
	@echo 'NODES=2 CPUS=4      machine; or TOPOLOGY=2n4c|4n8c|8n8c|memless0|memless1|'
	@echo '                    cpuless0|cpuless2|dist'
	@echo 'APPEND="..."        more words for the kernel command line, e.g. "nokaslr pti=on"'
	@echo 'CONFIG=run          scripts/configs: run, or debug, kasan, fault, rt, bpf, modules (many'
	@echo '                    of them), patchers, kgdb, kdump joined by "-";'
	@echo '                    ARCH=arm64 also: 4k39, 4k52, 16k47, 16k48, 16k52, 64k42,'
	@echo '                    64k48, 64k52 (page size and address bits; else 4k48), slim'
	@echo '                    before one of these (few drivers), noptdump, kasantags,'
	@echo '                    kvm'
	@echo 'BREAK=poke          break the kernel on purpose, as kunit/mutants/poke.patch does;'
	@echo '                    each of them says what must fail then: make run, or make suites'
	@echo 'OPTIONAL=1          a kernel with the patches of patches/6.12/optional, too'
	@echo 'MEM=2048 TIMEOUT=300 JOBS=...'
	@echo 'CALLS=fork,... ITERATIONS=400 COLD=1 LLC=node|shared FROM=NODE  make locality: what'
	@echo '                    ktrepl-bench calls, how often, with empty caches, the last level'
	@echo '                    of them, and from which node only'

setup:
	@scripts/setup

image: setup
	@scripts/build

run: image
	@scripts/run proof

shell: image
	@scripts/run shell

suites: image
	@scripts/suites

stress: image
	@scripts/run stress

storm: CONFIG := $(or $(CONFIG),fault-patchers)
storm: image
	@scripts/run storm

power: image
	@scripts/run power

shortage: image
	@scripts/run shortage

roots: image
	@MEM=$(or $(MEM),4096) scripts/run roots

debian: CONFIG := $(or $(CONFIG),bpf)
debian: image
	@scripts/run debian

kselftest: CONFIG := $(or $(CONFIG),patchers-kselftest)
kselftest: image
	@$(if $(filter stock,$(MODES)),CONFIG=$(CONFIG)-noktrepl scripts/build)
	@scripts/kselftest

# kunit.py builds that of ARCH=um itself.
kunit: $(if $(filter um,$(ARCH)),setup,image)
	@scripts/kunit

static: setup
	@scripts/static

docs: setup
	@scripts/tree
	@scripts/docs

models: setup
	@scripts/models

mutation-score: setup
	@scripts/mutate --least=90 $(SEED:%=--seed=%) $(COUNT:%=--count=%)

coverage: setup
	@scripts/coverage

# CELLS and CELL may have globs, which are not the shell's.
check: setup
	@set -f; scripts/check $(CELLS)

mutants: setup
	@set -f; scripts/check *-mutant-*

check-all: setup
	@scripts/check --all

again:
	@set -f; scripts/check --again $(or $(CELL),$(error which? make again CELL=x86_64-run-2n4c))

releases:
	@scripts/releases

# Of both architectures.
bisect-check:
	@ARCH=x86_64 scripts/setup
	@ARCH=arm64 scripts/setup
	@scripts/bisect-check

trixie:
	@scripts/trixie $(TARGET)

bench: setup
	@scripts/bench

bench-gate: image
	@scripts/bench gate

bench-sites: setup
	@scripts/bench sites

bench-history:
	@scripts/install python3-matplotlib
	@scripts/bench-counts/history

profile: image
	@scripts/install python3-matplotlib
	@scripts/profile

locality: image
	@scripts/install python3-matplotlib
	@scripts/locality

loops: image
	@scripts/install python3-matplotlib
	@scripts/loops $(if $(TWICE),--twice)

table: setup
	@scripts/table

report: setup
	@scripts/install python3-matplotlib
	@scripts/report $(if $(ALL),--make-all,--make)

latency: image
	@scripts/latency

clean:
	rm -rf build
