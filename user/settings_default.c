/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What holds where nothing is configured: values that nobody's trunk, phone or NAT notices. They pass
 * settings_check, which a unit test asserts.
 */
#include <string.h>

#include "settings_derive.h"
#include "settings_value.h"

#define SECOND 1000000000ULL

/* Packets a second, packets. */
struct pace {
	__u32 rate, burst;
};

static const struct pace unknown_paces[SIPDAM_CLASSES_MAX] = {
	[SIPDAM_CLASS_INVITE] = {10, 50},        [SIPDAM_CLASS_REGISTER] = {10, 200},
	[SIPDAM_CLASS_OPTIONS] = {5, 50},        [SIPDAM_CLASS_DIALOG] = {50, 200},
	[SIPDAM_CLASS_OTHER] = {10, 200},        [SIPDAM_CLASS_RESPONSE] = {200, 800},
	[SIPDAM_CLASS_KEEPALIVE] = {20, 200},    [SIPDAM_CLASS_MALFORMED] = {1, 5},
	[SIPDAM_CLASS_FRAGMENT] = {10, 40},      [SIPDAM_CLASS_TCP_SYN] = {5, 20},
	[SIPDAM_CLASS_TCP_DATA] = {5000, 20000}, [SIPDAM_CLASS_TLS_HELLO] = {2, 10},
	[SIPDAM_CLASS_WS_UPGRADE] = {5, 50},
};

static const struct pace pool_paces[SIPDAM_CLASSES_MAX] = {
	[SIPDAM_CLASS_INVITE] = {200, 400},        [SIPDAM_CLASS_REGISTER] = {200, 400},
	[SIPDAM_CLASS_OPTIONS] = {100, 200},       [SIPDAM_CLASS_DIALOG] = {1000, 4000},
	[SIPDAM_CLASS_OTHER] = {200, 400},         [SIPDAM_CLASS_RESPONSE] = {5000, 20000},
	[SIPDAM_CLASS_KEEPALIVE] = {2000, 8000},   [SIPDAM_CLASS_MALFORMED] = {50, 200},
	[SIPDAM_CLASS_FRAGMENT] = {50, 200},       [SIPDAM_CLASS_TCP_SYN] = {200, 800},
	[SIPDAM_CLASS_TCP_DATA] = {50000, 200000}, [SIPDAM_CLASS_TLS_HELLO] = {200, 800},
	[SIPDAM_CLASS_WS_UPGRADE] = {200, 400},
};

static struct sipdam_limit limit_of(__u32 rate, __u32 burst)
{
	return (struct sipdam_limit){.rate = rate * SIPDAM_RATE_UNIT, .burst = burst};
}

/* A site behind one NAT: ten times as much as a stranger, and more burst. */
static struct sipdam_limit trusted_limit(int class)
{
	return limit_of(unknown_paces[class].rate * 10, unknown_paces[class].burst * 20);
}

void settings_default_limits(struct sipdam_policy *policy)
{
	for (int class = 1; class < SIPDAM_CLASSES_MAX; class ++) {
		const struct pace *unknown = &unknown_paces[class], *pool = &pool_paces[class];
		bool in_dialog = class == SIPDAM_CLASS_RESPONSE || class == SIPDAM_CLASS_DIALOG;

		if (!unknown->rate)
			continue;
		policy->limits[SIPDAM_TIER_UNKNOWN][class] = limit_of(unknown->rate, unknown->burst);
		policy->limits[SIPDAM_TIER_TRUSTED][class] = trusted_limit(class);
		policy->limits[SIPDAM_TIER_PEER][class] =
			in_dialog ? trusted_limit(class) : limit_of(unknown->rate, unknown->burst);
		settings_make_unlimited(&policy->limits[SIPDAM_TIER_ALLOWED][class]);
		policy->pool[class] = limit_of(pool->rate, pool->burst);
	}
	policy->network = limit_of(300, 1200);
}

static void default_keys(struct sipdam_policy *policy)
{
	policy->ports[SIPDAM_PORTS_UDP] = (struct sipdam_ports){.port = {5060}, .count = 1};
	policy->ports[SIPDAM_PORTS_TCP] = (struct sipdam_ports){.port = {5060}, .count = 1};
	policy->ports[SIPDAM_PORTS_TLS] = (struct sipdam_ports){.port = {5061}, .count = 1};
	policy->source_prefix[SIPDAM_FAMILY_IPV4] = 32;
	policy->source_prefix[SIPDAM_FAMILY_IPV6] = 64;
	policy->network_prefix[SIPDAM_FAMILY_IPV4] = 24;
	policy->network_prefix[SIPDAM_FAMILY_IPV6] = 48;
	policy->sources = 1048576;
}

static void default_stages(struct sipdam_policy *policy)
{
	policy->verify_enabled = 1;
	policy->verify_min = SECOND / 5;
	policy->verify_max = 32 * SECOND;
	policy->verify_hold = 10 * SECOND;
	policy->trust_learn = 1;
	policy->trust_ttl = 3600 * SECOND;
	policy->ban_enabled = 1;
	policy->ban_within = 10 * SECOND;
	policy->ban_failures = 20;
	policy->ban_for = 300 * SECOND;
	policy->ban_max = 3600 * SECOND;
	policy->reflection_rate = 20000000;
	policy->reflection_burst = 40000000;
	policy->cookies = limit_of(50000, 50000);
	policy->connections_per_source = 1000;
	policy->connections_trusted = 10000;
	policy->connections_forget = 15 * 60 * SECOND;
}

void settings_default(struct settings *settings)
{
	memset(settings, 0, sizeof(*settings));
	default_keys(&settings->policy);
	settings_default_limits(&settings->policy);
	default_stages(&settings->policy);
	settings_derive(settings);
}
