/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Addresses and prefixes between text and the form of the program's lists, and sets of them. Knows no
 * map and no configuration.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "address.h"
#include "cleanup.h"

#define MAPPED_BITS  96 /* ::ffff:0:0/96 holds IPv4 */
#define ADDRESS_BITS 128

static const __u8 mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool address_is_ipv4(const __u8 address[16])
{
	return !memcmp(address, mapped, sizeof(mapped));
}

/* Returns the number of bits that the text's family has in front of its own: 96, 0, or -EINVAL. */
static int parse_host(const char *text, __u8 address[16])
{
	__u8 host[16];

	if (strchr(text, ':')) {
		if (inet_pton(AF_INET6, text, host) != 1)
			return -EINVAL;
		memcpy(address, host, sizeof(host));
		return 0;
	}
	if (inet_pton(AF_INET, text, host) != 1)
		return -EINVAL;
	memcpy(address, mapped, sizeof(mapped));
	memcpy(address + sizeof(mapped), host, 4);
	return MAPPED_BITS;
}

/* One to three digits without a leading zero; -EINVAL for anything else. */
static int parse_length(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	if (digits < 1 || digits > 3 || text[digits] || (digits > 1 && text[0] == '0'))
		return -EINVAL;
	return atoi(text);
}

static void clear_host_bits(struct sipdam_prefix *prefix)
{
	__u32 whole = prefix->bits / 8;

	if (whole >= sizeof(prefix->address))
		return;
	prefix->address[whole] &= (__u8)(0xff00 >> (prefix->bits % 8));
	memset(prefix->address + whole + 1, 0, sizeof(prefix->address) - whole - 1);
}

int address_parse_prefix(const char *text, struct sipdam_prefix *prefix)
{
	size_t host_length = strcspn(text, "/");
	struct sipdam_prefix parsed;
	char host[ADDRESS_TEXT];
	int offset, length;

	if (host_length >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, host_length);
	host[host_length] = 0;
	offset = parse_host(host, parsed.address);
	if (offset < 0)
		return -EINVAL;
	length = text[host_length] ? parse_length(text + host_length + 1) : ADDRESS_BITS - offset;
	if (length < 0 || length > ADDRESS_BITS - offset)
		return -EINVAL;
	parsed.bits = (__u32)(offset + length);
	clear_host_bits(&parsed);
	*prefix = parsed;
	return 0;
}

int address_parse(const char *text, __u8 address[16])
{
	return parse_host(text, address) < 0 ? -EINVAL : 0;
}

void address_format(const __u8 address[16], char text[ADDRESS_TEXT])
{
	if (address_is_ipv4(address))
		inet_ntop(AF_INET, address + sizeof(mapped), text, ADDRESS_TEXT);
	else
		inet_ntop(AF_INET6, address, text, ADDRESS_TEXT);
}

void address_format_prefix(const struct sipdam_prefix *prefix, char text[ADDRESS_PREFIX_TEXT])
{
	__u32 offset = address_is_ipv4(prefix->address) ? MAPPED_BITS : 0;
	size_t length;

	address_format(prefix->address, text);
	if (prefix->bits >= ADDRESS_BITS)
		return;
	length = strlen(text);
	snprintf(text + length, ADDRESS_PREFIX_TEXT - length, "/%u", prefix->bits - offset);
}

int prefix_set_add(struct prefix_set *set, const struct sipdam_prefix *prefix)
{
	if (set->count == set->room) {
		size_t room = set->room ? set->room * 2 : 16;
		void *grown = reallocarray(set->prefix, room, sizeof(*set->prefix));

		if (!grown)
			return -ENOMEM;
		set->prefix = grown;
		set->room = room;
	}
	set->prefix[set->count++] = *prefix;
	return 0;
}

void prefix_set_free(struct prefix_set *set)
{
	free(set->prefix);
	*set = (struct prefix_set){0};
}

/* What one line of a feed holds once comment and white space are gone. */
struct feed_line {
	char word[ADDRESS_PREFIX_TEXT];
	size_t length;
	bool bad; /* white space inside, a NUL, or too long for a prefix */
};

static bool is_space(int c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static void feed_line_take(struct feed_line *line, int c, bool after_space)
{
	if (!c || (after_space && line->length) || line->length == sizeof(line->word) - 1)
		line->bad = true;
	else
		line->word[line->length++] = (char)c;
}

/* Reads to the end of the line whatever its length. Returns false at the end of the file. */
static bool feed_line_read(FILE *file, struct feed_line *line)
{
	bool comment = false, after_space = false;
	int c = getc_unlocked(file);

	*line = (struct feed_line){0};
	if (c == EOF)
		return false;
	for (; c != EOF && c != '\n'; c = getc_unlocked(file)) {
		comment = comment || c == '#' || c == ';';
		if (!comment && !is_space(c))
			feed_line_take(line, c, after_space);
		after_space = is_space(c);
		if (line->bad)
			return true;
	}
	return true;
}

/* Opens a regular file: a device has no end and a pipe may have no writer. */
static int open_feed(const char *path, FILE **file)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat status;

	if (fd < 0 || fstat(fd, &status))
		return -errno;
	if (S_ISDIR(status.st_mode))
		return -EISDIR;
	if (!S_ISREG(status.st_mode))
		return -EINVAL;
	*file = fdopen(fd, "r");
	if (!*file)
		return -errno;
	take_fd(&fd);
	return 0;
}

/* The mark that some editors put before UTF-8 says nothing. False: a part of it, which begins no line. */
static bool skip_mark(FILE *file)
{
	static const unsigned char mark[] = {0xef, 0xbb, 0xbf};
	int c = getc(file);

	if (c != mark[0]) {
		ungetc(c, file); /* one byte, which is all that a pipe takes back */
		return true;
	}
	return getc(file) == mark[1] && getc(file) == mark[2];
}

static int read_feed(struct prefix_set *set, FILE *file, size_t limit, size_t *line)
{
	struct sipdam_prefix prefix;
	struct feed_line text;
	size_t number = 0;
	int error;

	if (!skip_mark(file)) {
		*line = 1;
		return -EINVAL;
	}
	while (feed_line_read(file, &text)) {
		number++;
		if (!text.bad && !text.length)
			continue;
		if (text.bad || address_parse_prefix(text.word, &prefix)) {
			*line = number;
			return -EINVAL;
		}
		if (set->count >= limit)
			return -EFBIG;
		error = prefix_set_add(set, &prefix);
		if (error)
			return error;
	}
	return ferror(file) ? -EIO : 0;
}

/* What was read stays only where all was. */
static int read_whole_feed(struct prefix_set *set, FILE *file, size_t limit, size_t *line)
{
	size_t before = set->count;
	int error = read_feed(set, file, limit, line);

	if (error)
		set->count = before;
	return error;
}

int prefix_set_read(struct prefix_set *set, const char *path, size_t limit, size_t *line)
{
	_cleanup_fclose_ FILE *file = NULL;
	int error = open_feed(path, &file);

	if (error == -EINVAL)
		*line = 0;
	return error ? error : read_whole_feed(set, file, limit, line);
}

int prefix_set_read_stream(struct prefix_set *set, FILE *file, size_t limit, size_t *line)
{
	int c = getc(file);

	if (c == EOF)
		return ferror(file) ? -errno : -ENODATA;
	ungetc(c, file);
	return read_whole_feed(set, file, limit, line);
}
