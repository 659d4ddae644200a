/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Values: decimal digits, rates, durations, words. Exact: no floating point, so that what is written is
 * what is stored and printed. What spans two fields is settings_derive.c's.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "settings_value.h"

#define RATE_MAX          1000000ULL /* packets a second */
#define RATE_DECIMALS     6
#define DURATION_DECIMALS 15

static const struct {
	const char *name;
	__u64 nanoseconds;
} units[] = {
	{"d", 86400000000000ULL}, {"h", 3600000000000ULL}, {"m", 60000000000ULL}, {"s", 1000000000ULL},
	{"ms", 1000000ULL},       {"us", 1000ULL},         {"ns", 1ULL},
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * Reads digits with at most this many decimals as a whole number of 10^-*decimals. A leading zero is
 * refused: elsewhere in YAML it means octal. Returns the length of the number, 0 if there is none or it
 * does not fit.
 */
static size_t parse_decimal(const char *text, size_t decimals_most, __u64 *value, size_t *decimals)
{
	__u64 number = 0;
	size_t length = 0, point = 0;

	if (!is_digit(text[0]) || (text[0] == '0' && is_digit(text[1])))
		return 0;
	for (;; length++) {
		if (text[length] == '.' && !point && is_digit(text[length + 1])) {
			point = length + 1;
			continue;
		}
		if (!is_digit(text[length]))
			break;
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, (__u64)(text[length] - '0'), &number))
			return 0;
	}
	*decimals = point ? length - point : 0;
	if (*decimals > decimals_most)
		return 0;
	*value = number;
	return length;
}

int settings_parse_whole(const char *text, __u64 most, __u64 *value)
{
	size_t decimals, length;
	__u64 number;

	if (!text[0] || text[strspn(text, "0123456789")])
		return -EINVAL;
	length = parse_decimal(text, 0, &number, &decimals);
	if (!length)
		return text[0] == '0' ? -EINVAL : -ERANGE;
	if (number > most)
		return -ERANGE;
	*value = number;
	return 0;
}

int settings_parse_rate(const char *text, __u64 *millionths)
{
	size_t decimals, length;
	__u64 number;

	length = parse_decimal(text, RATE_DECIMALS, &number, &decimals);
	if (!length || text[length])
		return -EINVAL;
	for (; decimals < RATE_DECIMALS; decimals++) {
		if (__builtin_mul_overflow(number, 10, &number))
			return -ERANGE;
	}
	if (number > RATE_MAX * SIPDAM_RATE_UNIT)
		return -ERANGE;
	*millionths = number;
	return 0;
}

void settings_format_rate(__u64 millionths, char *text, size_t size)
{
	unsigned long long whole = millionths / SIPDAM_RATE_UNIT, part = millionths % SIPDAM_RATE_UNIT;
	int decimals = RATE_DECIMALS;

	if (!part) {
		snprintf(text, size, "%llu", whole);
		return;
	}
	for (; part % 10 == 0; part /= 10)
		decimals--;
	snprintf(text, size, "%llu.%0*llu", whole, decimals, part);
}

static __u64 unit_named(const char *name)
{
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (!strcmp(units[i].name, name))
			return units[i].nanoseconds;
	}
	return 0;
}

int settings_parse_duration(const char *text, __u64 *nanoseconds)
{
	size_t decimals, length;
	__u64 number, unit, scale = 1;
	unsigned __int128 product;

	length = parse_decimal(text, DURATION_DECIMALS, &number, &decimals);
	unit = length ? unit_named(text + length) : 0;
	if (!unit)
		return -EINVAL;
	while (decimals--)
		scale *= 10;
	product = (unsigned __int128)number * unit;
	if (product % scale || product / scale > UINT64_MAX)
		return -EINVAL;
	*nanoseconds = (__u64)(product / scale);
	return 0;
}

void settings_format_duration(__u64 nanoseconds, char *text, size_t size)
{
	size_t i = 0;

	if (!nanoseconds) {
		snprintf(text, size, "0s");
		return;
	}
	while (nanoseconds % units[i].nanoseconds)
		i++;
	snprintf(text, size, "%llu%s", (unsigned long long)(nanoseconds / units[i].nanoseconds),
		 units[i].name);
}

/* A limit that had no burst of its own gets one from its rate: settings_derive.c. */
void settings_make_unlimited(struct sipdam_limit *limit)
{
	limit->unlimited = 1;
	limit->rate = 0;
	limit->burst = SIPDAM_NO_BURST;
}

static int parse_limit_rate(struct sipdam_limit *limit, const char *text, bool quoted)
{
	if (!strcmp(text, "unlimited")) {
		settings_make_unlimited(limit);
		return 0;
	}
	if (quoted || settings_parse_rate(text, &limit->rate))
		return -EINVAL;
	limit->unlimited = 0;
	return 0;
}

static int parse_limit_burst(struct sipdam_limit *limit, const struct field *field, const char *text,
			     bool quoted)
{
	__u64 burst;

	if (limit->unlimited && !strcmp(text, "unlimited"))
		return 0;
	if (quoted || settings_parse_whole(text, field->most, &burst) || burst < field->least)
		return -EINVAL;
	limit->burst = (__u32)burst;
	return 0;
}

static int parse_choice(__u32 *place, const struct field_choice *choice, const char *text)
{
	for (; choice->word; choice++) {
		if (!strcmp(choice->word, text)) {
			*place = choice->value;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_boolean(__u32 *place, const char *text, bool quoted)
{
	bool yes = !strcmp(text, "true");

	if (quoted || (!yes && strcmp(text, "false")))
		return -EINVAL;
	*place = yes;
	return 0;
}

static int parse_number(const struct field *field, const char *text, bool quoted, __u64 *number)
{
	__u64 parsed;
	int error;

	if (field->kind == FIELD_DURATION)
		error = settings_parse_duration(text, &parsed);
	else
		error = quoted ? -EINVAL : settings_parse_whole(text, field->most, &parsed);
	if (error || parsed < field->least || parsed > field->most)
		return -EINVAL;
	if (field->kind == FIELD_SOURCES && (parsed & (parsed - 1)))
		return -EINVAL;
	*number = parsed;
	return 0;
}

int settings_parse_scalar(struct sipdam_policy *policy, const struct field *field, const char *text,
			  bool quoted)
{
	void *place = field_place(policy, field);
	__u64 number;

	switch (field->kind) {
	case FIELD_CHOICE:
		return parse_choice(place, field->choices, text);
	case FIELD_BOOLEAN:
		return parse_boolean(place, text, quoted);
	case FIELD_RATE:
		return parse_limit_rate(place, text, quoted);
	case FIELD_BURST:
		return parse_limit_burst(place, field, text, quoted);
	case FIELD_COUNT:
		if (parse_number(field, text, quoted, &number))
			return -EINVAL;
		*(__u32 *)place = (__u32)number;
		return 0;
	case FIELD_SOURCES:
	case FIELD_BYTES:
	case FIELD_DURATION:
		return parse_number(field, text, quoted, place);
	default:
		return -EINVAL;
	}
}

int settings_parse_port(struct sipdam_ports *ports, const char *text)
{
	__u64 port;

	if (settings_parse_whole(text, UINT16_MAX, &port) || !port)
		return -EINVAL;
	if (ports->count >= SIPDAM_PORTS_PER_KIND)
		return -EFBIG;
	ports->port[ports->count++] = (__u16)port;
	return 0;
}

static __u64 nearest_power(__u64 value, __u64 least, __u64 most)
{
	__u64 power = least;

	while (power < most && power * 2 <= value)
		power *= 2;
	return power < most && value > power && power * 2 - value < value - power ? power * 2 : power;
}

static void expected_sources(const struct field *field, const char *given, char *text, size_t size)
{
	unsigned long long least = field->least, most = field->most;
	__u64 number;

	if (given && !settings_parse_whole(given, UINT64_MAX, &number))
		snprintf(text, size, "a power of two from %llu to %llu, the nearest is %llu", least, most,
			 (unsigned long long)nearest_power(number, least, most));
	else
		snprintf(text, size, "a power of two from %llu to %llu", least, most);
}

static void expected_choice(const struct field_choice *choice, char *text, size_t size)
{
	size_t used = 0;

	for (; choice->word && used < size; choice++) {
		const char *between = !used ? "" : choice[1].word ? ", " : " or ";

		used += (size_t)snprintf(text + used, size - used, "%s%s", between, choice->word);
	}
}

static void expected_duration(const struct field *field, char *text, size_t size)
{
	char least[32], most[32];

	settings_format_duration(field->least, least, sizeof(least));
	settings_format_duration(field->most, most, sizeof(most));
	snprintf(text, size, "a duration from %s to %s, such as 10s (units ns us ms s m h d)", least, most);
}

void settings_expected(const struct field *field, const char *given, char *text, size_t size)
{
	switch (field->kind) {
	case FIELD_CHOICE:
		return expected_choice(field->choices, text, size);
	case FIELD_SOURCES:
		return expected_sources(field, given, text, size);
	case FIELD_DURATION:
		return expected_duration(field, text, size);
	case FIELD_BOOLEAN:
		snprintf(text, size, "true or false");
		return;
	case FIELD_RATE:
		snprintf(text, size, "packets a second from 0 to %llu with at most %d decimals, or unlimited",
			 RATE_MAX, RATE_DECIMALS);
		return;
	case FIELD_PORTS:
		snprintf(text, size, "a list of at most %llu ports from 1 to 65535, such as [5060, 5062]",
			 (unsigned long long)field->most);
		return;
	case FIELD_PREFIXES:
	case FIELD_LIST:
		snprintf(text, size, "a list of prefixes%s, such as [192.0.2.0/24, \"2001:db8::/32\"]",
			 field->kind == FIELD_LIST ? " or of files with one a line" : "");
		return;
	default:
		snprintf(text, size, "a whole number from %llu to %llu", (unsigned long long)field->least,
			 (unsigned long long)field->most);
	}
}
