/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How long a CPU was not to be had: on each one wakes a thread of the highest rank four times a millisecond and
 * notes how late it was. What the kernel does without a pause shows, and so does what a host of this machine takes;
 * programs of lower rank do not. Runs until a signal: {"wakeups":N,"longest_us":N}.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "lab.h"

#define PERIOD (LAB_MILLISECOND / 4)
#define RANK   90 /* of 99: below the kernel's own watchdogs */

struct watch {
	pthread_t thread;
	int cpu, error;
	__u64 wakeups, longest;
};

static int take_cpu(int cpu)
{
	const struct sched_param rank = {.sched_priority = RANK};
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) || sched_setscheduler(0, SCHED_FIFO, &rank))
		return -errno;
	return 0;
}

static void note_wakeup(struct watch *watch, __u64 *due)
{
	const struct timespec at = {.tv_sec = *due / LAB_SECOND, .tv_nsec = *due % LAB_SECOND};
	__u64 now;

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
	now = lab_now();
	if (now > *due && now - *due > watch->longest)
		watch->longest = now - *due;
	watch->wakeups++;
	*due = now + PERIOD;
}

static void *watch_cpu(void *argument)
{
	struct watch *watch = argument;
	__u64 due;

	watch->error = take_cpu(watch->cpu);
	due = lab_now() + PERIOD;
	while (!watch->error && !lab_stopped)
		note_wakeup(watch, &due);
	return NULL;
}

static int report(const struct watch *watches, long cpus)
{
	__u64 wakeups = 0, longest = 0;
	int error = 0;

	for (long cpu = 0; cpu < cpus; cpu++) {
		error = watches[cpu].error ? watches[cpu].error : error;
		wakeups += watches[cpu].wakeups;
		longest = watches[cpu].longest > longest ? watches[cpu].longest : longest;
	}
	if (error) {
		fprintf(stderr, "stall: watching a CPU: %s\n", strerror(-error));
		return 1;
	}
	printf("{\"wakeups\":%llu,\"longest_us\":%llu}\n", wakeups, longest / 1000);
	return 0;
}

int main(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct watch *watches = calloc(cpus, sizeof(*watches));

	if (!watches)
		return 1;
	lab_stop_on_signals();
	for (long cpu = 0; cpu < cpus; cpu++) {
		watches[cpu].cpu = cpu;
		if (pthread_create(&watches[cpu].thread, NULL, watch_cpu, &watches[cpu]))
			return 1;
	}
	for (long cpu = 0; cpu < cpus; cpu++)
		pthread_join(watches[cpu].thread, NULL);
	return report(watches, cpus);
}
