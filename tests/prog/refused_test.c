/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The record of sources that their own limits refuse: what is noted and what is not, how many packets it
 * makes of samples, and who keeps a slot that two want.
 */
#include "prog/rates.h"

#include "address.h"
#include "over_limit.h"

#define NOTHING  "limits: {unknown: {invite: {rate: 0}, response: {rate: 0}}}"
#define SAMPLE   SIPDAM_REFUSED_SAMPLE
#define A_SOURCE "192.0.2.77"

static const struct recipe answer = {.payload = "SIP/2.0 200 OK\r\n", .source = A_SOURCE};

/* All slots of all CPUs, CPU by CPU within a slot. To be freed. */
static struct sipdam_refused *read_slots(struct lab *lab, int cpus)
{
	struct sipdam_refused *values = calloc((size_t)SIPDAM_REFUSED_SLOTS * cpus, sizeof(*values));
	__u32 keys[SIPDAM_REFUSED_SLOTS], next, count = SIPDAM_REFUSED_SLOTS;
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	int error = bpf_map_lookup_batch(filter_map(lab->filter, "refused"), NULL, &next, keys, values,
					 &count, &opts);

	assert_true(!error || error == -ENOENT); /* that was the last slot */
	assert_int_equal(count, SIPDAM_REFUSED_SLOTS);
	return values;
}

/* Looks for a source in a half of the slots, on every CPU. bits 0 in *found: it is not there. */
static void look_up(struct lab *lab, const char *source, bool answers, struct sipdam_refused *found)
{
	int cpus = libbpf_num_possible_cpus(), half = SIPDAM_REFUSED_SLOTS / 2, from = answers ? half : 0;
	struct sipdam_refused *values = read_slots(lab, cpus);
	struct sipdam_prefix prefix;

	memset(found, 0, sizeof(*found));
	assert_int_equal(address_parse_prefix(source, &prefix), 0);
	for (int i = from * cpus; i < (from + half) * cpus; i++)
		if (!memcmp(&values[i].high, prefix.address, 16))
			*found = values[i];
	free(values);
}

static size_t noted(struct lab *lab)
{
	int cpus = libbpf_num_possible_cpus();
	struct sipdam_refused *values = read_slots(lab, cpus);
	size_t count = 0;

	for (int i = 0; i < SIPDAM_REFUSED_SLOTS * cpus; i++)
		count += values[i].last != 0;
	free(values);
	return count;
}

static void forget_noted(struct lab *lab)
{
	int cpus = libbpf_num_possible_cpus();
	struct sipdam_refused *values = calloc((size_t)SIPDAM_REFUSED_SLOTS * cpus, sizeof(*values));
	__u32 keys[SIPDAM_REFUSED_SLOTS], count = SIPDAM_REFUSED_SLOTS;
	LIBBPF_OPTS(bpf_map_batch_opts, opts);

	for (__u32 slot = 0; slot < SIPDAM_REFUSED_SLOTS; slot++)
		keys[slot] = slot;
	assert_int_equal(
		bpf_map_update_batch(filter_map(lab->filter, "refused"), keys, values, &count, &opts), 0);
	free(values);
}

/* Begins where a whole round of SAMPLE refusals must come before the next is noted, and nothing is. */
static void begin(struct lab *lab, const char *policy)
{
	forget_noted(lab);
	lab_policy(lab, NOTHING);
	for (int i = 0; i < SAMPLE && !noted(lab); i++)
		send_from(lab, A_SOURCE, over_source);
	assert_int_equal(noted(lab), 1);
	lab_policy(lab, policy);
	lab_forget(lab);
	forget_noted(lab);
}

/* n samples of one source's refused INVITEs. */
static void refuse(struct lab *lab, const char *source, int n)
{
	send_many_from(lab, n * SAMPLE, source, over_source);
}

static void test_one_in_sixteen_is_noted(void **state)
{
	struct lab *lab = *state;
	struct sipdam_refused found;
	__u64 first;

	begin(lab, NOTHING);
	send_many_from(lab, SAMPLE - 1, A_SOURCE, over_source);
	assert_int_equal(noted(lab), 0);
	send_from(lab, A_SOURCE, over_source);
	look_up(lab, A_SOURCE, false, &found);
	assert_int_equal(found.packets, SAMPLE);
	assert_int_equal(found.class, SIPDAM_CLASS_INVITE);
	assert_int_equal(found.classes, 1 << SIPDAM_CLASS_INVITE);
	assert_int_equal(found.bits, 128);
	assert_int_equal(found.first, lab->now);
	assert_int_equal(found.last, lab->now);
	first = lab->now;
	lab->now += 7 * SECOND;
	refuse(lab, A_SOURCE, 10);
	look_up(lab, A_SOURCE, false, &found);
	assert_int_equal(found.packets, 11 * SAMPLE);
	assert_int_equal(found.first, first);
	assert_int_equal(found.last, lab->now);
	assert_int_equal(noted(lab), 1);
}

static void test_what_others_caused_is_not_noted(void **state)
{
	struct lab *lab = *state;

	begin(lab, "limits: {network: {rate: 0}}");
	send_many_from(lab, 2 * SAMPLE, "192.0.2.1", over_network);
	lab_policy(lab, NOT_VERIFIED "limits: {pool: {invite: {rate: 0}}}");
	lab_forget(lab);
	send_many_from(lab, 2 * SAMPLE, "192.0.2.2", over_pool);
	lab_policy(lab, "deny: [192.0.2.3]");
	send_many_from(lab, 2 * SAMPLE, "192.0.2.3", (struct expect)DROPS(DENIED, INVITE, INVITE));
	lab_policy(lab, "");
	send_many_from(lab, 50, "192.0.2.4", passes);
	assert_int_equal(noted(lab), 0);
}

static void test_monitor_mode_notes_too(void **state)
{
	struct sipdam_refused found;
	struct lab *lab = *state;

	begin(lab, "mode: monitor\n" NOTHING);
	send_many_from(lab, SAMPLE, A_SOURCE, (struct expect)WOULD_DROP(SOURCE_RATE, INVITE, INVITE));
	look_up(lab, A_SOURCE, false, &found);
	assert_int_equal(found.packets, SAMPLE);
}

/* A flood of INVITEs does not hide whose answers are refused. */
static void test_answers_have_slots_of_their_own(void **state)
{
	struct expect over = DROPS(SOURCE_RATE, RESPONSE, RESPONSE);
	struct sipdam_refused answers;
	char text[INET_ADDRSTRLEN];
	struct lab *lab = *state;

	over.status = 200;
	begin(lab, NOTHING);
	lab_send_many(lab, "answers", SAMPLE, &answer, over);
	for (__u32 n = 0; n < SIPDAM_REFUSED_SLOTS * 4; n++)
		refuse(lab, spoofed(text, n, true), 1);
	look_up(lab, A_SOURCE, true, &answers);
	assert_int_equal(answers.packets, SAMPLE);
	assert_int_equal(answers.classes, 1 << SIPDAM_CLASS_RESPONSE);
	assert_true(noted(lab) > SIPDAM_REFUSED_SLOTS / 4);
}

static void test_ipv6_is_noted_by_its_64(void **state)
{
	struct sipdam_refused found;
	struct lab *lab = *state;

	begin(lab, NOTHING);
	send_many_from(lab, SAMPLE, "2001:db8:1:2::3", over_source);
	send_many_from(lab, SAMPLE, "2001:db8:1:2:ffff::4", over_source);
	look_up(lab, "2001:db8:1:2::/64", false, &found);
	assert_int_equal(found.packets, 2 * SAMPLE);
	assert_int_equal(found.bits, 64);
	assert_int_equal(noted(lab), 1);
}

static bool is_noted(struct lab *lab, const char *source)
{
	struct sipdam_refused found;

	look_up(lab, source, false, &found);
	return found.last;
}

/* A source that wants the slot of A_SOURCE. */
static const char *find_rival(struct lab *lab, char text[INET_ADDRSTRLEN])
{
	for (__u32 n = 0; n < 100 * SIPDAM_REFUSED_SLOTS; n++) {
		forget_noted(lab);
		refuse(lab, A_SOURCE, 1);
		refuse(lab, spoofed(text, n, true), 1);
		if (!is_noted(lab, A_SOURCE))
			return text;
	}
	fail_msg("no source shares a slot with " A_SOURCE);
	return NULL;
}

static __u64 displaced(struct lab *lab)
{
	__u64 counts[SIPDAM_TABLE_EVENTS];

	read_all_summed(filter_map(lab->filter, "table_events"), SIPDAM_TABLE_EVENTS, counts,
			sizeof(*counts));
	return counts[SIPDAM_TABLE_REFUSED_DISPLACED];
}

static void test_the_louder_keeps_its_slot(void **state)
{
	char text[INET_ADDRSTRLEN];
	struct lab *lab = *state;
	const char *rival;
	__u64 before;

	begin(lab, NOTHING);
	rival = find_rival(lab, text);
	forget_noted(lab);
	before = displaced(lab);
	refuse(lab, A_SOURCE, 10);
	refuse(lab, rival, 9);
	assert_true(is_noted(lab, A_SOURCE) && !is_noted(lab, rival));
	assert_int_equal(displaced(lab), before);
	refuse(lab, rival, 1);
	assert_true(!is_noted(lab, A_SOURCE) && is_noted(lab, rival));
	assert_int_equal(displaced(lab), before + 1);
}

/* However loud it was: who is silent has to go, and begins anew when it comes back after five minutes. */
static void test_nobody_keeps_a_slot_in_silence(void **state)
{
	struct sipdam_refused found;
	char text[INET_ADDRSTRLEN];
	struct lab *lab = *state;
	const char *rival;
	__u64 before;

	begin(lab, NOTHING);
	rival = find_rival(lab, text);
	forget_noted(lab);
	before = displaced(lab);
	refuse(lab, A_SOURCE, 300);
	lab->now += 20 * SECOND;
	refuse(lab, rival, 10); /* 19 seconds of 1.07 and one each */
	assert_true(is_noted(lab, A_SOURCE) && !is_noted(lab, rival));
	lab->now += 260 * SECOND;
	refuse(lab, rival, 1);
	assert_true(!is_noted(lab, A_SOURCE) && is_noted(lab, rival));
	assert_int_equal(displaced(lab), before + 1);
	lab->now += SIPDAM_REFUSED_EPISODE + 1;
	refuse(lab, rival, 2);
	look_up(lab, rival, false, &found);
	assert_int_equal(found.packets, 2 * SAMPLE);
	assert_int_equal(found.first, lab->now);
	assert_int_equal(displaced(lab), before + 1);
}

/* ---- an office of sixty phones behind one address, after an outage ---- */

#define PHONES       60
#define SYN_AGAIN    1000 /* milliseconds, twice as long each time */
#define HELLO_AGAIN  300
#define OUTAGE_LASTS 180000

struct phone {
	int stage; /* what it sends: a SYN, its ClientHello, nothing more */
	__u64 next, wait;
};

static bool phone_is_let_in(struct lab *lab, const struct phone *phone)
{
	struct recipe recipe = {.protocol = 6, .port = TLS_PORT, .source = A_SOURCE};
	int reason;

	if (phone->stage == 0)
		recipe.flags = FLAG_SYN;
	else
		recipe.payload = "\x16\3\1\2\0\1", recipe.payload_bytes = 6;
	reason = lab_try(lab, &recipe);
	return reason == SIPDAM_REASON_WITHIN_LIMITS || reason == SIPDAM_REASON_ALLOWED;
}

static void phone_sends(struct lab *lab, struct phone *phone, __u64 now)
{
	bool is_in = phone_is_let_in(lab, phone);

	if (is_in) {
		phone->stage++;
		phone->wait = HELLO_AGAIN;
		phone->next = now;
		return;
	}
	phone->next = now + phone->wait;
	phone->wait *= 2;
}

/* Milliseconds until the last one has been let in. */
static __u64 come_back(struct lab *lab, const char *policy)
{
	struct phone phone[PHONES];
	__u64 begin = lab->now, last = 0;

	for (int i = 0; i < PHONES; i++)
		phone[i] = (struct phone){.wait = SYN_AGAIN};
	lab_policy(lab, policy);
	lab_forget(lab);
	forget_noted(lab);
	for (__u64 now = 0; now < OUTAGE_LASTS; now += 100)
		for (int i = 0; i < PHONES; i++)
			while (phone[i].stage < 2 && phone[i].next <= now) {
				lab->now = begin + now * 1000000;
				phone_sends(lab, &phone[i], now);
				last = now;
			}
	for (int i = 0; i < PHONES; i++)
		assert_int_equal(phone[i].stage, 2);
	lab_settle(lab, SIPDAM_TABLE_REFUSED_DISPLACED);
	return last;
}

/* What `status` says of it. To be freed. */
static char *status_says(struct lab *lab, __u32 *classes)
{
	int cpus = libbpf_num_possible_cpus();
	struct sipdam_refused *values = read_slots(lab, cpus);
	struct over_limits limits = {.now = lab->now};
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	for (int i = 0; i < SIPDAM_REFUSED_SLOTS * cpus; i++)
		over_limits_add(&limits, &values[i]);
	*classes = limits.count ? limits.source[0].classes : 0;
	over_limits_print(&limits, &lab->in_force, out);
	fclose(out);
	free(values);
	return text;
}

/* The defaults hold it up for half a minute: the operator is told which line ends that, and it does. */
static void test_an_office_after_an_outage(void **state)
{
	static const struct {
		const char *policy;
		__u32 classes;
	} rows[] = {
		{"", 1 << SIPDAM_CLASS_TCP_SYN | 1 << SIPDAM_CLASS_TLS_HELLO},
		{"limits: {unknown: {tls_hello: unlimited}}", 1 << SIPDAM_CLASS_TCP_SYN},
		{"limits: {unknown: {tcp_syn: unlimited}}", 1 << SIPDAM_CLASS_TLS_HELLO},
	};
	struct lab *lab = *state;
	__u32 classes;
	char *text;

	for (size_t i = 0; i < COUNT(rows); i++) {
		__u64 lasts = come_back(lab, rows[i].policy);

		assert_true(lasts > 10000);
		text = status_says(lab, &classes);
		assert_int_equal(classes, rows[i].classes);
		assert_non_null(strstr(text, "sipdam allow add " A_SOURCE "\n"));
		free(text);
	}
	assert_int_equal(come_back(lab, "allow: [" A_SOURCE "]"), 0);
	text = status_says(lab, &classes);
	assert_string_equal(text, "");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		lab_test(test_one_in_sixteen_is_noted),        lab_test(test_what_others_caused_is_not_noted),
		lab_test(test_monitor_mode_notes_too),         lab_test(test_answers_have_slots_of_their_own),
		lab_test(test_ipv6_is_noted_by_its_64),        lab_test(test_the_louder_keeps_its_slot),
		lab_test(test_nobody_keeps_a_slot_in_silence), lab_test(test_an_office_after_an_outage),
	};

	return cmocka_run_group_tests(tests, lab_open_on_one_cpu, lab_close);
}
