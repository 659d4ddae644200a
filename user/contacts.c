/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See contacts.h. Line by line: each format names a contact in a line, and what belongs to it in the next ones. */
#include "contacts.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

/* What has been read up to a line. */
struct reading {
	struct contacts *contacts;
	struct contact contact; /* the last one named */
	bool open;              /* one was named, and may still be told its Received */
	bool addressed;         /* by an address */
	bool dump;              /* some line was a registrar's, so that others are not plain addresses */
	bool peers;             /* in the table of `sip show peers` */
	size_t plain_skipped;   /* lines that would be skipped, were it plain text */
	int error;
};

/* ---- text ---- */

static const char *skip_space(const char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	return text;
}

/* What is behind a key at the beginning of a line, one colon or two; NULL: another key. */
static const char *behind_key(const char *line, const char *key)
{
	size_t length = strlen(key);

	line = skip_space(line);
	if (strncasecmp(line, key, length) || line[length] != ':')
		return NULL;
	line += length + 1;
	return *line == ':' ? line + 1 : line;
}

/* What is behind a key of JSON, anywhere in a piece of it. */
static const char *behind_json(const char *piece, const char *key)
{
	const char *found = strstr(piece, key);

	if (!found)
		return NULL;
	found = skip_space(found + strlen(key));
	return *found == ':' ? found + 1 : NULL;
}

static bool is_host(char c)
{
	return isalnum((unsigned char)c) || c == '.' || c == '-';
}

/* ---- addresses ---- */

/* An address at the beginning of a text, in brackets where it has colons. Returns what is behind it, or NULL. */
static const char *parse_host(const char *text, __u8 address[16])
{
	char host[ADDRESS_TEXT];
	bool bracket = *text == '[';
	const char *end = text += bracket;

	while (is_host(*end) || (bracket && *end == ':'))
		end++;
	if (end == text || (size_t)(end - text) >= sizeof(host) || (bracket && *end != ']'))
		return NULL;
	memcpy(host, text, (size_t)(end - text));
	host[end - text] = 0;
	return address_parse(host, address) ? NULL : end + bracket;
}

/* The port behind a mark, 0 where there is none. */
static __u16 parse_port(const char *text, char mark)
{
	unsigned long port = *text == mark ? strtoul(text + 1, NULL, 10) : 0;

	return port <= 0xffff ? (__u16)port : 0;
}

static bool parse_contact(const char *text, char mark, struct contact *contact)
{
	struct contact parsed = {};
	const char *behind = parse_host(text, parsed.address);

	if (!behind)
		return false;
	parsed.port = parse_port(behind, mark);
	*contact = parsed;
	return true;
}

/* Where the hostport of a SIP URI begins that is somewhere in a text, and where the URI ends; NULL: none. */
static const char *find_hostport(const char *text, const char **end)
{
	const char *uri = strcasestr(text, "sip:"), *secure = strcasestr(text, "sips:"), *at;

	if (secure && (!uri || secure < uri))
		uri = secure + 5;
	else if (uri)
		uri += 4;
	else
		return NULL;
	*end = uri + strcspn(uri, " \t\">,");
	/* The user part ends at an @ before any parameter, which may have one as well. */
	at = uri + strcspn(uri, "@;? \t\">,");
	return *at == '@' ? at + 1 : uri;
}

/* A parameter of the URI that says where it really came from. */
static bool parse_parameter(const char *uri, const char *end, const char *name, char mark,
			    struct contact *contact)
{
	const char *found = strcasestr(uri, name);

	if (!found || found >= end)
		return false;
	found += strlen(name);
	if (!strncasecmp(found, "sip:", 4))
		found += 4;
	return parse_contact(found, mark, contact);
}

/* The contact that a URI names. *named: there is a URI at all. */
static bool parse_uri(const char *text, bool *named, struct contact *contact)
{
	const char *end, *host = find_hostport(text, &end);

	*named = host;
	if (!host)
		return false;
	return parse_parameter(host, end, "received=", ':', contact) ||
	       parse_parameter(host, end, "alias=", '~', contact) || parse_contact(host, ':', contact);
}

/* ---- contacts ---- */

static void append(struct reading *reading, const struct contact *contact)
{
	struct contacts *contacts = reading->contacts;

	if (contacts->count == CONTACTS_MAX) {
		reading->error = -EFBIG;
		return;
	}
	if (contacts->count == contacts->room) {
		size_t room = contacts->room ? 2 * contacts->room : 256;
		struct contact *grown = reallocarray(contacts->contact, room, sizeof(*grown));

		if (!grown) {
			reading->error = -ENOMEM;
			return;
		}
		contacts->contact = grown;
		contacts->room = room;
	}
	contacts->contact[contacts->count++] = *contact;
}

/* Nothing more belongs to the contact that was named last. */
static void close_contact(struct reading *reading)
{
	if (reading->open && reading->addressed)
		append(reading, &reading->contact);
	else if (reading->open)
		reading->contacts->skipped++;
	reading->open = reading->addressed = false;
}

/* A key that names a contact, with its URI behind it; without one it is a heading. */
static void take_contact(struct reading *reading, const char *text)
{
	struct contact contact = {};
	bool named, addressed = parse_uri(text, &named, &contact);

	reading->dump = true;
	if (!named)
		return;
	close_contact(reading);
	reading->open = true;
	reading->addressed = addressed;
	reading->contact = contact;
}

/* Where the last contact was really seen; "[not set]" and the like are no URI. */
static void take_received(struct reading *reading, const char *text)
{
	struct contact contact;
	bool named;

	if (reading->open && parse_uri(text, &named, &contact)) {
		reading->contact = contact;
		reading->addressed = true;
	}
}

/* ---- lines ---- */

/* "Name/username  Host  Dyn ... Port  Status": the port is the first number behind the host. */
static void take_peer(struct reading *reading, char *line)
{
	struct contact contact = {};
	char *rest = NULL, *token;

	if (strstr(line, " sip peers") || !strtok_r(line, " \t", &rest)) {
		reading->peers = false;
		return;
	}
	token = strtok_r(NULL, " \t", &rest);
	if (!token || address_parse(token, contact.address)) {
		reading->contacts->skipped++;
		return;
	}
	while ((token = strtok_r(NULL, " \t", &rest)) && strspn(token, "0123456789") != strlen(token))
		;
	if (token && strlen(token) <= 5)
		contact.port = (__u16)strtoul(token, NULL, 10);
	append(reading, &contact);
}

/* Plain text: an address, with its port or in a URI, and whatever may stand behind it. Prefixes are none. */
static void take_plain(struct reading *reading, char *line)
{
	struct contact contact = {};
	char *word = line + strspn(line, " \t"), *end = word + strcspn(word, " \t#");
	bool named;

	*end = 0;
	if (!*word)
		return;
	if (!address_parse(word, contact.address) || parse_uri(word, &named, &contact) ||
	    (!strchr(word, '/') && parse_contact(word, ':', &contact)))
		append(reading, &contact);
	else
		reading->plain_skipped++;
}

/* A key of any of the formats: true if there was one. */
static bool take_keys(struct reading *reading, const char *piece)
{
	const char *contact = behind_key(piece, "Contact"), *received = behind_key(piece, "Received");

	if (!contact)
		contact = behind_key(piece, "Address");
	if (!contact)
		contact = behind_json(piece, "\"Address\"");
	if (!contact)
		contact = behind_json(piece, "\"uri\"");
	if (!received)
		received = behind_json(piece, "\"Received\"");
	if (contact)
		take_contact(reading, contact);
	else if (received)
		take_received(reading, received);
	return contact || received;
}

/* JSON may have all of a dump in one line: its members are pieces of their own. */
static bool take_pieces(struct reading *reading, char *line)
{
	char *next = line;
	bool any = false;

	while ((line = next)) {
		next = strstr(line, ",\"");
		if (next)
			*next++ = 0;
		any |= take_keys(reading, line);
	}
	return any;
}

static void take_line(struct reading *reading, char *line)
{
	line[strcspn(line, "\r\n")] = 0;
	if (reading->peers) {
		take_peer(reading, line);
	} else if (!strncmp(line, "Name/username", 13)) {
		reading->dump = reading->peers = true;
	} else if (!reading->dump && !strchr(line, '"') && !strchr(line, '{') && !behind_key(line, "Contact") &&
		   !behind_key(line, "Address")) {
		take_plain(reading, line);
	} else {
		take_pieces(reading, line);
	}
}

int contacts_read(struct contacts *contacts, FILE *file)
{
	struct reading reading = {.contacts = contacts};
	_cleanup_free_ char *line = NULL;
	size_t room = 0;

	while (!reading.error && getline(&line, &room, file) >= 0)
		take_line(&reading, line);
	if (!reading.error)
		close_contact(&reading);
	if (!reading.error && !reading.dump)
		contacts->skipped += reading.plain_skipped;
	if (!reading.error && ferror(file))
		reading.error = -EIO;
	return reading.error;
}

void contacts_free(struct contacts *contacts)
{
	free(contacts->contact);
	memset(contacts, 0, sizeof(*contacts));
}
