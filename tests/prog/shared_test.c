/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Words that all CPUs share, pools and networks: only a packet that is let in writes one, so that a flood of
 * refused packets reads a cache line and no more. Here CPUs take from one word at once, as fast as they can:
 * it never lets in more than its rate, by a packet a CPU, and never 5 % less while there is demand.
 */
#include "prog/rates.h"

#include <pthread.h>
#include <sched.h>

#define CPUS_MAX 8

/* A second, in steps in which every CPU offers its share at one instant. */
#define STEPS  20
#define STEP   (SECOND / STEPS)
#define RATE   100000
#define A_STEP (RATE / STEPS)

#define LARGE_RATE "{rate: 100000, burst: 5000}" /* a step's refill */

static const char pool_alone[] =
	"limits: {unknown: {invite: unlimited}, network: unlimited, pool: {invite: " LARGE_RATE "}}\n"
	"verify: {enabled: false}";
static const char network_alone[] =
	"limits: {unknown: {invite: unlimited}, network: " LARGE_RATE ", pool: {invite: unlimited}}";

/* What a CPU sends in each step, once all are there. */
struct sender {
	struct lab *lab;
	pthread_barrier_t *together;
	int cpu;
	__u32 packets;
	int error;
};

static void *send_steps(void *argument)
{
	struct sender *sender = argument;
	struct lab *lab = sender->lab;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = lab->frame.data, .data_size_in = lab->frame.length,
		    .repeat = sender->packets);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)sender->cpu, &set);
	sender->error = sched_setaffinity(0, sizeof(set), &set);
	for (int step = 0; step < STEPS; step++) {
		if (pthread_barrier_wait(sender->together) == PTHREAD_BARRIER_SERIAL_THREAD)
			lab->trial->now += STEP;
		pthread_barrier_wait(sender->together);
		if (bpf_prog_test_run_opts(filter_program(lab->filter), &opts))
			sender->error = -errno;
	}
	return NULL;
}

/* Lets so many CPUs offer `packets` each in every step of a second. Returns how many were let in. */
static __u64 let_in(struct lab *lab, int cpus, __u32 packets)
{
	const struct sipdam_count *count = &lab->expected.slot[0].reason[0][SIPDAM_REASON_WITHIN_LIMITS];
	struct sender sender[CPUS_MAX];
	pthread_t thread[CPUS_MAX];
	pthread_barrier_t together;
	__u64 before;

	lab_settle(lab, SIPDAM_TABLE_CONTENDED);
	before = count->packets;
	frame_build(&lab->frame, &invite);
	*lab->trial = (struct sipdam_trial){.now = lab->now};
	pthread_barrier_init(&together, NULL, (unsigned int)cpus);
	for (int cpu = 0; cpu < cpus; cpu++) {
		sender[cpu] = (struct sender){lab, &together, cpu, packets, 0};
		assert_int_equal(pthread_create(&thread[cpu], NULL, send_steps, &sender[cpu]), 0);
	}
	for (int cpu = 0; cpu < cpus; cpu++) {
		pthread_join(thread[cpu], NULL);
		assert_int_equal(sender[cpu].error, 0);
	}
	pthread_barrier_destroy(&together);
	lab->now = lab->trial->now;
	lab_settle(lab, SIPDAM_TABLE_CONTENDED);
	return count->packets - before;
}

static int cpus_here(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus > CPUS_MAX ? CPUS_MAX : (int)cpus;
}

/* Demand far over the rate, and demand that is the rate: CPUs that come too late for a word are refused. */
static void check_rate(struct lab *lab, const char *policy)
{
	for (int cpus = 1; cpus <= cpus_here(); cpus *= 2) {
		__u64 all, exact;

		lab_policy(lab, policy);
		lab_forget(lab);
		all = let_in(lab, cpus, 3 * A_STEP);
		lab_forget(lab);
		exact = let_in(lab, cpus, A_STEP / (__u32)cpus);
		print_message(
			"%d CPU%s: %llu of %d with three times the demand a CPU, %llu with just as much\n",
			cpus, cpus > 1 ? "s" : "", all, RATE, exact);
		assert_in_range(all, cpus > 1 ? RATE * 95 / 100 : RATE, RATE + cpus);
		assert_in_range(exact, cpus > 1 ? RATE * 95 / 100 : RATE, RATE);
	}
}

static void test_a_pool(void **state)
{
	check_rate(*state, pool_alone);
}

static void test_a_network(void **state)
{
	check_rate(*state, network_alone);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		lab_test(test_a_pool),
		lab_test(test_a_network),
	};

	return cmocka_run_group_tests(tests, lab_open, lab_close);
}
