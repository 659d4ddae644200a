/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What registrars print of their contacts, as they print it: which addresses and ports are read from it. */
// uses: user/contacts.c user/address.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "contacts.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

struct row {
	const char *name;
	const char *text;
	const char *contacts; /* "address port" each, a space between */
	size_t skipped;
};

static char *format(const struct contacts *contacts)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (size_t i = 0; i < contacts->count; i++) {
		char address[ADDRESS_TEXT];

		address_format(contacts->contact[i].address, address);
		fprintf(out, "%s%s %u", i ? " " : "", address, contacts->contact[i].port);
	}
	fclose(out);
	return text;
}

static void check(const struct row *row)
{
	/* Exactly as long as it is, without a NUL behind it. */
	size_t length = strlen(row->text);
	char *copy = malloc(length + !length), *found;
	struct contacts contacts = {};
	FILE *file;

	memcpy(copy, row->text, length);
	file = length ? fmemopen(copy, length, "r") : fopen("/dev/null", "r");
	assert_non_null(file);
	assert_int_equal(contacts_read(&contacts, file), 0);
	found = format(&contacts);
	if (strcmp(found, row->contacts) || contacts.skipped != row->skipped)
		fail_msg("%s: expected \"%s\", %zu skipped; got \"%s\", %zu", row->name, row->contacts,
			 row->skipped, found, contacts.skipped);
	fclose(file);
	free(found);
	free(copy);
	contacts_free(&contacts);
}

static void check_all(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		check(&rows[i]);
}

/* kamcmd ul.dump */
#define KAMCMD                                                                                               \
	"{\n\tDomains: {\n\t\tDomain: {\n\t\t\tDomain: location\n\t\t\tSize: 1024\n\t\t\tAoRs: {\n"            \
	"\t\t\t\tInfo: {\n\t\t\t\t\tAoR: 1001\n\t\t\t\t\tHashID: -1546826254\n\t\t\t\t\tContacts: {\n"           \
	"\t\t\t\t\t\tContact: {\n"                                                                           \
	"\t\t\t\t\t\t\tAddress: sip:1001@192.168.1.20:5062;transport=udp\n"                                  \
	"\t\t\t\t\t\t\tExpires: 3412\n\t\t\t\t\t\t\tQ: -1.000000\n"                                          \
	"\t\t\t\t\t\t\tCall-ID: 2f6c@192.168.1.20\n\t\t\t\t\t\t\tCSeq: 2\n"                                  \
	"\t\t\t\t\t\t\tUser-Agent: Linphone/4.4 192.0.2.250\n"                                               \
	"\t\t\t\t\t\t\tReceived: sip:203.0.113.9:40001\n\t\t\t\t\t\t\tPath: [not set]\n"                     \
	"\t\t\t\t\t\t\tState: CS_SYNC\n\t\t\t\t\t\t\tSocket: udp:198.51.100.1:5060\n"                        \
	"\t\t\t\t\t\t\tMethods: 5951\n\t\t\t\t\t\t\tRuid: uloc-1\n"                                          \
	"\t\t\t\t\t\t}\n\t\t\t\t\t\tContact: {\n"                                                            \
	"\t\t\t\t\t\t\tAddress: sip:1001@[2001:db8::20]:5060\n\t\t\t\t\t\t\tReceived: [not set]\n"           \
	"\t\t\t\t\t\t\tSocket: udp:[2001:db8::1]:5060\n"                                                     \
	"\t\t\t\t\t\t}\n\t\t\t\t\t\tContact: {\n"                                                            \
	"\t\t\t\t\t\t\tAddress: sip:1001@phone.example.org\n\t\t\t\t\t\t\tReceived: [not set]\n"             \
	"\t\t\t\t\t\t}\n\t\t\t\t\t}\n\t\t\t\t}\n\t\t\t}\n\t\t\tStats: {\n\t\t\t\tRecords: 1\n\t\t\t}\n\t\t}\n\t}\n}\n"

/* kamctl ul show, up to 4.x */
#define KAMCTL                                                                                               \
	"Domain:: location table=512 records=2 max_slot=1\n\tAOR:: 1002\n"                                   \
	"\t\tContact:: sip:1002@192.0.2.10:5060;ob Q=\n\t\t\tExpires:: 3420\n"                               \
	"\t\t\tCallid:: 7d1f@10.0.0.5\n\t\t\tCseq:: 24\n\t\t\tUser-agent:: Yealink SIP-T46S 66.84\n"         \
	"\t\t\tState:: CS_NEW\n\t\t\tFlags:: 0\n\t\t\tCflag:: 0\n\t\t\tSocket:: udp:198.51.100.1:5060\n"     \
	"\t\t\tMethods:: 4294967295\n\tAOR:: 1003\n"                                                         \
	"\t\tContact:: sip:1003@10.0.0.6:5060 Q=1\n\t\t\tReceived:: sip:203.0.113.77:1024\n"

/* kamctl ul show, from 5.x on: the answer to a JSON-RPC */
#define KAMCTL_JSON                                                                                          \
	"{\n  \"jsonrpc\":\t\"2.0\",\n  \"result\":\t{\n    \"Domains\":\t[{\n        \"Domain\":\t{\n"      \
	"          \"Domain\":\t\"location\",\n          \"AoRs\":\t[{\n              \"Info\":\t{\n"        \
	"                \"AoR\":\t\"1004\",\n                \"Contacts\":\t[{\n"                           \
	"                    \"Contact\":\t{\n"                                                              \
	"                      \"Address\":\t\"sip:1004@192.0.2.44:5060;transport=tcp\",\n"                  \
	"                      \"Expires\":\t3000,\n                      \"Received\":\t\"[not set]\",\n"   \
	"                      \"Socket\":\t\"tcp:198.51.100.1:5060\"\n                    }\n"              \
	"                  }, {\n                    \"Contact\":\t{\n"                                      \
	"                      \"Address\":\t\"sip:1004@10.1.1.1;alias=203.0.113.5~3333~1\",\n"              \
	"                      \"Received\":\t\"[not set]\"\n                    }\n                  }]\n" \
	"              }\n            }]\n        }\n      }]\n  },\n  \"id\":\t1\n}\n"

static void test_kamailio(void **state)
{
	static const struct row rows[] = {
		{"kamcmd ul.dump", KAMCMD, "203.0.113.9 40001 2001:db8::20 5060", 1},
		{"kamctl ul show", KAMCTL, "192.0.2.10 5060 203.0.113.77 1024", 0},
		{"kamctl ul show, JSON", KAMCTL_JSON, "192.0.2.44 5060 203.0.113.5 3333", 0},
		{"the same in one line",
		 "{\"jsonrpc\":\"2.0\",\"result\":{\"Domains\":[{\"Domain\":{\"AoRs\":[{\"Info\":{\"AoR\":\"1\","
		 "\"Contacts\":[{\"Contact\":{\"Address\":\"sip:1@10.0.0.1:5060\",\"Expires\":3,"
		 "\"Received\":\"sip:203.0.113.1:1111\",\"Socket\":\"udp:198.51.100.1:5060\"}},"
		 "{\"Contact\":{\"Address\":\"sips:2@203.0.113.2\",\"Received\":\"[not set]\"}}]}}]}}]}}",
		 "203.0.113.1 1111 203.0.113.2 0", 0},
		{"a name that was seen at an address",
		 "\t\tContact:: sip:a@phone.local Q=\n\t\t\tReceived:: sip:203.0.113.8\n", "203.0.113.8 0", 0},
		{"nobody is registered", "Domain:: location table=512 records=0 max_slot=0\n", "", 1},
	};

	(void)state;
	check_all(rows, COUNT(rows));
}

#define PJSIP                                                                                                \
	"\n  Contact:  <Aor/ContactUri..............................> <Hash....> <Status> <RTT(ms)..>\n"      \
	"==========================================================================================\n\n"      \
	"  Contact:  6001/sip:6001@192.0.2.61:5060;ob           5d3a6d1234 Avail        12.345\n"            \
	"  Contact:  6002/sip:6002@[2001:db8::62]:5080          a4f1b2c3d4 NonQual         nan\n"            \
	"  Contact:  6003/sips:6003@192.0.2.63;transport=tls    0011223344 Unavail         nan\n"            \
	"  Contact:  trunk/sip:sip.carrier.example:5060         1122334455 Avail        20.100\n\n"          \
	"Objects found: 4\n\n"

#define DATABASE                                                                                             \
	"/registrar/contact/6001;@b2a1c7                     : {\"via_addr\":\"10.0.0.9\","                  \
	"\"qualify_timeout\":\"3.000000\",\"call_id\":\"x@10.0.0.9\",\"reg_server\":\"pbx\","                \
	"\"prune_on_boot\":\"no\",\"path\":\"\",\"endpoint\":\"6001\",\"via_port\":\"5060\","                \
	"\"uri\":\"sip:6001@192.0.2.61:40961^3Bob\",\"qualify_frequency\":\"60\","                           \
	"\"user_agent\":\"Zoiper, v2\",\"expiration_time\":\"1764090000\",\"outbound_proxy\":\"\"}\n"        \
	"/registrar/contact/6002;@c3                         : {\"via_addr\":\"192.0.2.62\","                \
	"\"uri\":\"sip:6002@[2001:db8::62]:5060\",\"endpoint\":\"6002\"}\n2 results found.\n"

#define PEERS                                                                                                \
	"Name/username             Host                                    Dyn Forcerport Comedia    ACL Port "   \
	"    Status      Description\n"                                                                      \
	"1001/1001                 192.0.2.10                               D  Yes        Yes            5060 "   \
	"    OK (12 ms)\n"                                                                                   \
	"1002                      (Unspecified)                            D  Yes        Yes            0    "   \
	"    UNKNOWN\n"                                                                                      \
	"trunk/acct                203.0.113.50                                Auto (No)  No             5080 "   \
	"    Unmonitored\n"                                                                                  \
	"3 sip peers [Monitored: 1 online, 1 offline Unmonitored: 1 online, 0 offline]\n"

static void test_asterisk(void **state)
{
	static const struct row rows[] = {
		{"pjsip show contacts", PJSIP, "192.0.2.61 5060 2001:db8::62 5080 192.0.2.63 0", 1},
		{"database show registrar/contact", DATABASE, "192.0.2.61 40961 2001:db8::62 5060", 0},
		{"sip show peers", PEERS, "192.0.2.10 5060 203.0.113.50 5080", 1},
		{"nobody", "No objects found.\n\n", "", 1},
	};

	(void)state;
	check_all(rows, COUNT(rows));
}

static void test_plain_text(void **state)
{
	static const struct row rows[] = {
		{"nothing", "", "", 0},
		{"one, without a line's end", "192.0.2.1", "192.0.2.1 0", 0},
		{"both families, a comment, blank lines, CR",
		 "# customers\r\n192.0.2.1\r\n\n  2001:db8::1   # office\n192.0.2.2 a note\n",
		 "192.0.2.1 0 2001:db8::1 0 192.0.2.2 0", 0},
		{"with ports", "192.0.2.1:5060\n[2001:db8::1]:5070\n", "192.0.2.1 5060 2001:db8::1 5070", 0},
		{"URIs", "sip:a@192.0.2.1:5080\n<sip:192.0.2.2>\n", "192.0.2.1 5080 192.0.2.2 0", 0},
		{"names and prefixes", "example.org\n192.0.2.0/24\n192.0.2.1\n", "192.0.2.1 0", 2},
		{"numbers that are none", "192.0.2.256\n192.0.2\n1.2.3.4.5\n", "", 3},
	};

	(void)state;
	check_all(rows, COUNT(rows));
}

static void test_uris(void **state)
{
	static const struct row rows[] = {
		{"no user", "Contact:: sip:192.0.2.1:5060", "192.0.2.1 5060", 0},
		{"a password", "Contact:: sip:a:b@192.0.2.1", "192.0.2.1 0", 0},
		{"received", "Contact:: sip:a@10.0.0.1;received=203.0.113.4:7000;x=y", "203.0.113.4 7000", 0},
		{"received, a URI", "Contact:: <sip:a@10.0.0.1;received=sip:203.0.113.4:7000>", "203.0.113.4 7000",
		 0},
		{"received of another parameter's owner", "Contact:: <sip:a@192.0.2.1>;received=203.0.113.4",
		 "192.0.2.1 0", 0},
		{"an alias that is none", "Contact:: sip:a@192.0.2.1;alias=b", "192.0.2.1 0", 0},
		{"an @ in a parameter", "Contact:: sip:192.0.2.1;x=a@203.0.113.4", "192.0.2.1 0", 0},
		{"a port that is none", "Contact:: sip:a@192.0.2.1:99999", "192.0.2.1 0", 0},
		{"no end of the bracket", "Contact:: sip:a@[2001:db8::1", "", 1},
		{"no host", "Contact:: sip:", "", 1},
		{"a star", "Contact:: *", "", 0},
		{"a long host", "Contact:: sip:a@"
				"111111111111111111111111111111111111111111111111111111111111111111", "", 1},
	};

	(void)state;
	check_all(rows, COUNT(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kamailio),
		cmocka_unit_test(test_asterisk),
		cmocka_unit_test(test_plain_text),
		cmocka_unit_test(test_uris),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
