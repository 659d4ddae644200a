/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sources in a storm: from the sixteenth refusal in a tick on they are refused from memory, which shows where
 * their bucket is refilled behind the program's back. Whatever the memory holds ends with the tick.
 */
#include "prog/rates.h"

#define BURST    20 /* of TEN_A_SECOND */
#define REFUSALS 16 /* LOUD_REFUSALS */
#define LIMITED  "limits: {unknown: {invite: " TEN_A_SECOND "}, " NO_OTHER "}"
#define A_SOURCE "192.0.2.77"

static const struct expect is_denied = DROPS(DENIED, INVITE, INVITE);

/* Every bucket is full again, and the program is not told. */
static void refill(struct lab *lab)
{
	memset(lab->table[0].memory, 0, lab->table[0].bytes);
}

/* A source that has been refused so often in this tick, and has a full bucket now. */
static void be_refused(struct lab *lab, const char *source, int refusals)
{
	send_many_from(lab, BURST, source, passes);
	send_many_from(lab, refusals, source, over_source);
	refill(lab);
}

static void test_a_storm_is_refused_from_memory(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, LIMITED);
	be_refused(lab, A_SOURCE, REFUSALS);
	send_many_from(lab, 100, A_SOURCE, over_source);
	lab->now += 1;
	send_many_from(lab, BURST, A_SOURCE, passes);
	send_from(lab, A_SOURCE, over_source);
}

static void test_fifteen_refusals_are_no_storm(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, LIMITED);
	be_refused(lab, A_SOURCE, REFUSALS - 1);
	send_many_from(lab, BURST, A_SOURCE, passes);
	send_from(lab, A_SOURCE, over_source);
}

static void test_refusals_of_two_ticks_are_no_storm(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, LIMITED);
	be_refused(lab, A_SOURCE, REFUSALS - 1);
	lab->now += TICK;
	be_refused(lab, A_SOURCE, REFUSALS - 1);
	send_from(lab, A_SOURCE, passes);
}

static void test_others_are_judged(void **state)
{
	static const struct recipe ack = {.payload = ACK_TEXT, .source = A_SOURCE};
	struct lab *lab = *state;
	char text[INET_ADDRSTRLEN];

	lab_policy(lab, LIMITED);
	be_refused(lab, A_SOURCE, REFUSALS);
	lab_send(lab, "another class", &ack, (struct expect)PASSES(WITHIN_LIMITS, DIALOG, ACK));
	for (__u32 i = 1; i <= 64; i++)
		send_from(lab, spoofed(text, i, true), passes);
}

static void test_of_ipv6_too(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, LIMITED);
	be_refused(lab, "2001:db8::7", REFUSALS);
	send_from(lab, "2001:db8::7", over_source);
	send_from(lab, "2001:db8::8", passes);
	send_from(lab, "2001:db8:0:1::7", passes);
}

static void test_a_denied_source_is_remembered_too(void **state)
{
	struct lab *lab = *state;
	__u32 changes;

	lab_policy(lab, "deny: [" A_SOURCE "]");
	send_many_from(lab, REFUSALS, A_SOURCE, is_denied);
	changes = lab->changes;
	lab_policy(lab, LIMITED);
	lab->changes = changes;
	send_from(lab, A_SOURCE, is_denied);
	lab->now += 1;
	send_from(lab, A_SOURCE, passes);
}

/* The operator's change is told to a trial; live it is in force with the next tick. */
static void test_a_change_ends_it(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, LIMITED);
	be_refused(lab, A_SOURCE, REFUSALS);
	assert_int_equal(lab_ban(lab, A_SOURCE, SECOND), 0);
	send_from(lab, A_SOURCE, (struct expect)DROPS(BANNED, INVITE, INVITE));
}

static void test_in_monitor_mode_it_is_counted_as_what_would_be(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, "mode: monitor\n" LIMITED);
	send_many_from(lab, BURST, A_SOURCE, passes);
	send_many_from(lab, REFUSALS + 4, A_SOURCE, (struct expect)WOULD_DROP(SOURCE_RATE, INVITE, INVITE));
}

/* Where drops lead to a ban each is counted: the last of them is the last that is not a ban. */
static void test_not_where_drops_are_strikes(void **state)
{
	struct lab *lab = *state;

	lab_policy(lab, LIMITED "\nban: {drops: 50, within: 10s}");
	send_many_from(lab, BURST, A_SOURCE, passes);
	send_many_from(lab, 50, A_SOURCE, over_source);
	send_from(lab, A_SOURCE, (struct expect)DROPS(BANNED, INVITE, INVITE));
}

/* What goes to another address is not for us, however loud its source is. */
static void test_not_where_addresses_are_protected(void **state)
{
	struct recipe elsewhere = invite_from(A_SOURCE);
	struct lab *lab = *state;

	elsewhere.destination = "198.51.100.2";
	lab_policy(lab, LIMITED "\naddresses: [" DESTINATION "]");
	send_many_from(lab, BURST, A_SOURCE, passes);
	send_many_from(lab, REFUSALS + 4, A_SOURCE, over_source);
	lab_send(lab, "elsewhere", &elsewhere, (struct expect)NOT_OURS);
	send_from(lab, A_SOURCE, over_source);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		lab_test(test_a_storm_is_refused_from_memory),
		lab_test(test_fifteen_refusals_are_no_storm),
		lab_test(test_refusals_of_two_ticks_are_no_storm),
		lab_test(test_others_are_judged),
		lab_test(test_of_ipv6_too),
		lab_test(test_a_denied_source_is_remembered_too),
		lab_test(test_a_change_ends_it),
		lab_test(test_in_monitor_mode_it_is_counted_as_what_would_be),
		lab_test(test_not_where_drops_are_strikes),
		lab_test(test_not_where_addresses_are_protected),
	};

	return cmocka_run_group_tests(tests, lab_open_on_one_cpu, lab_close);
}
